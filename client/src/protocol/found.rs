//! The answer to a [`Read`](super::read::Read).
//!
//! | offset | size | field     | meaning                                                       |
//! |-------:|-----:|-----------|---------------------------------------------------------------|
//! |      0 |    8 | `lsn`     | the version that was asked: everything up to it is in it      |
//! |      8 |    2 | `status`  | 0, or an [`ErrorCode`]                                        |
//! |     10 |    8 | `detail`  | a number that goes with the code                              |
//! |     18 |    – | `message` | a string: what was found and what to do                       |
//! |      – |    1 | `query`   | as asked; 0 with an error, and nothing behind it              |
//! |      – |    – | fields    | as below                                                      |
//!
//! | query     | fields                                                                       |
//! |-----------|------------------------------------------------------------------------------|
//! | get       | `u8` 0 or 1; then id, content, `u8` 0 or 1 and metadata, strength, confidence (`f32`), created, updated, LSN (`u64`), version (`u32`), `u32` size in bytes, the vector's elements |
//! | contains  | `u8` 0 or 1                                                                  |
//! | neighbors | `u32` count; each: id, `way: u8` (0 out, 1 in), type (a string), confidence (`f32`) |
//! | path      | `u8` 0 or 1; then confidence (`f32`), `u32` count of ids, ids, the types between them (strings) |
//! | nearest, search | `u32` count; each: id, score (`f32`)                                   |
//! | stats     | `u32` count, that many `u64` in the order of [`FoundStats`]                  |
//!
//! Content and metadata are a `u32` size and that many bytes of UTF-8.

use sutra_layout::id::Id;
use sutra_layout::limits::{CONTENT_SIZE_MAX, METADATA_SIZE_MAX};

use super::code::{ErrorCode, Fault, ProtocolError, Refusal};
use super::frame::{FrameKind, write_frame};
use super::operation::put_id;
use super::read::Way;
use super::wire::{F32s, Fields, cut, put_bytes_u32, put_f32s, put_string};

/// What a concept is called, apart from the frame that said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundId {
    /// Text.
    Text(String),
    /// 32 hexadecimal digits, or the hash of a content.
    Hex([u8; 16]),
    /// 16 raw bytes.
    Raw([u8; 16]),
}

impl FoundId {
    /// As a question takes it.
    pub fn as_id(&self) -> Id<'_> {
        match self {
            FoundId::Text(text) => Id::Text(text),
            FoundId::Hex(key) => Id::Hex(*key),
            FoundId::Raw(key) => Id::Raw(*key),
        }
    }
}

/// A concept as it was in the version that was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundConcept {
    /// What it is called.
    pub id: FoundId,
    /// Its text.
    pub content: String,
    /// Its metadata.
    pub metadata: Option<String>,
    /// 0 to 1.
    pub strength: f32,
    /// 0 to 1.
    pub confidence: f32,
    /// When it came to be, in µs since the Unix epoch.
    pub created_at: u64,
    /// When this version was written, likewise.
    pub updated_at: u64,
    /// The log entry that wrote this version.
    pub lsn: u64,
    /// Which version it is, from 1.
    pub version: u32,
    /// Its vector; empty if it has none.
    pub embedding: Vec<f32>,
}

/// What an association leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundNeighbor {
    /// What the concept is called.
    pub id: FoundId,
    /// [`Way::Out`] if the association leads there, [`Way::In`] if it comes from there.
    pub way: Way,
    /// The association's type, by name.
    pub kind: String,
    /// The association's confidence.
    pub confidence: f32,
}

/// A shortest path.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPath {
    /// What the concepts are called, both ends included.
    pub ids: Vec<FoundId>,
    /// The types of the associations between them.
    pub kinds: Vec<String>,
    /// The product of their confidences.
    pub confidence: f32,
}

/// A concept, and how well it fits.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundHit {
    /// What it is called.
    pub id: FoundId,
    /// Of vectors the similarity, of words how many of them it has.
    pub score: f32,
}

/// The store in figures, as a reader sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundStats {
    /// Concepts.
    pub concepts: u64,
    /// Associations.
    pub edges: u64,
    /// Vectors.
    pub vectors: u64,
    /// Vectors that the graph has.
    pub indexed_vectors: u64,
    /// Bytes of storage.dat.
    pub file_size: u64,
}

impl FoundStats {
    const COUNT: usize = 5;

    fn to_numbers(self) -> [u64; Self::COUNT] {
        [self.concepts, self.edges, self.vectors, self.indexed_vectors, self.file_size]
    }

    fn decode(fields: &mut Fields<'_>) -> Result<FoundStats, ProtocolError> {
        let count = fields.u32("found stats count")?;
        let mut numbers = [0; Self::COUNT];
        for place in 0..count as usize {
            let number = fields.u64("found stats number")?;
            if let Some(known) = numbers.get_mut(place) {
                *known = number;
            }
        }
        let [concepts, edges, vectors, indexed_vectors, file_size] = numbers;
        Ok(FoundStats { concepts, edges, vectors, indexed_vectors, file_size })
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// The concept, if there is one.
    Get(Option<FoundConcept>),
    /// Whether there is one.
    Contains(bool),
    /// What it is joined with.
    Neighbors(Vec<FoundNeighbor>),
    /// A shortest path, if there is one.
    Path(Option<FoundPath>),
    /// The nearest, nearest first.
    Nearest(Vec<FoundHit>),
    /// Those that have the words, best first.
    Search(Vec<FoundHit>),
    /// The figures.
    Stats(FoundStats),
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundReply {
    /// The version that was asked.
    pub lsn: u64,
    /// What was found, or why nothing was looked for.
    pub outcome: Result<Found, Refusal>,
}

impl FoundReply {
    /// Reads the body of an answer.
    pub fn decode(body: &[u8]) -> Result<FoundReply, ProtocolError> {
        let mut fields = Fields::new(body);
        let lsn = fields.u64("found lsn")?;
        let status = ErrorCode::from_number(fields.u16("found status")?);
        let detail = fields.u64("found detail")?;
        let message = fields.string("found message")?.to_owned();
        let query = fields.u8("found query")?;
        let outcome = match status {
            Some(code) if query == 0 => Err(Refusal { code, detail, message }),
            Some(_) => return Err(ProtocolError::BadValue { field: "found query" }),
            None => Ok(Found::decode(query, &mut fields)?),
        };
        fields.end()?;
        Ok(FoundReply { lsn, outcome })
    }

    /// Appends the whole frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::FoundReply, request_id, |out| {
            out.extend_from_slice(&self.lsn.to_le_bytes());
            match &self.outcome {
                Ok(found) => {
                    out.extend_from_slice(&[0; 12]); // no error, no detail, no message
                    found.encode(out);
                }
                Err(Refusal { code, detail, message }) => {
                    out.extend_from_slice(&code.number().to_le_bytes());
                    out.extend_from_slice(&detail.to_le_bytes());
                    put_string(out, cut(message, MESSAGE_SIZE_MAX));
                    out.push(0);
                }
            }
        });
    }
}

/// Bytes of a message.
const MESSAGE_SIZE_MAX: usize = 2048;

impl Found {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Found::Get(found) => {
                out.extend_from_slice(&[1, u8::from(found.is_some())]);
                if let Some(concept) = found {
                    concept.encode(out);
                }
            }
            Found::Contains(is_there) => out.extend_from_slice(&[2, u8::from(*is_there)]),
            Found::Neighbors(neighbors) => {
                out.push(3);
                put_count(out, neighbors.len());
                for FoundNeighbor { id, way, kind, confidence } in neighbors {
                    put_id(out, &id.as_id());
                    out.push(*way as u8);
                    put_string(out, kind);
                    out.extend_from_slice(&confidence.to_le_bytes());
                }
            }
            Found::Path(found) => {
                out.extend_from_slice(&[4, u8::from(found.is_some())]);
                if let Some(FoundPath { ids, kinds, confidence }) = found {
                    out.extend_from_slice(&confidence.to_le_bytes());
                    put_count(out, ids.len());
                    ids.iter().for_each(|id| put_id(out, &id.as_id()));
                    kinds.iter().for_each(|kind| put_string(out, kind));
                }
            }
            Found::Nearest(hits) => put_hits(out, 5, hits),
            Found::Search(hits) => put_hits(out, 6, hits),
            Found::Stats(stats) => {
                out.push(7);
                put_count(out, FoundStats::COUNT);
                for number in stats.to_numbers() {
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }

    fn decode(query: u8, fields: &mut Fields<'_>) -> Result<Found, ProtocolError> {
        Ok(match query {
            1 => Found::Get(match truth(fields, "found get")? {
                true => Some(FoundConcept::decode(fields)?),
                false => None,
            }),
            2 => Found::Contains(truth(fields, "found contains")?),
            3 => Found::Neighbors(list(fields, "found neighbors", |fields| {
                let id = id(fields, "neighbor id")?;
                let way = Way::from_number(fields.u8("neighbor way")?)
                    .ok_or(ProtocolError::BadValue { field: "neighbor way" })?;
                let kind = fields.string("neighbor type")?.to_owned();
                Ok(FoundNeighbor { id, way, kind, confidence: fields.f32("neighbor confidence")? })
            })?),
            4 => Found::Path(match truth(fields, "found path")? {
                true => Some(FoundPath::decode(fields)?),
                false => None,
            }),
            5 => Found::Nearest(list(fields, "found nearest", hit)?),
            6 => Found::Search(list(fields, "found search", hit)?),
            7 => Found::Stats(FoundStats::decode(fields)?),
            _ => return Err(ProtocolError::BadValue { field: "found query" }),
        })
    }
}

impl FoundConcept {
    fn encode(&self, out: &mut Vec<u8>) {
        put_id(out, &self.id.as_id());
        put_bytes_u32(out, self.content.as_bytes());
        out.push(u8::from(self.metadata.is_some()));
        if let Some(metadata) = &self.metadata {
            put_bytes_u32(out, metadata.as_bytes());
        }
        out.extend_from_slice(&self.strength.to_le_bytes());
        out.extend_from_slice(&self.confidence.to_le_bytes());
        for number in [self.created_at, self.updated_at, self.lsn] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.version.to_le_bytes());
        put_count(out, 4 * self.embedding.len());
        put_f32s(out, &self.embedding);
    }

    fn decode(fields: &mut Fields<'_>) -> Result<FoundConcept, ProtocolError> {
        let id = id(fields, "concept id")?;
        let content = checked(fields.text(CONTENT_SIZE_MAX, "concept content"))?.to_owned();
        let metadata = match truth(fields, "concept metadata")? {
            true => Some(checked(fields.text(METADATA_SIZE_MAX, "concept metadata"))?.to_owned()),
            false => None,
        };
        let (strength, confidence) =
            (fields.f32("concept strength")?, fields.f32("concept confidence")?);
        let created_at = fields.u64("concept created_at")?;
        let (updated_at, lsn) = (fields.u64("concept updated_at")?, fields.u64("concept lsn")?);
        let version = fields.u32("concept version")?;
        let elements = F32s::new(fields.bytes_u32("concept vector")?);
        let elements = elements.ok_or(ProtocolError::BadValue { field: "concept vector" })?;
        let embedding = elements.iter().collect();
        Ok(FoundConcept {
            id,
            content,
            metadata,
            strength,
            confidence,
            created_at,
            updated_at,
            lsn,
            version,
            embedding,
        })
    }
}

impl FoundPath {
    fn decode(fields: &mut Fields<'_>) -> Result<FoundPath, ProtocolError> {
        let confidence = fields.f32("path confidence")?;
        let ids = list(fields, "path ids", |fields| id(fields, "path id"))?;
        let kind = |_| Ok(fields.string("path type")?.to_owned());
        let kinds = (1..ids.len()).map(kind).collect::<Result<_, ProtocolError>>()?;
        Ok(FoundPath { ids, kinds, confidence })
    }
}

fn hit(fields: &mut Fields<'_>) -> Result<FoundHit, ProtocolError> {
    Ok(FoundHit { id: id(fields, "hit id")?, score: fields.f32("hit score")? })
}

fn put_hits(out: &mut Vec<u8>, query: u8, hits: &[FoundHit]) {
    out.push(query);
    put_count(out, hits.len());
    for FoundHit { id, score } in hits {
        put_id(out, &id.as_id());
        out.extend_from_slice(&score.to_le_bytes());
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

/// A count and that many things. Memory grows by what is there, never by what the count announces.
fn list<T>(
    fields: &mut Fields<'_>,
    field: &'static str,
    one: impl Fn(&mut Fields<'_>) -> Result<T, ProtocolError>,
) -> Result<Vec<T>, ProtocolError> {
    let count = fields.u32(field)?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(one(fields)?);
    }
    Ok(all)
}

fn truth(fields: &mut Fields<'_>, field: &'static str) -> Result<bool, ProtocolError> {
    match fields.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(ProtocolError::BadValue { field }),
    }
}

fn id(fields: &mut Fields<'_>, field: &'static str) -> Result<FoundId, ProtocolError> {
    match checked(fields.id(field))? {
        Id::Text(text) => Ok(FoundId::Text(text.to_owned())),
        Id::Hex(key) => Ok(FoundId::Hex(key)),
        Id::Raw(key) => Ok(FoundId::Raw(key)),
        Id::Content => Err(ProtocolError::BadValue { field }),
    }
}

/// Nothing in an answer may be wrong: one that has a fault is none.
fn checked<T>(field: Result<T, Fault>) -> Result<T, ProtocolError> {
    field.map_err(|fault| ProtocolError::BadValue { field: fault.field })
}
