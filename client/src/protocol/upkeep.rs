//! What is done to concepts and associations that exist: forget, disassociate, reinforce, touch.
//!
//! | opcode | operation    | fields behind the presence bits (`u32`), in this order |
//! |-------:|--------------|--------------------------------------------------------|
//! |      3 | forget       | `namespace` (bit 0), id, `if_lsn` (bit 1)               |
//! |      4 | disassociate | `namespace` (bit 0), source, target, type by name (bit 1) or by number (bit 2) or every type (neither), `if_lsn` (bit 3) |
//! |      5 | reinforce    | `namespace` (bit 0), id, `strength` (bit 1, `f32`), `confidence` (bit 2, `f32`), `if_lsn` (bit 3) |
//! |      6 | touch        | `namespace` (bit 0), id, `count` (`u32`, always), `at` (bit 1, `u64`) |
//!
//! Namespace, ids and types are encoded as in [`learn`](super::learn) and
//! [`associate`](super::associate).

use sutra_layout::id::Id;

use super::associate::{TypeRef, end, put_type, type_bits, type_of};
use super::code::{ErrorCode, Fault};
use super::operation::put_id;
use super::wire::{Fields, put_string};

/// Forget.
pub const OPCODE_FORGET: u8 = 3;
/// Disassociate.
pub const OPCODE_DISASSOCIATE: u8 = 4;
/// Reinforce.
pub const OPCODE_REINFORCE: u8 = 5;
/// Touch.
pub const OPCODE_TOUCH: u8 = 6;

const NAMESPACE: u32 = 1 << 0;
const FORGET_IF_LSN: u32 = 1 << 1;
const TYPE_NAME: u32 = 1 << 1;
const TYPE_NUMBER: u32 = 1 << 2;
const DISASSOCIATE_IF_LSN: u32 = 1 << 3;
const STRENGTH: u32 = 1 << 1;
const CONFIDENCE: u32 = 1 << 2;
const REINFORCE_IF_LSN: u32 = 1 << 3;
const AT: u32 = 1 << 1;

/// A concept to forget, and with it each of its associations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forget<'a> {
    /// Which.
    pub id: Id<'a>,
    /// Only if the concept's newest version has this LSN.
    pub if_lsn: Option<u64>,
}

/// Associations to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disassociate<'a> {
    /// Where they start.
    pub source: Id<'a>,
    /// Where they lead.
    pub target: Id<'a>,
    /// What they say; every type unless told.
    pub kind: Option<TypeRef<'a>>,
    /// Only if the newest version of each has this LSN.
    pub if_lsn: Option<u64>,
}

/// A concept to make stronger or weaker. Its content is not written again, and many of them within
/// one publication become one version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reinforce<'a> {
    /// Which.
    pub id: Id<'a>,
    /// Added to its strength, which stays within 0 and 1.
    pub strength: Option<f32>,
    /// Added to its confidence, which stays within 0 and 1.
    pub confidence: Option<f32>,
    /// Only if the concept's newest version has this LSN.
    pub if_lsn: Option<u64>,
}

/// Accesses to count. They make no version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Touch<'a> {
    /// Which concept.
    pub id: Id<'a>,
    /// How many.
    pub count: u32,
    /// When the last one was, in µs since the Unix epoch; the time of the write unless told.
    pub at: Option<u64>,
}

fn bit(is: bool, bit: u32) -> u32 {
    if is { bit } else { 0 }
}

fn put_head(out: &mut Vec<u8>, opcode: u8, present: u32, namespace: &str) {
    out.push(opcode);
    out.extend_from_slice(&(present | bit(!namespace.is_empty(), NAMESPACE)).to_le_bytes());
    if !namespace.is_empty() {
        put_string(out, namespace);
    }
}

fn namespace<'a>(fields: &mut Fields<'a>, present: u32) -> Result<&'a str, Fault> {
    if present & NAMESPACE != 0 { fields.symbol("namespace") } else { Ok("") }
}

impl<'a> Forget<'a> {
    pub(crate) fn encode(&self, namespace: &str, out: &mut Vec<u8>) {
        put_head(out, OPCODE_FORGET, bit(self.if_lsn.is_some(), FORGET_IF_LSN), namespace);
        put_id(out, &self.id);
        out.extend(self.if_lsn.iter().flat_map(|lsn| lsn.to_le_bytes()));
    }

    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<(&'a str, Forget<'a>), Fault> {
        let present = fields.present(NAMESPACE | FORGET_IF_LSN)?;
        let namespace = namespace(&mut fields, present)?;
        let id = end(&mut fields, "id")?;
        let has_lsn = present & FORGET_IF_LSN != 0;
        let if_lsn = has_lsn.then(|| fields.u64("if_lsn")).transpose()?;
        fields.end_of_operation()?;
        Ok((namespace, Forget { id, if_lsn }))
    }
}

impl<'a> Disassociate<'a> {
    pub(crate) fn encode(&self, namespace: &str, out: &mut Vec<u8>) {
        let kind = self.kind.map_or(0, |kind| type_bits(kind, TYPE_NAME, TYPE_NUMBER));
        let present = kind | bit(self.if_lsn.is_some(), DISASSOCIATE_IF_LSN);
        put_head(out, OPCODE_DISASSOCIATE, present, namespace);
        put_id(out, &self.source);
        put_id(out, &self.target);
        if let Some(kind) = self.kind {
            put_type(out, kind);
        }
        out.extend(self.if_lsn.iter().flat_map(|lsn| lsn.to_le_bytes()));
    }

    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<(&'a str, Disassociate<'a>), Fault> {
        let present = fields.present(NAMESPACE | TYPE_NAME | TYPE_NUMBER | DISASSOCIATE_IF_LSN)?;
        let namespace = namespace(&mut fields, present)?;
        let source = end(&mut fields, "source")?;
        let target = end(&mut fields, "target")?;
        let (by_name, by_number) = (present & TYPE_NAME != 0, present & TYPE_NUMBER != 0);
        let kind =
            (by_name || by_number).then(|| type_of(&mut fields, by_name, by_number)).transpose()?;
        let has_lsn = present & DISASSOCIATE_IF_LSN != 0;
        let if_lsn = has_lsn.then(|| fields.u64("if_lsn")).transpose()?;
        fields.end_of_operation()?;
        Ok((namespace, Disassociate { source, target, kind, if_lsn }))
    }
}

impl<'a> Reinforce<'a> {
    pub(crate) fn encode(&self, namespace: &str, out: &mut Vec<u8>) {
        let present = bit(self.strength.is_some(), STRENGTH)
            | bit(self.confidence.is_some(), CONFIDENCE)
            | bit(self.if_lsn.is_some(), REINFORCE_IF_LSN);
        put_head(out, OPCODE_REINFORCE, present, namespace);
        put_id(out, &self.id);
        for number in [self.strength, self.confidence].into_iter().flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend(self.if_lsn.iter().flat_map(|lsn| lsn.to_le_bytes()));
    }

    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<(&'a str, Reinforce<'a>), Fault> {
        let present = fields.present(NAMESPACE | STRENGTH | CONFIDENCE | REINFORCE_IF_LSN)?;
        let namespace = namespace(&mut fields, present)?;
        let id = end(&mut fields, "id")?;
        let has = |bit: u32| present & bit != 0;
        let strength = has(STRENGTH).then(|| step(&mut fields, "strength")).transpose()?;
        let confidence = has(CONFIDENCE).then(|| step(&mut fields, "confidence")).transpose()?;
        let if_lsn = has(REINFORCE_IF_LSN).then(|| fields.u64("if_lsn")).transpose()?;
        fields.end_of_operation()?;
        Ok((namespace, Reinforce { id, strength, confidence, if_lsn }))
    }
}

impl<'a> Touch<'a> {
    pub(crate) fn encode(&self, namespace: &str, out: &mut Vec<u8>) {
        put_head(out, OPCODE_TOUCH, bit(self.at.is_some(), AT), namespace);
        put_id(out, &self.id);
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend(self.at.iter().flat_map(|at| at.to_le_bytes()));
    }

    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<(&'a str, Touch<'a>), Fault> {
        let present = fields.present(NAMESPACE | AT)?;
        let namespace = namespace(&mut fields, present)?;
        let id = end(&mut fields, "id")?;
        let count = fields.u32("count")?;
        let at = (present & AT != 0).then(|| fields.u64("at")).transpose()?;
        fields.end_of_operation()?;
        Ok((namespace, Touch { id, count, at }))
    }
}

/// A change of a number that lies between 0 and 1.
fn step(fields: &mut Fields<'_>, field: &'static str) -> Result<f32, Fault> {
    let value = fields.finite(field)?;
    match (-1.0..=1.0).contains(&value) {
        true => Ok(value),
        false => Err(Fault::new(ErrorCode::InvalidNumber, 0, field)),
    }
}
