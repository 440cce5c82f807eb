//! The harnesses, each for as long as told: see `scripts/torture`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let images = arguments.get(1).map_or(20_000, |n| n.parse().unwrap());
    let settings = sutra_tests::power::Settings {
        images,
        seed: arguments.get(2).map_or(1, |n| n.parse().unwrap()),
        workers: 2,
        plant: match arguments.get(3).map(String::as_str) {
            Some("slot") => Some(sutra_tests::power::Plant::SlotBeforeTruth),
            Some("recycle") => Some(sutra_tests::power::Plant::EarlyRecycling),
            Some("dir") => Some(sutra_tests::power::Plant::NoDirectorySync),
            _ => None,
        },
    };
    println!("{:#?}", sutra_tests::power::run(&settings));
    ExitCode::SUCCESS
}
