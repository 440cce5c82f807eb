//! The write-ahead log: entries numbered by LSN, in segments that are zeroed ahead and
//! used again. Payloads are opaque bytes.
//!
//! - [`Wal::append`] returns when the entries are in the system's hands: they survive a
//!   kill of this process. One group, one `pwritev`.
//! - [`Syncer::sync`] makes them survive the loss of power, one fdatasync for all that
//!   wait. The first failure of either is final.
//! - [`Wal::open`] walks the log and gives back every entry behind the checkpoint. What
//!   was torn is cut; what was once synced and cannot be read is [`WalError::Damaged`].
//!
//! How the bytes lie is drawn in `format.rs`, how tail and damage are told apart in
//! `replay.rs`, how a segment comes to be in `workshop.rs`.
//!
//! One process writes a log at a time; the lock that sees to it (an flock on this
//! directory) is the coordinator's. The log never looks into a payload, and knows
//! neither records nor frames.

mod append;
mod archive;
mod archiver;
mod directory;
mod error;
mod follow;
mod format;
mod gather;
mod inspect;
mod open;
mod prepare;
mod replay;
mod segment;
mod sync;
#[cfg(test)]
mod tests;
mod workshop;

pub use append::Wal;
pub use archive::{ArchivedSegment, History, archive_log, archived_segments, make_archive};
pub use error::{Proof, VisitError, WalError};
pub use follow::Follower;
pub use format::{PAYLOAD_SIZE_MAX, entry_size};
pub use inspect::{Inspection, SegmentReport, inspect, inspect_with, store_id};
pub use open::{Place, Recovery};
pub use replay::Visit;
pub use sync::Syncer;

/// One entry to append. Its payload is `head` and `body`, one behind the other: what the
/// coordinator puts before a frame, and the frame as it came from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// One more than that of the entry before.
    pub lsn: u64,
    /// First part of the payload, may be empty.
    pub head: &'a [u8],
    /// Second part of the payload, may be empty.
    pub body: &'a [u8],
}

impl Entry<'_> {
    /// Size of the payload: what [`entry_size`] takes.
    #[must_use]
    pub fn payload_size(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// Sizes, and what a restart knows of the last run. The default is for production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of the first segment: 1 MiB. A multiple of 4096, at least 8192.
    pub segment_size_first: u64,
    /// New segments double up to this: 64 MiB. Larger ones are made for single large
    /// appends only. Spares together take no more than this either.
    pub segment_size_max: u64,
    /// Set when the last run ended with a failed sync: segments are read past the page cache,
    /// so that only what is on disk counts, and new entries go to a new file.
    pub distrust_page_cache: bool,
    /// Set when the last run stopped cleanly, or was killed in this boot: no entry above this LSN was
    /// ever acknowledged, so that once all up to it are read nothing behind them is looked at.
    pub acknowledged_lsn: Option<u64>,
}

impl Options {
    /// Segments that begin at that size.
    #[must_use]
    pub fn with_first_segment(size: u64) -> Options {
        Options {
            segment_size_first: size,
            segment_size_max: 64 * size,
            distrust_page_cache: false,
            acknowledged_lsn: None,
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::with_first_segment(1 << 20)
    }
}

/// What the coordinator needs of a log, so that another may stand behind it: a stream of
/// a distributed log, or one in memory.
pub trait Log {
    /// The half that makes entries durable, from any thread.
    type Syncer: LogSyncer;

    /// Sees to it that the next append, of at most `entries_size` bytes in all (the sum
    /// of [`entry_size`]), finds its space. Not cumulative.
    ///
    /// # Errors
    ///
    /// [`WalError::StorageFull`], after which the log is as it was.
    fn reserve(&mut self, entries_size: u64) -> Result<(), WalError>;

    /// Writes entries, numbered on from [`Log::written_lsn`]. Afterwards they survive the
    /// death of this process.
    ///
    /// # Errors
    ///
    /// [`WalError::StorageFull`] and [`WalError::TooLarge`] before anything is written;
    /// any other is final.
    fn append(&mut self, writer_epoch: u64, entries: &[Entry<'_>]) -> Result<(), WalError>;

    /// LSN of the last entry written.
    fn written_lsn(&self) -> u64;

    /// A handle that makes written entries durable.
    fn syncer(&self) -> Self::Syncer;

    /// Entries up to `up_to_lsn` will not be read again.
    ///
    /// # Errors
    ///
    /// [`WalError::Poisoned`].
    fn recycle(&mut self, up_to_lsn: u64) -> Result<(), WalError>;

    /// Calls `visit` for every entry above `after_lsn` that has been written.
    ///
    /// # Errors
    ///
    /// [`WalError::Damaged`] if one of them cannot be read, [`WalError::Visit`] if the
    /// visitor refuses one.
    fn replay(&self, after_lsn: u64, visit: Visit<'_>) -> Result<(), WalError>;
}

/// The durable half of a [`Log`].
pub trait LogSyncer: Clone + Send + 'static {
    /// Makes all that was written before the call durable, and returns its LSN.
    ///
    /// # Errors
    ///
    /// Any error is final: the log accepts nothing after it.
    fn sync(&self) -> Result<u64, WalError>;

    /// LSN up to which the log is on disk.
    fn durable_lsn(&self) -> u64;
}
