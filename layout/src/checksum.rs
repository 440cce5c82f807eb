//! The two hashes of the file: CRC32C against damage, XXH3 to spread keys.

use zerocopy::{Immutable, IntoBytes};

/// CRC32C of the bytes of `value` before its last four, where a stored struct keeps it.
pub fn checksum_of<T: IntoBytes + Immutable>(value: &T) -> u32 {
    let bytes = value.as_bytes();
    crc32c::crc32c(&bytes[..bytes.len() - 4])
}

/// CRC32C of `bytes`.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// CRC32C of `bytes` after bytes whose CRC32C is `sum`.
pub fn checksum_append(sum: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(sum, bytes)
}

/// Where the id index looks for (namespace, key). The seed is the store's own, so nobody can
/// prepare keys that meet in one place.
pub fn id_hash(seed: u64, namespace: u32, key: &[u8; 16]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(
        key,
        seed ^ u64::from(namespace).wrapping_mul(0x9e37_79b9_7f4a_7c15),
    )
}

/// Where the edge index looks for (source, target, type).
pub fn edge_hash(seed: u64, source: u32, target: u32, edge_type: u16) -> u64 {
    let mut key = [0; 10];
    key[..4].copy_from_slice(&source.to_le_bytes());
    key[4..8].copy_from_slice(&target.to_le_bytes());
    key[8..].copy_from_slice(&edge_type.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64_with_seed(&key, seed)
}
