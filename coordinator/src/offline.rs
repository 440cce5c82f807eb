//! A store that is written where it lies, without a socket: by whoever has a frame in hand.
//!
//! It goes through the same rooms as a served one: recovery, the reconciler, the publisher, the
//! checkpointer. Only the loop and its threads are missing, so each step is the caller's.

use sutra_client::protocol::{FrameHeader, HEADER_SIZE, Request, WriteReply};
use sutra_layout::slot::Slot;

use crate::checkpoint::Checkpointer;
use crate::decide::Decider;
use crate::error::CoordinatorError;
use crate::options::Options;
use crate::poison;
use crate::reconciler::{Reconciler, Session};
use crate::recovery::{self, State};
use crate::store_dir::StoreDir;

/// The writer of a store that nobody serves. Dropped, it ends as by a kill.
#[derive(Debug)]
pub struct Offline {
    reconciler: Reconciler,
    checkpointer: Checkpointer,
    state: State,
    /// The locks, given back last.
    dir: StoreDir,
}

impl Offline {
    /// Takes the locks of the store in `options.store`, makes it if it is new, and recovers it.
    ///
    /// # Errors
    /// As those of [`run`](crate::run).
    pub fn open(options: &Options) -> Result<Offline, CoordinatorError> {
        let dir = StoreDir::acquire(&options.store, &options.program, &options.socket_path())?;
        let opened = recovery::open(&dir, options)?;
        let state = opened.state;
        let (reconciler, checkpointer) =
            Reconciler::new(opened, Decider::new(options.metric, options.graph));
        Ok(Offline { reconciler, checkpointer, state, dir })
    }

    /// How the store was found.
    pub fn state(&self) -> State {
        self.state
    }

    /// One write frame of a client, header and all: decided, logged, applied. It is neither durable
    /// nor visible before [`Offline::publish`].
    ///
    /// # Errors
    /// Only what ends a coordinator; a refusal is a reply.
    ///
    /// # Panics
    /// If `frame` is not one whole write frame.
    pub fn write(
        &mut self,
        client_id: [u8; 16],
        author: &str,
        frame: &[u8],
    ) -> Result<WriteReply, CoordinatorError> {
        let (header, body) = frame.split_first_chunk::<HEADER_SIZE>().expect("a frame");
        let header = FrameHeader::parse(header, u32::MAX).expect("the header of a frame");
        let Ok(Request::Write(write)) = Request::decode(header.kind, body) else {
            panic!("the frame is no write");
        };
        let session = Session { client_id, author: author.to_owned() };
        let answer = self.reconciler.write(&session, &write);
        let answer = answer.and_then(|answer| self.reconciler.commit().map(|()| answer));
        Ok(answer.inspect_err(|error| poison::mark(&self.dir, error))?.reply)
    }

    /// Makes all that was written durable, then visible.
    ///
    /// # Errors
    /// Whatever ends a coordinator.
    pub fn publish(&mut self) -> Result<(), CoordinatorError> {
        self.try_publish().inspect_err(|error| poison::mark(&self.dir, error))
    }

    fn try_publish(&mut self) -> Result<(), CoordinatorError> {
        self.reconciler.settle()?;
        let durable_lsn = self.reconciler.wal.syncer().sync()?;
        let slot = Slot { durable_lsn, ..self.reconciler.writer.now };
        self.reconciler.publisher.publish(&slot, true)
    }

    /// Publishes, and makes the file hold everything without the log; the log is then recycled.
    ///
    /// # Errors
    /// Whatever ends a coordinator.
    pub fn checkpoint(&mut self) -> Result<(), CoordinatorError> {
        self.try_checkpoint().inspect_err(|error| poison::mark(&self.dir, error))
    }

    fn try_checkpoint(&mut self) -> Result<(), CoordinatorError> {
        self.try_publish()?;
        let slot = *self.reconciler.publisher.last();
        self.checkpointer.write(&slot, &self.reconciler.writer.clients.table(), false)?;
        self.reconciler.wal.recycle(slot.published_lsn)?;
        Ok(())
    }

    /// Ends it in good order: everything is on disk, and the file opens anywhere without its log.
    /// Returns the last log entry.
    ///
    /// # Errors
    /// Whatever ends a coordinator.
    pub fn close(mut self) -> Result<u64, CoordinatorError> {
        self.try_close().inspect_err(|error| poison::mark(&self.dir, error))
    }

    fn try_close(&mut self) -> Result<u64, CoordinatorError> {
        self.try_publish()?;
        let Reconciler { writer, publisher, .. } = &self.reconciler;
        let slot = Slot { commit_seq: publisher.last().commit_seq + 1, ..*publisher.last() };
        self.checkpointer.write(&slot, &writer.clients.table(), true)?;
        writer.image.stop_beating();
        Ok(slot.published_lsn)
    }
}
