//! The operations of a write, read where they lie.
//!
//! | offset | size | field            | meaning                                  |
//! |-------:|-----:|------------------|------------------------------------------|
//! |      0 |    4 | `operation_size` | bytes that follow this field             |
//! |      4 |    1 | `opcode`         | 1 learn, 2 associate, 3 to 6 in [`upkeep`](super::upkeep), 7 and 8 in [`settings`](super::settings) |
//! |      5 |    4 | `present`        | one bit for each optional field          |
//! |      9 |    – | fields           | in the order of their bits; see [`learn`](super::learn) and [`associate`](super::associate) |
//!
//! A size that does not fit spoils the frame. Anything wrong inside the size spoils that operation
//! alone: it is a [`Fault`], and the next one is read at its own place.

use sutra_layout::id::{Id, IdForm};
use sutra_layout::limits::{ID_SIZE_MAX, SYMBOL_SIZE_MAX};

use super::associate::AssociateOp;
use super::code::{ErrorCode, Fault, ProtocolError};
use super::learn::LearnOp;
use super::settings::{MakeSpace, OPCODE_MAKE_SPACE, OPCODE_TIME_TO_LIVE, TimeToLive};
use super::upkeep::{
    Disassociate, Forget, OPCODE_DISASSOCIATE, OPCODE_FORGET, OPCODE_REINFORCE, OPCODE_TOUCH,
    Reinforce, Touch,
};
use super::wire::{Fields, Short};
use super::write::check_operation_count;

/// The opcode of learn.
pub const OPCODE_LEARN: u8 = 1;
/// The opcode of associate.
pub const OPCODE_ASSOCIATE: u8 = 2;
/// Bytes of an operation's size field.
pub(crate) const OPERATION_SIZE_SIZE: usize = 4;

/// One operation, borrowed from its frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation<'a> {
    /// Make a concept, or a new version of one.
    Learn(LearnOp<'a>),
    /// Make an association, or a new version of one.
    Associate(AssociateOp<'a>),
    /// Forget a concept of a namespace.
    Forget(&'a str, Forget<'a>),
    /// End associations of a namespace.
    Disassociate(&'a str, Disassociate<'a>),
    /// Make a concept of a namespace stronger or weaker.
    Reinforce(&'a str, Reinforce<'a>),
    /// Count accesses to a concept of a namespace.
    Touch(&'a str, Touch<'a>),
    /// Make a vector space.
    MakeSpace(MakeSpace<'a>),
    /// Set a namespace's time to live.
    TimeToLive(TimeToLive<'a>),
    /// An opcode that this version does not know: refuse it with [`ErrorCode::Unsupported`].
    Unsupported(u8),
}

impl<'a> Operation<'a> {
    /// Reads one operation from the bytes behind its size.
    pub fn decode(bytes: &'a [u8]) -> Result<Operation<'a>, Fault> {
        let mut fields = Fields::new(bytes);
        match fields.u8("opcode")? {
            OPCODE_LEARN => LearnOp::decode(fields).map(Operation::Learn),
            OPCODE_ASSOCIATE => AssociateOp::decode(fields).map(Operation::Associate),
            OPCODE_FORGET => Forget::decode(fields).map(|(n, op)| Operation::Forget(n, op)),
            OPCODE_DISASSOCIATE => {
                Disassociate::decode(fields).map(|(n, op)| Operation::Disassociate(n, op))
            }
            OPCODE_REINFORCE => {
                Reinforce::decode(fields).map(|(n, op)| Operation::Reinforce(n, op))
            }
            OPCODE_TOUCH => Touch::decode(fields).map(|(n, op)| Operation::Touch(n, op)),
            OPCODE_MAKE_SPACE => MakeSpace::decode(fields).map(Operation::MakeSpace),
            OPCODE_TIME_TO_LIVE => TimeToLive::decode(fields).map(Operation::TimeToLive),
            other => Ok(Operation::Unsupported(other)),
        }
    }
}

/// The operations of one write, whose framing holds. Iterating gives each, or what is wrong with
/// it, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operations<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Operations<'a> {
    /// Checks that `bytes` are exactly `count` framed operations.
    pub fn new(count: u32, bytes: &'a [u8]) -> Result<Operations<'a>, ProtocolError> {
        check_operation_count(count)?;
        let mut fields = Fields::new(bytes);
        for _ in 0..count {
            fields.bytes_u32("operation")?;
        }
        fields.end()?;
        Ok(Operations { count, bytes })
    }

    /// How many there are still to come.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// None of them: what is logged of a frame that is refused whole.
    pub fn emptied(&self) -> Operations<'a> {
        Operations { count: 0, bytes: &[] }
    }

    /// Their bytes, to be logged and given to [`Operations::new`] again.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<Operation<'a>, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.count == 0 {
            return None;
        }
        let mut fields = Fields::new(self.bytes);
        // Cannot fail: `new` walked the same sizes.
        let bytes = fields.bytes_u32("operation").ok()?;
        self.bytes = fields.rest();
        self.count -= 1;
        Some(Operation::decode(bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for Operations<'_> {}

impl From<Short> for Fault {
    fn from(short: Short) -> Fault {
        Fault::new(ErrorCode::Malformed, 0, short.0)
    }
}

/// Fields of an operation, with the checks that its shape asks for.
impl<'a> Fields<'a> {
    /// The presence bits; one outside `known` would hide fields that this version cannot skip.
    pub(crate) fn present(&mut self, known: u32) -> Result<u32, Fault> {
        let present = self.u32("presence bits")?;
        match present & !known {
            0 => Ok(present),
            unknown => Err(Fault::new(ErrorCode::Unsupported, unknown.into(), "presence bits")),
        }
    }

    /// A name that will be a symbol: at most 255 bytes, without a zero byte.
    pub(crate) fn symbol(&mut self, field: &'static str) -> Result<&'a str, Fault> {
        let bytes = self.bytes_u16(field)?;
        if bytes.len() > SYMBOL_SIZE_MAX {
            return Err(Fault::new(ErrorCode::TooLarge, bytes.len() as u64, field));
        }
        if bytes.contains(&0) {
            return Err(Fault::new(ErrorCode::InvalidText, 0, field));
        }
        utf8(bytes, field)
    }

    /// Text of at most `size_max` bytes.
    pub(crate) fn text(&mut self, size_max: usize, field: &'static str) -> Result<&'a str, Fault> {
        let bytes = self.bytes_u32(field)?;
        if bytes.len() > size_max {
            return Err(Fault::new(ErrorCode::TooLarge, bytes.len() as u64, field));
        }
        utf8(bytes, field)
    }

    pub(crate) fn id(&mut self, field: &'static str) -> Result<Id<'a>, Fault> {
        let number = self.u8(field)?;
        let bytes = self.bytes_u16(field)?;
        let invalid = || Fault::new(ErrorCode::InvalidId, bytes.len() as u64, field);
        match IdForm::from_number(number).ok_or_else(invalid)? {
            IdForm::Text if bytes.is_empty() || bytes.len() > ID_SIZE_MAX => Err(invalid()),
            IdForm::Text => utf8(bytes, field).map(Id::Text),
            IdForm::Hex => bytes.try_into().map(Id::Hex).map_err(|_| invalid()),
            IdForm::Raw => bytes.try_into().map(Id::Raw).map_err(|_| invalid()),
            IdForm::Content if bytes.is_empty() => Ok(Id::Content),
            IdForm::Content => Err(invalid()),
        }
    }

    /// A number from 0 to 1.
    pub(crate) fn unit(&mut self, field: &'static str) -> Result<f32, Fault> {
        let value = self.f32(field)?;
        match (0.0..=1.0).contains(&value) {
            true => Ok(value),
            false => Err(Fault::new(ErrorCode::InvalidNumber, 0, field)),
        }
    }

    pub(crate) fn finite(&mut self, field: &'static str) -> Result<f32, Fault> {
        let value = self.f32(field)?;
        match value.is_finite() {
            true => Ok(value),
            false => Err(Fault::new(ErrorCode::InvalidNumber, 0, field)),
        }
    }

    /// Nothing may follow in this operation.
    pub(crate) fn end_of_operation(self) -> Result<(), Fault> {
        match self.rest().len() {
            0 => Ok(()),
            count => Err(Fault::new(ErrorCode::Malformed, count as u64, "end of the operation")),
        }
    }
}

pub(super) fn utf8<'a>(bytes: &'a [u8], field: &'static str) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes)
        .map_err(|error| Fault::new(ErrorCode::InvalidText, error.valid_up_to() as u64, field))
}

/// Appends an id: its form, its size and its bytes. The caller has checked it.
#[inline]
pub(crate) fn put_id(out: &mut Vec<u8>, id: &Id<'_>) {
    let bytes: &[u8] = match id {
        Id::Text(text) => text.as_bytes(),
        Id::Hex(key) | Id::Raw(key) => key,
        Id::Content => &[],
    };
    let [low, high] = (bytes.len() as u16).to_le_bytes();
    out.extend_from_slice(&[id.form() as u8, low, high]);
    out.extend_from_slice(bytes);
}
