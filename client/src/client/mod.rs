//! A blocking client: one connection, many frames in flight, each applied exactly once.
//!
//! A write is kept until it is answered. When the connection is lost, the client connects again and
//! sends everything unanswered again, in order, under the same sequence numbers; what had been
//! applied is answered as such. So a coordinator that is killed and started again is a pause.

mod builder;
mod connection;
mod dial;
mod flight;
mod link;
mod read;

use std::path::Path;
use std::time::Duration;

use sutra_layout::id::Id;

pub use builder::ClientBuilder;
pub use dial::Dial;
pub use flight::Receipt;
use link::Link;

use crate::batch::{Batch, BatchError};
use crate::error::ClientError;
use crate::protocol::compact::encode_compact;
use crate::protocol::frame::{FrameKind, HEADER_SIZE, write_frame};
use crate::protocol::write::WRITE_PREFIX_SIZE;
use crate::protocol::{
    CompactReply, Compacted, Horizon, Level, ProtocolError, Refusal, Reply, Wait, WriterStats,
};

/// A blocking client of one store's coordinator.
///
/// Not to be shared between threads at the same time; open one for each. After a fork, the child's
/// first call opens a connection of its own under a new client id; what the parent has in flight
/// stays the parent's.
#[derive(Debug)]
pub struct Client {
    link: Link,
    deadline: Duration,
}

impl Client {
    /// Connects to the coordinator of the store in that directory, or to one that listens on the
    /// loopback interface: `127.0.0.1:PORT`, `[::1]:PORT` or `localhost:PORT`. A relative directory
    /// of such a name is written `./127.0.0.1:PORT`.
    pub fn connect(store: impl AsRef<Path>) -> Result<Client, ClientError> {
        Client::builder(store).connect()
    }

    /// Says more about how to connect.
    pub fn builder(store: impl AsRef<Path>) -> ClientBuilder {
        ClientBuilder::new(store.as_ref())
    }

    fn new(builder: ClientBuilder) -> Result<Client, ClientError> {
        let deadline = builder.deadline;
        Ok(Client { link: Link::new(builder)?, deadline })
    }

    /// Writes a batch and waits until it has reached `level`. Writes that were
    /// [submitted](Client::submit) earlier go first.
    ///
    /// A refusal of the whole frame is an error; refused operations are in the receipt. When the
    /// coordinator does not answer in time that is [`ClientError::Unanswered`], and the write stays
    /// in flight.
    pub fn write(&mut self, batch: &Batch, level: Level) -> Result<Receipt, ClientError> {
        let (request_id, sequence) = self.send(batch, level, 0)?;
        loop {
            if let Some(outcome) = self.link.flight.take(request_id) {
                return outcome;
            }
            let advanced = self.link.advance();
            advanced.map_err(|source| unanswered(request_id, sequence, source))?;
        }
    }

    /// Sends a batch without waiting for its answer and returns its request id; the answer comes
    /// from [`Client::next_receipt`] or [`Client::drain`]. A client that
    /// [gathers](ClientBuilder::gather) may keep it for a while, to send it with others.
    ///
    /// At most 256 frames or 32 MiB are in flight; above that it waits for answers, which are kept
    /// until they are asked for.
    pub fn submit(&mut self, batch: &Batch, level: Level) -> Result<u64, ClientError> {
        let gathered_size = self.link.options.gathered_size;
        self.send(batch, level, gathered_size).map(|(request_id, _)| request_id)
    }

    /// Sends what was submitted and [gathered](ClientBuilder::gather) so far.
    pub fn send_gathered(&mut self) -> Result<(), ClientError> {
        self.link.begin(self.deadline)?;
        self.link.send_unsent()
    }

    /// Sends a batch, once there are so many bytes to send; its request id and sequence number.
    fn send(
        &mut self,
        batch: &Batch,
        level: Level,
        gathered_size: usize,
    ) -> Result<(u64, u64), ClientError> {
        self.link.begin(self.deadline)?;
        let size = HEADER_SIZE + WRITE_PREFIX_SIZE + batch.size();
        let hello = self.link.hello();
        if size - HEADER_SIZE > hello.frame_size_max as usize
            || batch.len() > hello.operations_per_frame_max as usize
        {
            let operation_count = batch.len() as u32;
            return Err(BatchError::Full { operation_count, size: batch.size() }.into());
        }
        while !self.link.flight.has_room_for(size) {
            self.link.advance()?;
        }
        // Connected before it is added, so that it is not sent twice: once by connecting.
        self.link.ensure_connected()?;
        let request_id = self.link.next_request_id();
        let sequence = self.link.next_sequence;
        let mut bytes = self.link.flight.buffer();
        batch.encode(request_id, sequence, level, &mut bytes);
        self.link.next_sequence += 1;
        self.link.flight.add(request_id, sequence, level, bytes);
        if self.link.flight.unsent_size() >= gathered_size {
            let sent = self.link.send_unsent();
            sent.map_err(|source| unanswered(request_id, sequence, source))?;
        }
        Ok((request_id, sequence))
    }

    /// The next answer to a submitted frame, in the order in which they come; waits for one if
    /// frames are in flight, and is `None` if none is.
    ///
    /// A refused frame is [`ClientError::Refused`] with its request id; ask again for the others.
    pub fn next_receipt(&mut self) -> Result<Option<Receipt>, ClientError> {
        self.link.begin(self.deadline)?;
        loop {
            if let Some(outcome) = self.link.flight.take_first() {
                return outcome.map(Some);
            }
            if self.link.flight.count() == 0 {
                return Ok(None);
            }
            self.link.advance()?;
        }
    }

    /// Waits until nothing is in flight and returns every answer not yet taken, in the order in
    /// which they came.
    ///
    /// If frames were refused, the first refusal is the error; the other answers stay and are
    /// returned by the next call.
    pub fn drain(&mut self) -> Result<Vec<Receipt>, ClientError> {
        self.link.begin(self.deadline)?;
        while self.link.flight.count() > 0 {
            self.link.advance()?;
        }
        self.link.flight.take_all()
    }

    /// Makes everything sent before it durable, visible and checkpointed.
    pub fn flush(&mut self) -> Result<Receipt, ClientError> {
        self.link.begin(self.deadline)?;
        let request_id = self.link.next_request_id();
        let mut frame = Vec::new();
        write_frame(&mut frame, FrameKind::Flush, request_id, |_| {});
        match self.link.ask(request_id, frame)? {
            Reply::Flush(reply) => {
                let receipt = Receipt::new(request_id, 0, reply)?;
                self.link.last_lsn = self.link.last_lsn.max(receipt.last_lsn);
                Ok(receipt)
            }
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// Waits until `lsn` has reached `level` and returns how far that level has come;
    /// [`ClientError::Timeout`] if it does not in time.
    pub fn wait(&mut self, lsn: u64, level: Level, timeout: Duration) -> Result<u64, ClientError> {
        self.link.begin(self.deadline.saturating_add(timeout))?;
        let request_id = self.link.next_request_id();
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let mut frame = Vec::new();
        Wait { lsn, level, timeout_ms }.encode(request_id, &mut frame);
        match self.link.ask(request_id, frame)? {
            Reply::Wait(reply) if reply.timed_out => {
                Err(ClientError::Timeout { lsn, reached: reply.lsn, waited: timeout })
            }
            Reply::Wait(reply) => Ok(reply.lsn),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// The coordinator's figures.
    pub fn stats(&mut self) -> Result<WriterStats, ClientError> {
        self.link.begin(self.deadline)?;
        let request_id = self.link.next_request_id();
        let mut frame = Vec::new();
        write_frame(&mut frame, FrameKind::Stats, request_id, |_| {});
        match self.link.ask(request_id, frame)? {
            Reply::Stats(stats) => Ok(stats),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// Has the coordinator make the next generation of the file, and waits for it, at most as long
    /// as `timeout`; it goes on without the client, too. Writers and readers go on meanwhile.
    ///
    /// Concepts to purge are named by namespace and id: nothing of them is left, at no time.
    /// [`ClientError::Refused`] says why it was not done, [`ClientError::Lost`] that the coordinator
    /// died, and the store is of the old or the new generation.
    pub fn compact(
        &mut self,
        horizon: Horizon,
        purges: &[(&str, Id<'_>)],
        timeout: Duration,
    ) -> Result<Compacted, ClientError> {
        for (_, id) in purges {
            id.check().map_err(BatchError::from)?;
        }
        self.link.begin(self.deadline.saturating_add(timeout))?;
        let request_id = self.link.next_request_id();
        let mut frame = Vec::new();
        encode_compact(horizon, purges, request_id, &mut frame);
        match self.link.ask_once(request_id, frame)? {
            Reply::Compact(CompactReply { outcome: Ok(done) }) => Ok(done),
            Reply::Compact(CompactReply { outcome: Err(refusal) }) => {
                let Refusal { code, detail, message } = refusal;
                Err(ClientError::Refused { request_id, code, detail, message })
            }
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// Has the coordinator finish, checkpoint and exit, and waits until it has closed the
    /// connection. Waits first for what is in flight.
    ///
    /// If the coordinator dies before it answers, that is [`ClientError::Lost`]: asking again
    /// might stop the one that follows it.
    pub fn stop(&mut self) -> Result<(), ClientError> {
        self.link.begin(self.deadline)?;
        while self.link.flight.count() > 0 {
            self.link.advance()?;
        }
        let request_id = self.link.next_request_id();
        let mut frame = Vec::new();
        write_frame(&mut frame, FrameKind::Stop, request_id, |_| {});
        match self.link.ask_once(request_id, frame)? {
            Reply::Stop => self.link.wait_for_end(),
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// The highest LSN acknowledged to this client; 0 if none was.
    pub fn last_lsn(&self) -> u64 {
        self.link.last_lsn
    }

    /// The id under which this client's sequence numbers count.
    pub fn client_id(&self) -> [u8; 16] {
        self.link.client_id
    }

    /// The sequence number that the next write will have.
    pub fn next_sequence(&self) -> u64 {
        self.link.next_sequence
    }

    /// The highest sequence number of this client that the coordinator had applied when the client
    /// last connected; 0 if it did not know the client.
    pub fn last_sequence_at_connect(&self) -> u64 {
        self.link.hello().last_sequence
    }

    /// How many frames are sent and not answered.
    pub fn in_flight(&self) -> usize {
        self.link.flight.count()
    }

    /// The store's uuid.
    pub fn store_id(&self) -> [u8; 16] {
        self.link.hello().store_id
    }

    /// The epoch of the coordinator that this client last connected to.
    pub fn writer_epoch(&self) -> u64 {
        self.link.hello().writer_epoch
    }

    /// The process of the coordinator that this client last connected to.
    pub fn writer_pid(&self) -> u32 {
        self.link.hello().writer_pid
    }
}

fn unanswered(request_id: u64, sequence: u64, source: ClientError) -> ClientError {
    ClientError::Unanswered { sequence, request_id, source: Box::new(source) }
}

/// What a reply of the wrong kind is called.
fn unexpected_kind(reply: &Reply) -> ProtocolError {
    let kind = match reply {
        Reply::Hello(_) => FrameKind::HelloReply,
        Reply::Write(_) => FrameKind::WriteReply,
        Reply::Flush(_) => FrameKind::FlushReply,
        Reply::Wait(_) => FrameKind::WaitReply,
        Reply::Stats(_) => FrameKind::StatsReply,
        Reply::Stop => FrameKind::StopReply,
        Reply::Compact(_) => FrameKind::CompactReply,
        Reply::Found(_) => FrameKind::FoundReply,
        Reply::Error(_) => FrameKind::Error,
    };
    ProtocolError::UnexpectedKind { kind: kind as u8 }
}
