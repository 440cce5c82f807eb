//! How often and when a concept was used: four words by concept ordinal.
//!
//! | word | field | meaning |
//! |-----:|-------|---------|
//! |    0 | count | accesses that clients reported |
//! |    1 | last access | microseconds since the Unix epoch |
//! |    2 | lsn | the log entry that stored this |
//! |    3 | reserved | zero |
//!
//! Not part of any version: a snapshot sees the newest. Stored by the reconciler only, as atomics;
//! an entry whose LSN is not greater than the stored one was counted before, and is not counted
//! again. Synced with each checkpoint.

/// Words of an access entry.
pub const ACCESS_WORDS: u64 = 4;
/// Word of the count.
pub const COUNT: usize = 0;
/// Word of the time of the last access.
pub const LAST_ACCESS: usize = 1;
/// Word of the log entry.
pub const LSN: usize = 2;
