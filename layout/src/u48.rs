//! 48-bit numbers inside stored structs.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A little-endian 48-bit number with no alignment.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(transparent)]
pub struct U48([u8; 6]);

impl U48 {
    /// The largest value.
    pub const MAX: u64 = (1 << 48) - 1;

    /// # Panics
    /// If `value` needs more than 48 bits: ordinals and offsets are limited before they get here.
    pub fn new(value: u64) -> U48 {
        assert!(value <= U48::MAX, "{value} needs more than 48 bits");
        let bytes = value.to_le_bytes();
        U48([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
    }

    /// The number.
    #[inline(always)]
    pub fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}
