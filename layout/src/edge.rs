//! One version of an association.
//!
//! | offset | size | field         | meaning |
//! |-------:|-----:|---------------|---------|
//! |      0 |    8 | `lsn`         | the log entry that wrote this version |
//! |      8 |    8 | `created_at`  | microseconds since the Unix epoch |
//! |     16 |    8 | `valid_until` | likewise; 0: for ever |
//! |     24 |    4 | `source`      | concept ordinal |
//! |     28 |    4 | `target`      | concept ordinal |
//! |     32 |    4 | `previous`    | 1 + the edge that this one replaces or ends; 0: none. Readers load it atomically above the watermark too |
//! |     36 |    4 | `author`      | symbol; 0: not given |
//! |     40 |    4 | `confidence`  | f32, 0 to 1 |
//! |     44 |    4 | `weight`      | f32 |
//! |     48 |    6 | `properties`  | 1 + the byte of its blob in the content region; 0: none |
//! |     54 |    2 | `edge_type`   | symbol: 0–4 built in, own ones from 16 |
//! |     56 |    2 | `flags`       | bit 0: tombstone |
//! |     58 |    2 | `reserved`    | zero |
//! |     60 |    4 | `checksum`    | CRC32C of the bytes before it |
//!
//! Written by the reconciler only, once. Below the edge watermark it never changes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum_of;
use crate::u48::U48;

/// See the table above.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct EdgeRecord {
    pub lsn: u64,
    pub created_at: u64,
    pub valid_until: u64,
    pub source: u32,
    pub target: u32,
    pub previous: u32,
    pub author: u32,
    pub confidence: f32,
    pub weight: f32,
    pub properties: U48,
    pub edge_type: u16,
    pub flags: u16,
    pub reserved: u16,
    pub checksum: u32,
}

const _: () = assert!(size_of::<EdgeRecord>() == 64);

/// Byte of the eight-byte word within an edge that holds `previous` in its low half.
pub const PREVIOUS_OFFSET: u64 = std::mem::offset_of!(EdgeRecord, previous) as u64;

impl EdgeRecord {
    /// This version says that the association ended.
    pub const TOMBSTONE: u16 = 1;

    /// Whether this version says that the association ended.
    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.flags & EdgeRecord::TOMBSTONE != 0
    }

    /// With the checksum of its other bytes.
    #[must_use]
    pub fn sealed(mut self) -> EdgeRecord {
        self.checksum = checksum_of(&self);
        self
    }

    /// Whether the checksum is that of its other bytes.
    pub fn is_whole(&self) -> bool {
        self.checksum == checksum_of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            EdgeRecord,
            lsn,
            created_at,
            valid_until,
            source,
            target,
            previous,
            author,
            confidence,
            weight,
            properties,
            edge_type,
            flags,
            reserved,
            checksum,
        );
    }
}
