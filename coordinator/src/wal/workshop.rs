//! Making segments of new files and of old ones.
//!
//! A segment gets its name only when it is whole on disk:
//!
//! | step | new file                          | spare (a segment no longer needed)    |
//! |-----:|-----------------------------------|---------------------------------------|
//! |    1 | create `prepare.tmp`, fallocate, zero | (renamed and the directory synced when it was retired) |
//! |    2 | write the header with a new salt  | the same: the old bytes lose their salt |
//! |    3 | fdatasync                         | the same                              |
//! |    4 | rename to its segment name        | the same                              |
//! |    5 | fsync the directory               | the same                              |
//!
//! So a segment whose header is bad was damaged, never half made; and the space is
//! taken and zeroed beforehand, so a full disk is met here and never in an append.
//! Zeroing also turns each later fdatasync into an overwrite without a journal commit.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use sutra_layout::limits::DISK_RESERVE_SIZE;
use sutra_layout::sys::{self, fork::Kept};

use super::Options;
use super::directory::{Directory, PREPARE_NAME, segment_name, spare_name};
use super::error::{WalError, is_full};
use super::format::SegmentId;
use super::segment::{Segment, write_header, write_zeros};
use crate::plant::Plant;

/// Zeroed bytes between two syncs, so that a group commit never queues behind 64 MiB.
const ZEROED_SIZE_PER_SYNC: u64 = 4 << 20;

/// A segment that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) sequence: u64,
    /// Size of a new file, if the disk has room for it; a spare may be smaller.
    pub(crate) size: u64,
    /// The file must be at least this large.
    pub(crate) size_min: u64,
}

/// A file that once was, or could be, a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retired {
    pub(crate) sequence: u64,
    pub(crate) size: u64,
}

/// The thread's own: the files it makes segments of.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) directory: Arc<Directory>,
    pub(crate) store_id: [u8; 16],
    pub(crate) options: Options,
    pub(crate) spares: Vec<Retired>,
}

impl Workshop {
    pub(crate) fn spare_size(&self) -> u64 {
        self.spares.iter().map(|spare| spare.size).sum()
    }

    /// Renames segments to spares, as many as are worth keeping, and removes the rest.
    pub(crate) fn keep_or_remove(&mut self, retired: &[Retired]) -> Result<(), WalError> {
        for segment in retired {
            let spare = spare_name(segment.sequence);
            match self.directory.rename(&segment_name(segment.sequence), &spare) {
                // Someone has removed it: as good as recycled.
                Err(WalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                renamed => renamed?,
            }
            self.spares.retain(|spare| spare.sequence != segment.sequence); // renamed over
            self.spares.push(*segment);
        }
        // The largest first: one of 64 MiB saves more zeroing than many small ones.
        self.spares.sort_unstable_by_key(|spare| (std::cmp::Reverse(spare.size), spare.sequence));
        let mut kept_size = 0;
        let mut kept = Vec::new();
        for spare in std::mem::take(&mut self.spares) {
            if kept_size + spare.size <= self.options.segment_size_max {
                kept_size += spare.size;
                kept.push(spare);
            } else {
                self.directory.remove(&spare_name(spare.sequence))?;
            }
        }
        self.spares = kept;
        // Before a header is written into one of them, its old name must be gone for good.
        self.directory.sync()
    }

    /// A segment on disk, under its name.
    pub(crate) fn make(
        &mut self,
        want: Want,
        go_on: impl FnMut() -> bool,
    ) -> Result<Segment, WalError> {
        match self.spares.iter().position(|spare| spare.size >= want.size_min) {
            Some(place) => {
                let spare = self.spares.remove(place);
                let made = self.make_of_spare(spare, want);
                if made.is_err() {
                    self.spares.push(spare); // it may still do when there is room
                }
                made
            }
            None => self.make_new(want, go_on),
        }
    }

    fn make_of_spare(&self, spare: Retired, want: Want) -> Result<Segment, WalError> {
        let name = spare_name(spare.sequence);
        let file = self.directory.open_file(&name, true)?;
        let size = file
            .metadata()
            .map_err(|source| WalError::io(&self.directory.path_of(&name), "look at", source))?
            .len();
        self.give_name(file, &name, want.sequence, size)
    }

    /// The first segment of an empty log.
    pub(crate) fn make_first(&self, sequence: u64) -> Result<Segment, WalError> {
        let size = self.options.segment_size_first;
        self.make_new(Want { sequence, size, size_min: size }, || true)
    }

    fn make_new(&self, want: Want, mut go_on: impl FnMut() -> bool) -> Result<Segment, WalError> {
        self.directory.remove(PREPARE_NAME)?;
        let full = |size| WalError::StorageFull {
            path: self.directory.path().to_owned(),
            needed_size: size,
        };
        let path = self.directory.path_of(PREPARE_NAME);
        let file = self.directory.create_file(PREPARE_NAME).map_err(|errno| {
            if is_full(errno) { full(want.size_min) } else { WalError::io(&path, "create", errno) }
        })?;
        let made = match self.fill(&file, 0, want.size, &mut go_on) {
            // What is left may still do for what is needed now.
            Err(WalError::StorageFull { .. }) if want.size_min < want.size => {
                self.fill(&file, 0, want.size_min, &mut go_on).map(|()| want.size_min)
            }
            made => made.map(|()| want.size),
        };
        let made = made.and_then(|size| self.give_name(file, PREPARE_NAME, want.sequence, size));
        if made.is_err() {
            let _ = self.directory.remove(PREPARE_NAME); // also done before the next one
        }
        made
    }

    /// Makes an empty segment larger, when the next entry would not fit into it.
    pub(crate) fn grow(
        &self,
        segment: &mut Segment,
        want: Want,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<(), WalError> {
        let size = want.size_min.max(segment.size);
        self.fill(&segment.file, segment.size, size, &mut go_on)?;
        segment.size = size;
        Ok(())
    }

    /// Takes the space of `start..end` and zeroes it on disk; the file ends at `end`,
    /// or at `start` again if there is no room.
    fn fill(
        &self,
        file: &File,
        start: u64,
        end: u64,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<(), WalError> {
        let path = self.directory.path_of(PREPARE_NAME);
        let undo = |needed_size| {
            let _ = file.set_len(start); // gives back what a failed call may have taken
            WalError::StorageFull { path: self.directory.path().to_owned(), needed_size }
        };
        match sys::reserve_leaving(file, start, end - start, DISK_RESERVE_SIZE) {
            Ok(()) => {}
            Err(source) => match Errno::from_io_error(&source) {
                // Where fallocate is unknown, writing zeros takes the space too.
                Some(Errno::OPNOTSUPP) => {}
                Some(errno) if is_full(errno) => return Err(undo(end - start)),
                _ => return Err(WalError::io(&path, "allocate space in", source)),
            },
        }
        let mut offset = start;
        while offset < end {
            let step_end = end.min(offset + ZEROED_SIZE_PER_SYNC);
            write_zeros(file, offset, step_end, &mut go_on).map_err(|source| {
                match source.raw_os_error() {
                    Some(code) if is_full(Errno::from_raw_os_error(code)) => undo(end - start),
                    None => WalError::io(&path, "finish zeroing", source),
                    Some(_) => WalError::Write { path: path.clone(), offset, source },
                }
            })?;
            sync_file(file, &path)?;
            offset = step_end;
        }
        Ok(())
    }

    /// Steps 2 to 5 of the table above.
    fn give_name(
        &self,
        file: Kept<File>,
        from: &str,
        sequence: u64,
        size: u64,
    ) -> Result<Segment, WalError> {
        let path = self.directory.path_of(from);
        let id = SegmentId { store_id: self.store_id, salt: random_salt(&path)?, sequence };
        // Nothing is in it yet, so a disk without room for it loses nothing.
        let full = |error: WalError| match &error {
            WalError::Write { source, .. } | WalError::Io { source, .. }
                if source.kind() == io::ErrorKind::StorageFull =>
            {
                let path = self.directory.path().to_owned();
                WalError::StorageFull { path, needed_size: size }
            }
            _ => error,
        };
        let written = write_header(&file, id);
        let failed = |source| full(WalError::Write { path: path.clone(), offset: 0, source });
        written.map_err(failed)?;
        sync_file(&file, &path)?;
        self.directory.rename(from, &segment_name(sequence)).map_err(full)?;
        self.directory.sync()?;
        Ok(Segment { file: Arc::new(file), id, size })
    }
}

fn sync_file(file: &File, path: &Path) -> Result<(), WalError> {
    let synced = Plant::outcome(file.sync_data());
    synced.map_err(|source| WalError::Sync { path: path.to_owned(), source })
}

fn random_salt(path: &Path) -> Result<u64, WalError> {
    getrandom::u64().map_err(|error| WalError::io(path, "draw a salt for", io::Error::other(error)))
}
