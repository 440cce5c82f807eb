//! The first failed write or sync is the last thing the log does.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use sutra_layout::sys::fork::Kept;

use super::support::{SMALL, TestLog};
use crate::wal::sync::Unsynced;
use crate::wal::{Entry, WalError};

#[test]
fn after_a_failed_write_nothing_is_accepted() {
    let mut log = TestLog::new(SMALL);
    log.append(&[10]);
    log.sync();
    let path = log.segment(1);
    // A descriptor that cannot write stands for a disk that cannot.
    log.wal().current.segment.file = Arc::new(Kept::new(File::open(&path).unwrap()));

    let entry = Entry { lsn: 2, head: b"", body: b"lost" };
    let error = log.wal().append(1, &[entry]).unwrap_err();
    assert!(matches!(&error, WalError::Write { path: found, .. } if *found == path), "{error}");

    log.wal().current.segment.file =
        Arc::new(Kept::new(File::options().write(true).open(&path).unwrap()));
    for _ in 0..2 {
        for error in [
            log.wal().append(1, &[entry]).unwrap_err(),
            log.wal().reserve(1).unwrap_err(),
            log.wal().syncer().sync().unwrap_err(),
            log.wal().syncer().check().unwrap_err(),
            log.wal().recycle(1).unwrap_err(),
        ] {
            assert!(
                matches!(&error, WalError::Poisoned { reason } if reason.contains("writing to"))
            );
        }
    }
    assert_eq!(log.wal().written_lsn(), 1);
    assert_eq!(log.open(0, 1).unwrap(), log.written);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let mut log = TestLog::new(SMALL);
    log.append(&[10]);
    log.sync();
    log.append(&[10]);
    // fdatasync refuses a pipe: as good as a disk that is gone.
    let (_reader, writer) = std::io::pipe().unwrap();
    let file = Arc::new(Kept::new(File::from(OwnedFd::from(writer))));
    log.wal().shared.begin_file(Unsynced { file, path: "the-disk".into() });

    let syncer = log.wal().syncer();
    let error = syncer.sync().unwrap_err();
    assert!(matches!(error, WalError::Sync { .. }), "{error}");
    for _ in 0..2 {
        let error = syncer.clone().sync().unwrap_err();
        assert!(matches!(&error, WalError::Poisoned { reason } if reason.contains("the-disk")));
        let entry = Entry { lsn: 3, head: b"", body: b"" };
        let error = log.wal().append(1, &[entry]).unwrap_err();
        assert!(matches!(error, WalError::Poisoned { .. }), "{error}");
    }
    assert_eq!(syncer.durable_lsn(), 1);

    // At restart only the disk counts, and new entries go to a new file.
    log.options.distrust_page_cache = true;
    assert_eq!(log.open(0, 1).unwrap(), log.written);
    log.append(&[10]);
    log.options.distrust_page_cache = false;
    assert!(log.segment(2).exists());
    assert_eq!(log.open(0, 3).unwrap(), log.written);
}
