//! What never changes in a file: page 0.
//!
//! | offset | size | field            | meaning |
//! |-------:|-----:|------------------|---------|
//! |      0 |    8 | `magic`          | `SUTRASTO` |
//! |      8 |    2 | `format_major`   | 1; a reader opens no other |
//! |     10 |    2 | `format_minor`   | 0; higher ones add what may be ignored |
//! |     12 |    4 | `page_size`      | 4,096 |
//! |     16 |    8 | `compat`         | features that anyone may ignore |
//! |     24 |    8 | `ro_compat`      | features that a writer must know |
//! |     32 |    8 | `incompat`       | features that everyone must know |
//! |     40 |   16 | `store_id`       | uuid of the store, the same in all its generations |
//! |     56 |    8 | `generation`     | which copy of the store this file is, from 1 |
//! |     64 |    8 | `created_at`     | microseconds since the Unix epoch |
//! |     72 |    8 | `hash_seed`      | of the id and edge indexes |
//! |     80 |    4 | `record_size`    | 128 |
//! |     84 |    4 | `edge_size`      | 64 |
//! |     88 |    4 | `slot_size`      | 512 |
//! |     92 |    4 | `growth_unit`    | 2 MiB: step and alignment of large truth extents |
//! |     96 |    4 | `segment_words`  | 512: words of an index segment |
//! |    100 |    4 | `column_size`    | 32 |
//! |    104 |   20 | `reserved`       | zero |
//! |    124 |    4 | `checksum`       | CRC32C of the bytes before it |
//!
//! Written once, when the file is created. It is read as an [`UncheckedSuperblock`] and used as a
//! [`Superblock`]; [`UncheckedSuperblock::check`] is the only way from one to the other.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum_of;
use crate::geometry::{GROWTH_UNIT, PAGE_SIZE};

/// See the table above; nothing in it may be trusted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct UncheckedSuperblock {
    pub magic: [u8; 8],
    pub format_major: u16,
    pub format_minor: u16,
    pub page_size: u32,
    pub compat: u64,
    pub ro_compat: u64,
    pub incompat: u64,
    pub store_id: [u8; 16],
    pub generation: u64,
    pub created_at: u64,
    pub hash_seed: u64,
    pub record_size: u32,
    pub edge_size: u32,
    pub slot_size: u32,
    pub growth_unit: u32,
    pub segment_words: u32,
    pub column_size: u32,
    pub reserved: [u8; 20],
    pub checksum: u32,
}

const _: () = assert!(size_of::<UncheckedSuperblock>() == 128);

/// The first eight bytes of every store.
pub const MAGIC: [u8; 8] = *b"SUTRASTO";
/// The format that this version writes, and the only major one it reads.
pub const FORMAT: (u16, u16) = (1, 0);
/// The incompat features that this version knows.
pub const INCOMPAT_KNOWN: u64 = 0;
/// The ro_compat features that this version knows.
pub const RO_COMPAT_KNOWN: u64 = 0;

/// Why page 0 is no superblock of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuperblockError {
    /// Another kind of file.
    #[error("it begins with {found:?}, not with SUTRASTO; give the directory of a Sutra store")]
    NotAStore {
        /// Its first bytes.
        found: String,
    },
    /// Written by a later version.
    #[error("it has format {found}, and this version reads format {}.x; use a newer Sutra", FORMAT.0)]
    Newer {
        /// Format and features found.
        found: String,
    },
    /// Ours once.
    #[error(
        "its superblock is damaged: {what} is {found}, expected {expected}; restore storage.dat from a copy"
    )]
    Damaged {
        /// The field.
        what: &'static str,
        /// What stands there.
        found: u64,
        /// What should.
        expected: u64,
    },
}

/// A superblock that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Superblock {
    /// uuid of the store.
    pub store_id: [u8; 16],
    /// Which copy of the store this file is.
    pub generation: u64,
    /// Microseconds since the Unix epoch.
    pub created_at: u64,
    /// Seed of the id and edge indexes.
    pub hash_seed: u64,
    /// A writer that does not know all ro_compat features must not write.
    pub is_writable: bool,
}

impl UncheckedSuperblock {
    /// The superblock of a new file.
    pub fn new(
        store_id: [u8; 16],
        generation: u64,
        created_at: u64,
        hash_seed: u64,
    ) -> UncheckedSuperblock {
        let mut block = UncheckedSuperblock {
            magic: MAGIC,
            format_major: FORMAT.0,
            format_minor: FORMAT.1,
            page_size: PAGE_SIZE as u32,
            compat: 0,
            ro_compat: 0,
            incompat: 0,
            store_id,
            generation,
            created_at,
            hash_seed,
            record_size: size_of::<crate::record::ConceptRecord>() as u32,
            edge_size: size_of::<crate::edge::EdgeRecord>() as u32,
            slot_size: size_of::<crate::slot::Slot>() as u32,
            growth_unit: GROWTH_UNIT as u32,
            segment_words: crate::index::INDEX.segment_words() as u32,
            column_size: crate::column::COLUMN_SIZE as u32,
            reserved: [0; 20],
            checksum: 0,
        };
        block.checksum = checksum_of(&block);
        block
    }

    /// The superblock, if this version can read the file.
    pub fn check(&self) -> Result<Superblock, SuperblockError> {
        if self.magic != MAGIC {
            let found = String::from_utf8_lossy(&self.magic).escape_default().to_string();
            return Err(SuperblockError::NotAStore { found });
        }
        let expected = UncheckedSuperblock::new(
            self.store_id,
            self.generation,
            self.created_at,
            self.hash_seed,
        );
        let damaged =
            |what, found: u64, expected: u64| SuperblockError::Damaged { what, found, expected };
        if self.checksum != checksum_of(self) {
            return Err(damaged("checksum", self.checksum.into(), checksum_of(self).into()));
        }
        if self.format_major != FORMAT.0 || self.incompat & !INCOMPAT_KNOWN != 0 {
            let found = format!(
                "{}.{} (features {:#x})",
                self.format_major, self.format_minor, self.incompat
            );
            return Err(SuperblockError::Newer { found });
        }
        for (what, found, expected) in [
            ("page_size", self.page_size, expected.page_size),
            ("record_size", self.record_size, expected.record_size),
            ("edge_size", self.edge_size, expected.edge_size),
            ("slot_size", self.slot_size, expected.slot_size),
            ("growth_unit", self.growth_unit, expected.growth_unit),
            ("segment_words", self.segment_words, expected.segment_words),
            ("column_size", self.column_size, expected.column_size),
        ] {
            if found != expected {
                return Err(damaged(what, found.into(), expected.into()));
            }
        }
        Ok(Superblock {
            store_id: self.store_id,
            generation: self.generation,
            created_at: self.created_at,
            hash_seed: self.hash_seed,
            is_writable: self.ro_compat & !RO_COMPAT_KNOWN == 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            UncheckedSuperblock,
            magic,
            format_major,
            format_minor,
            page_size,
            compat,
            ro_compat,
            incompat,
            store_id,
            generation,
            created_at,
            hash_seed,
            record_size,
            edge_size,
            slot_size,
            growth_unit,
            segment_words,
            column_size,
            reserved,
            checksum,
        );
    }

    #[test]
    fn another_file_a_newer_format_and_a_flipped_bit_are_told_apart() {
        let block = UncheckedSuperblock::new([1; 16], 1, 2, 3);
        assert!(block.check().unwrap().is_writable);

        let mut other = block;
        other.magic = *b"SQLite f";
        assert!(matches!(other.check(), Err(SuperblockError::NotAStore { .. })));

        let mut newer = UncheckedSuperblock { format_major: 2, ..block };
        newer.checksum = checksum_of(&newer);
        assert!(matches!(newer.check(), Err(SuperblockError::Newer { .. })));

        let mut feature = UncheckedSuperblock { incompat: 1, ..block };
        feature.checksum = checksum_of(&feature);
        assert!(matches!(feature.check(), Err(SuperblockError::Newer { .. })));

        for bit in 64..128 * 8 {
            let mut bytes = block.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = UncheckedSuperblock::read_from_bytes(&bytes).unwrap();
            assert!(flipped.check().is_err(), "bit {bit}");
        }
    }
}
