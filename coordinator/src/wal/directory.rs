//! The log's directory: names, and every system call that takes one.
//!
//! | name                   | what                                                      |
//! |------------------------|-----------------------------------------------------------|
//! | `000000000007.wal`     | segment 7: in use, or prepared and still empty            |
//! | `spare-000000000003`   | once segment 3, kept for reuse; its bytes mean nothing    |
//! | `prepare.tmp`          | a segment being zeroed; removed at the next open          |
//!
//! Directory 0700, files 0600. Every descriptor is O_CLOEXEC, forked children do not get those of
//! files, no link is followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use sutra_layout::sys::fork::{Kept, keep};

use super::error::WalError;

/// The file in which a new segment is zeroed.
pub(crate) const PREPARE_NAME: &str = "prepare.tmp";
const SEGMENT_SUFFIX: &str = ".wal";
const SPARE_PREFIX: &str = "spare-";

pub(crate) fn segment_name(sequence: u64) -> String {
    format!("{sequence:012}{SEGMENT_SUFFIX}")
}

pub(crate) fn spare_name(sequence: u64) -> String {
    format!("{SPARE_PREFIX}{sequence:012}")
}

/// An open directory; names are resolved within it, wherever it may be moved.
#[derive(Debug)]
pub(crate) struct Directory {
    file: File,
    path: PathBuf,
}

/// What lies in the directory, in order of sequence number.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) segments: Vec<u64>,
    pub(crate) spares: Vec<u64>,
}

impl Directory {
    pub(crate) fn open(path: &Path) -> Result<Directory, WalError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Directory { file: fd.into(), path: path.to_owned() }),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                Err(WalError::NotPlain { path: path.to_owned(), expected: "directory" })
            }
            Err(errno) => Err(WalError::io(path, "open", errno)),
        }
    }

    /// Opens the directory, made 0700 if it is not there.
    pub(crate) fn open_or_create(path: &Path) -> Result<Directory, WalError> {
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) => {
                // The name must be on disk before anything is acknowledged.
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or(Path::new("."));
                File::open(parent)
                    .and_then(|parent| parent.sync_all())
                    .map_err(|source| WalError::Sync { path: parent.to_owned(), source })?;
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(WalError::io(path, "create", errno)),
        }
        let directory = Directory::open(path)?;
        rustix::fs::fchmod(&directory.file, Mode::RWXU)
            .map_err(|errno| WalError::io(path, "set the mode of", errno))?;
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn list(&self) -> Result<Listing, WalError> {
        let failed = |errno| WalError::io(&self.path, "list", errno);
        let mut listing = Listing::default();
        for entry in rustix::fs::Dir::read_from(&self.file).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if let Some(sequence) = sequence_of(name.strip_suffix(SEGMENT_SUFFIX)) {
                if name == segment_name(sequence) {
                    listing.segments.push(sequence);
                }
            } else if let Some(sequence) = sequence_of(name.strip_prefix(SPARE_PREFIX))
                && name == spare_name(sequence)
            {
                listing.spares.push(sequence);
            }
        }
        listing.segments.sort_unstable();
        listing.spares.sort_unstable();
        Ok(listing)
    }

    pub(crate) fn open_file(&self, name: &str, write: bool) -> Result<Kept<File>, WalError> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        // NONBLOCK: a FIFO put under this name must not hang the open.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let path = || self.path_of(name);
        let not_plain = || WalError::NotPlain { path: path(), expected: "regular file" };
        let open = || rustix::fs::openat(&self.file, name, flags, Mode::empty()).map(File::from);
        let file = match keep(open) {
            Ok(file) => file,
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(not_plain()),
            Err(errno) => return Err(WalError::io(&path(), "open", errno)),
        };
        let stat =
            rustix::fs::fstat(&file).map_err(|errno| WalError::io(&path(), "look at", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_plain());
        }
        Ok(file)
    }

    /// A new file, mode 0600; the name must be free.
    pub(crate) fn create_file(&self, name: &str) -> Result<Kept<File>, Errno> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = keep(|| rustix::fs::openat(&self.file, name, flags, mode).map(File::from))?;
        rustix::fs::fchmod(&file, mode)?; // whatever the umask took away
        Ok(file)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), WalError> {
        rustix::fs::renameat(&self.file, from, &self.file, to)
            .map_err(|errno| WalError::io(&self.path_of(from), "rename", errno))
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(crate) fn remove(&self, name: &str) -> Result<(), WalError> {
        match rustix::fs::unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(WalError::io(&self.path_of(name), "remove", errno)),
        }
    }

    /// Names made, changed and removed so far are on disk afterwards.
    pub(crate) fn sync(&self) -> Result<(), WalError> {
        rustix::fs::fsync(self.file.as_fd()).map_err(|errno| WalError::Sync {
            path: self.path.clone(),
            source: io::Error::from(errno),
        })
    }
}

fn sequence_of(digits: Option<&str>) -> Option<u64> {
    let digits = digits?;
    let plain =
        !digits.is_empty() && OsStr::new(digits).as_encoded_bytes().iter().all(u8::is_ascii_digit);
    plain.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_names_are_segments() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::open_or_create(&home.path().join("wal")).unwrap();
        for name in [
            "000000000002.wal",
            "000000000010.wal",
            "7.wal",
            "+00000000003.wal",
            ".wal",
            "spare-000000000001",
            "spare-1",
            PREPARE_NAME,
            "1000000000000.wal",
        ] {
            directory.create_file(name).unwrap();
        }

        let listing = directory.list().unwrap();
        assert_eq!(listing.segments, [2, 10, 1_000_000_000_000]);
        assert_eq!(listing.spares, [1]);
    }

    #[test]
    fn links_and_pipes_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("wal");
        let directory = Directory::open_or_create(&path).unwrap();
        directory.create_file("real").unwrap();
        std::os::unix::fs::symlink("real", path.join("000000000001.wal")).unwrap();
        std::os::unix::fs::symlink(&path, home.path().join("link")).unwrap();
        std::fs::create_dir(path.join("000000000002.wal")).unwrap();

        for name in ["000000000001.wal", "000000000002.wal"] {
            for write in [false, true] {
                let error = directory.open_file(name, write).unwrap_err();
                assert!(matches!(error, WalError::NotPlain { .. }), "{error}");
            }
        }
        let error = Directory::open(&home.path().join("link")).unwrap_err();
        assert!(matches!(error, WalError::NotPlain { expected: "directory", .. }), "{error}");
    }
}
