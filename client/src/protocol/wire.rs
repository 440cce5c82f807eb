//! Little-endian fields in and out of byte slices.

use super::code::ProtocolError;

/// The bytes ended inside the named field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short(pub &'static str);

impl From<Short> for ProtocolError {
    fn from(short: Short) -> ProtocolError {
        ProtocolError::Truncated { field: short.0 }
    }
}

/// What is left to read of a body or an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { rest: bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Short> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Short(field))?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub fn bytes(&mut self, size: usize, field: &'static str) -> Result<&'a [u8], Short> {
        let (head, rest) = self.rest.split_at_checked(size).ok_or(Short(field))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Short> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Short> {
        self.array(field).map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Short> {
        self.array(field).map(u32::from_le_bytes)
    }

    #[inline]
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Short> {
        self.array(field).map(u64::from_le_bytes)
    }

    #[inline]
    pub fn f32(&mut self, field: &'static str) -> Result<f32, Short> {
        self.array(field).map(f32::from_le_bytes)
    }

    /// A `u16` size and that many bytes.
    #[inline]
    pub fn bytes_u16(&mut self, field: &'static str) -> Result<&'a [u8], Short> {
        let size = self.u16(field)?;
        self.bytes(usize::from(size), field)
    }

    /// A `u32` size and that many bytes.
    #[inline]
    pub fn bytes_u32(&mut self, field: &'static str) -> Result<&'a [u8], Short> {
        let size = self.u32(field)?;
        self.bytes(size as usize, field)
    }

    /// A string of a frame (not of an operation).
    pub fn string(&mut self, field: &'static str) -> Result<&'a str, ProtocolError> {
        let bytes = self.bytes_u16(field)?;
        std::str::from_utf8(bytes).map_err(|_| ProtocolError::BadValue { field })
    }

    /// Nothing may follow.
    pub fn end(self) -> Result<(), ProtocolError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(ProtocolError::TrailingBytes { count }),
        }
    }
}

/// Appends a string; one above 65,535 bytes is cut at a character.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    let text = cut(text, usize::from(u16::MAX));
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The longest prefix of `text` that has at most `size_max` bytes and ends at a character.
pub(crate) fn cut(text: &str, size_max: usize) -> &str {
    &text[..text.floor_char_boundary(size_max)]
}

/// Appends a `u32` size and the bytes. The caller has checked the size.
#[inline]
pub(crate) fn put_bytes_u32(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends the elements, 4 bytes each.
#[inline]
pub(crate) fn put_f32s(out: &mut Vec<u8>, values: &[f32]) {
    let start = out.len();
    out.resize(start + 4 * values.len(), 0);
    let (places, _) = out[start..].as_chunks_mut::<4>();
    for (place, value) in places.iter_mut().zip(values) {
        *place = value.to_le_bytes();
    }
}

/// The elements of a vector where they lie in a frame: little-endian, at any alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct F32s<'a> {
    elements: &'a [[u8; 4]],
}

impl<'a> F32s<'a> {
    /// The elements in `bytes`; `None` if they are not a whole number of elements.
    pub fn new(bytes: &'a [u8]) -> Option<F32s<'a>> {
        let (elements, rest) = bytes.as_chunks::<4>();
        rest.is_empty().then_some(F32s { elements })
    }

    /// How many elements there are: the dimension.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The elements' bytes, little-endian.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.elements.as_flattened()
    }

    /// The elements in order.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = f32> + DoubleEndedIterator + Clone + use<'a> {
        self.elements.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }

    /// Copies the elements into `out`, whose earlier contents go.
    pub fn copy_to(&self, out: &mut Vec<f32>) {
        out.clear();
        out.extend(self.iter());
    }

    /// Whether no element is NaN or infinite.
    pub fn all_finite(&self) -> bool {
        // An or over all elements instead of an early exit: it vectorises.
        let exponent = 0x7f80_0000_u32;
        let is_bad = |bytes: &[u8; 4]| (u32::from_le_bytes(*bytes) & exponent) == exponent;
        !self.elements.iter().fold(false, |bad, bytes| bad | is_bad(bytes))
    }
}
