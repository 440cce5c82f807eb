//! The next `storage.dat`, beside the one there is, and how it takes its place.
//!
//! The names are exchanged, not overwritten: until the exchange is on disk, either file may be the
//! one that a loss of power leaves, and both are whole. What is left under the temporary name is
//! removed by the next start, if nobody did before.

use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

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
