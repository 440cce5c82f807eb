//! What can go wrong with an opened store, and what the person can do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sutra_client::{BatchError, ClientError, ErrorCode, OperationError};
use sutra_coordinator::CoordinatorError;
use sutra_coordinator::args::ArgsError;
use sutra_coordinator::store_dir::StoreDirError;
use sutra_layout::space::Metric;
use sutra_reader::{FilterError, OpenError, ReadError};

/// Why a call did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be opened for reading.
    #[error(transparent)]
    Open(OpenError),
    /// Its last writer did not stop cleanly, and this process could not recover it.
    #[error("{open}; this process could not recover it: {why}")]
    NeedsRecovery {
        /// What the reader found.
        open: OpenError,
        /// Why nothing was done about it.
        why: Box<StoreError>,
    },
    /// A question has no answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No such concept.
    #[error("there is no concept {id:?}; ids are case-sensitive and exact")]
    UnknownConcept {
        /// What was asked for.
        id: String,
    },
    /// A filter that cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// An operation that was not applied.
    #[error("{}", .0.message)]
    Refused(OperationError),
    /// A frame that was not applied, as a whole.
    #[error("{message}")]
    RefusedAll {
        /// Why.
        code: ErrorCode,
        /// What was found and what to do.
        message: String,
    },
    /// An operation that cannot be framed.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The process that hosts the coordinator is there and does not answer.
    #[error(
        "the coordinator{} of {} has not answered for {:.1} s: it may be stopped, or its disk may \
         hang; continue it (kill -CONT) or end it, and another process takes over. A write that was \
         sent may still be applied",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), store.display(),
        waited.as_secs_f32()
    )]
    CoordinatorStalled {
        /// The store.
        store: PathBuf,
        /// Its process, as this one sees it.
        pid: Option<u32>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Nobody writes the store, and this process may not.
    #[error(
        "nobody writes {} at the moment, and this process (uid {own}) may not: it belongs to uid \
         {owner}; start a process of that user that writes, or `sutra serve` as that user",
        store.display()
    )]
    NoWriter {
        /// The store.
        store: PathBuf,
        /// The user who may.
        owner: u32,
        /// This process's user.
        own: u32,
    },
    /// Somebody writes the store, and does not take writes of this user.
    #[error(
        "{} takes no writes of this user (uid {own}): {source}; its owner can let the user's group          write, or name the user (`sutra serve --help`)", socket.display()
    )]
    NotAllowed {
        /// Where the coordinator listens.
        socket: PathBuf,
        /// This process's user.
        own: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The mode asks for a coordinator, and none answers.
    #[error(transparent)]
    NotRunning(ClientError),
    /// Another process writes the store and takes no writes of others.
    #[error(
        "{} is written by {} alone, in embedded mode; read from it, or open it in mode auto there",
        store.display(), who(program.as_deref(), *pid)
    )]
    WrittenElsewhere {
        /// The store.
        store: PathBuf,
        /// The program that writes it.
        program: Option<String>,
        /// Its process.
        pid: Option<u32>,
    },
    /// This handle was opened to read only.
    #[error("this handle of {} is read-only; open the store without read_only to write", store.display())]
    ReadOnly {
        /// The store.
        store: PathBuf,
    },
    /// The store lies where nothing can be written.
    #[error("{} cannot be written: {source}; it can still be read", store.display())]
    NotWritable {
        /// The store.
        store: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This process could not host the coordinator.
    #[error(transparent)]
    Host(CoordinatorError),
    /// A write whose outcome is not known.
    #[error("{0}; whether the write was applied is not known: read before you write it again")]
    Unanswered(Box<StoreError>),
    /// Talking to the coordinator failed otherwise.
    #[error(transparent)]
    Client(ClientError),
    /// The store's vectors are others than was asked for.
    #[error(
        "the vectors of {} have {found} elements compared by {}, not {asked} by {}; leave the dimension \
         and the metric out, or open another store",
        store.display(), found_metric.name(), asked_metric.name()
    )]
    OtherVectors {
        /// The store.
        store: PathBuf,
        /// Its vectors' dimension.
        found: usize,
        /// How it compares them.
        found_metric: Metric,
        /// What was asked for.
        asked: usize,
        /// What was asked for.
        asked_metric: Metric,
    },
    /// A mode that cannot be used.
    #[error(transparent)]
    Mode(#[from] ArgsError),
    /// A variable of the environment that cannot be read.
    #[error("{name} is {found:?} in the environment; set it to a number from 1, or unset it")]
    Environment {
        /// Its name.
        name: &'static str,
        /// What it is.
        found: String,
    },
    /// No path was given.
    #[error("no store was named; give its directory, or set SUTRA_STORAGE_PATH")]
    NoPath,
}

fn who(program: Option<&str>, pid: Option<u32>) -> String {
    let program = program.unwrap_or("another process");
    pid.map_or_else(|| program.to_owned(), |pid| format!("{program} (pid {pid})"))
}

impl StoreError {
    /// The code, if the coordinator refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            StoreError::Refused(error) => Some(error.code),
            StoreError::RefusedAll { code, .. } => Some(*code),
            StoreError::Client(error) => error.code(),
            StoreError::Unanswered(error) => error.code(),
            _ => None,
        }
    }

    /// Why this process could not become the host.
    pub(crate) fn of_host(store: &Path, error: CoordinatorError) -> StoreError {
        let CoordinatorError::StoreDir(StoreDirError::Io { path, action, source }) = error else {
            return StoreError::Host(error);
        };
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::NotWritable { store: store.to_owned(), source }
            }
            _ => StoreError::Host(StoreDirError::Io { path, action, source }.into()),
        }
    }
}

impl From<ClientError> for StoreError {
    fn from(error: ClientError) -> StoreError {
        match error {
            ClientError::Unanswered { source, .. } => match StoreError::from(*source) {
                stalled @ StoreError::CoordinatorStalled { .. } => stalled,
                other => StoreError::Unanswered(Box::new(other)),
            },
            ClientError::Stalled { socket, pid, waited } => {
                let store = socket.parent().map_or_else(|| socket.clone(), Path::to_owned);
                StoreError::CoordinatorStalled { store, pid, waited }
            }
            ClientError::NotRunning { .. } => StoreError::NotRunning(error),
            ClientError::Refused { code, message, .. } => StoreError::RefusedAll { code, message },
            ClientError::Batch(error) => StoreError::Batch(error),
            ClientError::Io { action, path, source } => match source.downcast::<StoreError>() {
                Ok(own) => own,
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                    let own = rustix::process::geteuid().as_raw();
                    StoreError::NotAllowed { socket: path, own, source }
                }
                Err(source) => StoreError::Client(ClientError::Io { action, path, source }),
            },
            other => StoreError::Client(other),
        }
    }
}

/// What a dialer could not do, for the client that asked it.
impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> io::Error {
        io::Error::other(error)
    }
}
