//! Learn: make a concept, or a new version of one.
//!
//! | bit | field        | bytes                                                      |
//! |----:|--------------|------------------------------------------------------------|
//! |   0 | `namespace`  | string; absent: `""`                                       |
//! |   – | `id`         | form `u8` (0 text, 1 hex, 2 raw, 3 content), size `u16`, bytes; always there |
//! |   1 | `content`    | size `u32`, UTF-8                                          |
//! |   2 | `strength`   | `f32`, 0 to 1                                              |
//! |   3 | `confidence` | `f32`, 0 to 1                                              |
//! |   4 | `embedding`  | space `u8`, dimension `u32`, that many `f32`               |
//! |   5 | `metadata`   | size `u32`, UTF-8                                          |
//! |   6 | `kind`       | string                                                     |
//! |   7 | `expires_at` | `u64`, µs since the Unix epoch                             |
//! |   8 | `created_at` | `u64`, µs since the Unix epoch                             |
//! |   9 | `if_lsn`     | `u64`                                                      |
//! |  10 | `if_absent`  | none                                                       |

use sutra_layout::id::Id;
use sutra_layout::limits::{CONTENT_SIZE_MAX, METADATA_SIZE_MAX, VECTOR_DIMENSION_MAX};

use super::code::{ErrorCode, Fault};
use super::operation::{OPCODE_LEARN, put_id};
use super::wire::{F32s, Fields, put_bytes_u32, put_f32s, put_string};

const NAMESPACE: u32 = 1 << 0;
const CONTENT: u32 = 1 << 1;
const STRENGTH: u32 = 1 << 2;
const CONFIDENCE: u32 = 1 << 3;
const EMBEDDING: u32 = 1 << 4;
const METADATA: u32 = 1 << 5;
const KIND: u32 = 1 << 6;
const EXPIRES_AT: u32 = 1 << 7;
const CREATED_AT: u32 = 1 << 8;
const IF_LSN: u32 = 1 << 9;
const IF_ABSENT: u32 = 1 << 10;
const KNOWN: u32 = (1 << 11) - 1;

/// A concept to learn. What is `None` keeps the value that the concept has, or gets the default.
///
/// Times are microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learn<'a> {
    /// What it is called; [`Id::Content`] files it under the hash of its content.
    pub id: Id<'a>,
    /// Its text, at most 1 MiB.
    pub content: Option<&'a str>,
    /// 0 to 1; a new concept has 1 unless told otherwise.
    pub strength: Option<f32>,
    /// 0 to 1; a new concept has 1 unless told otherwise.
    pub confidence: Option<f32>,
    /// Its vector, at most 4,096 finite elements.
    pub embedding: Option<&'a [f32]>,
    /// The vector space of `embedding`.
    pub space: u8,
    /// Text for the caller's own use, at most 64 KiB.
    pub metadata: Option<&'a str>,
    /// What sort of thing it is, at most 255 bytes.
    pub kind: Option<&'a str>,
    /// When it stops being found.
    pub expires_at: Option<u64>,
    /// When it came to be; the time of the write unless told otherwise.
    pub created_at: Option<u64>,
    /// Only if the concept's newest version has this LSN.
    pub if_lsn: Option<u64>,
    /// Only if there is no such concept.
    pub if_absent: bool,
}

impl Default for Learn<'_> {
    fn default() -> Self {
        Learn {
            id: Id::Content,
            content: None,
            strength: None,
            confidence: None,
            embedding: None,
            space: 0,
            metadata: None,
            kind: None,
            expires_at: None,
            created_at: None,
            if_lsn: None,
            if_absent: false,
        }
    }
}

impl Learn<'_> {
    /// Appends opcode and fields. The caller has checked every size.
    #[inline]
    pub(crate) fn encode(&self, namespace: &str, out: &mut Vec<u8>) {
        out.push(OPCODE_LEARN);
        out.extend_from_slice(&self.present(namespace).to_le_bytes());
        if !namespace.is_empty() {
            put_string(out, namespace);
        }
        put_id(out, &self.id);
        if let Some(content) = self.content {
            put_bytes_u32(out, content.as_bytes());
        }
        for number in [self.strength, self.confidence].into_iter().flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
        if let Some(values) = self.embedding {
            out.push(self.space);
            out.extend_from_slice(&(values.len() as u32).to_le_bytes());
            put_f32s(out, values);
        }
        if let Some(metadata) = self.metadata {
            put_bytes_u32(out, metadata.as_bytes());
        }
        if let Some(kind) = self.kind {
            put_string(out, kind);
        }
        for number in [self.expires_at, self.created_at, self.if_lsn].into_iter().flatten() {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    #[inline]
    fn present(&self, namespace: &str) -> u32 {
        let bit = |is: bool, bit: u32| if is { bit } else { 0 };
        bit(!namespace.is_empty(), NAMESPACE)
            | bit(self.content.is_some(), CONTENT)
            | bit(self.strength.is_some(), STRENGTH)
            | bit(self.confidence.is_some(), CONFIDENCE)
            | bit(self.embedding.is_some(), EMBEDDING)
            | bit(self.metadata.is_some(), METADATA)
            | bit(self.kind.is_some(), KIND)
            | bit(self.expires_at.is_some(), EXPIRES_AT)
            | bit(self.created_at.is_some(), CREATED_AT)
            | bit(self.if_lsn.is_some(), IF_LSN)
            | bit(self.if_absent, IF_ABSENT)
    }
}

/// A learn as it lies in a frame, its shape checked. See [`Learn`] for what the fields mean.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Learn")]
pub struct LearnOp<'a> {
    pub namespace: &'a str,
    pub id: Id<'a>,
    pub content: Option<&'a str>,
    pub strength: Option<f32>,
    pub confidence: Option<f32>,
    embedding: Option<(u8, F32s<'a>)>,
    pub metadata: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub expires_at: Option<u64>,
    pub created_at: Option<u64>,
    pub if_lsn: Option<u64>,
    pub if_absent: bool,
}

impl<'a> LearnOp<'a> {
    /// The vector and the space it is for: 1 to 4,096 elements, all finite. Whether the space
    /// exists, has that dimension and allows zeros is for the store to say.
    pub fn embedding(&self) -> Option<(u8, F32s<'a>)> {
        self.embedding
    }

    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<LearnOp<'a>, Fault> {
        let present = fields.present(KNOWN)?;
        let has = |bit: u32| present & bit != 0;
        // The fields are read in the order in which they are written here.
        let learn = LearnOp {
            namespace: if has(NAMESPACE) { fields.symbol("namespace")? } else { "" },
            id: fields.id("id")?,
            content: has(CONTENT).then(|| fields.text(CONTENT_SIZE_MAX, "content")).transpose()?,
            strength: has(STRENGTH).then(|| fields.unit("strength")).transpose()?,
            confidence: has(CONFIDENCE).then(|| fields.unit("confidence")).transpose()?,
            embedding: has(EMBEDDING).then(|| embedding(&mut fields)).transpose()?,
            metadata: has(METADATA)
                .then(|| fields.text(METADATA_SIZE_MAX, "metadata"))
                .transpose()?,
            kind: has(KIND).then(|| fields.symbol("kind")).transpose()?,
            expires_at: has(EXPIRES_AT).then(|| fields.u64("expires_at")).transpose()?,
            created_at: has(CREATED_AT).then(|| fields.u64("created_at")).transpose()?,
            if_lsn: has(IF_LSN).then(|| fields.u64("if_lsn")).transpose()?,
            if_absent: has(IF_ABSENT),
        };
        fields.end_of_operation()?;
        if learn.id == Id::Content && learn.content.is_none() {
            // Its key would be the hash of nothing.
            return Err(Fault::new(ErrorCode::InvalidId, 0, "id (there is no content either)"));
        }
        Ok(learn)
    }
}

fn embedding<'a>(fields: &mut Fields<'a>) -> Result<(u8, F32s<'a>), Fault> {
    let space = fields.u8("embedding space")?;
    let dimension = fields.u32("embedding dimension")?;
    if dimension as usize > VECTOR_DIMENSION_MAX {
        return Err(Fault::new(ErrorCode::TooLarge, dimension.into(), "embedding"));
    }
    let bytes = fields.bytes(4 * dimension as usize, "embedding")?;
    let invalid = Fault::new(ErrorCode::InvalidVector, dimension.into(), "embedding");
    let values = F32s::new(bytes).ok_or(invalid)?;
    match !values.is_empty() && values.all_finite() {
        true => Ok((space, values)),
        false => Err(invalid),
    }
}
