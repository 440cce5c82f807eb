//! Why a backup is not made, not sound, or not brought back.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::CoordinatorError;
use crate::wal::WalError;

/// Why a backup is not made, not sound, or not brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The store cannot be copied.
    #[error("{} cannot be backed up: {what}", path.display())]
    Source {
        /// Its file.
        path: PathBuf,
        /// What is wrong, and what can be done.
        what: String,
    },
    /// The directory holds something else.
    #[error(
        "{} holds {found:?} and no backup; give an empty directory, or one that does not exist yet",
        path.display()
    )]
    NotABackup {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// The directory holds the backup of another store.
    #[error(
        "{} is a backup of store {found}, and this is store {expected}; give each store a directory \
         of its own",
        path.display()
    )]
    OtherStore {
        /// The directory.
        path: PathBuf,
        /// The store that it is of.
        found: String,
        /// The store that was to be copied.
        expected: String,
    },
    /// Another process works on the same backup.
    #[error("{} is in use by another backup or restore; wait for its end", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the backup is not what the manifest says.
    #[error(
        "{} is damaged at byte {offset}: {what} is {found}, expected {expected}; use another backup, \
         or make a new one into an empty directory",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the part begins that is damaged.
        offset: u64,
        /// What was looked at.
        what: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The manifest is of a later version.
    #[error("{} is of backup format {found}, and this version reads {known}; use a newer Sutra", path.display())]
    Newer {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The one known here.
        known: u32,
    },
    /// A store is to be restored over something.
    #[error(
        "{} is not empty: {found:?} is there; restore into a directory that does not exist yet",
        path.display()
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// A point before the backup.
    #[error("the backup is of {backup}, after {asked}; take an older backup")]
    BeforeBackup {
        /// What was asked for.
        asked: String,
        /// What the backup is of.
        backup: String,
    },
    /// A point that the log does not reach.
    #[error(
        "the log that was kept ends with entry {last_lsn}, before entry {asked}; give the directory \
         of --keep-log with --log, or restore to {last_lsn}"
    )]
    BeyondLog {
        /// The entry asked for.
        asked: u64,
        /// The last entry that is there.
        last_lsn: u64,
    },
    /// The caller ended it.
    #[error("stopped before its end; run it again, and it goes on where it was")]
    Stopped,
    /// The log.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The restored store does not open.
    #[error(transparent)]
    Coordinator(#[from] CoordinatorError),
    /// The system refused.
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

impl BackupError {
    /// A [`BackupError::Io`] on `path`.
    pub(super) fn io(
        path: &Path,
        action: &'static str,
    ) -> impl Fn(io::Error) -> BackupError + use<> {
        let path = path.to_owned();
        move |source| BackupError::Io { path: path.clone(), action, source }
    }
}
