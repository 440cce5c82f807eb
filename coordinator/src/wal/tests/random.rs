//! Random sizes, syncs, restarts, recycling and cuts against a model.

use std::fs::OpenOptions;

use proptest::prelude::*;

use super::support::{SMALL, TestLog};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Sync,
    /// Recycle up to a part of what is written, in per cent.
    Checkpoint(u64),
    Restart,
    /// Restart with the last segment in use cut within its unsynced part, in per cent.
    Tear(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 0_usize..300, 2 => 0_usize..6000, 1 => 0_usize..70_000];
    prop_oneof![
        8 => prop::collection::vec(size, 1..6).prop_map(Step::Append),
        2 => Just(Step::Sync),
        2 => (0_u64..=100).prop_map(Step::Checkpoint),
        1 => Just(Step::Restart),
        1 => (0_u64..=100).prop_map(Step::Tear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_what_was_appended_to_it(steps in prop::collection::vec(step(), 1..60)) {
        let mut log = TestLog::new(SMALL);
        let mut checkpoint_lsn = 0;
        let mut durable_lsn = 0;
        // Where the unsynced part of the current segment begins.
        let mut synced_place = (1, 4096);
        for step in steps {
            match step {
                Step::Append(sizes) => log.append(&sizes),
                Step::Sync => durable_lsn = log.sync(),
                Step::Checkpoint(percent) => {
                    durable_lsn = log.sync();
                    checkpoint_lsn = checkpoint_lsn.max(durable_lsn * percent / 100);
                    log.wal().recycle(checkpoint_lsn).unwrap();
                }
                Step::Restart => {
                    let entries = log.open(checkpoint_lsn, durable_lsn).unwrap();
                    prop_assert_eq!(&entries[..], &log.written[checkpoint_lsn as usize..]);
                    durable_lsn = log.wal().written_lsn();
                }
                Step::Tear(percent) => {
                    let current = &log.wal().current;
                    let (sequence, end) = (current.segment.id.sequence, current.offset);
                    let start = if synced_place.0 == sequence { synced_place.1 } else { 4096 };
                    log.close();
                    let file = OpenOptions::new().write(true).open(log.segment(sequence)).unwrap();
                    file.set_len(start + (end - start) * percent / 100).unwrap();
                    let entries = log.open(checkpoint_lsn, durable_lsn).unwrap();
                    let kept_count = checkpoint_lsn as usize + entries.len();
                    prop_assert_eq!(&entries[..], &log.written[checkpoint_lsn as usize..kept_count]);
                    prop_assert!(kept_count as u64 >= durable_lsn);
                    log.written.truncate(kept_count);
                    durable_lsn = log.wal().written_lsn();
                }
            }
            if durable_lsn == log.wal().written_lsn() {
                let current = &log.wal().current;
                synced_place = (current.segment.id.sequence, current.offset);
            }
        }
        let entries = log.open(checkpoint_lsn, durable_lsn).unwrap();
        prop_assert_eq!(&entries[..], &log.written[checkpoint_lsn as usize..]);
    }
}
