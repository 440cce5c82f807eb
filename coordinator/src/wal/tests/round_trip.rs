//! What is appended is replayed, across groups, segments, recycling and restarts.

use std::os::unix::fs::PermissionsExt;

use super::support::{SMALL, STORE_ID, TestLog, payload};
use crate::wal::{Entry, Log, LogSyncer, Options, PAYLOAD_SIZE_MAX, Wal, WalError, inspect};

#[test]
fn what_is_appended_is_replayed() {
    let mut log = TestLog::new(SMALL);
    log.append(&[0, 1, 7, 8, 9]);
    log.append(&[250]);
    log.append(&[]);

    let entries = log.open(0, 0).unwrap();
    assert_eq!(entries, log.written);
    assert_eq!(log.wal().written_lsn(), 6);
    assert_eq!(log.wal().writer_epoch(), 1);
    assert_eq!(log.wal().recovery().cut, None);
}

#[test]
fn the_log_goes_on_after_each_restart() {
    let mut log = TestLog::new(SMALL);
    for size in 0..60 {
        log.append(&[size * 7, 3]);
        assert_eq!(log.open(0, 0).unwrap(), log.written);
    }
    let inspection = inspect(&log.path()).unwrap();
    assert!(inspection.segments.len() > 1, "the log was to span segments");
    assert_eq!((inspection.first_lsn, inspection.last_lsn), (1, 120));
    assert_eq!(inspection.damage, None);
}

#[test]
fn an_entry_that_does_not_fit_moves_to_the_next_segment() {
    let mut log = TestLog::new(SMALL);
    log.append(&[3000, 3000, 3000, 10]); // segment 1 has room for one of them
    log.append(&[200_000]); // larger than a segment ever is by itself
    log.append(&[1]);

    assert_eq!(log.open(0, 0).unwrap(), log.written);
    let segments = inspect(&log.path()).unwrap().segments;
    let lsns: Vec<_> =
        segments.iter().map(|segment| (segment.first_lsn, segment.last_lsn)).collect();
    assert_eq!(lsns[..2], [(1, 1), (2, 4)]);
    assert!(segments.iter().any(|segment| segment.size >= 200_000));
}

#[test]
fn the_largest_frame_fits_into_a_young_log() {
    let mut log = TestLog::new(Options::default());
    log.append(&[PAYLOAD_SIZE_MAX, 1, PAYLOAD_SIZE_MAX]);
    log.append(&[100, 5000, 4096, 4097]);
    assert_eq!(log.open(0, 0).unwrap(), log.written);

    let body = vec![0; PAYLOAD_SIZE_MAX + 1];
    let lsn = log.wal().written_lsn() + 1;
    let error = log.wal().append(1, &[Entry { lsn, head: b"", body: &body }]).unwrap_err();
    assert!(matches!(error, WalError::TooLarge { .. }), "{error}");
    log.append(&[1]); // that was no harm
}

#[test]
fn an_idle_log_is_one_mebibyte_and_a_busy_one_doubles() {
    let mut log = TestLog::new(Options::default());
    assert_eq!(log.wal().allocated_size(), 1 << 20);
    log.append(&[100]);
    log.wal().preparer.settle();
    assert_eq!(log.wal().allocated_size(), 1 << 20);

    for _ in 0..70 {
        log.append(&[100_000]);
    }
    log.wal().preparer.settle();
    let sizes: Vec<u64> =
        inspect(&log.path()).unwrap().segments.iter().map(|segment| segment.size >> 20).collect();
    assert_eq!(sizes, [1, 2, 4, 8]);
}

#[test]
fn recycled_segments_are_used_again_and_their_old_entries_do_not_return() {
    let mut log = TestLog::new(SMALL);
    let mut reused = false;
    for _ in 0..200 {
        log.append(&[700, 90, 1]);
        let lsn = log.sync();
        log.wal().recycle(lsn - 3).unwrap();
        log.wal().preparer.settle();
        reused |= !inspect(&log.path()).unwrap().spares.is_empty();
        assert!(log.wal().allocated_size() <= 8 * SMALL.segment_size_max);
    }
    assert!(reused);

    let checkpoint_lsn = log.wal().written_lsn() - 3;
    let entries = log.open(checkpoint_lsn, checkpoint_lsn).unwrap();
    assert_eq!(entries, log.written[checkpoint_lsn as usize..]);
    log.append(&[1]);
    let entries = log.open(checkpoint_lsn, checkpoint_lsn).unwrap();
    assert_eq!(entries, log.written[checkpoint_lsn as usize..]);
    let error = log.open(0, 0).unwrap_err();
    assert!(matches!(error, WalError::Damaged { lsn: 1, .. }), "the head is recycled: {error}");
}

#[test]
fn entries_the_store_holds_are_not_visited() {
    let mut log = TestLog::new(SMALL);
    log.append(&[10, 10, 10]);
    log.append(&[10, 10]);

    assert_eq!(log.open(4, 5).unwrap(), log.written[4..]);
    assert_eq!(log.open(5, 5).unwrap(), []);
    assert_eq!(log.wal().written_lsn(), 5);
}

#[test]
fn a_store_ahead_of_its_log_numbers_on_from_the_store() {
    let mut log = TestLog::new(SMALL);
    log.append(&[10, 10]);
    assert_eq!(log.open(7, 7).unwrap(), []);
    assert_eq!(log.wal().written_lsn(), 7);

    let lsn = 8;
    log.wal().append(2, &[Entry { lsn, head: b"", body: b"x" }]).unwrap();
    assert_eq!(log.open(7, 8).unwrap(), [(8, b"x".to_vec())]);
}

#[test]
fn a_store_without_its_log_opens_with_an_empty_one() {
    let mut log = TestLog::new(SMALL);
    log.append(&[10, 10]);
    log.close();
    std::fs::remove_dir_all(log.path()).unwrap();

    let error = log.open(1, 2).unwrap_err();
    assert!(matches!(error, WalError::Damaged { lsn: 2, .. }), "{error}");
    assert_eq!(log.open(2, 2).unwrap(), []);
    assert_eq!(log.wal().written_lsn(), 2);
}

#[test]
fn a_live_log_can_be_replayed() {
    let mut log = TestLog::new(SMALL);
    for _ in 0..30 {
        log.append(&[500, 20]);
    }
    let mut seen = Vec::new();
    let wal = log.wal.as_ref().unwrap();
    wal.replay(40, |lsn, payload| {
        seen.push((lsn, payload.to_vec()));
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, log.written[40..]);

    let error = wal.replay(0, |_, _| Err("enough".into())).unwrap_err();
    assert!(matches!(error, WalError::Visit { lsn: 1, .. }), "{error}");
}

#[test]
fn a_log_behind_the_trait_is_the_same_log() {
    fn story(log: &mut impl Log) {
        log.reserve(1 << 10).unwrap();
        log.append(1, &[Entry { lsn: 1, head: b"a", body: b"b" }]).unwrap();
        assert_eq!(log.syncer().sync().unwrap(), log.written_lsn());
        log.recycle(1).unwrap();
        let mut seen = Vec::new();
        log.replay(0, &mut |lsn, payload| {
            seen.push((lsn, payload.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(1, b"ab".to_vec())]);
    }
    story(TestLog::new(SMALL).wal());
}

#[test]
fn a_sync_covers_all_that_was_written_in_every_segment() {
    let mut log = TestLog::new(SMALL);
    let syncer = log.wal().syncer();
    assert_eq!(syncer.sync().unwrap(), 0);
    for _ in 0..20 {
        log.append(&[1500]);
    }
    assert_eq!((syncer.durable_lsn(), syncer.written_lsn()), (0, 20));
    let durable_lsns: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| syncer.clone().sync().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(durable_lsns, [20; 4]);
    assert_eq!(log.open(0, 20).unwrap(), log.written);
    assert_eq!(log.wal().syncer().durable_lsn(), 20);
}

#[test]
fn files_are_for_the_owner_alone() {
    let mut log = TestLog::new(SMALL);
    log.append(&[3000, 3000]);
    log.wal().preparer.settle();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&log.path()), 0o700);
    for (name, _) in log.image().files {
        assert_eq!(mode(&log.path().join(&name)), 0o600, "{name}");
    }
}

#[test]
fn a_log_is_made_once_and_belongs_to_one_store() {
    let mut log = TestLog::new(SMALL);
    log.append(&[1]);
    log.close();
    let error = Wal::create(&log.path(), STORE_ID, SMALL).unwrap_err();
    assert!(matches!(error, WalError::Exists { .. }), "{error}");
    let error = Wal::open(&log.path(), [1; 16], SMALL, 0, 0, |_, _| Ok(())).unwrap_err();
    assert!(matches!(error, WalError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("store 5a5a"), "{error}");
    assert_eq!(log.open(0, 1).unwrap(), [(1, payload(1, 1))]);
}

#[test]
#[should_panic(expected = "numbered without a gap")]
fn a_gap_in_the_numbers_is_a_bug_of_the_caller() {
    let mut log = TestLog::new(SMALL);
    let _ = log.wal().append(1, &[Entry { lsn: 2, head: b"", body: b"" }]);
}

#[test]
#[should_panic(expected = "epoch 1 writes after epoch 2")]
fn a_writer_of_an_earlier_epoch_is_stopped() {
    let mut log = TestLog::new(SMALL);
    log.wal().append(2, &[Entry { lsn: 1, head: b"", body: b"" }]).unwrap();
    let _ = log.wal().append(1, &[Entry { lsn: 2, head: b"", body: b"" }]);
}
