//! Writing: each call is one frame, and waits for the level that the handle was opened with.

use sutra_client::{
    Associate, Batch, BatchError, ClientError, Disassociate, Forget, Learn, Level, OperationError,
    Receipt, Reinforce, Touch, WriterStats,
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
        self.write_many(learns, |batch, learn| batch.learn(learn))
    }

    /// Makes many associations, likewise.
    ///
    /// # Errors
    /// As of [`Store::learn_batch`].
    pub fn associate_batch<'a>(
        &self,
        associations: impl IntoIterator<Item = Associate<'a>>,
    ) -> Result<BatchReceipt, StoreError> {
        self.write_many(associations, |batch, associate| batch.associate(associate))
    }

    fn write_many<T>(
        &self,
        operations: impl IntoIterator<Item = T>,
        add: impl Fn(&mut Batch, &T) -> Result<(), BatchError>,
    ) -> Result<BatchReceipt, StoreError> {
        let level = self.options.level;
        self.inner()?.channel.with_client(|client| {
            let mut batch = self.batch();
            // Request ids ascend, so a frame's place is found by its own.
            let (mut starts, mut start, mut count) = (Vec::new(), 0_u32, 0_u32);
            for operation in operations {
                if batch.size() >= FRAME_SIZE {
                    starts.push((client.submit(&batch, level)?, start));
                    batch.clear();
                    start = count;
                }
                match add(&mut batch, &operation) {
                    Err(BatchError::Full { .. }) if !batch.is_empty() => {
                        starts.push((client.submit(&batch, level)?, start));
                        batch.clear();
                        start = count;
                        add(&mut batch, &operation)?;
                    }
                    added => added?,
                }
                count += 1;
            }
            if !batch.is_empty() {
                starts.push((client.submit(&batch, level)?, start));
            }
            let mut done = BatchReceipt::default();
            for receipt in client.drain()? {
                let start = starts.iter().find(|(id, _)| *id == receipt.request_id);
                let start = start.map_or(0, |(_, start)| *start);
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
