//! An open directory: every system call of the store's directory that takes a name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sutra_layout::sys::fork::{Kept, keep};

use super::error::StoreDirError;

/// The set-group-id bit: what is made within belongs to the directory's group.
const SET_GROUP_ID: u32 = 0o2000;
/// Others than the owner and the group may make and remove names; with the sticky bit only their own.
const OTHERS_WRITE: u32 = 0o0002;
const STICKY: u32 = 0o1000;

/// An open directory; names are resolved within it, wherever it may be moved.
#[derive(Debug)]
pub(super) struct Directory {
    /// Kept from forked children, as it may be locked.
    file: Kept<File>,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory, made with `mode` if it is not there; so are those above it. One that is
    /// there is left as it is. The path itself may be a link: an administrator's choice, made
    /// outside of the store.
    pub(super) fn open_or_create_path(path: &Path, mode: u32) -> Result<Directory, StoreDirError> {
        make_path(path, mode).map_err(|error| StoreDirError::io(path, "create", error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = keep(|| rustix::fs::open(path, flags, Mode::empty()).map(File::from))
            .map_err(|errno| StoreDirError::io(path, "open", errno))?;
        let found = mode_of(&file).map_err(|error| StoreDirError::io(path, "look at", error))?;
        if found & (OTHERS_WRITE | STICKY) == OTHERS_WRITE {
            tracing::warn!(
                "{} has mode {found:04o}: everybody may replace its files; chmod it to {mode:04o}",
                path.display()
            );
        }
        Ok(Directory { file, path: path.to_owned() })
    }

    /// Opens a directory within this one, made if it is not there, with `mode` in any case.
    pub(super) fn open_or_create_directory(
        &self,
        name: &str,
        mode: u32,
    ) -> Result<Directory, StoreDirError> {
        let path = self.path_of(name);
        let made = match rustix::fs::mkdirat(&self.file, name, Mode::from_raw_mode(mode)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(StoreDirError::io(&path, "create", errno)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.file, name, flags, Mode::empty()).map(File::from);
        let file = match keep(open) {
            Ok(file) => file,
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(StoreDirError::NotPlain { path, expected: "directory" });
            }
            Err(errno) => return Err(StoreDirError::io(&path, "open", errno)),
        };
        set_mode(&file, mode)
            .map_err(|error| StoreDirError::io(&path, "set the mode of", error))?;
        if made {
            // The name must be on disk before anything in it is acknowledged.
            self.file.sync_all().map_err(|error| StoreDirError::io(&self.path, "sync", error))?;
        }
        Ok(Directory { file, path })
    }

    /// Opens a file for reading and writing, made if it is not there, with `mode` in any case.
    pub(super) fn open_or_create_file(&self, name: &str, mode: u32) -> Result<File, StoreDirError> {
        self.open_or_create(name, mode).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                StoreDirError::NotPlain { path: self.path_of(name), expected: "regular file" }
            }
            _ => StoreDirError::io(&self.path_of(name), "open", error),
        })
    }

    /// The same, as an [`io::Result`].
    pub(super) fn open_or_create(&self, name: &str, mode: u32) -> io::Result<File> {
        let file = self
            .open(name, OFlags::RDWR | OFlags::CREATE, mode)?
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        set_mode(&file, mode)?;
        Ok(file)
    }

    /// A new file for reading and writing; the name must be free.
    pub(super) fn create_file(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.file, name, flags, Mode::from_raw_mode(mode))?.into();
        set_mode(&file, mode)?;
        Ok(file)
    }

    /// Opens a file for reading and writing; `None` if it is not there.
    pub(super) fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        self.open(name, OFlags::RDWR, 0)
    }

    /// Opens a file for reading; `None` if it is not there.
    pub(super) fn open_file_to_read(&self, name: &str) -> io::Result<Option<File>> {
        self.open(name, OFlags::RDONLY, 0)
    }

    fn open(&self, name: &str, flags: OFlags, mode: u32) -> io::Result<Option<File>> {
        // NONBLOCK: a FIFO put under this name must not hang the open.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file: File =
            match rustix::fs::openat(&self.file, name, flags, Mode::from_raw_mode(mode)) {
                Ok(fd) => fd.into(),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
                    return Err(self.not_a_regular_file(name));
                }
                Err(errno) => return Err(errno.into()),
            };
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(self.not_a_regular_file(name));
        }
        Ok(Some(file))
    }

    fn not_a_regular_file(&self, name: &str) -> io::Error {
        let error = StoreDirError::NotPlain { path: self.path_of(name), expected: "regular file" };
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }

    /// Whether the name is taken, be it by a link.
    pub(super) fn contains(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Everything in the directory.
    pub(super) fn names(&self) -> Result<Vec<OsString>, StoreDirError> {
        let failed = |errno: Errno| StoreDirError::io(&self.path, "list", errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.file).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Renames within the directory; what had the name `to` is replaced.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.file, from, &self.file, to)?)
    }

    /// Gives each of two files the other's name, in one step.
    pub(super) fn exchange(&self, one: &str, other: &str) -> io::Result<()> {
        let flags = RenameFlags::EXCHANGE;
        Ok(rustix::fs::renameat_with(&self.file, one, &self.file, other, flags)?)
    }

    /// Gives a file a second name, which must be free.
    pub(super) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.file, from, &self.file, to, AtFlags::empty())?)
    }

    /// Gives an unnamed file of [`Directory::create_unnamed`] a name, which must be free.
    pub(super) fn link_unnamed(&self, file: &File, to: &str) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::SYMLINK_FOLLOW;
        Ok(rustix::fs::linkat(rustix::fs::CWD, path, &self.file, to, follow)?)
    }

    /// A file for reading and writing that has no name, and is gone with its descriptor.
    pub(super) fn create_unnamed(&self, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file: File =
            rustix::fs::openat(&self.file, ".", flags, Mode::from_raw_mode(mode))?.into();
        set_mode(&file, mode)?;
        Ok(file)
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(super) fn remove(&self, name: &str) -> Result<(), StoreDirError> {
        self.unlink(name).map_err(|error| StoreDirError::io(&self.path_of(name), "remove", error))
    }

    /// The same, as an [`io::Result`].
    pub(super) fn unlink(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether `path` names this very directory.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let (here, there) = (rustix::fs::fstat(&self.file)?, rustix::fs::stat(path)?);
        Ok((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Makes a directory, and those above it, where they are not there yet.
fn make_path(path: &Path, mode: u32) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let make = || rustix::fs::mkdir(path, Mode::from_raw_mode(mode));
    let mut made = make();
    // "." cannot be made: it is there, or its directory was removed from under this process.
    if made == Err(Errno::NOENT) && parent != Path::new(".") {
        make_path(parent, mode)?;
        made = make();
    }
    match made {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    set_mode(&rustix::fs::open(path, flags, Mode::empty())?.into(), mode)?;
    // Whatever is synced within is found again only if the name is on disk, too.
    File::open(parent)?.sync_all()
}

fn mode_of(file: &File) -> io::Result<u32> {
    Ok(rustix::fs::fstat(file)?.st_mode & 0o7777)
}

/// Sets permissions whatever the umask took away, and keeps the set-group-id bit that a directory
/// has inherited.
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let found = mode_of(file)?;
    let wanted = mode | found & SET_GROUP_ID;
    if found != wanted {
        rustix::fs::fchmod(file, Mode::from_raw_mode(wanted))?;
    }
    Ok(())
}
