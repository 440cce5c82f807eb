//! Bytes by chance for whatever reads bytes from outside, for `SUTRA_FUZZ_SECONDS` each; with a
//! coverage-guided fuzzer the same is done by `scripts/fuzz`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use sutra_tests::Random;
use sutra_tests::fuzz::{Target, by_chance};
use sutra_tests::wait::DEADLINE;

#[test]
fn whatever_bytes_there_are_reading_them_ends() {
    let seconds = std::env::var("SUTRA_FUZZ_SECONDS").map_or(3, |seconds| seconds.parse().unwrap());
    for target in Target::ALL {
        let mut random = Random::from_env(&format!("fuzz {target:?}"));
        let count = by_chance(target, &mut random, Duration::from_secs(seconds), false);
        println!("{target:?}: {count} in {seconds} s");
        assert!(count > 100);
    }
}

/// The planted bugs: a number that is believed. Chance alone finds each.
#[test]
fn a_number_that_is_believed_is_caught() {
    for target in Target::ALL {
        let mut random = Random::from_env(&format!("planted {target:?}"));
        let run = AssertUnwindSafe(|| by_chance(target, &mut random, DEADLINE, true));
        assert!(catch_unwind(run).is_err(), "{target:?}: it was not caught");
    }
}
