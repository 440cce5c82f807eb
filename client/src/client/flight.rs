//! Frames that were sent and not yet answered, and the answers not yet asked for.

use std::collections::VecDeque;

use crate::error::ClientError;
use crate::protocol::{Level, OperationError, WriteReply};

/// Frames that may be in flight.
const FRAME_COUNT_MAX: usize = 256;
/// Bytes that may be in flight.
const SIZE_MAX: usize = 32 << 20;
/// Buffers kept for the next frames, and bytes of them.
const SPARE_COUNT_MAX: usize = FRAME_COUNT_MAX;
const SPARE_SIZE_MAX: usize = 4 << 20;

/// What became of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number that [`Client::submit`](crate::Client::submit) gave it.
    pub request_id: u64,
    /// Its sequence number under this client's id; 0 for a flush.
    pub sequence: u64,
    /// The coordinator that answered: raised at each start of one.
    pub writer_epoch: u64,
    /// The first LSN of what was applied.
    pub first_lsn: u64,
    /// The last LSN of what was applied.
    pub last_lsn: u64,
    /// How far it had come when it was answered.
    pub level_reached: Level,
    /// It had been applied earlier; this answers a retry.
    pub already_applied: bool,
    /// The operations that were not applied.
    pub errors: Vec<OperationError>,
}

impl Receipt {
    pub(super) fn new(
        request_id: u64,
        sequence: u64,
        reply: WriteReply,
    ) -> Result<Receipt, ClientError> {
        if let Some(refusal) = reply.refusal {
            let (code, detail, message) = (refusal.code, refusal.detail, refusal.message);
            return Err(ClientError::Refused { request_id, code, detail, message });
        }
        Ok(Receipt {
            request_id,
            sequence,
            writer_epoch: reply.writer_epoch,
            first_lsn: reply.first_lsn,
            last_lsn: reply.last_lsn,
            level_reached: reply.level_reached,
            already_applied: reply.already_applied,
            errors: reply.errors,
        })
    }
}

/// A write on its way, kept whole so that it can be sent again.
#[derive(Debug)]
struct Frame {
    request_id: u64,
    sequence: u64,
    level: Level,
    bytes: Vec<u8>,
}

/// In the order in which they were sent: by request id and by sequence.
#[derive(Debug, Default)]
pub(super) struct Flight {
    frames: VecDeque<Frame>,
    size: usize,
    /// The newest frames that were not sent yet, and their bytes.
    unsent_count: usize,
    unsent_size: usize,
    arrived: VecDeque<(u64, Result<Receipt, ClientError>)>,
    spare: Vec<Vec<u8>>,
    spare_size: usize,
}

impl Flight {
    pub fn count(&self) -> usize {
        self.frames.len()
    }

    /// Whether one more frame of `size` bytes may go. Always, if none is in flight.
    pub fn has_room_for(&self, size: usize) -> bool {
        let count = self.frames.len();
        count == 0 || (count < FRAME_COUNT_MAX && self.size + size <= SIZE_MAX)
    }

    /// An empty buffer for a frame.
    pub fn buffer(&mut self) -> Vec<u8> {
        let buffer = self.spare.pop().unwrap_or_default();
        self.spare_size -= buffer.capacity();
        buffer
    }

    /// Adds a frame, to be sent next.
    pub fn add(&mut self, request_id: u64, sequence: u64, level: Level, bytes: Vec<u8>) {
        debug_assert!(self.frames.back().is_none_or(|last| last.request_id < request_id));
        self.size += bytes.len();
        self.unsent_count += 1;
        self.unsent_size += bytes.len();
        self.frames.push_back(Frame { request_id, sequence, level, bytes });
    }

    /// Whether a frame was not sent yet.
    pub fn has_unsent(&self) -> bool {
        self.unsent_count > 0
    }

    /// The bytes of the frames that were not sent yet, together.
    pub fn unsent_size(&self) -> usize {
        self.unsent_size
    }

    /// The bytes of each of them, oldest first.
    pub fn unsent(&self) -> impl Iterator<Item = &[u8]> {
        let sent = self.frames.len() - self.unsent_count;
        self.frames.range(sent..).map(|frame| frame.bytes.as_slice())
    }

    /// Every frame was sent.
    pub fn note_sent(&mut self) {
        (self.unsent_count, self.unsent_size) = (0, 0);
    }

    /// Whether a single frame is in flight, and its answer waits for no sync.
    pub fn awaits_one_unsynced(&self) -> bool {
        self.frames.len() == 1 && self.frames[0].level == Level::Accepted
    }

    /// The bytes of every frame, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|frame| frame.bytes.as_slice())
    }

    /// Whether the frame is in flight.
    pub fn holds(&self, request_id: u64) -> bool {
        self.place(request_id).is_some()
    }

    /// Files the answer to a frame; returns its last LSN if it was applied.
    pub fn answered(&mut self, request_id: u64, reply: WriteReply) -> Option<u64> {
        let place = self.place(request_id)?;
        let is_unsent = place >= self.frames.len() - self.unsent_count;
        let frame = self.frames.remove(place)?;
        self.size -= frame.bytes.len();
        if is_unsent {
            // No coordinator should know of it.
            self.unsent_count -= 1;
            self.unsent_size -= frame.bytes.len();
        }
        let mut bytes = frame.bytes;
        let size = bytes.capacity();
        if self.spare.len() < SPARE_COUNT_MAX && self.spare_size + size <= SPARE_SIZE_MAX {
            bytes.clear();
            self.spare_size += size;
            self.spare.push(bytes);
        }
        let outcome = Receipt::new(request_id, frame.sequence, reply);
        let lsn = outcome.as_ref().ok().map(|receipt| receipt.last_lsn);
        self.arrived.push_back((request_id, outcome));
        lsn
    }

    /// The answer to one frame, if it has come.
    pub fn take(&mut self, request_id: u64) -> Option<Result<Receipt, ClientError>> {
        // The newest is the likeliest: it is what `write` waits for.
        let place = self.arrived.iter().rposition(|(id, _)| *id == request_id)?;
        self.arrived.remove(place).map(|(_, outcome)| outcome)
    }

    /// The answer that came first.
    pub fn take_first(&mut self) -> Option<Result<Receipt, ClientError>> {
        self.arrived.pop_front().map(|(_, outcome)| outcome)
    }

    /// All answers in the order in which they came; if one of them is a refusal, that one alone,
    /// and the others stay.
    pub fn take_all(&mut self) -> Result<Vec<Receipt>, ClientError> {
        if let Some(place) = self.arrived.iter().position(|(_, outcome)| outcome.is_err())
            && let Some((_, Err(refused))) = self.arrived.remove(place)
        {
            return Err(refused);
        }
        self.arrived.drain(..).map(|(_, outcome)| outcome).collect()
    }

    fn place(&self, request_id: u64) -> Option<usize> {
        self.frames.binary_search_by_key(&request_id, |frame| frame.request_id).ok()
    }
}
