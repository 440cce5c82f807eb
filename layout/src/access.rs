//! How often and when a concept was used: four words by concept ordinal.
//!
//! | word | field | meaning |
//! |-----:|-------|---------|
//! |    0 | count A | accesses that clients reported |
//! |    1 | count B | likewise |
//! |    2 | state | twice the log entry that stored this, plus 1 if count B is the one that counts |
//! |    3 | last access | microseconds since the Unix epoch |
//!
//! The writer stores the count that does not count yet, and then the state: so a kill in between
//! changes nothing.
//!
//! Not part of any version: a snapshot sees the newest. Stored by the reconciler only, as atomics;
//! an entry whose LSN is not greater than the stored one was counted before, and is not counted
//! again. Synced with each checkpoint.

/// Words of an access entry.
pub const ACCESS_WORDS: u64 = 4;
/// Word that says which count counts, and since which log entry.
pub const STATE: usize = 2;
/// Word of the time of the last access.
pub const LAST_ACCESS: usize = 3;

/// The word of the count that counts in that state.
pub fn count_word(state: u64) -> usize {
    (state & 1) as usize
}

/// The log entry that stored a state.
pub fn lsn_of(state: u64) -> u64 {
    state >> 1
}

/// The state after log entry `lsn` stored the other count.
pub fn next_state(state: u64, lsn: u64) -> u64 {
    lsn << 1 | (state & 1 ^ 1)
}
