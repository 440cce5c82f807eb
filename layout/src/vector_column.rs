//! Whose a row of a vector space is, beside the row.
//!
//! | offset | size | field          | meaning |
//! |-------:|-----:|----------------|---------|
//! |      0 |    4 | `owner`        | concept ordinal |
//! |      4 |    4 | `inverse_norm` | f32: 1 over the row's Euclidean norm; 0 for a row of zeros |
//! |      8 |   16 | `rows`         | for each space, 1 + the owner's row in it as of this version; 0: none |
//! |     24 |    8 | `reserved`     | zero |
//!
//! A record names the newest row of its concept, and that row's column the ones in the other
//! spaces: so a concept can have a vector of an old model and one of a new. Written by the
//! reconciler only, once. Below the space's watermark it never changes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limits::VECTOR_SPACES_MAX;

/// See the table above.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct VectorColumn {
    pub owner: u32,
    pub inverse_norm: f32,
    pub rows: [u32; VECTOR_SPACES_MAX],
    pub reserved: u64,
}

const _: () = assert!(size_of::<VectorColumn>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(VectorColumn, owner, inverse_norm, rows, reserved);
    }
}
