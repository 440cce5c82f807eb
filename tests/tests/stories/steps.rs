//! A write and its publication are looked at after each instruction; what every
//! `SUTRA_STEP_INTERVAL`-th of them leaves is recovered, and at `SUTRA_STEP_KILLS` of them the writer
//! is killed.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;

use sutra_tests::forge::{self, overwrite};
use sutra_tests::steps::run;

#[test]
fn at_every_instruction_of_a_publication_a_reader_sees_the_old_version_or_the_new_one() {
    let number = |name, most| std::env::var(name).map_or(most, |text| text.parse().unwrap());
    let kills = number("SUTRA_STEP_KILLS", 10);
    let summary = run(kills, number("SUTRA_STEP_INTERVAL", 256), |_, _| {});
    println!("{summary}");
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
    assert!(summary.steps > 1000 && summary.recovered > 10 && summary.kills == kills);
}

/// The planted bug: a slot of the ring is filled when it is published already.
#[test]
fn a_publication_before_its_slot_is_whole_is_caught() {
    let publish_too_soon = |store: &Path, step: u64| {
        if step == 500 {
            // As if commit_seq were stored before the words of its slot.
            let bytes = std::fs::read(store.join("storage.dat")).unwrap();
            let published = u64::from_le_bytes(bytes[24576..24584].try_into().unwrap());
            for ahead in 1..8 {
                let slot = 28672 + (published + ahead) % 8 * 512;
                overwrite(&store.join("storage.dat"), slot + 64, &[0xff; 8]);
            }
            overwrite(&store.join("storage.dat"), 24576, &(published + 1).to_le_bytes());
        }
    };
    let summary = run(0, 256, publish_too_soon);
    assert!(!summary.failures.is_empty(), "{summary}");
    println!("caught: {}", summary.failures[0]);
}

/// The planted bug: what is stored and published is not in the log.
#[test]
fn a_write_that_is_not_logged_before_it_is_published_is_caught() {
    let mut log_end = None;
    let keep_from_the_log = |store: &Path, step: u64| {
        if step % 256 == 1 {
            let (segment, end) = log_end.get_or_insert_with(|| forge::log_end(&store.join("wal")));
            overwrite(segment, *end, &[0; 512]);
        }
    };
    let summary = run(0, 256, keep_from_the_log);
    assert!(!summary.failures.is_empty(), "{summary}");
    println!("caught: {}", summary.failures[0]);
}
