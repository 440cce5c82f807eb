//! Tail or damage: the rows of the table in `replay`, one by one.

use super::support::{Image, SMALL, TestLog, goes_on, open};
use crate::wal::{Options, Proof, WalError, entry_size, inspect};

const ENTRY: usize = 100;
/// A group of one such entry.
const GROUP_SIZE: usize = 64 + entry_size(ENTRY) as usize;

/// Five groups of one entry each, with a sync after those given.
fn five_groups(synced: &[u64]) -> TestLog {
    let mut log = TestLog::new(SMALL);
    for lsn in 1..=5 {
        log.append(&[ENTRY]);
        if synced.contains(&lsn) {
            log.sync();
        }
    }
    log.close();
    log
}

/// Byte of segment 1 where the payload of group `lsn` begins.
fn payload_offset(lsn: usize) -> usize {
    4096 + (lsn - 1) * GROUP_SIZE + 64 + 16
}

fn spoil(image: &mut Image, lsn: usize) {
    image.files[0].1[payload_offset(lsn) + 3] ^= 0xff;
}

#[test]
fn a_bad_entry_before_a_group_that_says_it_was_synced_is_refused() {
    let log = five_groups(&[2]);
    let mut image = log.image();
    spoil(&mut image, 2);
    image.restore(&log.path());

    let error = open(&log.path(), SMALL, 0, 0).unwrap_err();
    let WalError::Damaged { path, offset, lsn, proof } = &error else { panic!("{error}") };
    assert_eq!((path, *offset, *lsn), (&log.segment(1), payload_offset(2) as u64 - 16, 2));
    assert!(matches!(proof, Proof::Group { synced_lsn: 2, .. }), "{proof}");
    let message = error.to_string();
    assert!(message.contains("damaged at byte") && message.contains("`sutra verify "), "{message}");

    // It was refused, and nothing was touched: a second look says the same.
    assert_eq!(log.image().files, image.files);
    assert_eq!(open(&log.path(), SMALL, 0, 0).unwrap_err().to_string(), message);
    assert_eq!(inspect(&log.path()).unwrap().damage, Some(message));
}

#[test]
fn a_bad_entry_that_was_never_synced_is_the_tail_although_later_groups_are_whole() {
    let log = five_groups(&[2]);
    let mut image = log.image();
    spoil(&mut image, 3); // a power cut kept blocks of 4 and 5, and not that of 3
    image.restore(&log.path());

    assert_eq!(inspect(&log.path()).unwrap().damage, None);
    assert!(inspect(&log.path()).unwrap().torn);
    let (wal, entries) = open(&log.path(), SMALL, 0, 2).unwrap();
    assert_eq!(entries, log.written[..2]);
    assert_eq!(wal.recovery().cut.as_ref().unwrap().lsn, 3);
    goes_on(&log.path(), SMALL, wal, 0, &entries);
}

#[test]
fn a_group_that_is_gone_as_if_never_written_is_missed() {
    let log = five_groups(&[3]);
    let mut image = log.image();
    let start = 4096 + GROUP_SIZE;
    image.files[0].1[start..start + GROUP_SIZE].fill(0);
    image.restore(&log.path());
    let error = open(&log.path(), SMALL, 0, 0).unwrap_err();
    assert!(matches!(error, WalError::Damaged { lsn: 2, .. }), "{error}");
}

#[test]
fn what_the_store_holds_cannot_be_a_torn_tail() {
    let log = five_groups(&[]);
    let mut image = log.image();
    spoil(&mut image, 4);
    for proof_lsn in 0..=5 {
        image.restore(&log.path());
        let opened = open(&log.path(), SMALL, 0, proof_lsn);
        match opened {
            Ok((_, entries)) => {
                assert!(proof_lsn < 4);
                assert_eq!(entries, log.written[..3]);
            }
            Err(WalError::Damaged { lsn: 4, proof: Proof::Store { lsn }, .. }) => {
                assert!(proof_lsn >= 4);
                assert_eq!(lsn, proof_lsn);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_proof_in_a_later_segment_counts() {
    let mut log = TestLog::new(SMALL);
    log.append(&[3000]);
    log.append(&[500]);
    log.append(&[3000]); // segment 2
    log.sync();
    log.append(&[500]);
    log.close();
    assert_eq!(inspect(&log.path()).unwrap().segments[1].first_lsn, 3);
    let whole = log.image();

    let mut image = whole.clone();
    image.files[0].1[4096 + 64 + 16] ^= 1;
    image.restore(&log.path());
    let error = open(&log.path(), SMALL, 0, 0).unwrap_err();
    let WalError::Damaged { path, lsn: 1, proof, .. } = &error else { panic!("{error}") };
    assert_eq!(*path, log.segment(1));
    assert!(matches!(proof, Proof::Group { path, .. } if *path == log.segment(2)), "{proof}");

    // The first group of the later segment is lost: it is that one that is named.
    let mut image = whole.clone();
    image.files[1].1[4096] ^= 1;
    image.restore(&log.path());
    let error = open(&log.path(), SMALL, 0, 0).unwrap_err();
    let WalError::Damaged { path, offset: 4096, lsn: 3, .. } = &error else { panic!("{error}") };
    assert_eq!(*path, log.segment(2));

    // The later segment's header is lost, with entries behind it.
    let mut image = whole.clone();
    image.files[1].1[20] ^= 1;
    image.restore(&log.path());
    let error = open(&log.path(), SMALL, 0, 0).unwrap_err();
    let WalError::Damaged { path, offset: 0, lsn: 3, proof } = &error else { panic!("{error}") };
    assert_eq!(*path, log.segment(2));
    assert!(matches!(proof, Proof::Header { .. }), "{proof}");

    // A whole segment is gone.
    whole.restore(&log.path());
    std::fs::remove_file(log.segment(1)).unwrap();
    let error = open(&log.path(), SMALL, 0, 0).unwrap_err();
    assert!(matches!(error, WalError::Damaged { lsn: 1, .. }), "{error}");
}

#[test]
fn a_torn_end_of_one_segment_and_a_whole_start_of_the_next_is_the_tail() {
    let mut log = TestLog::new(SMALL);
    log.append(&[500]);
    log.sync();
    log.append(&[3000]);
    log.append(&[3000]); // segment 2
    log.close();
    let mut image = log.image();
    image.files[0].1[4096 + 64 + entry_size(500) as usize + 64 + 16 + 2000] ^= 1;
    image.restore(&log.path());

    let (wal, entries) = open(&log.path(), SMALL, 0, 1).unwrap();
    assert_eq!(entries, log.written[..1]);
    goes_on(&log.path(), SMALL, wal, 0, &entries);
}

#[test]
fn damage_in_what_the_store_holds_already_is_told_and_not_refused() {
    let log = five_groups(&[1, 2, 3, 4, 5]);
    let mut image = log.image();
    spoil(&mut image, 2);
    image.restore(&log.path());

    let (wal, entries) = open(&log.path(), SMALL, 3, 3).unwrap();
    assert_eq!(entries, log.written[3..]);
    let unneeded = wal.recovery().unneeded.clone().unwrap();
    assert_eq!((unneeded.lsn, unneeded.offset), (2, payload_offset(2) as u64 - 16));
    drop(wal);

    // One needed entry among the lost ones, and it is damage again.
    spoil(&mut image, 4);
    image.restore(&log.path());
    let error = open(&log.path(), SMALL, 3, 3).unwrap_err();
    assert!(matches!(error, WalError::Damaged { lsn: 4, .. }), "{error}");
}

#[test]
fn old_bytes_of_a_recycled_segment_prove_nothing() {
    let mut log = TestLog::new(SMALL);
    for _ in 0..40 {
        log.append(&[900]);
        let lsn = log.sync();
        log.wal().recycle(lsn).unwrap();
        log.wal().preparer.settle();
    }
    // One group in a segment full of old ones: it is torn, and those behind it were
    // all synced, but in another life of the file.
    let spares = inspect(&log.path()).unwrap().spares;
    assert!(!spares.is_empty());
    let before_lsn = log.wal().written_lsn();
    let before = inspect(&log.path()).unwrap().segments.len();
    while inspect(&log.path()).unwrap().segments.iter().filter(|seen| seen.entry_count > 0).count()
        < 2
    {
        log.append(&[900]);
        assert!(log.wal().written_lsn() < before_lsn + 100, "{before} segments");
    }
    let last =
        inspect(&log.path()).unwrap().segments.into_iter().rfind(|seen| seen.entry_count > 0);
    let last = last.unwrap();
    log.close();
    let mut bytes = std::fs::read(&last.path).unwrap();
    let stale_count = bytes[last.used_size as usize..].iter().filter(|&&byte| byte != 0).count();
    assert!(stale_count > 1000, "this segment was to be a recycled one");
    bytes[4096 + 64 + 16] ^= 1;
    std::fs::write(&last.path, &bytes).unwrap();

    let (wal, entries) = open(&log.path(), SMALL, before_lsn, before_lsn).unwrap();
    let kept_count = (last.first_lsn - 1 - before_lsn) as usize;
    assert_eq!(entries.len(), kept_count);
    assert_eq!(wal.written_lsn(), last.first_lsn - 1);
}

#[test]
fn behind_all_that_was_acknowledged_nobody_looks_for_proof() {
    let log = five_groups(&[4]);
    let options = Options { acknowledged_lsn: Some(2), ..SMALL };
    let mut image = log.image();
    spoil(&mut image, 2);
    image.restore(&log.path());
    let error = open(&log.path(), options, 0, 0).unwrap_err();
    assert!(matches!(error, WalError::Damaged { lsn: 2, .. }), "what was acknowledged is missed");

    let mut image = log.image();
    spoil(&mut image, 2); // again, so as it was
    spoil(&mut image, 3);
    image.restore(&log.path());
    let (wal, entries) = open(&log.path(), options, 0, 2).unwrap();
    assert_eq!(entries, log.written[..2]);
    goes_on(&log.path(), SMALL, wal, 0, &entries);
}
