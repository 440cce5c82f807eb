//! The newest segment of a whole store's log is cut at every fourth byte, and the bits of every 16th
//! are flipped; with `SUTRA_FLIP_STEP=1` every byte and every bit.

use sutra_tests::Random;
use sutra_tests::log_cuts::run;

#[test]
fn whatever_happens_to_the_log_a_store_shows_a_state_it_was_in_or_names_the_damage() {
    let step = std::env::var("SUTRA_FLIP_STEP").map_or(16, |step| step.parse().unwrap());
    let summary = run(Random::from_env("log_cuts").next(), step);
    println!("{summary}");
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
    // Each is caught: what was synced is not lost without a word, and what was not is cut.
    assert!(summary.refused > 100 && summary.recovered > 100, "{summary}");
    assert!(summary.whole < summary.recovered, "{summary}");
}
