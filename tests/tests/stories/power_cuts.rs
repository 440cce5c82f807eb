//! The power is cut at every moment that matters, as often as `SUTRA_POWER_IMAGES` says;
//! `SUTRA_SEED` repeats a run.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use sutra_tests::Random;
use sutra_tests::power::{Plant, Settings, Summary, run};

fn cut(images: u64, plant: Option<Plant>) -> Summary {
    let seed = Random::from_env("power_cuts").next();
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let summary = run(&Settings { images, seed, workers, plant });
    println!("{summary}");
    summary
}

#[test]
fn every_image_that_a_power_cut_leaves_holds_what_was_acknowledged() {
    let images = std::env::var("SUTRA_POWER_IMAGES").map_or(20_000, |count| count.parse().unwrap());
    let summary = cut(images, None);
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
    assert!(summary.images >= images);
}

/// The planted bugs, each caught long before a run of the real thing would end.
fn assert_caught(plant: Plant) {
    let summary = cut(5_000, Some(plant));
    assert!(!summary.failures.is_empty(), "{plant:?} was not caught");
    println!("caught: {}", summary.failures[0]);
}

#[test]
fn a_durable_slot_that_is_synced_before_its_truth_is_caught() {
    assert_caught(Plant::SlotBeforeTruth);
}

#[test]
fn a_log_that_is_recycled_too_early_is_caught() {
    assert_caught(Plant::EarlyRecycling);
}

#[test]
fn a_directory_that_is_not_synced_is_caught() {
    assert_caught(Plant::NoDirectorySync);
}
