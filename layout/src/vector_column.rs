//! Whose a row of a vector space is, beside the row.
//!
//! | offset | size | field          | meaning |
//! |-------:|-----:|----------------|---------|
//! |      0 |    4 | `owner`        | concept ordinal |
//! |      4 |    4 | `inverse_norm` | f32: 1 over the row's Euclidean norm; 0 for a row of zeros |
//! |      8 |   16 | `rows`         | for each space, 1 + the owner's row in it as of this version; 0: none |
//! |     24 |    4 | `row_checksum` | CRC32C of the row's elements |
//! |     28 |    4 | `checksum`     | CRC32C of the bytes before it |
//!
//! A record names the newest row of its concept, and that row's column the ones in the other
//! spaces: so a concept can have a vector of an old model and one of a new. Written by the
//! reconciler only, once. Below the space's watermark it never changes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::{checksum, checksum_of};
use crate::limits::VECTOR_SPACES_MAX;

/// See the table above.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct VectorColumn {
    pub owner: u32,
    pub inverse_norm: f32,
    pub rows: [u32; VECTOR_SPACES_MAX],
    pub row_checksum: u32,
    pub checksum: u32,
}

const _: () = assert!(size_of::<VectorColumn>() == 32);

impl VectorColumn {
    /// The column of a row whose elements are `row`, with its checksums.
    #[must_use]
    pub fn sealed(mut self, row: &[u8]) -> VectorColumn {
        self.row_checksum = checksum(row);
        self.checksum = checksum_of(&self);
        self
    }

    /// Whether the checksum is that of its other bytes.
    pub fn is_whole(&self) -> bool {
        self.checksum == checksum_of(self)
    }

    /// Whether `row` is the row that it was written for.
    pub fn matches(&self, row: &[f32]) -> bool {
        self.row_checksum == checksum(row.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            VectorColumn,
            owner,
            inverse_norm,
            rows,
            row_checksum,
            checksum
        );
    }

    #[test]
    fn a_changed_column_and_a_changed_row_are_noticed() {
        let row = [1.0f32, -2.5];
        let column = VectorColumn { owner: 7, rows: [1, 0, 0, 9], ..VectorColumn::default() };
        let column = column.sealed(row.as_bytes());
        assert!(column.is_whole() && column.matches(&row));
        assert!(!VectorColumn { owner: 8, ..column }.is_whole());
        assert!(!VectorColumn { row_checksum: 0, ..column }.is_whole());
        assert!(!column.matches(&[1.0, 2.5]));
    }
}
