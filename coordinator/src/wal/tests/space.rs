//! A full disk is met before an append, and is no more than an error.

use std::sync::Arc;

use super::support::{SMALL, STORE_ID, TestLog, home};
use crate::wal::directory::Directory;
use crate::wal::prepare::Preparer;
use crate::wal::sync::Shared;
use crate::wal::{Entry, Options, WalError, entry_size};

/// More than a disk has, and less than a file may have on ext4.
const TOO_LARGE: u64 = 15 << 40;

fn preparer(options: Options) -> (tempfile::TempDir, Arc<Shared>, Preparer) {
    let home = home();
    let directory = Arc::new(Directory::open_or_create(&home.path().join("wal")).unwrap());
    let shared = Arc::new(Shared::new(0));
    let preparer =
        Preparer::start(directory, STORE_ID, options, Vec::new(), Arc::clone(&shared)).unwrap();
    (home, shared, preparer)
}

#[test]
fn a_full_disk_is_a_typed_error_and_leaves_the_log_working() {
    let (home, shared, preparer) = preparer(SMALL);
    for _ in 0..2 {
        let error = preparer.require(1, 4096, TOO_LARGE).unwrap_err();
        assert!(matches!(error, WalError::StorageFull { .. }), "{error}");
    }
    shared.check().expect("a full disk poisons nothing");
    assert_eq!(
        std::fs::read_dir(home.path().join("wal")).unwrap().count(),
        0,
        "space is given back"
    );

    preparer.require(1, 4096, 100).unwrap();
    assert_eq!(preparer.take().unwrap().size, SMALL.segment_size_first);
}

#[test]
fn a_nearly_full_disk_gives_what_is_needed() {
    let options = Options { segment_size_max: TOO_LARGE, ..SMALL };
    let (_home, _, preparer) = preparer(options);
    preparer.require(1, TOO_LARGE, 10_000).unwrap();
    let segment = preparer.take().unwrap();
    assert_eq!(segment.size, 16 << 10);
    assert!(segment.capacity() >= 10_000);
}

#[test]
fn a_prepared_segment_that_is_too_small_grows_or_stays() {
    let (_home, _, preparer) = preparer(SMALL);
    preparer.require(1, 4096, 100).unwrap();
    let error = preparer.require(1, 4096, TOO_LARGE).unwrap_err();
    assert!(matches!(error, WalError::StorageFull { .. }), "{error}");
    preparer.require(1, 4096, 100_000).unwrap();
    let segment = preparer.take().unwrap();
    assert!(segment.capacity() >= 100_000);
    assert_eq!(segment.file.metadata().unwrap().len(), segment.size);
}

#[test]
fn an_append_after_a_reserve_needs_no_space() {
    let mut log = TestLog::new(SMALL);
    let body = vec![7; 3000];
    for round in 0..50 {
        let count = round % 7 + 1;
        log.wal().reserve(count * entry_size(body.len())).unwrap();
        let allocated_size = log.wal().allocated_size();
        let first_lsn = log.wal().written_lsn() + 1;
        let entries: Vec<Entry<'_>> = (first_lsn..first_lsn + count)
            .map(|lsn| Entry { lsn, head: b"", body: &body })
            .collect();
        // What is prepared ahead afterwards is not needed for this one.
        log.wal().append(1, &entries).unwrap();
        log.wal().preparer.settle();
        assert!(log.wal().allocated_size() >= allocated_size);
    }
    let error = log.wal().reserve(u64::MAX).unwrap_err();
    assert!(matches!(error, WalError::TooLarge { .. }), "{error}");
}
