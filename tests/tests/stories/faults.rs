//! Every system call that touches a file fails once, in each way; `SUTRA_FAULT_STEP` fails only
//! every so manieth, `SUTRA_SEED` repeats a run.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;

use sutra_tests::Random;
use sutra_tests::faults::run;

#[test]
fn whatever_call_fails_the_coordinator_says_so_and_loses_nothing() {
    let mut random = Random::from_env("faults");
    // Each run begins elsewhere, so that a step leaves out nothing for ever.
    let step = std::env::var("SUTRA_FAULT_STEP").map_or(3, |step| step.parse().unwrap());
    let summary = run(random.next(), 1 + random.below(step), step, |_| {});
    println!("{summary}");
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
    assert!(summary.faults > 0 && summary.ended > 0);
}

/// The planted bug: the log is not there after the end.
#[test]
fn a_log_that_is_lost_with_the_failed_call_is_caught() {
    let lose_the_log = |store: &Path| {
        let wal = std::fs::read_dir(store.join("wal")).into_iter().flatten().flatten();
        let paths = wal.map(|entry| entry.path());
        for path in paths.filter(|path| path.extension().is_some_and(|end| end == "wal")) {
            std::fs::remove_file(path).unwrap();
        }
    };
    let summary = run(1, 30, 30, lose_the_log);
    assert!(!summary.failures.is_empty(), "{summary}");
    println!("caught: {}", summary.failures[0]);
}
