//! Why a store's directory cannot be written.

use std::io;
use std::path::{Path, PathBuf};

/// Why a store's directory cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreDirError {
    /// Another coordinator has the locks.
    #[error(
        "{} is being written by {}; readers need no lock: open it read-only, or write through its \
         socket{}", store.display(), who(program.as_deref(), *pid), at(socket.as_deref())
    )]
    Held {
        /// The store.
        store: PathBuf,
        /// The process that writes it, as it is numbered where it runs.
        pid: Option<u32>,
        /// Its program.
        program: Option<String>,
        /// Where it listens.
        socket: Option<PathBuf>,
    },
    /// The directory belongs to something else.
    #[error(
        "{} is no store: it holds {found:?} and no storage.dat; name an empty directory, or one \
         that is yet to be made", store.display()
    )]
    Foreign {
        /// The directory.
        store: PathBuf,
        /// One of the names found in it.
        found: String,
    },
    /// The directory lies on a file system that other machines, or a user's process, may change.
    #[error(
        "{} is on {kind}, where a map shared by many processes, or a lock, does not hold; put the \
         store on a local disk or on /dev/shm", store.display()
    )]
    FileSystem {
        /// The store.
        store: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// Something in the store is a link, or not of the kind that its name promises.
    #[error(
        "{} is not a {expected}: no link is followed within a store; put the real one in place",
        path.display()
    )]
    NotPlain {
        /// What was found.
        path: PathBuf,
        /// `directory` or `regular file`.
        expected: &'static str,
    },
    /// The system refused.
    #[error("could not {action} {}: {source}{}", path.display(), remedy(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried, as an infinitive.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreDirError {
    pub(super) fn io(
        path: &Path,
        action: &'static str,
        source: impl Into<io::Error>,
    ) -> StoreDirError {
        StoreDirError::Io { path: path.to_owned(), action, source: source.into() }
    }
}

fn who(program: Option<&str>, pid: Option<u32>) -> String {
    match (program, pid) {
        (Some(program), Some(pid)) => format!("{program} (pid {pid})"),
        (Some(program), None) => program.to_owned(),
        (None, Some(pid)) => format!("the process with pid {pid}"),
        (None, None) => "another process".to_owned(),
    }
}

fn at(socket: Option<&Path>) -> String {
    socket.map_or_else(String::new, |socket| format!(" {}", socket.display()))
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "; run it as the user who owns the store",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space",
        io::ErrorKind::NotADirectory => "; name a directory, or one that is yet to be made",
        _ => "",
    }
}
