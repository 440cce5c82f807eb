//! The store's directory, and the right to write it.
//!
//! | name                     | mode | what                                                      |
//! |--------------------------|-----:|-----------------------------------------------------------|
//! | `.`                      | 0750 | made if it is not there; one that is there keeps its mode |
//! | `storage.dat`            | 0640 | the store                                                 |
//! | `storage.dat.tmp`        | 0640 | a store being made; what a crash left of it is removed    |
//! | `storage.dat.damaged-1`  | 0640 | what a repair replaced, until somebody removes it         |
//! | `wal.damaged-1/`         | 0700 | likewise of the log                                       |
//! | `writer.lock`            | 0600 | locked by the writer, and says who that is                |
//! | `wal/`                   | 0700 | the log; locked by the writer too                         |
//! | `wal/holder`             | 0600 | says who that is once more                                |
//! | `wal/poisoned`           | 0600 | there since a sync failed; says what failed               |
//! | `coordinator.sock`       | 0660 | where the writer listens, unless told otherwise           |
//!
//! Two locks, because `rm writer.lock` takes the name away and leaves the lock on a file that
//! nobody finds again; `wal/` is not removed by accident. `wal/` is locked first: who is refused
//! there leaves no trace. Neither lock is on `storage.dat`, which a reader may open and lock.
//!
//! Names are resolved within the open directory, no link in it is followed, and every descriptor
//! is O_CLOEXEC.

mod directory;
mod error;
mod file_system;
mod holder;
mod next;
mod socket;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sutra_layout::sys::fork::{Kept, keep};
use sutra_layout::sys::lock::try_lock_exclusive;

use directory::Directory;
use holder::Holder;

pub use error::StoreDirError;
pub use file_system::{FileSystem, file_system};
pub use next::NextStorage;

const STORAGE_NAME: &str = "storage.dat";
const STORAGE_TEMPORARY_NAME: &str = "storage.dat.tmp";
/// What a repair keeps is numbered: `storage.dat.damaged-1`.
const DAMAGED_SUFFIX: &str = ".damaged-";
const LOCK_NAME: &str = "writer.lock";
const WAL_NAME: &str = "wal";
const POISONED_NAME: &str = "poisoned";
/// Made by mkfs in the root of a file system, which may well be given to a store.
const LOST_AND_FOUND_NAME: &str = "lost+found";

const STORE_MODE: u32 = 0o750;
const STORAGE_MODE: u32 = 0o640;
const WAL_MODE: u32 = 0o700;
const PRIVATE_MODE: u32 = 0o600;

/// Bytes of a reason that are kept.
const REASON_SIZE_MAX: u64 = 4096;

/// The directory of a store that this process alone writes, until this is dropped.
#[derive(Debug)]
pub struct StoreDir {
    path: PathBuf,
    directory: Arc<Directory>,
    wal: Directory,
    lock: Kept<File>,
    /// A forked child has these descriptors too, and must neither unlock nor erase anything.
    owner_pid: u32,
}

impl StoreDir {
    /// Makes the directory if it is not there, and takes both locks without waiting. `program` and
    /// `socket` are told to whoever is refused from now on.
    ///
    /// # Errors
    /// [`StoreDirError::Held`] if another process, or another `StoreDir` of this one, writes the
    /// store. Refused as well: a directory of something else, and a file system on which maps or
    /// locks do not hold.
    pub fn acquire(path: &Path, program: &str, socket: &Path) -> Result<StoreDir, StoreDirError> {
        StoreDir::acquire_or_look(path, program, Some(socket), holder::LOOKS)
    }

    /// The same for whoever will ask again: a holder that says at once who it is is named, and no
    /// other waited for. Without a socket, others are told that there is none.
    ///
    /// # Errors
    /// As of [`StoreDir::acquire`].
    pub fn try_acquire(
        path: &Path,
        program: &str,
        socket: Option<&Path>,
    ) -> Result<StoreDir, StoreDirError> {
        StoreDir::acquire_or_look(path, program, socket, 1)
    }

    fn acquire_or_look(
        path: &Path,
        program: &str,
        socket: Option<&Path>,
        looks: u32,
    ) -> Result<StoreDir, StoreDirError> {
        let directory = Directory::open_or_create_path(path, STORE_MODE)?;
        file_system::check(&directory)?;
        refuse_foreign(&directory, socket)?;

        let wal = directory.open_or_create_directory(WAL_NAME, WAL_MODE)?;
        let locked = |file: &File, path: &Path| {
            try_lock_exclusive(file).map_err(|error| StoreDirError::io(path, "lock", error))
        };
        if !locked(wal.file(), wal.path())? {
            return Err(holder::held(&directory, &wal, looks));
        }
        let lock = keep(|| directory.open_or_create_file(LOCK_NAME, PRIVATE_MODE))?;
        if !locked(&lock, &directory.path_of(LOCK_NAME))? {
            return Err(holder::held(&directory, &wal, looks));
        }
        holder::announce(&Holder::this_process(program, socket), &lock, &wal);

        // A coordinator that made `storage.dat`, or exchanged it, and was killed before it synced the
        // names, left some that a loss of power takes back. From here on they are built upon.
        let synced = directory.file().sync_all();
        synced.map_err(|error| StoreDirError::io(directory.path(), "sync", error))?;
        // Only now is it certain that nobody is about to rename it.
        next::tell_readers_of_left(&directory);
        directory.remove(STORAGE_TEMPORARY_NAME)?;
        let directory = Arc::new(directory);
        Ok(StoreDir { path: path.to_owned(), directory, wal, lock, owner_pid: std::process::id() })
    }

    /// The directory, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `storage.dat` is, or will be.
    pub fn storage_path(&self) -> PathBuf {
        self.path.join(STORAGE_NAME)
    }

    /// The log's directory, which is there.
    pub fn wal_path(&self) -> PathBuf {
        self.path.join(WAL_NAME)
    }

    /// Opens `storage.dat` for reading and writing; `None` if there is none.
    ///
    /// # Errors
    /// What the system says, and [`io::ErrorKind::InvalidInput`] for a link or anything else that
    /// is no regular file.
    pub fn open_storage(&self) -> io::Result<Option<File>> {
        self.directory.open_file(STORAGE_NAME)
    }

    /// Makes `storage.dat`: `fill` writes it under another name, and it is on disk as a whole
    /// before it gets its own. If anything fails there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one; else those of `fill` and of the system.
    pub fn create_storage(&self, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
        if self.directory.contains(STORAGE_NAME)? {
            let message = format!("{} is there already", self.storage_path().display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        self.directory.unlink(STORAGE_TEMPORARY_NAME)?;
        let made = self.make_storage(fill);
        if made.is_err() {
            // The error that led here says more than one from tidying up.
            let _ = self.directory.unlink(STORAGE_TEMPORARY_NAME);
        }
        made
    }

    fn make_storage(&self, fill: impl FnOnce(&File) -> io::Result<()>) -> io::Result<File> {
        let file = self.directory.create_file(STORAGE_TEMPORARY_NAME, STORAGE_MODE)?;
        fill(&file)?;
        file.sync_all()?;
        // Nobody else makes or replaces one while the locks are held.
        self.directory.rename(STORAGE_TEMPORARY_NAME, STORAGE_NAME)?;
        self.directory.file().sync_all()?;
        Ok(file)
    }

    /// A file without a name, on the file system of the store.
    ///
    /// # Errors
    /// What the system says.
    pub fn unnamed_file(&self) -> io::Result<File> {
        self.directory.create_unnamed(STORAGE_MODE)
    }

    /// Makes `storage.dat` of an unnamed file, synced before. One that is there keeps its contents
    /// under the name that is returned.
    ///
    /// # Errors
    /// What the system says; `storage.dat` is then what it was.
    pub fn put_storage(&self, file: &File) -> io::Result<Option<PathBuf>> {
        file.sync_all()?;
        self.directory.unlink(STORAGE_TEMPORARY_NAME)?;
        self.directory.link_unnamed(file, STORAGE_TEMPORARY_NAME)?;
        let mut kept = None;
        if self.directory.contains(STORAGE_NAME)? {
            let name = self.free_name(&format!("{STORAGE_NAME}{DAMAGED_SUFFIX}"))?;
            self.directory.link(STORAGE_NAME, &name)?;
            kept = Some(self.path.join(name));
        }
        self.directory.file().sync_all()?; // the old one has its second name before it loses the first
        self.directory.rename(STORAGE_TEMPORARY_NAME, STORAGE_NAME)?;
        self.directory.file().sync_all()?;
        Ok(kept)
    }

    /// Moves the segments of the log into a directory beside it, whose path is returned.
    ///
    /// # Errors
    /// What the system says.
    pub fn put_log_aside(&self) -> io::Result<Option<PathBuf>> {
        let path = self.path.join(self.free_name(&format!("{WAL_NAME}{DAMAGED_SUFFIX}"))?);
        std::fs::create_dir(&path)?;
        for entry in std::fs::read_dir(self.wal_path())? {
            let entry = entry?;
            let name = entry.file_name();
            if Path::new(&name).extension().is_some_and(|end| end == "wal") {
                std::fs::rename(entry.path(), path.join(name))?;
            }
        }
        self.wal.file().sync_all()?;
        File::open(&path)?.sync_all()?;
        self.directory.file().sync_all()?;
        Ok(Some(path))
    }

    fn free_name(&self, start: &str) -> io::Result<String> {
        for number in 1..u32::MAX {
            let name = format!("{start}{number}");
            if !self.directory.contains(&name)? {
                return Ok(name);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Leaves the mark that a write or sync failed, so that no later coordinator trusts what the
    /// system has cached.
    ///
    /// # Errors
    /// What the system says; the mark may then not be on disk.
    pub fn mark_poisoned(&self, reason: &str) -> io::Result<()> {
        // The name alone is the mark. It needs no space of its own, unlike the reason.
        let mut file = self.wal.open_or_create(POISONED_NAME, PRIVATE_MODE)?;
        let written = file.set_len(0).and_then(|()| file.write_all(reason.as_bytes()));
        file.sync_all()?;
        self.wal.file().sync_all()?;
        written
    }

    /// Why an earlier coordinator left the store marked, if one did.
    pub fn poisoned(&self) -> Option<String> {
        let file = match self.wal.open_file_to_read(POISONED_NAME) {
            Ok(file) => file?,
            // A mark that cannot be read is one nevertheless.
            Err(error) => return Some(format!("wal/{POISONED_NAME} cannot be read: {error}")),
        };
        let mut reason = Vec::new();
        let read = file.take(REASON_SIZE_MAX).read_to_end(&mut reason);
        let reason = String::from_utf8_lossy(&reason).trim().to_owned();
        match read {
            Ok(_) if !reason.is_empty() => Some(reason),
            _ => Some("the reason was not recorded".to_owned()),
        }
    }

    /// Takes the mark of a failed sync away: nothing is left of what it warns of.
    ///
    /// # Errors
    /// What the system says; the mark may then still be there.
    pub fn clear_poisoned(&self) -> io::Result<()> {
        self.wal.unlink(POISONED_NAME)?;
        self.wal.file().sync_all()
    }

    /// Unlinks the socket that a killed coordinator left at `path`. The locks, which this process
    /// holds, say that no coordinator of this store listens there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something else than a socket is there, and
    /// [`io::ErrorKind::AddrInUse`] if `path` is outside the store and somebody listens.
    pub fn remove_stale_socket(&self, path: &Path) -> io::Result<()> {
        socket::remove_stale(&self.directory, path)
    }
}

impl Drop for StoreDir {
    fn drop(&mut self) {
        if self.owner_pid != std::process::id() {
            return;
        }
        holder::withdraw(&self.lock, &self.wal);
        // Not left to closing: a forked child may keep the descriptors open.
        let _ = self.lock.unlock();
        let _ = self.wal.file().unlock();
    }
}

/// A new store is made only in an empty directory, or among what a coordinator left that was
/// killed before it had made one.
fn refuse_foreign(directory: &Directory, socket: Option<&Path>) -> Result<(), StoreDirError> {
    let known = [
        STORAGE_TEMPORARY_NAME,
        LOCK_NAME,
        WAL_NAME,
        LOST_AND_FOUND_NAME,
        sutra_client::socket::SOCKET_NAME,
    ];
    let mut foreign = None;
    for name in directory.names()? {
        if name == STORAGE_NAME {
            return Ok(());
        }
        if !known.iter().any(|known| name == *known)
            && Some(name.as_os_str()) != socket.and_then(Path::file_name)
        {
            foreign = Some(name);
        }
    }
    match foreign {
        Some(name) => Err(StoreDirError::Foreign {
            store: directory.path().to_owned(),
            found: name.to_string_lossy().into_owned(),
        }),
        None => Ok(()),
    }
}
