//! Associate: make an association, or a new version of one.
//!
//! | bit | field            | bytes                                                  |
//! |----:|------------------|--------------------------------------------------------|
//! |   0 | `namespace`      | string, of both ends; absent: `""`                     |
//! |   – | `source`         | id, as in [`learn`](super::learn); always there        |
//! |   – | `target`         | id; always there                                       |
//! |   1 | `type`, by name  | string                                                 |
//! |   2 | `type`, a number | `u16`; one of the two is there                         |
//! |   3 | `confidence`     | `f32`, 0 to 1                                          |
//! |   4 | `weight`         | `f32`, finite                                          |
//! |   5 | `properties`     | size `u32`, UTF-8                                      |
//! |   6 | `valid_until`    | `u64`, µs since the Unix epoch                         |
//! |   7 | `create_missing` | none                                                   |
//! |   8 | `created_at`     | `u64`, µs since the Unix epoch                         |
//! |   9 | `if_lsn`         | `u64`                                                  |
//! |  10 | `if_absent`      | none                                                   |

use sutra_layout::id::Id;
use sutra_layout::limits::METADATA_SIZE_MAX;

use super::code::{ErrorCode, Fault};
use super::operation::{OPCODE_ASSOCIATE, put_id};
use super::wire::{Fields, put_bytes_u32, put_string};

const NAMESPACE: u32 = 1 << 0;
const TYPE_NAME: u32 = 1 << 1;
const TYPE_NUMBER: u32 = 1 << 2;
const CONFIDENCE: u32 = 1 << 3;
const WEIGHT: u32 = 1 << 4;
const PROPERTIES: u32 = 1 << 5;
const VALID_UNTIL: u32 = 1 << 6;
const CREATE_MISSING: u32 = 1 << 7;
const CREATED_AT: u32 = 1 << 8;
const IF_LSN: u32 = 1 << 9;
const IF_ABSENT: u32 = 1 << 10;
const KNOWN: u32 = (1 << 11) - 1;

/// The type of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TypeRef<'a> {
    /// By name, 1 to 255 bytes; a new name becomes a new type.
    Name(&'a str),
    /// By number: 0 to 4 are semantic, causal, temporal, hierarchical and compositional; the
    /// store's own begin at 16.
    Number(u16),
}

impl<'a> From<&'a str> for TypeRef<'a> {
    fn from(name: &'a str) -> TypeRef<'a> {
        TypeRef::Name(name)
    }
}

impl From<u16> for TypeRef<'static> {
    fn from(number: u16) -> TypeRef<'static> {
        TypeRef::Number(number)
    }
}

/// An association to make. What is `None` keeps the value that it has, or gets the default.
///
/// `source` and `target` must be set: their default, [`Id::Content`], is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Associate<'a> {
    /// Where it starts.
    pub source: Id<'a>,
    /// Where it leads.
    pub target: Id<'a>,
    /// What it says; semantic unless told otherwise.
    pub kind: TypeRef<'a>,
    /// 0 to 1; 1 unless told otherwise.
    pub confidence: Option<f32>,
    /// Finite; 1 unless told otherwise.
    pub weight: Option<f32>,
    /// Text for the caller's own use, at most 64 KiB.
    pub properties: Option<&'a str>,
    /// When it stops being found, in µs since the Unix epoch.
    pub valid_until: Option<u64>,
    /// Make an end that does not exist as an empty concept, instead of an error.
    pub create_missing: bool,
    /// When it came to be, in µs since the Unix epoch; the time of the write unless told otherwise.
    pub created_at: Option<u64>,
    /// Only if the association's newest version has this LSN.
    pub if_lsn: Option<u64>,
    /// Only if there is no such association.
    pub if_absent: bool,
}

impl Default for Associate<'_> {
    fn default() -> Self {
        Associate {
            source: Id::Content,
            target: Id::Content,
            kind: TypeRef::Number(0),
            confidence: None,
            weight: None,
            properties: None,
            valid_until: None,
            create_missing: false,
            created_at: None,
            if_lsn: None,
            if_absent: false,
        }
    }
}

impl Associate<'_> {
    /// Appends opcode and fields. The caller has checked every size.
    #[inline]
    pub(crate) fn encode(&self, namespace: &str, out: &mut Vec<u8>) {
        out.push(OPCODE_ASSOCIATE);
        out.extend_from_slice(&self.present(namespace).to_le_bytes());
        if !namespace.is_empty() {
            put_string(out, namespace);
        }
        put_id(out, &self.source);
        put_id(out, &self.target);
        put_type(out, self.kind);
        for number in [self.confidence, self.weight].into_iter().flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
        if let Some(properties) = self.properties {
            put_bytes_u32(out, properties.as_bytes());
        }
        for number in [self.valid_until, self.created_at, self.if_lsn].into_iter().flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    #[inline]
    fn present(&self, namespace: &str) -> u32 {
        let bit = |is: bool, bit: u32| if is { bit } else { 0 };
        bit(!namespace.is_empty(), NAMESPACE)
            | type_bits(self.kind, TYPE_NAME, TYPE_NUMBER)
            | bit(self.confidence.is_some(), CONFIDENCE)
            | bit(self.weight.is_some(), WEIGHT)
            | bit(self.properties.is_some(), PROPERTIES)
            | bit(self.valid_until.is_some(), VALID_UNTIL)
            | bit(self.create_missing, CREATE_MISSING)
            | bit(self.created_at.is_some(), CREATED_AT)
            | bit(self.if_lsn.is_some(), IF_LSN)
            | bit(self.if_absent, IF_ABSENT)
    }
}

/// An associate as it lies in a frame, its shape checked. See [`Associate`] for what the fields
/// mean.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Associate")]
pub struct AssociateOp<'a> {
    pub namespace: &'a str,
    pub source: Id<'a>,
    pub target: Id<'a>,
    pub kind: TypeRef<'a>,
    pub confidence: Option<f32>,
    pub weight: Option<f32>,
    pub properties: Option<&'a str>,
    pub valid_until: Option<u64>,
    pub create_missing: bool,
    pub created_at: Option<u64>,
    pub if_lsn: Option<u64>,
    pub if_absent: bool,
}

impl<'a> AssociateOp<'a> {
    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<AssociateOp<'a>, Fault> {
        let present = fields.present(KNOWN)?;
        let has = |bit: u32| present & bit != 0;
        // The fields are read in the order in which they are written here.
        let associate = AssociateOp {
            namespace: if has(NAMESPACE) { fields.symbol("namespace")? } else { "" },
            source: end(&mut fields, "source")?,
            target: end(&mut fields, "target")?,
            kind: type_of(&mut fields, has(TYPE_NAME), has(TYPE_NUMBER))?,
            confidence: has(CONFIDENCE).then(|| fields.unit("confidence")).transpose()?,
            weight: has(WEIGHT).then(|| fields.finite("weight")).transpose()?,
            properties: has(PROPERTIES)
                .then(|| fields.text(METADATA_SIZE_MAX, "properties"))
                .transpose()?,
            valid_until: has(VALID_UNTIL).then(|| fields.u64("valid_until")).transpose()?,
            create_missing: has(CREATE_MISSING),
            created_at: has(CREATED_AT).then(|| fields.u64("created_at")).transpose()?,
            if_lsn: has(IF_LSN).then(|| fields.u64("if_lsn")).transpose()?,
            if_absent: has(IF_ABSENT),
        };
        fields.end_of_operation()?;
        Ok(associate)
    }
}

/// The presence bit of a type: one for a name, one for a number.
#[inline]
pub(crate) fn type_bits(kind: TypeRef<'_>, by_name: u32, by_number: u32) -> u32 {
    match kind {
        TypeRef::Name(_) => by_name,
        TypeRef::Number(_) => by_number,
    }
}

/// Appends a type as its presence bit says.
#[inline]
pub(crate) fn put_type(out: &mut Vec<u8>, kind: TypeRef<'_>) {
    match kind {
        TypeRef::Name(name) => put_string(out, name),
        TypeRef::Number(number) => out.extend_from_slice(&number.to_le_bytes()),
    }
}

pub(crate) fn end<'a>(fields: &mut Fields<'a>, field: &'static str) -> Result<Id<'a>, Fault> {
    match fields.id(field)? {
        Id::Content => Err(Fault::new(ErrorCode::InvalidId, 0, field)),
        id => Ok(id),
    }
}

pub(crate) fn type_of<'a>(
    fields: &mut Fields<'a>,
    by_name: bool,
    by_number: bool,
) -> Result<TypeRef<'a>, Fault> {
    let invalid = Err(Fault::new(ErrorCode::InvalidType, 0, "type"));
    match (by_name, by_number) {
        (true, false) => match fields.symbol("type")? {
            "" => invalid,
            name => Ok(TypeRef::Name(name)),
        },
        (false, true) => Ok(TypeRef::Number(fields.u16("type")?)),
        _ => invalid,
    }
}
