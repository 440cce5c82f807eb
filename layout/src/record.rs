//! One version of a concept.
//!
//! | offset | size | field             | meaning |
//! |-------:|-----:|-------------------|---------|
//! |      0 |   16 | `id`              | the key, see [`crate::id`] |
//! |     16 |    8 | `lsn`             | the log entry that wrote this version |
//! |     24 |    8 | `born_lsn`        | the entry that learnt the concept, anew after a forget |
//! |     32 |    8 | `previous`        | 1 + the record of the version before; 0: none. Readers load it atomically above the watermark too |
//! |     40 |    8 | `created_at`      | microseconds since the Unix epoch |
//! |     48 |    8 | `updated_at`      | likewise |
//! |     56 |    8 | `expires_at`      | likewise; 0: never |
//! |     64 |    4 | `concept_ordinal` | place in the concept columns |
//! |     68 |    4 | `version`         | 1 for the first |
//! |     72 |    4 | `strength`        | f32, 0 to 1 |
//! |     76 |    4 | `confidence`      | f32, 0 to 1 |
//! |     80 |    4 | `vector`          | 1 + the row in the vector space; 0: none |
//! |     84 |    4 | `author`          | symbol; 0: not given |
//! |     88 |    4 | `namespace`       | symbol; 0: the default one |
//! |     92 |    6 | `content`         | byte of its blob in the content region |
//! |     98 |    6 | `metadata`        | 1 + the byte of its blob; 0: none |
//! |    104 |    6 | `name`            | 1 + the byte of the text id's blob; 0: the id is the key |
//! |    110 |    6 | `skip`            | 1 + an older version's record, see [`skip_of`]; 0: none |
//! |    116 |    2 | `kind`            | symbol; 0: not given |
//! |    118 |    2 | `flags`           | bits: 0 tombstone, 1–2 id form, 3 purged, 4 placeholder |
//! |    120 |    1 | `space`           | vector space of `vector` |
//! |    121 |    3 | `reserved`        | zero |
//! |    124 |    4 | `checksum`        | CRC32C of the bytes before it |
//!
//! Written by the reconciler only, once. Below the record watermark it never changes. The sizes of
//! content, metadata and name gave way to make it two cache lines: each blob begins with its own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum_of;
use crate::id::IdForm;
use crate::u48::U48;

/// See the table above.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct ConceptRecord {
    pub id: [u8; 16],
    pub lsn: u64,
    pub born_lsn: u64,
    pub previous: u64,
    pub created_at: u64,
    pub updated_at: u64,
    pub expires_at: u64,
    pub concept_ordinal: u32,
    pub version: u32,
    pub strength: f32,
    pub confidence: f32,
    pub vector: u32,
    pub author: u32,
    pub namespace: u32,
    pub content: U48,
    pub metadata: U48,
    pub name: U48,
    pub skip: U48,
    pub kind: u16,
    pub flags: u16,
    pub space: u8,
    pub reserved: [u8; 3],
    pub checksum: u32,
}

const _: () = assert!(size_of::<ConceptRecord>() == 128);

/// Byte of `previous` within a record.
pub const PREVIOUS_OFFSET: u64 = std::mem::offset_of!(ConceptRecord, previous) as u64;

impl ConceptRecord {
    /// This version says that the concept was forgotten.
    pub const TOMBSTONE: u16 = 1;
    /// Its content and name were purged by a compaction.
    pub const PURGED: u16 = 1 << 3;
    /// It was made empty by an association that named it first.
    pub const PLACEHOLDER: u16 = 1 << 4;

    /// The flags of a live record whose id has that form.
    pub fn flags_of(form: IdForm) -> u16 {
        (form as u16) << 1
    }

    /// Whether this version says that the concept was forgotten.
    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.flags & ConceptRecord::TOMBSTONE != 0
    }

    /// The form of the caller's id.
    pub fn id_form(&self) -> IdForm {
        IdForm::from_number((self.flags >> 1) as u8 & 3).expect("two bits name four forms")
    }

    /// With the checksum of its other bytes.
    #[must_use]
    pub fn sealed(mut self) -> ConceptRecord {
        self.checksum = checksum_of(&self);
        self
    }

    /// Whether the checksum is that of its other bytes.
    pub fn is_whole(&self) -> bool {
        self.checksum == checksum_of(self)
    }
}

/// The skip pointer of the version after `previous`: the record it reaches and that record's depth.
///
/// Skew-binary jumps (E. W. Myers, "An applicative random-access stack", 1983): a version whose two
/// last jumps were equally long jumps over both, every other one to its predecessor, so any older
/// version is O(log n) steps away. `version` is the depth, and `jump_of` gives the record a version
/// skips to. All are record ordinals; `None` ends the chain.
pub fn skip_of(previous: (u64, u32), jump_of: impl Fn(u64) -> Option<(u64, u32)>) -> u64 {
    let (previous_ordinal, previous_depth) = previous;
    let Some((jump, jump_depth)) = jump_of(previous_ordinal) else {
        return previous_ordinal;
    };
    match jump_of(jump) {
        Some((further, further_depth))
            if previous_depth.wrapping_sub(jump_depth)
                == jump_depth.wrapping_sub(further_depth) =>
        {
            further
        }
        _ => previous_ordinal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            ConceptRecord,
            id,
            lsn,
            born_lsn,
            previous,
            created_at,
            updated_at,
            expires_at,
            concept_ordinal,
            version,
            strength,
            confidence,
            vector,
            author,
            namespace,
            content,
            metadata,
            name,
            skip,
            kind,
            flags,
            space,
            reserved,
            checksum,
        );
    }

    #[test]
    fn one_flipped_bit_breaks_the_checksum() {
        let record = ConceptRecord { id: [7; 16], version: 3, ..Default::default() }.sealed();
        assert!(record.is_whole());
        for bit in 0..128 * 8 {
            let mut bytes = record.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!ConceptRecord::read_from_bytes(&bytes).unwrap().is_whole(), "bit {bit}");
        }
    }

    #[test]
    fn any_older_version_is_a_logarithm_of_skips_away() {
        let mut skips: Vec<Option<(u64, u32)>> = vec![None];
        for version in 1..4096u64 {
            let skip = skip_of((version - 1, version as u32 - 1), |v| skips[v as usize]);
            skips.push(Some((skip, skip as u32)));
        }
        for target in [0, 1, 77, 2048, 4000] {
            let (mut at, mut steps) = (4095u64, 0);
            while at > target {
                let (skip, _) = skips[at as usize].unwrap();
                at = if skip >= target { skip } else { at - 1 };
                steps += 1;
            }
            assert!(steps <= 36, "{steps} steps to version {target}");
        }
    }
}
