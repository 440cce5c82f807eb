//! A run of bytes in the content region: a name, a content, metadata or properties.
//!
//! | offset | size | field      | meaning |
//! |-------:|-----:|------------|---------|
//! |      0 |    4 | `size`     | bytes that follow the head |
//! |      4 |    4 | `checksum` | CRC32C of the bytes that follow |
//!
//! Then `size` bytes, then zeros up to a multiple of 4. A blob never straddles extents. Written by
//! the reconciler only, once; below the content watermark it never changes. UTF-8 is checked on
//! write, and again when a reader borrows it as text.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::checksum;

/// See the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct BlobHead {
    pub size: u32,
    pub checksum: u32,
}

/// Bytes of a [`BlobHead`].
pub const BLOB_HEAD_SIZE: u64 = size_of::<BlobHead>() as u64;
/// Blobs begin at multiples of this.
pub const BLOB_ALIGNMENT: u64 = 4;

impl BlobHead {
    /// The head of `bytes`.
    ///
    /// # Panics
    /// If there are 4 GiB or more: every field has a limit far below.
    pub fn of(bytes: &[u8]) -> BlobHead {
        let size = u32::try_from(bytes.len()).expect("a field is far below 4 GiB");
        BlobHead { size, checksum: checksum(bytes) }
    }

    /// Whether `bytes` are the ones it was made of.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.size as usize == bytes.len() && self.checksum == checksum(bytes)
    }
}

/// Bytes that a blob of `size` bytes takes, head and padding included.
pub fn blob_space(size: usize) -> u64 {
    (BLOB_HEAD_SIZE + size as u64).next_multiple_of(BLOB_ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(BlobHead, size, checksum);
    }
}
