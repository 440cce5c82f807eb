//! Every bit of a small log, flipped.

use super::support::{SMALL, TestLog, goes_on, is_prefix, open};
use crate::wal::{Proof, WalError};

/// Entries 1 to 3 are synced, and the group of 4 and 5 says so; 6 is in a last group.
fn small_log() -> TestLog {
    let mut log = TestLog::new(SMALL);
    log.append(&[21, 0]);
    log.append(&[9]);
    log.sync();
    log.append(&[17, 8]);
    log.append(&[30]);
    log.close();
    log
}

#[test]
fn a_flipped_bit_is_cut_or_refused_and_never_read() {
    let log = small_log();
    let image = log.image();
    let used_size = log.used_size(1);
    let (mut cut_count, mut refused_count) = (0, 0);
    for offset in 0..used_size + 8 {
        for bit in 0..8 {
            let mut flipped = image.clone();
            flipped.files[0].1[offset] ^= 1 << bit;
            flipped.restore(&log.path());
            match open(&log.path(), SMALL, 0, 0) {
                Ok((wal, entries)) => {
                    assert!(is_prefix(&entries, &log.written), "bit {bit} of byte {offset}");
                    assert!(entries.len() >= 3, "bit {bit} of byte {offset}: synced entries lost");
                    cut_count += usize::from(entries.len() < log.written.len());
                    if bit == offset % 8 {
                        goes_on(&log.path(), SMALL, wal, 0, &entries);
                    }
                }
                Err(WalError::Damaged { lsn, offset: place, proof, .. }) => {
                    refused_count += 1;
                    assert!(place <= offset as u64, "bit {bit} of byte {offset}: told at {place}");
                    match proof {
                        Proof::Group { synced_lsn: 3, .. } => assert!((1..=3).contains(&lsn)),
                        Proof::Header { .. } => assert!(offset < 64),
                        proof => panic!("bit {bit} of byte {offset}: {proof}"),
                    }
                }
                Err(error) => panic!("bit {bit} of byte {offset}: {error}"),
            }
        }
    }
    // Two groups, three entries and their headers on each side.
    assert!(cut_count > 1000 && refused_count > 2000, "{cut_count} cut, {refused_count} refused");
}

#[test]
fn a_flipped_bit_in_what_the_store_holds_as_published_is_refused() {
    let log = small_log();
    let image = log.image();
    for offset in 4096..log.used_size(1) {
        let mut flipped = image.clone();
        flipped.files[0].1[offset] ^= 0x10;
        flipped.restore(&log.path());
        match open(&log.path(), SMALL, 0, 6) {
            // Padding, which nobody reads.
            Ok((_, entries)) => assert_eq!(entries, log.written, "byte {offset}"),
            Err(WalError::Damaged { .. }) => {}
            Err(error) => panic!("byte {offset}: {error}"),
        }
    }
}

#[test]
fn a_lost_header_of_a_segment_in_use_is_never_an_empty_log() {
    let log = small_log();
    let mut image = log.image();
    image.files[0].1[..4096].fill(0);
    image.restore(&log.path());
    let error = open(&log.path(), SMALL, 0, 0).unwrap_err();
    assert!(
        matches!(error, WalError::Damaged { offset: 0, lsn: 1, proof: Proof::Header { .. }, .. }),
        "{error}"
    );
}
