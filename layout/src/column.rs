//! What is newest of each concept: four words by concept ordinal.
//!
//! | word | field | meaning |
//! |-----:|-------|---------|
//! |    0 | newest record | 1 + its ordinal; 0: none yet |
//! |    1 | out head | [`crate::adjacency::BlockRef`] of the newest block of associations from it |
//! |    2 | in head | likewise of associations to it |
//! |    3 | entries | associations ever appended: out in the low half, in in the upper; a hint for where a list ends, which a kill may leave one short |
//!
//! Derived; stored by the reconciler only, as atomics. The newest record may be above a reader's
//! watermark: [`crate::version::newest_below`] finds the one it may see.

/// Bytes of a column entry.
pub const COLUMN_SIZE: u64 = 32;
/// Words of a column entry.
pub const COLUMN_WORDS: u64 = 4;
/// Word of the newest record.
pub const NEWEST: usize = 0;
/// Word of the newest block of associations from the concept.
pub const OUT_HEAD: usize = 1;
/// Word of the newest block of associations to the concept.
pub const IN_HEAD: usize = 2;
/// Word of the counts of entries.
pub const ENTRIES: usize = 3;
