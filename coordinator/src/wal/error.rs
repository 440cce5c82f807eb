//! What can go wrong with the log, said to whoever has to act on it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// An error from the caller's own visitor, carried through replay.
pub type VisitError = Box<dyn std::error::Error + Send + Sync>;

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// An entry that was once synced is missing or does not match its checksum.
    #[error(
        "{} is damaged at byte {offset}: log entry {lsn} is missing or does not match its \
         checksum, and it was once synced ({proof}); stop the coordinator and run \
         `sutra verify {}` to list the damage", path.display(), store(path).display()
    )]
    Damaged {
        /// The segment file.
        path: PathBuf,
        /// Bytes from the start of the file.
        offset: u64,
        /// The first entry that cannot be read.
        lsn: u64,
        /// What says that it was once on disk.
        proof: Proof,
    },
    /// No room could be made for the next entries. Nothing was written, and the log
    /// works on: the same call succeeds once there is space.
    #[error(
        "no space left for the log in {}: {needed_size} bytes are needed; free some space and \
         write again", path.display()
    )]
    StorageFull {
        /// The log's directory.
        path: PathBuf,
        /// Size of the segment that was wanted.
        needed_size: u64,
    },
    /// One entry, or all those of one append, are larger than a segment may be.
    #[error("{size} bytes are too many for the log at once: at most {size_max} are allowed")]
    TooLarge {
        /// Bytes that were to be written.
        size: u64,
        /// The most that may be.
        size_max: u64,
    },
    /// A write failed. This is final: the log is now poisoned.
    #[error(
        "writing to {} at byte {offset} failed: {source}; nothing more is accepted: restart the \
         coordinator, and check the disk if it happens again", path.display()
    )]
    Write {
        /// The segment file.
        path: PathBuf,
        /// Where the write began.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A sync failed. This is final: the log is now poisoned.
    #[error(
        "syncing {} failed: {source}; nothing more is acknowledged: stop the coordinator, check \
         the disk, and start it again", path.display()
    )]
    Sync {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or sync failed; nothing is accepted after that.
    #[error("the log is stopped since an earlier failure: {reason}")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// `create` found a log.
    #[error("{} already holds a log: open it instead", path.display())]
    Exists {
        /// The log's directory.
        path: PathBuf,
    },
    /// A segment in an archive does not hold what its name says.
    #[error(
        "{} is damaged at byte {offset}: log entry {lsn} cannot be read, and it should hold \
         entries up to {last_lsn}; take the file from another copy, or restore to an earlier entry",
        path.display()
    )]
    ArchiveDamaged {
        /// The file.
        path: PathBuf,
        /// Bytes from the start of the file.
        offset: u64,
        /// The first entry that cannot be read.
        lsn: u64,
        /// The last one that the name promises.
        last_lsn: u64,
    },
    /// A segment belongs to another store.
    #[error(
        "{} is the log of store {found:032x}, not of {expected:032x}: move the foreign file away",
        path.display()
    )]
    Foreign {
        /// The segment file.
        path: PathBuf,
        /// The store named in the segment, as a big-endian number.
        found: u128,
        /// The store that was opened.
        expected: u128,
    },
    /// A segment is of a later format.
    #[error(
        "{} is of log format {found}, and this program knows 1 to {known}: use a newer sutra",
        path.display()
    )]
    Newer {
        /// The segment file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The highest version known here.
        known: u32,
    },
    /// Something in the log's directory is not a regular file, or the directory is a link.
    #[error("{} is not a {expected}: the log follows no links; put the real one in place", path.display())]
    NotPlain {
        /// What was found under a name of the log.
        path: PathBuf,
        /// `directory` or `regular file`.
        expected: &'static str,
    },
    /// The visitor given to replay refused an entry.
    #[error("log entry {lsn} could not be applied: {source}")]
    Visit {
        /// The entry.
        lsn: u64,
        /// What the visitor said.
        source: VisitError,
    },
    /// Another system call failed.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as an infinitive.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What proves that an entry was on disk before it was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Proof {
    /// A checkpoint, or what was published, holds it.
    #[error("the store holds entries up to {lsn}")]
    Store {
        /// The LSN given by the caller.
        lsn: u64,
    },
    /// A later group of entries says so.
    #[error("the group at byte {offset} of {} says that {synced_lsn} was synced", path.display())]
    Group {
        /// The segment file of that group.
        path: PathBuf,
        /// Where its header lies.
        offset: u64,
        /// What it says.
        synced_lsn: u64,
    },
    /// A segment's header, always synced before its first entry is written, is lost.
    #[error("the header of {} was synced before the entries behind it were written", path.display())]
    Header {
        /// The segment file.
        path: PathBuf,
    },
}

impl WalError {
    pub(crate) fn io(path: &Path, action: &'static str, source: impl Into<io::Error>) -> WalError {
        WalError::Io { path: path.to_owned(), action, source: source.into() }
    }
}

/// True if the error says that the file system (or the quota on it) has no room.
pub(crate) fn is_full(errno: Errno) -> bool {
    errno == Errno::NOSPC || errno == Errno::DQUOT
}

/// The store's directory, given a file in its log.
fn store(path: &Path) -> &Path {
    let store = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    if store.as_os_str().is_empty() { Path::new(".") } else { store }
}
