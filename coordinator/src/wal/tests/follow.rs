//! Followers read every entry once, wherever they begin and whatever the log does meanwhile.

use std::ops::ControlFlow;

use super::support::{Entries, SMALL, TestLog};
use crate::wal::{Follower, WalError};

fn followed(follower: &mut Follower, up_to_lsn: u64) -> Result<Entries, WalError> {
    let mut entries = Entries::new();
    follower.follow(up_to_lsn, &mut |lsn, payload| {
        entries.push((lsn, payload.to_vec()));
        Ok(())
    })?;
    Ok(entries)
}

#[test]
fn a_follower_gets_every_entry_once_over_segments_and_from_wherever_it_begins() {
    let mut log = TestLog::new(SMALL);
    let mut behind = log.wal().follow(0);
    let mut all = Entries::new();
    for round in 0..40_usize {
        log.append(&[100 + round * 13, 5, 1000]);
        if round % 3 == 0 {
            let end = behind.written_lsn() - round as u64 % 2;
            all.extend(followed(&mut behind, end).unwrap());
        }
    }
    all.extend(followed(&mut behind, 120).unwrap());
    assert!(log.segment(3).exists(), "more than two segments");
    assert_eq!(all, log.written);
    for after in [0, 1, 2, 3, 59, 60, 61, 118, 119, 120] {
        let mut follower = log.wal().follow(after);
        assert_eq!(followed(&mut follower, 120).unwrap(), log.written[after as usize..]);
        assert_eq!(followed(&mut follower, 120).unwrap(), [], "once");
    }
}

#[test]
fn a_follower_goes_on_behind_a_group_that_was_cut_within() {
    let mut log = TestLog::new(SMALL);
    log.append(&[100, 100, 100]);
    log.close();
    // The last of three entries is torn; the log goes on in another segment.
    let end = log.used_size(1);
    let mut bytes = std::fs::read(log.segment(1)).unwrap();
    bytes[end - 1] ^= 0xff;
    std::fs::write(log.segment(1), bytes).unwrap();
    log.written.truncate(2);
    log.open(0, 0).unwrap();
    log.append(&[50, 60]);
    let mut follower = log.wal().follow(0);
    assert_eq!(followed(&mut follower, 4).unwrap(), log.written);
}

#[test]
fn an_entry_that_is_gone_is_damage_and_a_refusal_comes_again() {
    let mut log = TestLog::new(SMALL);
    log.append(&[100, 100]);
    let mut follower = log.wal().follow(0);
    let mut seen = ControlFlow::Continue(());
    let refused = follower.follow(2, &mut |lsn, _| match (lsn, seen) {
        (2, ControlFlow::Continue(())) => {
            seen = ControlFlow::Break(());
            Err("not now".into())
        }
        _ => Ok(()),
    });
    assert!(matches!(refused, Err(WalError::Visit { lsn: 2, .. })));
    assert_eq!(followed(&mut follower, 2).unwrap(), log.written[1..]);
    let gone = followed(&mut follower, 3);
    assert!(matches!(gone, Err(WalError::Damaged { lsn: 3, .. })), "{gone:?}");
}
