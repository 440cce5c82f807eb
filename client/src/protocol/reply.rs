//! Replies: the frames that a coordinator sends.
//!
//! WriteReply, and FlushReply with the same fields and no errors:
//!
//! | offset | size | field             | meaning                                                |
//! |-------:|-----:|-------------------|--------------------------------------------------------|
//! |      0 |    2 | `status`          | 0, or the [`ErrorCode`] that refuses the whole frame   |
//! |      2 |    2 | `flags`           | bit 0: applied earlier, this was a retry               |
//! |      4 |    1 | `level_reached`   | see [`Level`]                                          |
//! |      5 |    3 | `reserved`        | 0                                                      |
//! |      8 |    8 | `writer_epoch`    | the epoch under which it was applied                   |
//! |     16 |    8 | `first_lsn`       |                                                        |
//! |     24 |    8 | `last_lsn`        |                                                        |
//! |     32 |    8 | `status_detail`   | goes with `status`                                     |
//! |     40 |    4 | `error_count`     | how many operations were refused                       |
//! |     44 |    – | `errors`          | each `index: u32, code: u16, detail: u64, message: string` |
//! |      – |    – | `status_message`  | string; empty if `status` is 0                         |
//!
//! WaitReply: `status: u16` (0 reached, 1 timed out), `lsn: u64` (how far that level has come).
//! StopReply: no body. Error: `code: u16`, message string.

use sutra_layout::limits::{FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};

use super::code::{ErrorCode, OperationError, ProtocolError, Refusal};
use super::compact::CompactReply;
use super::found::FoundReply;
use super::frame::{FrameKind, write_frame};
use super::hello::HelloReply;
use super::stats::WriterStats;
use super::wire::{Fields, cut, put_string};
use super::write::{Level, check_operation_count};

const REPLY_FLAG_ALREADY_APPLIED: u16 = 1;
/// Bytes of one error without its message.
const ERROR_FIXED_SIZE: usize = 16;
/// Bytes of one message; an id of 1,024 bytes fits with what is said about it.
const MESSAGE_SIZE_MAX: usize = 2048;
/// Bytes that all messages of one reply may have together: what is left of a frame when each of
/// the most operations it can hold has an error.
const MESSAGES_SIZE_MAX: usize =
    FRAME_SIZE_MAX - 64 - MESSAGE_SIZE_MAX - OPERATIONS_PER_FRAME_MAX * ERROR_FIXED_SIZE;

/// The answer to a write or a flush.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteReply {
    /// Why the whole frame was not applied.
    pub refusal: Option<Refusal>,
    /// The frame had been applied earlier: this was a retry.
    pub already_applied: bool,
    /// How far it has come.
    pub level_reached: Level,
    /// The epoch of the coordinator that applied it.
    pub writer_epoch: u64,
    /// The first LSN of what was applied.
    pub first_lsn: u64,
    /// The last LSN of what was applied.
    pub last_lsn: u64,
    /// The operations that were not applied.
    pub errors: Vec<OperationError>,
}

impl WriteReply {
    /// The answer that refuses a whole frame.
    pub fn refused(code: ErrorCode, detail: u64, message: impl Into<String>) -> WriteReply {
        let refusal = Some(Refusal { code, detail, message: message.into() });
        WriteReply { refusal, ..WriteReply::default() }
    }

    /// Reads the body of a WriteReply or FlushReply.
    pub fn decode(body: &[u8]) -> Result<WriteReply, ProtocolError> {
        let mut fields = Fields::new(body);
        let status = ErrorCode::from_number(fields.u16("reply status")?);
        let flags = fields.u16("reply flags")?;
        let level_reached = Level::from_number(fields.u8("reply level_reached")?)
            .ok_or(ProtocolError::BadValue { field: "reply level_reached" })?;
        fields.array::<3>("reply reserved")?;
        let writer_epoch = fields.u64("reply writer_epoch")?;
        let first_lsn = fields.u64("reply first_lsn")?;
        let last_lsn = fields.u64("reply last_lsn")?;
        let detail = fields.u64("reply status_detail")?;
        let errors = decode_errors(&mut fields)?;
        let message = fields.string("reply status_message")?;
        fields.end()?;
        Ok(WriteReply {
            refusal: status.map(|code| Refusal { code, detail, message: message.to_owned() }),
            already_applied: flags & REPLY_FLAG_ALREADY_APPLIED != 0,
            level_reached,
            writer_epoch,
            first_lsn,
            last_lsn,
            errors,
        })
    }

    /// Appends the whole frame, as the answer to a write. A message above 2 KiB is cut; so are the
    /// last ones if together they would not fit a frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::WriteReply, request_id, |out| self.encode_body(out));
    }

    /// Appends the whole frame, as the answer to a flush.
    pub fn encode_flush(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::FlushReply, request_id, |out| self.encode_body(out));
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        let (status, detail, message) = match &self.refusal {
            None => (0, 0, ""),
            Some(refusal) => (refusal.code.number(), refusal.detail, refusal.message.as_str()),
        };
        out.extend_from_slice(&status.to_le_bytes());
        let flags = if self.already_applied { REPLY_FLAG_ALREADY_APPLIED } else { 0 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&[self.level_reached as u8, 0, 0, 0]);
        for number in [self.writer_epoch, self.first_lsn, self.last_lsn, detail] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        // A frame holds no more operations than this, so there are no more errors.
        let errors = &self.errors[..self.errors.len().min(OPERATIONS_PER_FRAME_MAX)];
        out.extend_from_slice(&(errors.len() as u32).to_le_bytes());
        let mut messages_size_left = MESSAGES_SIZE_MAX;
        for error in errors {
            let message = cut(&error.message, MESSAGE_SIZE_MAX.min(messages_size_left));
            messages_size_left -= message.len();
            out.extend_from_slice(&error.index.to_le_bytes());
            out.extend_from_slice(&error.code.number().to_le_bytes());
            out.extend_from_slice(&error.detail.to_le_bytes());
            put_string(out, message);
        }
        put_string(out, cut(message, MESSAGE_SIZE_MAX));
    }
}

fn decode_errors(fields: &mut Fields<'_>) -> Result<Vec<OperationError>, ProtocolError> {
    let count = check_operation_count(fields.u32("reply error_count")?)?;
    if count as usize > fields.rest().len() / ERROR_FIXED_SIZE {
        return Err(ProtocolError::Truncated { field: "reply errors" });
    }
    let mut errors = Vec::with_capacity(count as usize);
    for _ in 0..count {
        errors.push(OperationError {
            index: fields.u32("error index")?,
            code: ErrorCode::from_number(fields.u16("error code")?)
                .ok_or(ProtocolError::BadValue { field: "error code" })?,
            detail: fields.u64("error detail")?,
            message: fields.string("error message")?.to_owned(),
        });
    }
    Ok(errors)
}

/// The answer to a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitReply {
    /// The LSN did not reach the level in time.
    pub timed_out: bool,
    /// How far that level has come.
    pub lsn: u64,
}

impl WaitReply {
    /// Reads the body of a WaitReply.
    pub fn decode(body: &[u8]) -> Result<WaitReply, ProtocolError> {
        let mut fields = Fields::new(body);
        let timed_out = match fields.u16("wait reply status")? {
            0 => false,
            1 => true,
            _ => {
                return Err(ProtocolError::BadValue { field: "wait reply status" });
            }
        };
        let lsn = fields.u64("wait reply lsn")?;
        fields.end()?;
        Ok(WaitReply { timed_out, lsn })
    }

    /// Appends the whole frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::WaitReply, request_id, |out| {
            out.extend_from_slice(&u16::from(self.timed_out).to_le_bytes());
            out.extend_from_slice(&self.lsn.to_le_bytes());
        });
    }
}

/// Why the coordinator ends a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code:?})")]
pub struct ErrorReply {
    /// Why.
    pub code: ErrorCode,
    /// What was found and what to do.
    pub message: String,
}

impl ErrorReply {
    /// Reads the body of an Error.
    pub fn decode(body: &[u8]) -> Result<ErrorReply, ProtocolError> {
        let mut fields = Fields::new(body);
        let code = ErrorCode::from_number(fields.u16("error code")?)
            .ok_or(ProtocolError::BadValue { field: "error code" })?;
        let message = fields.string("error message")?.to_owned();
        fields.end()?;
        Ok(ErrorReply { code, message })
    }

    /// Appends the whole frame; a message above 2 KiB is cut.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::Error, request_id, |out| {
            out.extend_from_slice(&self.code.number().to_le_bytes());
            put_string(out, cut(&self.message, MESSAGE_SIZE_MAX));
        });
    }
}

impl From<&ProtocolError> for ErrorReply {
    fn from(error: &ProtocolError) -> ErrorReply {
        ErrorReply { code: error.code(), message: error.to_string() }
    }
}

/// A frame from a coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Answers a hello.
    Hello(HelloReply),
    /// Answers a write.
    Write(WriteReply),
    /// Answers a flush.
    Flush(WriteReply),
    /// Answers a wait.
    Wait(WaitReply),
    /// Answers a question for figures.
    Stats(WriterStats),
    /// Answers a stop.
    Stop,
    /// Answers a compact.
    Compact(CompactReply),
    /// Answers a read.
    Found(FoundReply),
    /// Says why the connection ends.
    Error(ErrorReply),
}

impl Reply {
    /// Reads the body of a frame from a coordinator. A request's kind is refused.
    pub fn decode(kind: FrameKind, body: &[u8]) -> Result<Reply, ProtocolError> {
        match kind {
            FrameKind::HelloReply => HelloReply::decode(body).map(Reply::Hello),
            FrameKind::WriteReply => WriteReply::decode(body).map(Reply::Write),
            FrameKind::FlushReply => WriteReply::decode(body).map(Reply::Flush),
            FrameKind::WaitReply => WaitReply::decode(body).map(Reply::Wait),
            FrameKind::StatsReply => WriterStats::decode(body).map(Reply::Stats),
            FrameKind::StopReply => Fields::new(body).end().map(|()| Reply::Stop),
            FrameKind::CompactReply => CompactReply::decode(body).map(Reply::Compact),
            FrameKind::FoundReply => FoundReply::decode(body).map(Reply::Found),
            FrameKind::Error => ErrorReply::decode(body).map(Reply::Error),
            other => Err(ProtocolError::UnexpectedKind { kind: other as u8 }),
        }
    }
}

/// Appends the answer to a stop.
pub fn encode_stop_reply(request_id: u64, out: &mut Vec<u8>) {
    write_frame(out, FrameKind::StopReply, request_id, |_| {});
}
