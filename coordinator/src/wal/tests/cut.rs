//! A log cut off anywhere is a shorter log.

use std::fs::OpenOptions;

use super::support::{SMALL, TestLog, goes_on, is_prefix, open};
use crate::wal::{Entry, WalError, entry_size, inspect};

#[test]
fn a_log_cut_at_any_byte_yields_the_entries_before_the_cut() {
    let mut log = TestLog::new(SMALL);
    log.append(&[30, 0, 77]);
    log.append(&[8]);
    log.append(&[5, 200]);
    log.close();
    let image = log.image();
    let size = image.files[0].1.len();
    // Where each entry ends in the file.
    let mut ends = Vec::new();
    let mut offset = 4096;
    for group in [&[30, 0, 77][..], &[8], &[5, 200]] {
        offset += 64;
        for &size in group {
            // The padding of an entry may go, its payload may not.
            ends.push(offset + 16 + size as u64);
            offset += entry_size(size);
        }
    }

    for cut in 0..=size as u64 {
        image.restore(&log.path());
        OpenOptions::new().write(true).open(log.segment(1)).unwrap().set_len(cut).unwrap();
        let (wal, entries) = open(&log.path(), SMALL, 0, 0).unwrap();
        assert!(is_prefix(&entries, &log.written), "cut at {cut}");
        assert_eq!(entries.len(), ends.iter().filter(|&&end| end <= cut).count(), "cut at {cut}");
        assert_eq!(wal.written_lsn(), entries.len() as u64);
        if cut % 7 == 0 {
            goes_on(&log.path(), SMALL, wal, 0, &entries);
        }
    }
}

#[test]
fn a_cut_below_what_the_store_holds_is_damage() {
    let mut log = TestLog::new(SMALL);
    log.append(&[30, 30]);
    log.append(&[30]);
    log.close();
    let image = log.image();
    for cut in 0..log.used_size(1) as u64 {
        image.restore(&log.path());
        OpenOptions::new().write(true).open(log.segment(1)).unwrap().set_len(cut).unwrap();
        let error = open(&log.path(), SMALL, 0, 3).unwrap_err();
        assert!(matches!(error, WalError::Damaged { lsn: 1..=3, .. }), "cut at {cut}: {error}");
        // Refused, and left as it was.
        assert_eq!(std::fs::metadata(log.segment(1)).unwrap().len(), cut);
    }
}

#[test]
fn a_cut_in_an_early_segment_takes_the_later_ones_along() {
    let mut log = TestLog::new(SMALL);
    for _ in 0..12 {
        log.append(&[2000]);
    }
    log.close();
    assert!(inspect(&log.path()).unwrap().segments.len() > 2);
    let image = log.image();
    let file = OpenOptions::new().write(true).open(log.segment(1)).unwrap();
    file.set_len(5000).unwrap(); // within the first entry; nothing was ever synced

    let (wal, entries) = open(&log.path(), SMALL, 0, 0).unwrap();
    assert_eq!(entries, []);
    goes_on(&log.path(), SMALL, wal, 0, &entries);

    image.restore(&log.path());
    std::fs::remove_file(log.segment(1)).unwrap();
    let (wal, entries) = open(&log.path(), SMALL, 0, 0).unwrap();
    assert_eq!(entries, []);
    goes_on(&log.path(), SMALL, wal, 0, &entries);
}

#[test]
fn what_was_cut_never_comes_back() {
    // Two groups of the same sizes; the first is torn, the second is whole. The new
    // group written over the first must not make the second one follow it.
    let mut log = TestLog::new(SMALL);
    log.append(&[100]);
    log.append(&[40]);
    log.append(&[40]);
    log.append(&[40]);
    log.close();
    let mut image = log.image();
    let torn = 4096 + 64 + entry_size(100) as usize + 64 + 20;
    image.files[0].1[torn] ^= 1;
    image.restore(&log.path());

    let kept = log.open(0, 1).unwrap();
    assert_eq!(kept, log.written[..1]);
    assert_eq!(log.wal().recovery().cut.as_ref().unwrap().lsn, 2);
    let body = [9; 40];
    log.wal().append(2, &[Entry { lsn: 2, head: b"", body: &body }]).unwrap();
    let entries = log.open(0, 2).unwrap();
    assert_eq!(entries, [log.written[0].clone(), (2, body.to_vec())]);
}

#[test]
fn a_cut_within_a_group_keeps_its_good_entries_and_goes_on_in_a_new_segment() {
    let mut log = TestLog::new(SMALL);
    log.append(&[100, 100, 100]);
    log.close();
    let mut image = log.image();
    image.files[0].1[4096 + 64 + 2 * entry_size(100) as usize + 50] ^= 1;
    image.restore(&log.path());

    let kept = log.open(0, 0).unwrap();
    assert_eq!(kept, log.written[..2]);
    log.wal().append(2, &[Entry { lsn: 3, head: b"", body: b"new" }]).unwrap();
    for _ in 0..2 {
        let entries = log.open(0, 3).unwrap();
        assert_eq!(entries[..2], log.written[..2]);
        assert_eq!(entries[2], (3, b"new".to_vec()));
    }
}

#[test]
fn a_segment_number_given_twice_does_not_bring_back_the_first_one() {
    let mut log = TestLog::new(SMALL);
    log.append(&[3000]);
    log.append(&[3000]); // segment 2
    log.append(&[500]);
    log.close();
    let mut image = log.image();
    image.files[0].1[4096 + 64 + 16] ^= 1;
    image.files.truncate(2); // without the one that was prepared next
    image.restore(&log.path());

    // Everything is cut, and the file of segment 2 becomes segment 2 once more. The old
    // group of entry 3 stands right behind the new one of entry 2, with its own salt.
    assert_eq!(log.open(0, 0).unwrap(), []);
    log.written.clear();
    log.append(&[3000]);
    log.append(&[3000]);
    log.close();
    let bytes = std::fs::read(log.segment(2)).unwrap();
    let stale_offset = 4096 + 64 + entry_size(3000) as usize;
    assert_eq!(&bytes[stale_offset..][..3], b"SWG", "the old group was to be there");
    assert_eq!(log.open(0, 2).unwrap(), log.written);
}
