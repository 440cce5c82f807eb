//! Nothing is used again before it is in the archive, and one history is read from it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::support::{Entries, SMALL, STORE_ID, TestLog, home};
use crate::wal::{Entry, History, Wal, archive_log, archived_segments};

fn history(archive: &Path, after_lsn: u64, writer_epoch: u64) -> (History, Entries) {
    let segments = archived_segments(archive).unwrap();
    let history = History::after(after_lsn, writer_epoch, STORE_ID, segments).unwrap();
    let mut entries = Entries::new();
    history
        .replay(|lsn, payload| {
            entries.push((lsn, payload.to_vec()));
            Ok(true)
        })
        .unwrap();
    (history, entries)
}

fn wait_until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_is_recycled_is_in_the_archive_first() {
    let archive = home();
    let mut log = TestLog::new(SMALL);
    log.wal().keep_in(archive.path()).unwrap();
    for _ in 0..80 {
        log.append(&[900, 10]);
    }
    log.sync();
    log.wal().recycle(100).unwrap();
    wait_until(|| history(archive.path(), 0, 1).0.last_lsn >= 80);
    let (kept, entries) = history(archive.path(), 0, 1);
    assert_eq!(entries, log.written[..kept.last_lsn as usize]);

    archive_log(&log.path(), 0, archive.path()).unwrap();
    let (_, entries) = history(archive.path(), 0, 1);
    assert_eq!(entries, log.written);
    // The part of the last segment is replaced when the segment has grown.
    let count = archived_segments(archive.path()).unwrap().len();
    log.append(&[10]);
    archive_log(&log.path(), 0, archive.path()).unwrap();
    assert_eq!(archived_segments(archive.path()).unwrap().len(), count);
    assert_eq!(history(archive.path(), 155, 1).1, log.written[155..]);
}

#[test]
fn without_its_archive_the_log_grows_and_loses_nothing() {
    let home = home();
    let archive = home.path().join("archive");
    let mut log = TestLog::new(SMALL);
    log.wal().keep_in(&archive).unwrap();
    std::fs::remove_dir(&archive).unwrap();
    for _ in 0..60 {
        log.append(&[900]);
    }
    log.sync();
    let path = log.path();
    let segments = || {
        let names = std::fs::read_dir(&path).unwrap();
        names.filter(|name| name.as_ref().unwrap().path().extension().is_some()).count()
    };
    let before = segments();
    log.wal().recycle(60).unwrap();
    std::thread::sleep(Duration::from_millis(50)); // time enough to do it wrong
    assert!(segments() >= before, "a segment is gone and not in the archive");
    std::fs::create_dir(&archive).unwrap();
    wait_until(|| history(&archive, 0, 1).0.last_lsn >= 40);
    wait_until(|| segments() < before);
}

/// Appends entries to a log of its own under an epoch, and puts it into the archive.
fn write(archive: &Path, after_lsn: u64, until_lsn: u64, epoch: u64) {
    let home = home();
    let path = home.path().join("wal");
    let mut wal = Wal::open(&path, STORE_ID, SMALL, after_lsn, 0, |_, _| Ok(())).unwrap();
    for lsn in after_lsn + 1..=until_lsn {
        let body = format!("entry {lsn} of epoch {epoch}, {}", "and more ".repeat(50));
        wal.append(epoch, &[Entry { lsn, head: &[], body: body.as_bytes() }]).unwrap();
    }
    drop(wal);
    archive_log(&path, 0, archive).unwrap();
}

/// The epoch of each entry that follows.
fn epochs(archive: &Path, after_lsn: u64, writer_epoch: u64) -> Vec<u64> {
    let (history, entries) = history(archive, after_lsn, writer_epoch);
    assert_eq!(history.last_lsn, after_lsn + entries.len() as u64);
    let epoch = |(_, payload): &(u64, Vec<u8>)| {
        let text = String::from_utf8_lossy(payload).into_owned();
        text.split("epoch ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
    };
    entries.iter().map(epoch).collect()
}

#[test]
fn the_later_history_goes_on_where_the_store_was_restored_to() {
    let archive = home();
    write(archive.path(), 0, 100, 2);
    assert_eq!(epochs(archive.path(), 0, 1), [2; 100]);
    write(archive.path(), 60, 80, 5);
    let expected = [vec![2; 60], vec![5; 20]].concat();
    assert_eq!(epochs(archive.path(), 0, 1), expected);
    assert_eq!(epochs(archive.path(), 50, 2), expected[50..]);
    // A backup of entry 90 is of the older history: what was written from 60 on does not follow.
    assert_eq!(epochs(archive.path(), 90, 2), [2; 10]);
    // One of the later history goes on with that, and never with the older.
    assert_eq!(epochs(archive.path(), 70, 5), [5; 10]);
    assert_eq!(epochs(archive.path(), 80, 5), [0; 0]);
    assert_eq!(history(archive.path(), 0, 1).0.writer_epoch, 5);
}

#[test]
fn a_gap_ends_a_history() {
    let archive = home();
    write(archive.path(), 0, 30, 2);
    write(archive.path(), 40, 50, 2);
    assert_eq!(history(archive.path(), 0, 2).0.last_lsn, 30);
    assert_eq!(history(archive.path(), 35, 2).0.last_lsn, 35);
    assert_eq!(history(archive.path(), 45, 2).0.last_lsn, 50);
}

#[test]
fn a_damaged_segment_in_the_archive_is_named() {
    let archive = home();
    write(archive.path(), 0, 30, 2);
    let segment = archived_segments(archive.path()).unwrap().remove(0);
    let mut bytes = std::fs::read(&segment.path).unwrap();
    for at in [20, 4100, 4200, bytes.len() - 20] {
        bytes[at] ^= 4;
        std::fs::write(&segment.path, &bytes).unwrap();
        let segments = archived_segments(archive.path()).unwrap();
        let error = History::after(0, 2, STORE_ID, segments).unwrap_err().to_string();
        assert!(error.contains(&*segment.path.to_string_lossy()), "byte {at}: {error}");
        bytes[at] ^= 4;
    }
}
