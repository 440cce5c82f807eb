//! How far one client's writes were applied, so that a retry is not applied twice.
//!
//! | offset | size | field       | meaning |
//! |-------:|-----:|-------------|---------|
//! |      0 |   16 | `client_id` | the client's uuid |
//! |     16 |    8 | `sequence`  | the highest sequence number applied |
//! |     24 |    8 | `lsn`       | the log entry it became |
//! |     32 |   32 | `problems`  | bit n: the frame `sequence - n` was refused, wholly or in part |
//!
//! Each checkpoint writes a whole table into the region that its durable slot names; the other
//! slot's stays as it is. The slot holds the count and a checksum of the table.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// See the table above.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct ClientEntry {
    pub client_id: [u8; 16],
    pub sequence: u64,
    pub lsn: u64,
    pub problems: [u64; 4],
}

/// Frames before the highest whose problems are remembered.
pub const PROBLEMS_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(ClientEntry, client_id, sequence, lsn, problems);
    }
}
