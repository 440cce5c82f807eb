//! Writing: each call is one frame, and waits for the level that the handle was opened with.

use sutra_client::{
    Associate, Batch, BatchError, Client, ClientError, Disassociate, Forget, Learn, Level, Receipt,
    Reinforce, Touch, WriterStats,
};

use crate::bulk::{BatchReceipt, Bulk};
use crate::error::StoreError;
use crate::store::Store;

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
        let mut bulk = self.bulk()?;
        for learn in learns {
            bulk.add(|batch| batch.learn(&learn))?;
        }
        bulk.finish()
    }

    /// Makes many associations, likewise.
    ///
    /// # Errors
    /// As of [`Store::learn_batch`].
    pub fn associate_batch<'a>(
        &self,
        associations: impl IntoIterator<Item = Associate<'a>>,
    ) -> Result<BatchReceipt, StoreError> {
        let mut bulk = self.bulk()?;
        for associate in associations {
            bulk.add(|batch| batch.associate(&associate))?;
        }
        bulk.finish()
    }

    /// The beginning of one bulk write in the handle's namespace.
    ///
    /// # Errors
    /// As of [`Store::open`], in a forked child, whose handle opens for itself.
    pub fn bulk(&self) -> Result<Bulk<'_>, StoreError> {
        Ok(Bulk::new(&self.inner()?.channel, self.batch(), self.options.level))
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
