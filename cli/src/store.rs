//! Ways into a store: a snapshot to read from, a connection to write through.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use sutra_client::{Client, ClientError, ErrorCode, OperationError};
use sutra_layout::id::Id;
use sutra_reader::{Concept, OpenError, ReadError, Reader, Snapshot};
use sutra_store::{Mode, Options, Store, StoreError};

use crate::exit::{Exit, Failure};

/// What the store remembers as the author of what is written from the command line.
const AUTHOR: &str = "sutra";

/// A store to read from: nothing is created, started or written.
#[derive(Clone, Debug, clap::Args)]
pub struct ReaderArgs {
    /// The store's directory
    #[arg(value_name = "STORE")]
    pub store: PathBuf,
}

/// A store to write to, through its coordinator; where none runs, this command hosts it for as long
/// as it takes.
#[derive(Clone, Debug, clap::Args)]
pub struct WriterArgs {
    /// The store's directory
    #[arg(value_name = "STORE")]
    pub store: PathBuf,
    /// The socket of a coordinator that must run [default: STORE/coordinator.sock, and without a
    /// coordinator this command writes by itself]
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

/// A connection to a store's coordinator, which may be hosted by this process meanwhile.
#[derive(Debug)]
pub struct Writer {
    /// Before the store, whose host ends when it is dropped.
    client: Client,
    _store: Store,
}

impl Deref for Writer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

/// Ways to write to a store that is there.
pub fn connect(args: &WriterArgs) -> Result<Writer, Failure> {
    open_to_write(args, false)
}

/// Likewise; makes the store if it is not there.
pub fn connect_or_make(args: &WriterArgs) -> Result<Writer, Failure> {
    open_to_write(args, true)
}

fn open_to_write(args: &WriterArgs, create: bool) -> Result<Writer, Failure> {
    let options = Options {
        // Who names a socket means somebody who listens there.
        mode: args.socket.is_some().then_some(Mode::Server),
        socket: args.socket.clone(),
        author: Some(AUTHOR.to_owned()),
        create,
        ..Options::default()
    };
    let store = Store::open(&args.store, options)?;
    Ok(Writer { client: store.connect()?, _store: store })
}

/// Connects to a coordinator that runs, and never hosts one.
pub fn connect_to_running(args: &WriterArgs) -> Result<Client, Failure> {
    let mut builder = Client::builder(&args.store).author(AUTHOR);
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
            | ReadError::NoLength { .. }
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
            // What kept this process from being the host came through the client.
            error => StoreError::from(error).into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Open(error) => error.into(),
            StoreError::Read(error) => error.into(),
            StoreError::Refused(error) => error.into(),
            StoreError::RefusedAll { code, message } => {
                Failure { exit: exit_of(code), error: anyhow::anyhow!(message) }
            }
            StoreError::Batch(error) => Failure::usage(error),
            StoreError::Mode(error) => Failure::usage(error),
            StoreError::Environment { .. } | StoreError::OtherVectors { .. } => {
                Failure::usage(error)
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
