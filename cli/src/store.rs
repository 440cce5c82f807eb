//! Ways into a store: a snapshot to read from, a connection to write through.

use std::path::{Path, PathBuf};

use sutra_client::{Client, ClientError, ErrorCode, OperationError};
use sutra_layout::id::Id;
use sutra_reader::{Concept, OpenError, ReadError, Reader, Snapshot};

use crate::exit::{Exit, Failure};

/// A store to read from: nothing is created, started or written.
#[derive(Clone, Debug, clap::Args)]
pub struct ReaderArgs {
    /// The store's directory
    #[arg(value_name = "STORE")]
    pub store: PathBuf,
}

/// A store to write to, through its coordinator.
#[derive(Clone, Debug, clap::Args)]
pub struct WriterArgs {
    /// The store's directory
    #[arg(value_name = "STORE")]
    pub store: PathBuf,
    /// The coordinator's socket [default: STORE/coordinator.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl ReaderArgs {
    /// The store as it is now.
    pub fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(open(&self.store)?.snapshot()?)
    }
}

/// Maps a store.
pub fn open(store: &Path) -> Result<Reader, Failure> {
    Ok(Reader::open(store)?)
}

/// Connects to the coordinator of a store.
pub fn connect(args: &WriterArgs) -> Result<Client, Failure> {
    let mut builder = Client::builder(&args.store).author("sutra");
    if let Some(socket) = &args.socket {
        builder = builder.socket(socket);
    }
    Ok(builder.connect()?)
}

/// The concept of that id, or the exit code that says there is none.
pub fn concept<'s>(snapshot: &'s Snapshot, store: &Path, id: &str) -> Result<Concept<'s>, Failure> {
    Id::from(id).check().map_err(Failure::usage)?;
    snapshot.get(Id::from(id))?.ok_or_else(|| {
        Failure::not_found(format!(
            "{} has no concept {id:?}; ids are case-sensitive and exact",
            store.display()
        ))
    })
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        Failure::store(error)
    }
}

/// What was asked for is not usable, or the store is not.
impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        match error {
            ReadError::InvalidId(_)
            | ReadError::NoSuchSpace { .. }
            | ReadError::WrongDimension { .. }
            | ReadError::NotFinite { .. }
            | ReadError::ZeroVector => Failure::usage(error),
            _ => Failure::store(error),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::store(error)
    }
}

/// A single operation that was refused: not found, or not usable, or the store's trouble.
impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Failure {
        let exit = match error.code {
            ErrorCode::UnknownConcept => Exit::NotFound,
            ErrorCode::StorageFull
            | ErrorCode::Stopping
            | ErrorCode::Poisoned
            | ErrorCode::ReadOnly
            | ErrorCode::LimitReached
            | ErrorCode::Internal => Exit::Store,
            _ => Exit::Usage,
        };
        Failure { exit, error: anyhow::anyhow!(error.message) }
    }
}
