//! Writing: each call is one frame, and waits for the level that the handle was opened with.

use sutra_client::{
    Associate, Batch, BatchError, Client, ClientError, Disassociate, Forget, Learn, Level,
    OperationError, Receipt, Reinforce, Touch, WriterStats,
};

use crate::error::StoreError;
use crate::store::Store;

/// Frames of a bulk write are closed at about this size: large enough for the log, small enough that
/// others get their turn.
const FRAME_SIZE: usize = 1 << 20;

/// What became of operations that were written in bulk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchReceipt {
    /// The first LSN of what was applied; 0 if there was nothing to do.
    pub first_lsn: u64,
    /// The last one.
    pub last_lsn: u64,
    /// The operations that were not applied, by their place in the call; the others were.
    pub errors: Vec<OperationError>,
}

/// Operations for one bulk write, encoded into as many frames as they take.
#[derive(Clone, Debug)]
pub struct Frames {
    batches: Vec<Batch>,
    /// The place in the call of each frame's first operation.
    starts: Vec<u32>,
    count: u32,
    empty: Batch,
}

impl Frames {
    /// Adds an operation to the last frame, or to a new one if that is full.
    ///
    /// # Errors
    /// If the operation cannot be framed.
    pub fn add(
        &mut self,
        mut add: impl FnMut(&mut Batch) -> Result<(), BatchError>,
    ) -> Result<(), BatchError> {
        let is_open = self.batches.last().is_some_and(|batch| batch.size() < FRAME_SIZE);
        if !is_open {
            self.begin();
        }
        let Some(batch) = self.batches.last_mut() else {
            unreachable!("a frame was begun");
        };
        match add(batch) {
            Err(BatchError::Full { .. }) if !batch.is_empty() => {
                self.begin();
                self.batches.last_mut().map_or(Ok(()), add)?;
            }
            added => added?,
        }
        self.count += 1;
        Ok(())
    }

    fn begin(&mut self) {
        self.batches.push(self.empty.clone());
        self.starts.push(self.count);
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Store {
    /// An empty batch in the handle's namespace.
    pub fn batch(&self) -> Batch {
        let mut batch = Batch::new();
        batch.namespace(&self.options.namespace);
        batch
    }

    /// Writes a batch as one frame, and waits until it has reached `level`. Operations that were
    /// refused are in the receipt, unless the batch is atomic: then the first is the error.
    ///
    /// # Errors
    /// See [`StoreError`]. After [`StoreError::Unanswered`] and [`StoreError::CoordinatorStalled`] it
    /// may have been applied; after every other it was not.
    pub fn write(&self, batch: &Batch, level: Level) -> Result<Receipt, StoreError> {
        self.inner()?.channel.with_client(|client| Ok(client.write(batch, level)?))
    }

    /// Writes one operation; its LSN, or why it was refused.
    fn write_one(
        &self,
        add: impl FnOnce(&mut Batch) -> Result<(), BatchError>,
    ) -> Result<u64, StoreError> {
        let mut batch = self.batch();
        add(&mut batch)?;
        let receipt = self.write(&batch, self.options.level)?;
        match receipt.errors.into_iter().next() {
            Some(refused) => Err(StoreError::Refused(refused)),
            None => Ok(receipt.last_lsn),
        }
    }

    /// Learns a concept, or a new version of one; its LSN.
    ///
    /// # Errors
    /// As of [`Store::write`], and [`StoreError::Refused`].
    pub fn learn(&self, learn: &Learn<'_>) -> Result<u64, StoreError> {
        self.write_one(|batch| batch.learn(learn))
    }

    /// Makes an association, or a new version of one; its LSN.
    ///
    /// # Errors
    /// As of [`Store::learn`].
    pub fn associate(&self, associate: &Associate<'_>) -> Result<u64, StoreError> {
        self.write_one(|batch| batch.associate(associate))
    }

    /// Makes a concept stronger or weaker; its LSN.
    ///
    /// # Errors
    /// As of [`Store::learn`].
    pub fn reinforce(&self, reinforce: &Reinforce<'_>) -> Result<u64, StoreError> {
        self.write_one(|batch| batch.reinforce(reinforce))
    }

    /// Counts accesses to a concept; its LSN.
    ///
    /// # Errors
    /// As of [`Store::learn`].
    pub fn touch(&self, touch: &Touch<'_>) -> Result<u64, StoreError> {
        self.write_one(|batch| batch.touch(touch))
    }

    /// Forgets a concept and its associations; its LSN.
    ///
    /// # Errors
    /// As of [`Store::learn`].
    pub fn forget(&self, forget: &Forget<'_>) -> Result<u64, StoreError> {
        self.write_one(|batch| batch.forget(forget))
    }

    /// Ends associations; its LSN.
    ///
    /// # Errors
    /// As of [`Store::learn`].
    pub fn disassociate(&self, disassociate: &Disassociate<'_>) -> Result<u64, StoreError> {
        self.write_one(|batch| batch.disassociate(disassociate))
    }

    /// Learns many concepts, in frames that are sent without waiting for each other.
    ///
    /// # Errors
    /// As of [`Store::write`]; frames before the one that failed may have been applied. A concept
    /// that was refused is in the receipt.
    pub fn learn_batch<'a>(
        &self,
        learns: impl IntoIterator<Item = Learn<'a>>,
    ) -> Result<BatchReceipt, StoreError> {
        let mut frames = self.frames();
        for learn in learns {
            frames.add(|batch| batch.learn(&learn))?;
        }
        self.write_frames(&frames)
    }

    /// Makes many associations, likewise.
    ///
    /// # Errors
    /// As of [`Store::learn_batch`].
    pub fn associate_batch<'a>(
        &self,
        associations: impl IntoIterator<Item = Associate<'a>>,
    ) -> Result<BatchReceipt, StoreError> {
        let mut frames = self.frames();
        for associate in associations {
            frames.add(|batch| batch.associate(&associate))?;
        }
        self.write_frames(&frames)
    }

    /// An empty collection for one bulk write in the handle's namespace.
    pub fn frames(&self) -> Frames {
        Frames { batches: Vec::new(), starts: Vec::new(), count: 0, empty: self.batch() }
    }

    /// Writes all frames, without waiting for one before the next is sent.
    ///
    /// # Errors
    /// As of [`Store::learn_batch`].
    pub fn write_frames(&self, frames: &Frames) -> Result<BatchReceipt, StoreError> {
        let level = self.options.level;
        self.inner()?.channel.with_client(|client| {
            let mut ids = Vec::with_capacity(frames.batches.len());
            for batch in &frames.batches {
                ids.push(client.submit(batch, level)?);
            }
            let mut done = BatchReceipt::default();
            for receipt in client.drain()? {
                let frame = ids.binary_search(&receipt.request_id).ok();
                let start = frame.map_or(0, |frame| frames.starts[frame]);
                let at_call = |error: OperationError| OperationError {
                    index: start.saturating_add(error.index),
                    ..error
                };
                done.errors.extend(receipt.errors.into_iter().map(at_call));
                done.first_lsn = match done.first_lsn {
                    0 => receipt.first_lsn,
                    first => first.min(receipt.first_lsn),
                };
                done.last_lsn = done.last_lsn.max(receipt.last_lsn);
            }
            done.errors.sort_by_key(|error| error.index);
            Ok(done)
        })
    }

    /// A connection of the caller's own, to have many frames in flight. What is acknowledged on it
    /// is not waited for by [`Store::snapshot`]. Drop it before the store: a host that ends takes
    /// its connections with it.
    ///
    /// # Errors
    /// As of [`Store::write`].
    pub fn connect(&self) -> Result<Client, StoreError> {
        self.inner()?.channel.connect()
    }

    /// Makes everything written before it durable, visible and checkpointed.
    ///
    /// # Errors
    /// As of [`Store::write`].
    pub fn flush(&self) -> Result<Receipt, StoreError> {
        self.inner()?.channel.with_client(|client| Ok(client.flush()?))
    }

    /// The coordinator's figures; `None` if none is there and none may be hosted here.
    ///
    /// # Errors
    /// As of [`Store::write`].
    pub(crate) fn writer_stats(&self) -> Result<Option<WriterStats>, StoreError> {
        match self.inner()?.channel.with_client(|client| Ok(client.stats()?)) {
            Ok(stats) => Ok(Some(stats)),
            Err(
                StoreError::ReadOnly { .. }
                | StoreError::NoWriter { .. }
                | StoreError::NotWritable { .. }
                | StoreError::NotRunning(ClientError::NotRunning { .. }),
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
