//! Writing in bulk: a frame is sent as soon as it is full, and applied while the next one is encoded.

use sutra_client::{Batch, BatchError, Client, Level, OperationError};

use crate::error::StoreError;
use crate::store::Channel;

/// Frames of a bulk write are closed at about this size: large enough for the log, small enough that
/// others get their turn, and that the coordinator soon has something to do.
const FRAME_SIZE: usize = 512 << 10;

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

/// One bulk write under way, on a connection of its own.
///
/// What was added is applied for certain once [`Bulk::finish`] says so; if it is dropped before, some
/// of it may be.
#[derive(Debug)]
pub struct Bulk<'s> {
    channel: &'s Channel,
    level: Level,
    /// There from the first frame on.
    client: Option<Client>,
    batch: Batch,
    /// The request id of each frame sent, and the place in the call of its first operation.
    sent: Vec<(u64, u32)>,
    count: u32,
}

impl<'s> Bulk<'s> {
    pub(crate) fn new(channel: &'s Channel, batch: Batch, level: Level) -> Bulk<'s> {
        Bulk { channel, level, client: None, batch, sent: Vec::new(), count: 0 }
    }

    /// Adds an operation, and sends the frame if that is full.
    ///
    /// # Errors
    /// An operation that cannot be framed is left out; those before it stay. Otherwise as of
    /// [`Store::write`](crate::Store::write).
    pub fn add(
        &mut self,
        add: impl FnMut(&mut Batch) -> Result<(), BatchError>,
    ) -> Result<(), StoreError> {
        self.put(add)?;
        if self.is_full() { self.send() } else { Ok(()) }
    }

    /// Adds an operation, and sends only if there is no room for it. Whoever adds so sends what
    /// [is full](Bulk::is_full).
    ///
    /// # Errors
    /// As of [`Bulk::add`].
    pub fn put(
        &mut self,
        mut add: impl FnMut(&mut Batch) -> Result<(), BatchError>,
    ) -> Result<(), StoreError> {
        match add(&mut self.batch) {
            Err(BatchError::Full { .. }) if !self.batch.is_empty() => {
                self.send()?;
                add(&mut self.batch)?;
            }
            added => added?,
        }
        self.count += 1;
        Ok(())
    }

    /// Whether the frame begun is large enough to be sent.
    pub fn is_full(&self) -> bool {
        self.batch.size() >= FRAME_SIZE
    }

    /// Sends the frame begun, without waiting for its answer.
    ///
    /// # Errors
    /// As of [`Bulk::add`].
    pub fn send(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(self.channel.client()?),
        };
        let start = self.count - self.batch.len() as u32;
        self.sent.push((client.submit(&self.batch, self.level)?, start));
        self.batch.clear();
        Ok(())
    }

    /// Sends what is left, and waits until all of it has reached the handle's level.
    ///
    /// # Errors
    /// As of [`Bulk::add`]; frames may have been applied all the same.
    pub fn finish(mut self) -> Result<BatchReceipt, StoreError> {
        self.send()?;
        let mut done = BatchReceipt::default();
        let Some(mut client) = self.client.take() else {
            return Ok(done);
        };
        for receipt in client.drain()? {
            let frame = self.sent.binary_search_by_key(&receipt.request_id, |(id, _)| *id).ok();
            let start = frame.map_or(0, |frame| self.sent[frame].1);
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
        self.channel.put_back(client);
        Ok(done)
    }
}
