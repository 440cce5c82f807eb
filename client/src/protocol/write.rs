//! Requests: the frames that a client sends.
//!
//! Write:
//!
//! | offset | size | field             | meaning                                              |
//! |-------:|-----:|-------------------|------------------------------------------------------|
//! |      0 |    8 | `sequence`        | per client, strictly increasing, from 1              |
//! |      8 |    1 | `level`           | see [`Level`]                                        |
//! |      9 |    1 | `flags`           | bit 0: atomic, all operations or none                |
//! |     10 |    2 | `reserved`        | 0                                                    |
//! |     12 |    4 | `operation_count` | how many follow                                      |
//! |     16 |    – | `operations`      | back to back; see [`operation`](super::operation)    |
//!
//! Wait: `lsn: u64, level: u8, timeout_ms: u32`.

use sutra_layout::limits::OPERATIONS_PER_FRAME_MAX;

use super::code::ProtocolError;
use super::compact::Compact;
use super::frame::{FrameHeader, FrameKind, HEADER_SIZE, write_frame};
use super::hello::Hello;
use super::operation::Operations;
use super::wire::Fields;

/// Bytes of a write before its operations.
pub const WRITE_PREFIX_SIZE: usize = 16;

const WRITE_FLAG_ATOMIC: u8 = 1;

/// How far a write must have come before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Written to the log: survives the death of the coordinator.
    Accepted = 0,
    /// Synced: survives the loss of power.
    #[default]
    Durable = 1,
    /// Published: every reader sees it.
    Visible = 2,
}

impl Level {
    /// The level with that number.
    pub fn from_number(number: u8) -> Option<Level> {
        [Level::Accepted, Level::Durable, Level::Visible].get(usize::from(number)).copied()
    }

    fn decode(fields: &mut Fields<'_>, field: &'static str) -> Result<Level, ProtocolError> {
        Level::from_number(fields.u8(field)?).ok_or(ProtocolError::BadValue { field })
    }
}

/// Operations to apply: one frame, one log entry, one LSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// Per client, strictly increasing, from 1; a repeated one is not applied again.
    pub sequence: u64,
    /// When to acknowledge it.
    pub level: Level,
    /// All operations or none.
    pub atomic: bool,
    /// Whose framing holds: sizes and count fit the frame.
    pub operations: Operations<'a>,
}

impl<'a> Write<'a> {
    /// Reads the body of a write and checks how its operations are framed; what is inside each is
    /// checked one by one when [`Write::operations`] is iterated.
    pub fn decode(body: &'a [u8]) -> Result<Write<'a>, ProtocolError> {
        let mut fields = Fields::new(body);
        let sequence = fields.u64("write sequence")?;
        if sequence == 0 {
            return Err(ProtocolError::BadValue { field: "write sequence" });
        }
        let level = Level::decode(&mut fields, "write level")?;
        let flags = fields.u8("write flags")?;
        if flags & !WRITE_FLAG_ATOMIC != 0 {
            return Err(ProtocolError::Reserved { field: "write flags", found: flags.into() });
        }
        let reserved = fields.u16("write reserved")?;
        if reserved != 0 {
            return Err(ProtocolError::Reserved {
                field: "write reserved",
                found: reserved.into(),
            });
        }
        let count = fields.u32("write operation_count")?;
        let atomic = flags & WRITE_FLAG_ATOMIC != 0;
        let operations = Operations::new(count, fields.rest())?;
        Ok(Write { sequence, level, atomic, operations })
    }
}

/// The 32 bytes that stand before the operations of a write: frame header and prefix.
pub(crate) fn write_head(
    request_id: u64,
    sequence: u64,
    level: Level,
    atomic: bool,
    operation_count: u32,
    operations_size: usize,
) -> [u8; HEADER_SIZE + WRITE_PREFIX_SIZE] {
    // A Batch stays below FRAME_SIZE_MAX, so the sum fits.
    let body_size = (WRITE_PREFIX_SIZE + operations_size) as u32;
    let mut head = [0; HEADER_SIZE + WRITE_PREFIX_SIZE];
    let header = FrameHeader { body_size, kind: FrameKind::Write, request_id };
    head[..16].copy_from_slice(&header.to_bytes());
    head[16..24].copy_from_slice(&sequence.to_le_bytes());
    head[24] = level as u8;
    head[25] = u8::from(atomic) * WRITE_FLAG_ATOMIC;
    head[28..].copy_from_slice(&operation_count.to_le_bytes());
    head
}

/// A question: has this LSN reached that level?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The LSN waited for.
    pub lsn: u64,
    /// The level that it must reach.
    pub level: Level,
    /// When to answer at the latest.
    pub timeout_ms: u32,
}

impl Wait {
    /// Reads the body of a wait.
    pub fn decode(body: &[u8]) -> Result<Wait, ProtocolError> {
        let mut fields = Fields::new(body);
        let wait = Wait {
            lsn: fields.u64("wait lsn")?,
            level: Level::decode(&mut fields, "wait level")?,
            timeout_ms: fields.u32("wait timeout_ms")?,
        };
        fields.end()?;
        Ok(wait)
    }

    /// Appends the whole frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::Wait, request_id, |out| {
            out.extend_from_slice(&self.lsn.to_le_bytes());
            out.push(self.level as u8);
            out.extend_from_slice(&self.timeout_ms.to_le_bytes());
        });
    }
}

/// A frame from a client, decoded where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The first frame of a connection.
    Hello(Hello<'a>),
    /// Operations to apply.
    Write(Write<'a>),
    /// Make everything before it durable, visible and checkpointed.
    Flush,
    /// Answer when an LSN has reached a level.
    Wait(Wait),
    /// Answer with the coordinator's figures.
    Stats,
    /// Finish, checkpoint and exit.
    Stop,
    /// Make the next generation of the file.
    Compact(Compact<'a>),
}

impl<'a> Request<'a> {
    /// Reads the body of a frame from a client. A reply's kind is refused.
    pub fn decode(kind: FrameKind, body: &'a [u8]) -> Result<Request<'a>, ProtocolError> {
        let bare = |request| Fields::new(body).end().map(|()| request);
        match kind {
            FrameKind::Hello => Hello::decode(body).map(Request::Hello),
            FrameKind::Write => Write::decode(body).map(Request::Write),
            FrameKind::Flush => bare(Request::Flush),
            FrameKind::Wait => Wait::decode(body).map(Request::Wait),
            FrameKind::Stats => bare(Request::Stats),
            FrameKind::Stop => bare(Request::Stop),
            FrameKind::Compact => Compact::decode(body).map(Request::Compact),
            other => Err(ProtocolError::UnexpectedKind { kind: other as u8 }),
        }
    }
}

/// The count, if a frame may hold that many operations.
pub(crate) fn check_operation_count(found: u32) -> Result<u32, ProtocolError> {
    let limit = OPERATIONS_PER_FRAME_MAX as u32;
    match found <= limit {
        true => Ok(found),
        false => Err(ProtocolError::TooManyOperations { found, limit }),
    }
}
