//! Compact: make the next generation of the file. CompactReply: what became of it.
//!
//! | offset | size | field         | meaning |
//! |-------:|-----:|---------------|---------|
//! |      0 |    1 | `horizon`     | 0 as the coordinator is told to keep history, 1 a log entry, 2 a time |
//! |      1 |    3 | `reserved`    | 0 |
//! |      4 |    4 | `purge_count` | concepts to purge |
//! |      8 |    8 | `value`       | the log entry, or µs since the Unix epoch; else 0 |
//! |     16 |    – | `purges`      | each `namespace: string`, id as in [`learn`](super::learn) |
//!
//! CompactReply: `status: u16` (0, or the [`ErrorCode`] of a refusal), `detail: u64`, message
//! string, `count: u32`, then that many `u64` in the order of the fields of [`Compacted`]; more than
//! are known here are ignored and missing ones are 0.

use sutra_layout::id::Id;

use super::associate::end;
use super::code::{ErrorCode, ProtocolError, Refusal};
use super::frame::{FrameKind, write_frame};
use super::operation::put_id;
use super::wire::{Fields, put_string};

/// Concepts that one request may purge.
pub const PURGES_MAX: usize = 4096;
/// The least that one purge takes: two empty strings and an id's form.
const PURGE_SIZE_MIN: usize = 3;

/// Before what history is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Horizon {
    /// As the coordinator was told when it started.
    #[default]
    AsServed,
    /// A log entry, which can still be read as of afterwards.
    Lsn(u64),
    /// A time in microseconds since the Unix epoch: the last log entry known to be as old.
    Time(u64),
}

/// A request for the next generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compact<'a> {
    /// Before what history is dropped.
    pub horizon: Horizon,
    /// What is to be purged.
    pub purges: Purges<'a>,
}

/// Concepts to purge, framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purges<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Purges<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Namespace and id of each.
    pub fn iter(&self) -> impl Iterator<Item = Result<(&'a str, Id<'a>), ProtocolError>> {
        let mut fields = Fields::new(self.bytes);
        (0..self.count).map(move |_| purge(&mut fields))
    }
}

fn purge<'a>(fields: &mut Fields<'a>) -> Result<(&'a str, Id<'a>), ProtocolError> {
    let bad = |_| ProtocolError::BadValue { field: "purge" };
    let namespace = fields.symbol("purge namespace").map_err(bad)?;
    Ok((namespace, end(fields, "purge id").map_err(bad)?))
}

impl<'a> Compact<'a> {
    /// Reads the body of a request.
    pub fn decode(body: &'a [u8]) -> Result<Compact<'a>, ProtocolError> {
        let mut fields = Fields::new(body);
        let horizon = fields.u8("compact horizon")?;
        if fields.array::<3>("compact reserved")? != [0; 3] {
            return Err(ProtocolError::BadValue { field: "compact reserved" });
        }
        let count = fields.u32("compact purge_count")?;
        let value = fields.u64("compact value")?;
        let horizon = match (horizon, value) {
            (0, 0) => Horizon::AsServed,
            (1, lsn) => Horizon::Lsn(lsn),
            (2, time) => Horizon::Time(time),
            _ => return Err(ProtocolError::BadValue { field: "compact horizon" }),
        };
        if count as usize > PURGES_MAX || count as usize > fields.rest().len() / PURGE_SIZE_MIN {
            return Err(ProtocolError::BadValue { field: "compact purge_count" });
        }
        let bytes = fields.rest();
        for _ in 0..count {
            purge(&mut fields)?;
        }
        fields.end()?;
        Ok(Compact { horizon, purges: Purges { count, bytes } })
    }
}

/// Appends the whole frame of a request.
pub fn encode_compact(
    horizon: Horizon,
    purges: &[(&str, Id<'_>)],
    request_id: u64,
    out: &mut Vec<u8>,
) {
    write_frame(out, FrameKind::Compact, request_id, |out| {
        let (kind, value) = match horizon {
            Horizon::AsServed => (0, 0),
            Horizon::Lsn(lsn) => (1, lsn),
            Horizon::Time(time) => (2, time),
        };
        out.extend_from_slice(&[kind, 0, 0, 0]);
        out.extend_from_slice(&(purges.len() as u32).to_le_bytes());
        out.extend_from_slice(&u64::to_le_bytes(value));
        for (namespace, id) in purges {
            put_string(out, namespace);
            put_id(out, id);
        }
    });
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The new file's generation.
    pub generation: u64,
    /// What was before it can no longer be read.
    pub history_floor_lsn: u64,
    /// Bytes of storage.dat on disk before.
    pub size_before: u64,
    /// Bytes of it on disk now.
    pub size_after: u64,
    /// Versions of concepts before.
    pub records_before: u64,
    /// Versions of concepts that were copied.
    pub records_copied: u64,
    /// Versions of associations before.
    pub edges_before: u64,
    /// Versions of associations that were copied.
    pub edges_copied: u64,
    /// Concepts and associations that were forgotten because their time was over.
    pub expired: u64,
    /// Concepts that were purged.
    pub purged: u64,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How long writes waited while the new file took the old one's place, in microseconds.
    pub stalled_us: u64,
}

impl Compacted {
    const COUNT: usize = 12;

    fn to_numbers(self) -> [u64; Compacted::COUNT] {
        [
            self.generation,
            self.history_floor_lsn,
            self.size_before,
            self.size_after,
            self.records_before,
            self.records_copied,
            self.edges_before,
            self.edges_copied,
            self.expired,
            self.purged,
            self.took_us,
            self.stalled_us,
        ]
    }

    fn from_numbers(numbers: [u64; Compacted::COUNT]) -> Compacted {
        let [
            generation,
            history_floor_lsn,
            size_before,
            size_after,
            records_before,
            records_copied,
            edges_before,
            edges_copied,
            expired,
            purged,
            took_us,
            stalled_us,
        ] = numbers;
        Compacted {
            generation,
            history_floor_lsn,
            size_before,
            size_after,
            records_before,
            records_copied,
            edges_before,
            edges_copied,
            expired,
            purged,
            took_us,
            stalled_us,
        }
    }
}

/// The answer to a compact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactReply {
    /// What was done, or why nothing was.
    pub outcome: Result<Compacted, Refusal>,
}

impl CompactReply {
    /// Reads the body of a reply.
    pub fn decode(body: &[u8]) -> Result<CompactReply, ProtocolError> {
        let mut fields = Fields::new(body);
        let status = ErrorCode::from_number(fields.u16("compact reply status")?);
        let detail = fields.u64("compact reply detail")?;
        let message = fields.string("compact reply message")?.to_owned();
        let count = fields.u32("compact reply count")? as usize;
        let (numbers, odd) = fields.rest().as_chunks::<8>();
        if numbers.len() != count || !odd.is_empty() {
            return Err(ProtocolError::BadValue { field: "compact reply count" });
        }
        let mut known = [0; Compacted::COUNT];
        for (place, bytes) in known.iter_mut().zip(numbers) {
            *place = u64::from_le_bytes(*bytes);
        }
        let outcome = match status {
            None => Ok(Compacted::from_numbers(known)),
            Some(code) => Err(Refusal { code, detail, message }),
        };
        Ok(CompactReply { outcome })
    }

    /// Appends the whole frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::CompactReply, request_id, |out| {
            let (status, detail, message) = match &self.outcome {
                Ok(_) => (0, 0, ""),
                Err(refusal) => (refusal.code.number(), refusal.detail, refusal.message.as_str()),
            };
            out.extend_from_slice(&status.to_le_bytes());
            out.extend_from_slice(&detail.to_le_bytes());
            put_string(out, super::wire::cut(message, 2048));
            let numbers = self.outcome.as_ref().map(|done| done.to_numbers()).unwrap_or_default();
            out.extend_from_slice(&(Compacted::COUNT as u32).to_le_bytes());
            for number in numbers {
                out.extend_from_slice(&number.to_le_bytes());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{FrameHeader, HEADER_SIZE, Reply, Request};

    fn body(frame: &[u8]) -> (FrameKind, &[u8]) {
        let (header, body) = frame.split_first_chunk::<HEADER_SIZE>().unwrap();
        (FrameHeader::parse(header, u32::MAX).unwrap().kind, body)
    }

    #[test]
    fn a_request_comes_back_and_no_part_of_one_is_taken_for_it() {
        let purges = [("", Id::Text("wolf")), ("alice", Id::Raw([7; 16])), ("", Id::Hex([1; 16]))];
        for horizon in [Horizon::AsServed, Horizon::Lsn(0), Horizon::Lsn(9), Horizon::Time(77)] {
            let mut frame = Vec::new();
            encode_compact(horizon, &purges, 5, &mut frame);
            let (kind, body) = body(&frame);
            let Request::Compact(found) = Request::decode(kind, body).unwrap() else { panic!() };
            assert_eq!((found.horizon, found.purges.len()), (horizon, 3));
            let ids: Vec<_> = found.purges.iter().map(Result::unwrap).collect();
            assert_eq!(ids, purges);
            for end in 0..body.len() {
                assert!(Compact::decode(&body[..end]).is_err(), "{end} bytes");
            }
            let longer = [body, &[0]].concat();
            assert!(Compact::decode(&longer).is_err());
        }
        let mut frame = Vec::new();
        encode_compact(Horizon::Lsn(3), &[], 5, &mut frame);
        for (at, value) in [(0, 3), (1, 1), (4, 1), (6, 1)] {
            let mut body = body(&frame).1.to_vec();
            body[at] = value;
            assert!(Compact::decode(&body).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_reply_comes_back() {
        let done = Compacted { generation: 2, stalled_us: 12, ..Compacted::default() };
        let refusal = Refusal { code: ErrorCode::StorageFull, detail: 3, message: "no".to_owned() };
        for outcome in [Ok(done), Err(refusal)] {
            let reply = CompactReply { outcome };
            let mut frame = Vec::new();
            reply.encode(5, &mut frame);
            let (kind, body) = body(&frame);
            assert_eq!(Reply::decode(kind, body).unwrap(), Reply::Compact(reply));
            assert!(CompactReply::decode(&body[..body.len() - 1]).is_err());
        }
    }
}
