//! The writer's half: groups of entries into the current segment, and on to the next.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::archiver::Archiver;
use super::directory::Directory;
use super::error::{Proof, VisitError, WalError};
use super::follow::Follower;
use super::format::{GROUP_HEADER_SIZE, GROUPS_OFFSET, Group, PAYLOAD_SIZE_MAX, entry_size};
use super::gather::Gather;
use super::open::Recovery;
use super::prepare::Preparer;
use super::replay::{Reading, Start, Visit, walk};
use super::segment::Segment;
use super::sync::{Shared, Syncer, Unsynced};
use super::workshop::Retired;
use super::{Entry, Log};

/// The most that one append may hold, headers and padding included.
const APPEND_SIZE_MAX: u64 = 1 << 30;

/// The write-ahead log of one store, owned by the one thread that appends.
#[derive(Debug)]
pub struct Wal {
    /// Stopped before the preparer, to which it gives segments.
    pub(super) archiver: Option<Archiver>,
    pub(super) directory: Arc<Directory>,
    pub(super) shared: Arc<Shared>,
    pub(super) preparer: Preparer,
    pub(super) current: Current,
    /// Segments before the current one, oldest first.
    pub(super) closed: VecDeque<Closed>,
    /// Of the last group; it never goes back.
    pub(super) writer_epoch: u64,
    pub(super) appended_size: u64,
    pub(super) recovery: Recovery,
    pub(super) gather: Gather,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) segment: Segment,
    /// Where the next group goes.
    pub(super) offset: u64,
    /// Nothing more goes here, whatever room there is.
    pub(super) sealed: bool,
}

impl Current {
    fn room(&self) -> u64 {
        if self.sealed { 0 } else { self.segment.size.saturating_sub(self.offset) }
    }
}

/// A segment that is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) file: Retired,
    pub(super) last_lsn: u64,
    pub(super) used_size: u64,
}

impl Wal {
    /// Sees to it that the next append, of at most `entries_size` bytes in all (the sum
    /// of [`entry_size`]), finds its space. Not cumulative: a caller that gathers a batch
    /// passes the batch's total each time.
    ///
    /// Nearly always a comparison; waits only if entries come faster than segments can
    /// be zeroed.
    ///
    /// # Errors
    ///
    /// [`WalError::StorageFull`], after which the log is as it was and may be asked
    /// again; [`WalError::TooLarge`] above 1 GiB; [`WalError::Poisoned`].
    pub fn reserve(&mut self, entries_size: u64) -> Result<(), WalError> {
        self.shared.check()?;
        if entries_size > APPEND_SIZE_MAX {
            return Err(WalError::TooLarge { size: entries_size, size_max: APPEND_SIZE_MAX });
        }
        let group_size = entries_size + GROUP_HEADER_SIZE as u64;
        if self.current.room() >= group_size {
            return Ok(());
        }
        let id = &self.current.segment.id;
        self.preparer.require(id.sequence + 1, self.current.segment.size, group_size)
    }

    /// Writes entries, numbered on from [`Wal::written_lsn`]. When it returns they
    /// survive the death of this process; [`Syncer::sync`] is for the loss of power.
    ///
    /// # Errors
    ///
    /// [`WalError::StorageFull`] (not after a [`Wal::reserve`] of the same size) and
    /// [`WalError::TooLarge`] leave the log as it was. [`WalError::Write`] is final, and
    /// how much was written is not known: replay will tell.
    ///
    /// # Panics
    ///
    /// If the LSNs do not follow on, or `writer_epoch` is below that of an earlier entry:
    /// the caller is then no longer the one writer, and must not write.
    pub fn append(&mut self, writer_epoch: u64, entries: &[Entry<'_>]) -> Result<(), WalError> {
        self.shared.check()?;
        assert!(
            writer_epoch >= self.writer_epoch,
            "epoch {writer_epoch} writes after epoch {}",
            self.writer_epoch
        );
        let mut entries_size = 0;
        for (entry, lsn) in entries.iter().zip(self.written_lsn() + 1..) {
            assert_eq!(entry.lsn, lsn, "entries are numbered without a gap");
            if entry.payload_size() > PAYLOAD_SIZE_MAX {
                return Err(WalError::TooLarge {
                    size: entry.payload_size() as u64,
                    size_max: PAYLOAD_SIZE_MAX as u64,
                });
            }
            entries_size += entry_size(entry.payload_size());
        }
        self.reserve(entries_size)?;
        self.writer_epoch = writer_epoch;

        let mut rest = entries;
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(self.fitting_count(rest));
            if group.is_empty() {
                self.move_on();
            } else {
                self.write_group(group)?;
                rest = behind;
            }
        }
        self.prepare_ahead();
        Ok(())
    }

    /// How many of `entries` fit into the current segment.
    fn fitting_count(&self, entries: &[Entry<'_>]) -> usize {
        let room = self.current.room();
        let mut size = GROUP_HEADER_SIZE as u64;
        let fits = |entry: &&Entry<'_>| {
            size += entry_size(entry.payload_size());
            size <= room
        };
        entries.iter().take_while(fits).count()
    }

    fn write_group(&mut self, entries: &[Entry<'_>]) -> Result<(), WalError> {
        let Current { segment, offset, .. } = &mut self.current;
        let size = self.gather.gather(segment, *offset, entries, |body_size| Group {
            salt: segment.id.salt,
            segment: segment.id.sequence,
            offset: *offset,
            first_lsn: entries[0].lsn,
            synced_lsn: self.shared.durable_lsn(),
            writer_epoch: self.writer_epoch,
            entry_count: entries.len() as u32, // each takes 16 bytes of at most 1 GiB
            body_size,
        });
        if let Err(source) = self.gather.write(segment, *offset, entries) {
            let path = self.directory.path_of(&segment.name());
            let error = WalError::Write { path, offset: *offset, source };
            self.shared.poison(&error);
            return Err(error);
        }
        *offset += size;
        self.appended_size += size;
        // From here on the entries survive this process.
        self.shared.set_written(entries[entries.len() - 1].lsn);
        Ok(())
    }

    /// Makes the prepared segment the current one.
    fn move_on(&mut self) {
        let next = self.preparer.take().expect("reserve has seen that one is ready");
        assert_eq!(next.id.sequence, self.current.segment.id.sequence + 1);
        self.shared.begin_file(Unsynced {
            file: Arc::clone(&next.file),
            path: self.directory.path_of(&next.name()),
        });
        let next = Current { segment: next, offset: GROUPS_OFFSET, sealed: false };
        let Current { segment, offset, .. } = std::mem::replace(&mut self.current, next);
        self.closed.push_back(Closed {
            file: Retired { sequence: segment.id.sequence, size: segment.size },
            last_lsn: self.written_lsn(),
            used_size: offset,
        });
    }

    /// Asks for the next segment once a quarter of this one is used: early enough to
    /// zero it, late enough that an idle store stays at one segment of 1 MiB.
    fn prepare_ahead(&self) {
        let segment = &self.current.segment;
        if self.current.offset >= segment.size / 4 || self.current.sealed {
            self.preparer.ask(segment.id.sequence + 1, segment.size);
        }
    }

    /// Entries up to `up_to_lsn` will not be read again: segments that hold nothing else
    /// are kept for reuse, or removed, in the background. To be called once a checkpoint
    /// up to there is on disk. The current segment always stays.
    ///
    /// # Errors
    ///
    /// [`WalError::Poisoned`]: after a failure the log is evidence.
    pub fn recycle(&mut self, up_to_lsn: u64) -> Result<(), WalError> {
        self.shared.check()?;
        assert!(
            up_to_lsn <= self.written_lsn(),
            "recycling up to {up_to_lsn}, only {} is written",
            self.written_lsn()
        );
        let count = self.closed.iter().take_while(|closed| closed.last_lsn <= up_to_lsn).count();
        if count > 0 {
            let retired = self.closed.drain(..count).map(|closed| closed.file);
            match &self.archiver {
                Some(archiver) => archiver.retire(retired),
                None => self.preparer.retirer().retire(retired),
            }
        }
        Ok(())
    }

    /// From now on segments are copied to the directory `archive`, by a thread of its own, before
    /// they are used again.
    ///
    /// # Errors
    ///
    /// [`WalError::Io`] if there can be no such directory.
    pub fn keep_in(&mut self, archive: &Path) -> Result<(), WalError> {
        let (directory, retirer) = (Arc::clone(&self.directory), self.preparer.retirer());
        self.archiver = Some(Archiver::start(directory, archive.to_owned(), retirer)?);
        Ok(())
    }

    /// Calls `visit` for every entry above `after_lsn` that has been written, reading
    /// the files. Those at or below a recycled LSN are gone: passing a lower one is
    /// [`WalError::Damaged`].
    ///
    /// # Errors
    ///
    /// [`WalError::Damaged`] if an entry cannot be read, [`WalError::Visit`] if the
    /// visitor refuses one, [`WalError::Io`].
    pub fn replay(
        &self,
        after_lsn: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<(), WalError> {
        let written_lsn = self.written_lsn();
        let store_id = Some(self.current.segment.id.store_id);
        let walk = walk(
            &self.directory,
            store_id,
            Start::Above(after_lsn),
            Reading::default(),
            &mut |lsn, payload| {
                // A failed append may have left entries that were never acknowledged.
                if lsn <= written_lsn { visit(lsn, payload) } else { Ok(()) }
            },
        )?;
        if walk.missing_lsn <= written_lsn {
            return Err(walk.damage(&self.directory, Proof::Store { lsn: written_lsn }));
        }
        Ok(())
    }

    /// A handle that reads the entries above `after_lsn` as they are written, for any thread. They
    /// must not be recycled meanwhile.
    #[must_use]
    pub fn follow(&self, after_lsn: u64) -> Follower {
        let store_id = self.current.segment.id.store_id;
        let (directory, shared) = (Arc::clone(&self.directory), Arc::clone(&self.shared));
        Follower::new(directory, shared, store_id, after_lsn)
    }

    /// A handle that makes written entries durable, for any thread.
    #[must_use]
    pub fn syncer(&self) -> Syncer {
        Syncer::new(Arc::clone(&self.shared))
    }

    /// LSN of the last entry written, or the one the log was opened behind.
    #[must_use]
    pub fn written_lsn(&self) -> u64 {
        self.shared.written_lsn()
    }

    /// Highest writer epoch of any entry, 0 if there is none: a new writer is above it.
    #[must_use]
    pub fn writer_epoch(&self) -> u64 {
        self.writer_epoch
    }

    /// Bytes in use by segments that are not recycled: what a restart reads at most.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.closed.iter().map(|closed| closed.used_size).sum::<u64>() + self.current.offset
    }

    /// Bytes of disk that the log takes, with what is prepared or kept for reuse.
    #[must_use]
    pub fn allocated_size(&self) -> u64 {
        let closed_size: u64 = self.closed.iter().map(|closed| closed.file.size).sum();
        closed_size + self.current.segment.size + self.preparer.held_size()
    }

    /// Bytes appended since the log was opened: its growth since a checkpoint is a
    /// difference of two of these.
    #[must_use]
    pub fn appended_size(&self) -> u64 {
        self.appended_size
    }

    /// What opening the log has found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }
}

impl Log for Wal {
    type Syncer = Syncer;

    fn reserve(&mut self, entries_size: u64) -> Result<(), WalError> {
        Wal::reserve(self, entries_size)
    }

    fn append(&mut self, writer_epoch: u64, entries: &[Entry<'_>]) -> Result<(), WalError> {
        Wal::append(self, writer_epoch, entries)
    }

    fn written_lsn(&self) -> u64 {
        Wal::written_lsn(self)
    }

    fn syncer(&self) -> Syncer {
        Wal::syncer(self)
    }

    fn recycle(&mut self, up_to_lsn: u64) -> Result<(), WalError> {
        Wal::recycle(self, up_to_lsn)
    }

    fn replay(&self, after_lsn: u64, visit: Visit<'_>) -> Result<(), WalError> {
        Wal::replay(self, after_lsn, visit)
    }
}
