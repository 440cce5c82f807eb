//! Read: a question, for those who cannot map the file. It is answered by a
//! [`FoundReply`](super::found::FoundReply).
//!
//! | offset | size | field        | meaning                                                    |
//! |-------:|-----:|--------------|------------------------------------------------------------|
//! |      0 |    8 | `min_lsn`    | the answer has everything up to it; what is not visible yet is waited for |
//! |      8 |    4 | `timeout_ms` | when to answer at the latest; the server may have less patience |
//! |     12 |    – | `namespace`  | a string; empty: the default one                           |
//! |      – |    1 | `query`      | 1 get, 2 contains, 3 neighbors, 4 path, 5 nearest, 6 search, 7 stats |
//! |      – |    – | fields       | as below; an *id* is as in [`operation`](super::operation) |
//!
//! | query     | fields                                                                       |
//! |-----------|------------------------------------------------------------------------------|
//! | get       | id                                                                           |
//! | contains  | id                                                                           |
//! | neighbors | id, `way: u8` (0 out, 1 in, 2 both), `limit: u32`                            |
//! | path      | id, id, `way: u8`, `max_depth: u32`                                          |
//! | nearest   | `k: u32`, `ef: u32` (0: as the space says), filter (a string), `u32` size in bytes, elements |
//! | search    | text (a string), `limit: u32`, filter (a string)                             |
//! | stats     | none                                                                         |
//!
//! A coordinator's socket refuses the kind: whoever reaches that can map the file.

use sutra_layout::id::Id;
use sutra_layout::limits::VECTOR_DIMENSION_MAX;

use super::code::{ErrorCode, Fault};
use super::frame::{FrameKind, write_frame};
use super::operation::{put_id, utf8};
use super::wire::{F32s, Fields, put_bytes_u32, put_string};

/// Bytes of a read's body: the longest vector, the longest strings, and a little.
pub const READ_SIZE_MAX: usize = 4 * VECTOR_DIMENSION_MAX + 4 * (u16::MAX as usize);
/// The most neighbors or hits of one answer.
pub const FOUND_COUNT_MAX: u32 = 10_000;

/// Which way associations are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// From their sources to their targets.
    #[default]
    Out = 0,
    /// From their targets to their sources.
    In = 1,
    /// Either way.
    Both = 2,
}

impl Way {
    pub(super) fn from_number(number: u8) -> Option<Way> {
        [Way::Out, Way::In, Way::Both].get(usize::from(number)).copied()
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Query<'a> {
    /// The concept with that id.
    Get(Id<'a>),
    /// Whether there is a concept with that id.
    Contains(Id<'a>),
    /// What a concept is joined with.
    Neighbors {
        /// The concept.
        id: Id<'a>,
        /// Which associations.
        way: Way,
        /// How many, at most.
        limit: u32,
    },
    /// A shortest path.
    Path {
        /// Where it begins.
        from: Id<'a>,
        /// Where it ends.
        to: Id<'a>,
        /// Which associations.
        way: Way,
        /// How many of them, at most.
        max_depth: u32,
    },
    /// The concepts nearest to a vector.
    Nearest {
        /// How many, at most.
        k: u32,
        /// Candidates that the walk keeps; `None`: as the space says.
        ef: Option<u32>,
        /// Concepts to keep, as text; empty: all.
        filter: &'a str,
        /// The vector.
        vector: F32s<'a>,
    },
    /// The concepts whose contents have all words of a text.
    Search {
        /// The text.
        text: &'a str,
        /// How many, at most.
        limit: u32,
        /// Concepts to keep, as text; empty: all.
        filter: &'a str,
    },
    /// The store in figures.
    Stats,
}

/// A question and what its answer must have seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read<'a> {
    /// The answer has everything up to it.
    pub min_lsn: u64,
    /// When to answer at the latest.
    pub timeout_ms: u32,
    /// Where concepts are looked for; empty: the default namespace.
    pub namespace: &'a str,
    /// What is asked.
    pub query: Query<'a>,
}

impl<'a> Read<'a> {
    /// Reads the body of a read.
    ///
    /// # Errors
    /// What is wrong with it. The frame has ended where its header said, so the connection goes on.
    pub fn decode(body: &'a [u8]) -> Result<Read<'a>, Fault> {
        let mut fields = Fields::new(body);
        let (min_lsn, timeout_ms) = (fields.u64("read min_lsn")?, fields.u32("read timeout_ms")?);
        let namespace = fields.symbol("read namespace")?;
        let query = match fields.u8("read query")? {
            1 => Query::Get(fields.id("get id")?),
            2 => Query::Contains(fields.id("contains id")?),
            3 => Query::Neighbors {
                id: fields.id("neighbors id")?,
                way: fields.way("neighbors way")?,
                limit: fields.count("neighbors limit")?,
            },
            4 => Query::Path {
                from: fields.id("path from")?,
                to: fields.id("path to")?,
                way: fields.way("path way")?,
                max_depth: fields.u32("path max_depth")?,
            },
            5 => Query::Nearest {
                k: fields.count("nearest k")?,
                ef: Some(fields.count("nearest ef")?).filter(|ef| *ef > 0),
                filter: fields.words("nearest filter")?,
                vector: vector(&mut fields)?,
            },
            6 => Query::Search {
                text: fields.words("search text")?,
                limit: fields.count("search limit")?,
                filter: fields.words("search filter")?,
            },
            7 => Query::Stats,
            other => return Err(Fault::new(ErrorCode::Unsupported, other.into(), "read query")),
        };
        fields.end_of_operation()?;
        Ok(Read { min_lsn, timeout_ms, namespace, query })
    }

    /// Appends the whole frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::Read, request_id, |out| {
            out.extend_from_slice(&self.min_lsn.to_le_bytes());
            out.extend_from_slice(&self.timeout_ms.to_le_bytes());
            put_string(out, self.namespace);
            self.query.encode(out);
        });
    }
}

impl Query<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Query::Get(id) => {
                out.push(1);
                put_id(out, id);
            }
            Query::Contains(id) => {
                out.push(2);
                put_id(out, id);
            }
            Query::Neighbors { id, way, limit } => {
                out.push(3);
                put_id(out, id);
                out.push(*way as u8);
                out.extend_from_slice(&limit.to_le_bytes());
            }
            Query::Path { from, to, way, max_depth } => {
                out.push(4);
                put_id(out, from);
                put_id(out, to);
                out.push(*way as u8);
                out.extend_from_slice(&max_depth.to_le_bytes());
            }
            Query::Nearest { k, ef, filter, vector } => {
                out.push(5);
                out.extend_from_slice(&k.to_le_bytes());
                out.extend_from_slice(&ef.unwrap_or(0).to_le_bytes());
                put_string(out, filter);
                put_bytes_u32(out, vector.as_bytes());
            }
            Query::Search { text, limit, filter } => {
                out.push(6);
                put_string(out, text);
                out.extend_from_slice(&limit.to_le_bytes());
                put_string(out, filter);
            }
            Query::Stats => out.push(7),
        }
    }
}

fn vector<'a>(fields: &mut Fields<'a>) -> Result<F32s<'a>, Fault> {
    let bytes = fields.bytes_u32("nearest vector")?;
    let size = bytes.len() as u64;
    let vector = F32s::new(bytes).filter(|vector| !vector.is_empty());
    let vector = vector.ok_or(Fault::new(ErrorCode::InvalidVector, size, "nearest vector"))?;
    match vector.len() <= VECTOR_DIMENSION_MAX {
        true => Ok(vector),
        false => Err(Fault::new(ErrorCode::TooLarge, vector.len() as u64, "nearest vector")),
    }
}

/// Fields of a read, with the checks that its shape asks for.
impl<'a> Fields<'a> {
    fn way(&mut self, field: &'static str) -> Result<Way, Fault> {
        let number = self.u8(field)?;
        Way::from_number(number).ok_or(Fault::new(ErrorCode::Malformed, number.into(), field))
    }

    fn count(&mut self, field: &'static str) -> Result<u32, Fault> {
        let count = self.u32(field)?;
        match count <= FOUND_COUNT_MAX {
            true => Ok(count),
            false => Err(Fault::new(ErrorCode::LimitReached, FOUND_COUNT_MAX.into(), field)),
        }
    }

    fn words(&mut self, field: &'static str) -> Result<&'a str, Fault> {
        let bytes = self.bytes_u16(field)?;
        utf8(bytes, field)
    }
}
