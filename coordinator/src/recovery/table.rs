//! Every state in which a start can find a store, and what is done in it.
//!
//! | row | state | how it is told | what happens |
//! |---|---|---|---|
//! | new | there is nothing yet | no file, no log entry | an empty file is made, which is then in row A |
//! | A | a clean stop | clean flag in the newest durable slot | open |
//! | B | the process died | the run mark is of this boot, device and inode, and something was published in it | the page cache is intact: from the last published slot (from the durable one, if that is newer: a start that died before it published), the log's tail is applied again |
//! | C | power lost, or a copied file | the run mark is not, or nothing was published under it | the durable slot only: truth checked, everything derived made anew, the log applied again |
//! | D | a sync failed | `wal/poisoned`, or the mark's flag in this boot | neither the page cache nor the file is trusted: a copy is made of what the disk itself gives, recovered as in C with the log as the disk has it, and takes the file's place; then the mark goes |
//! | F | damage | no file beside a log, no durable slot, a ring that this boot wrote and that is not whole; or found on the way: a check of truth, the log | refused, with the place |
//!
//! In A to D the log is read next, and may end in another row yet:
//!
//! | row | the log | how it is told | what happens |
//! |---|---|---|---|
//! | – | is whole | zeros behind its last entry | it goes on there |
//! | E | has a torn tail | something else behind the last entry, and nothing proves that it was once synced | cut |
//! | E | ends before what the file shows | an entry was begun to be applied that the log has not | cut; a copy of the file is recovered as in C and takes its place: what readers have seen cannot be taken back under them |
//! | F | is damaged | something later proves that what is missing was once synced, or the store had it | refused, with the place |
//!
//! What the inputs may not be together matches a row all the same: exactly one, which the test below
//! holds for all that can be put together. A file of another generation, of a half-finished
//! compaction, creation or recovery, a copy, or a file that was mounted again is in one of these
//! rows like any other; `tests/tests/opening.rs` and `tests/tests/compaction.rs` make each.

use Durable::{Clean, Unclean};
use Published::{Newer, Nothing, Older, Torn};

/// What there is of `storage.dat`'s newest durable slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Neither slot is whole.
    None,
    /// The store was not stopped after it.
    Unclean,
    /// It is the last thing that was stored.
    Clean,
}

/// What the ring shows, if it is of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Nothing was ever published in this file.
    Nothing,
    /// The newest slot is not whole.
    Torn,
    /// It is older than the durable slot.
    Older,
    /// It is not.
    Newer,
}

/// All that decides the row, as it is found before anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// There is a `storage.dat`.
    pub has_file: bool,
    /// The log has entries.
    pub has_log: bool,
    /// A sync failed: see `poison.rs`.
    pub is_poisoned: bool,
    /// The run mark is of this boot, device and inode.
    pub is_of_this_boot: bool,
    /// The newest durable slot.
    pub durable: Durable,
    /// The newest published one.
    pub published: Published,
}

/// How a store was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none yet.
    New,
    /// Row A.
    Clean,
    /// Row B.
    ProcessDied,
    /// Row C.
    PowerLost,
    /// Row D.
    SyncFailed,
    /// Row F: there is a log, and no file.
    Missing,
    /// Row F: the file cannot be opened as a store.
    Damaged,
}

/// A row: what each piece of evidence may be.
struct Row {
    state: State,
    has_file: bool,
    has_log: &'static [bool],
    is_poisoned: &'static [bool],
    is_of_this_boot: &'static [bool],
    durable: &'static [Durable],
    published: &'static [Published],
}

const ANY: &[bool] = &[false, true];
const NO: &[bool] = &[false];
const YES: &[bool] = &[true];
const ANY_DURABLE: &[Durable] = &[Durable::None, Unclean, Clean];
const ANY_PUBLISHED: &[Published] = &[Nothing, Torn, Older, Newer];

/// A file that is there and of which nothing is known.
const FILE: Row = Row {
    state: State::Damaged,
    has_file: true,
    has_log: ANY,
    is_poisoned: ANY,
    is_of_this_boot: ANY,
    durable: ANY_DURABLE,
    published: ANY_PUBLISHED,
};
const UNCLEAN: Row = Row { is_poisoned: NO, durable: &[Unclean], ..FILE };

#[rustfmt::skip]
const TABLE: [Row; 9] = [
    Row { state: State::New, has_file: false, has_log: NO, ..FILE },
    Row { state: State::Missing, has_file: false, has_log: YES, ..FILE },
    Row { state: State::Damaged, durable: &[Durable::None], ..FILE },
    Row { state: State::SyncFailed, is_poisoned: YES, durable: &[Unclean, Clean], ..FILE },
    Row { state: State::Clean, is_poisoned: NO, durable: &[Clean], ..FILE },
    Row { state: State::ProcessDied, is_of_this_boot: YES, published: &[Older, Newer], ..UNCLEAN },
    Row { state: State::PowerLost, is_of_this_boot: YES, published: &[Nothing], ..UNCLEAN },
    Row { state: State::PowerLost, is_of_this_boot: NO, ..UNCLEAN },
    Row { state: State::Damaged, is_of_this_boot: YES, published: &[Torn], ..UNCLEAN },
];

impl Row {
    fn matches(&self, found: &Evidence) -> bool {
        self.has_file == found.has_file
            && self.has_log.contains(&found.has_log)
            && self.is_poisoned.contains(&found.is_poisoned)
            && self.is_of_this_boot.contains(&found.is_of_this_boot)
            && self.durable.contains(&found.durable)
            && self.published.contains(&found.published)
    }
}

impl Evidence {
    /// The state that it tells of.
    pub fn state(&self) -> State {
        let row = TABLE.iter().find(|row| row.matches(self));
        row.map(|row| row.state).unwrap_or_else(|| unreachable!("every state has a row: {self:?}"))
    }
}

/// What has become of the log, once it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// It goes on.
    Whole,
    /// Row E: its tail was cut.
    Cut,
    /// Row E: the file shows more than is left of it.
    BelowFile,
}

impl LogEnd {
    /// The end of a log that is read up to `written_lsn`, of a file that began to apply `begun_lsn`.
    pub fn of(is_cut: bool, written_lsn: u64, begun_lsn: u64) -> LogEnd {
        match (begun_lsn > written_lsn, is_cut) {
            (true, _) => LogEnd::BelowFile,
            (false, true) => LogEnd::Cut,
            (false, false) => LogEnd::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_evidence() -> Vec<Evidence> {
        let mut all = Vec::new();
        for bits in 0..16u32 {
            let is = |at: u32| bits >> at & 1 == 1;
            for &durable in ANY_DURABLE {
                for &published in ANY_PUBLISHED {
                    all.push(Evidence {
                        has_file: is(0),
                        has_log: is(1),
                        is_poisoned: is(2),
                        is_of_this_boot: is(3),
                        durable,
                        published,
                    });
                }
            }
        }
        all
    }

    #[test]
    fn whatever_is_found_is_in_exactly_one_row() {
        let all = every_evidence();
        assert_eq!(all.len(), 16 * 3 * 4);
        for found in &all {
            let rows: Vec<State> =
                TABLE.iter().filter(|row| row.matches(found)).map(|row| row.state).collect();
            assert_eq!(rows.len(), 1, "{found:?} is in {rows:?}");
        }
        for (at, row) in TABLE.iter().enumerate() {
            assert!(all.iter().any(|found| row.matches(found)), "nothing is in row {at}");
        }
    }

    #[test]
    fn a_mark_of_a_failed_sync_is_stronger_than_all_that_the_file_says_of_itself() {
        for found in every_evidence() {
            if found.has_file && found.is_poisoned && found.durable != Durable::None {
                assert_eq!(found.state(), State::SyncFailed, "{found:?}");
            }
        }
    }

    #[test]
    fn only_a_file_of_this_boot_is_believed_for_what_it_published() {
        for found in every_evidence() {
            if found.state() == State::ProcessDied {
                assert!(found.is_of_this_boot && !found.is_poisoned, "{found:?}");
                assert_eq!(found.durable, Unclean, "{found:?}");
            }
        }
    }

    #[test]
    fn a_log_ends_in_one_way() {
        assert_eq!(LogEnd::of(false, 5, 5), LogEnd::Whole);
        assert_eq!(LogEnd::of(true, 5, 4), LogEnd::Cut);
        assert_eq!(LogEnd::of(true, 5, 6), LogEnd::BelowFile);
        assert_eq!(LogEnd::of(false, 5, 6), LogEnd::BelowFile, "cut between two entries");
    }
}
