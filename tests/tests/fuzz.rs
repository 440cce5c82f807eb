//! Bytes by chance for whatever reads bytes from outside, for `SUTRA_FUZZ_SECONDS` each; with a
//! coverage-guided fuzzer the same is done by `scripts/fuzz`.

use std::time::Duration;

use sutra_tests::Random;
use sutra_tests::fuzz::{Target, by_chance};

#[test]
fn whatever_bytes_there_are_reading_them_ends() {
    let seconds = std::env::var("SUTRA_FUZZ_SECONDS").map_or(3, |seconds| seconds.parse().unwrap());
    for target in Target::ALL {
        let mut random = Random::from_env(&format!("fuzz {target:?}"));
        let count = by_chance(target, &mut random, u64::MAX, Duration::from_secs(seconds));
        println!("{target:?}: {count} in {seconds} s");
        assert!(count > 100);
    }
}
