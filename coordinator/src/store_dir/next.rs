//! The next `storage.dat`, beside the one there is, and how it takes its place.
//!
//! The names are exchanged, not overwritten: until the exchange is on disk, either file may be the
//! one that a loss of power leaves, and both are whole. What is left under the temporary name is
//! removed by the next start, if nobody did before.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use sutra_layout::geometry::{COMMIT_SEQ_OFFSET, SUPERSEDED_BY_OFFSET};
use sutra_layout::sys;
use sutra_layout::view::View;

use super::directory::Directory;
use super::{STORAGE_MODE, STORAGE_NAME, STORAGE_TEMPORARY_NAME, StoreDir};

/// A `storage.dat` that is being made. Dropped before it took its place, it is removed.
#[derive(Debug)]
pub struct NextStorage {
    directory: Arc<Directory>,
    has_place: bool,
}

impl StoreDir {
    /// Begins another `storage.dat`, empty and under the temporary name.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin_next_storage(&self) -> io::Result<(NextStorage, File)> {
        self.directory.unlink(STORAGE_TEMPORARY_NAME)?;
        let file = self.directory.create_file(STORAGE_TEMPORARY_NAME, STORAGE_MODE)?;
        Ok((NextStorage { directory: Arc::clone(&self.directory), has_place: false }, file))
    }
}

/// What a coordinator left under the temporary name may be the file that it had replaced, when it
/// died before it told those who read it. A reader finds out by itself only some time after the
/// heartbeat ended, and what is acknowledged from now on it must see. A file that never took its
/// place has no readers.
pub(super) fn tell_readers_of_left(directory: &Directory) {
    let Ok(Some(left)) = directory.open_file(STORAGE_TEMPORARY_NAME) else { return };
    let Ok(view) = View::writable(left) else { return };
    let generation = view.superblock().generation;
    view.header_word(SUPERSEDED_BY_OFFSET).store(generation + 1, Ordering::Release);
    if let Some(word) = view.map().half_word(COMMIT_SEQ_OFFSET) {
        sys::wait::wake_all(word);
    }
}

impl NextStorage {
    /// From here on `storage.dat` is the new file. Not on disk before [`NextStorage::settle`].
    ///
    /// # Errors
    /// What the system says; the names are then as they were.
    pub fn take_place(&mut self) -> io::Result<()> {
        let directory = &self.directory;
        match directory.exchange(STORAGE_TEMPORARY_NAME, STORAGE_NAME) {
            // A file system that cannot exchange: the old one then has no name, and a reader who
            // is not told that it was replaced looks for that itself, once the heartbeat is stale.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                directory.rename(STORAGE_TEMPORARY_NAME, STORAGE_NAME)?;
            }
            exchanged => exchanged?,
        }
        self.has_place = true;
        Ok(())
    }

    /// The new name is on disk afterwards.
    ///
    /// # Errors
    /// What the system says; which file a loss of power would leave is then not known.
    pub fn settle(&self) -> io::Result<()> {
        self.directory.file().sync_all()
    }

    /// Removes the old file, whose readers keep it until they move on.
    ///
    /// # Errors
    /// What the system says; the file only takes its space then.
    pub fn remove_old(&self) -> io::Result<()> {
        self.directory.unlink(STORAGE_TEMPORARY_NAME)?;
        self.directory.file().sync_all()
    }
}

impl Drop for NextStorage {
    fn drop(&mut self) {
        if !self.has_place {
            // Else the next start does it.
            let _ = self.directory.unlink(STORAGE_TEMPORARY_NAME);
        }
    }
}
