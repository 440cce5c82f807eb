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

/// The concept of that id in a namespace, or the exit code that says there is none.
pub fn concept<'s>(
    snapshot: &'s Snapshot,
    store: &Path,
    namespace: &str,
    id: &str,
) -> Result<Concept<'s>, Failure> {
    Id::from(id).check().map_err(Failure::usage)?;
    snapshot.get_in(namespace, Id::from(id))?.ok_or_else(|| {
        let place = match namespace {
            "" => String::new(),
            name => format!(" in the namespace {name:?}"),
        };
        Failure::not_found(format!(
            "{} has no concept {id:?}{place}; ids are case-sensitive and exact",
            store.display()
        ))
    })
}

/// The number of a vector space by its name; the default one without a name.
pub fn space(snapshot: &Snapshot, name: Option<&str>) -> Result<usize, Failure> {
    let Some(name) = name else {
        return Ok(0);
    };
    if let Some(number) = snapshot.space_number(name)? {
        return Ok(number);
    }
    let spaces = snapshot.spaces()?;
    let known: Vec<String> = spaces.iter().map(|space| format!("{:?}", space.name)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(Failure::not_found(format!(
        "there is no vector space {name:?}; the store has {known}; `sutra space make` makes one"
    )))
}

/// The same for a write, which names it by number.
pub fn space_to_write(store: &Path, name: Option<&str>) -> Result<u8, Failure> {
    match name {
        None => Ok(0),
        Some(_) => Ok(space(&open(store)?.snapshot()?, name)? as u8),
    }
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
            | ReadError::NoWords
            | ReadError::NotYet { .. }
            | ReadError::ZeroVector => Failure::usage(error),
            ReadError::HistoryDropped { .. } => Failure::not_found(error),
            _ => Failure::store(error),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            // An atomic frame is refused as a whole, for the first operation that cannot be.
            ClientError::Refused { code, message, .. } => {
                Failure { exit: exit_of(code), error: anyhow::anyhow!(message) }
            }
            error => Failure::store(error),
        }
    }
}

/// A single operation that was refused: not found, or not usable, or the store's trouble.
impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Failure {
        Failure { exit: exit_of(error.code), error: anyhow::anyhow!(error.message) }
    }
}

fn exit_of(code: ErrorCode) -> Exit {
    match code {
        ErrorCode::UnknownConcept
        | ErrorCode::UnknownAssociation
        | ErrorCode::UnknownVectorSpace => Exit::NotFound,
        ErrorCode::Conflict => Exit::Conflict,
        ErrorCode::StorageFull
        | ErrorCode::Stopping
        | ErrorCode::Poisoned
        | ErrorCode::ReadOnly
        | ErrorCode::LimitReached
        | ErrorCode::NotAllowed
        | ErrorCode::TooSlow
        | ErrorCode::Internal => Exit::Store,
        _ => Exit::Usage,
    }
}
