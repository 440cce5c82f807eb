//! The vector graph's level-0 node: all that a visit needs, on neighbouring cache lines.
//!
//! | offset | size | field           | meaning |
//! |-------:|-----:|-----------------|---------|
//! |      0 |    4 | `checksum`      | CRC32C of scale, code sum, level, square, inverse norm and the code |
//! |      4 |    4 | `scale`         | f32: an element is about code × scale |
//! |      8 |    4 | `code_sum`      | i32: sum of the code, for unsigned kernels |
//! |     12 |    4 | `level`         | highest level of the node |
//! |     16 |    8 | `levels`        | 1 + the first 64-byte unit of its upper lists; 0: none |
//! |     24 |    8 | `superseded_at` | 1 + the record that replaced or forgot its owner's version; 0: current |
//! |     32 |    4 | `square`        | f32: of the coded vector's norm under L2, else 0: a distance begins with it |
//! |     36 |    4 | `inverse_norm`  | f32: as in the row's [`crate::vector_column`] |
//! |     40 |   24 | `reserved`      | zero |
//!
//! Then the int8 code, one byte an element, up to a multiple of 4, unless the space says that there
//! is none; then 2M links of u32, each 1 + a row number or 0 for none; then zeros up to a multiple of
//! 64. An upper level's list is M links.
//! Derived; everything but the code is stored as atomics.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::space::Quantization;

/// See the table above.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct NodeHead {
    pub checksum: u32,
    pub scale: f32,
    pub code_sum: i32,
    pub level: u32,
    pub levels: u64,
    pub superseded_at: u64,
    pub square: f32,
    pub inverse_norm: f32,
    pub reserved: [u32; 6],
}

/// Bytes of a node's code.
pub fn code_size(dimension: usize, quantization: Quantization) -> usize {
    match quantization {
        Quantization::Int8 => dimension.next_multiple_of(4),
        Quantization::None => 0,
    }
}

/// Bytes of a node for vectors of that dimension, with `m` links on upper levels: 576 for 384, 16
/// and int8.
pub fn node_size(dimension: usize, m: usize, quantization: Quantization) -> u64 {
    let code_size = code_size(dimension, quantization);
    (size_of::<NodeHead>() + code_size + 2 * m * 4).next_multiple_of(64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            NodeHead,
            checksum,
            scale,
            code_sum,
            level,
            levels,
            superseded_at,
            square,
            inverse_norm,
            reserved
        );
    }
}
