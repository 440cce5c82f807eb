//! What can go wrong for a client, told so that someone can act on it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::batch::BatchError;
use crate::protocol::code::{ErrorCode, ProtocolError};

/// Why a call did not do what it was asked for.
///
/// From a write, [`Unanswered`](ClientError::Unanswered) says that the batch may have been applied
/// and is still in flight; after every other error it was not applied, and not sent either unless
/// it was [`Refused`](ClientError::Refused). What was submitted earlier stays in flight in any
/// case, and is sent again by the next call if the connection is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no such directory.
    #[error("there is no store at {}; `sutra serve {}` makes one", store.display(), store.display())]
    NoStore {
        /// The store's directory.
        store: PathBuf,
    },
    /// Nobody listens.
    #[error(
        "no coordinator answers at {}; start one with `sutra serve {}`",
        socket.display(),
        store.display()
    )]
    NotRunning {
        /// The store's directory.
        store: PathBuf,
        /// Where its coordinator should listen.
        socket: PathBuf,
    },
    /// Nobody listens at that address.
    #[error("nobody listens at {address}; start `sutra serve STORE --listen {address}`")]
    NotListening {
        /// Where was looked.
        address: String,
    },
    /// An address that is none, or not of this machine's loopback interface.
    #[error(
        "{address:?} is no address of the loopback interface; give 127.0.0.1:PORT, [::1]:PORT or \
         localhost:PORT, for there is no authentication yet: reach another machine through a tunnel"
    )]
    NotLoopback {
        /// What was given.
        address: String,
    },
    /// The coordinator is there and does not answer.
    #[error(
        "the coordinator{} at {} has not answered for {:.1} s; it may be stopped or its disk may hang",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        socket.display(),
        waited.as_secs_f32()
    )]
    Stalled {
        /// Where it listens.
        socket: PathBuf,
        /// Its process, if it ever answered.
        pid: Option<u32>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The connection ended, and what was asked for must not be asked twice.
    #[error("the coordinator at {} went away before it answered; see whether it still runs", socket.display())]
    Lost {
        /// Where it listened.
        socket: PathBuf,
    },
    /// A write that may or may not have been applied. It stays in flight: the next call sends it
    /// again under the same sequence number, and
    /// [`Client::next_receipt`](crate::Client::next_receipt) tells its outcome. Writing the batch
    /// again would be another write.
    #[error(
        "{source}; write {sequence} is not answered yet: ask for its receipt, do not write it again"
    )]
    Unanswered {
        /// Its sequence number.
        sequence: u64,
        /// The number that [`Client::submit`](crate::Client::submit) would have returned.
        request_id: u64,
        /// Why no answer came.
        source: Box<ClientError>,
    },
    /// The coordinator ended the connection.
    #[error("the coordinator ended the connection: {message} ({code:?})")]
    Disconnected {
        /// Why.
        code: ErrorCode,
        /// What was found and what to do.
        message: String,
    },
    /// The coordinator refused a whole frame; nothing of it was applied.
    #[error("the coordinator refused: {message} ({code:?})")]
    Refused {
        /// The frame, as [`Client::submit`](crate::Client::submit) numbered it.
        request_id: u64,
        /// Why.
        code: ErrorCode,
        /// A number that goes with the code; see [`ErrorCode`].
        detail: u64,
        /// What was found and what to do.
        message: String,
    },
    /// An LSN did not reach the level in time.
    #[error("LSN {lsn} was not reached in {:.1} s; {reached} was", waited.as_secs_f32())]
    Timeout {
        /// The LSN waited for.
        lsn: u64,
        /// The LSN that has reached the level.
        reached: u64,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Another store is where the first was; what is in flight belongs to that one.
    #[error(
        "{} is another store now than when this client connected; open a new client",
        store.display()
    )]
    StoreChanged {
        /// The store's directory.
        store: PathBuf,
    },
    /// The batch does not fit what the coordinator takes.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The coordinator sent what the protocol does not allow.
    #[error("the coordinator at {} broke the protocol: {source}", socket.display())]
    Protocol {
        /// Where it listens.
        socket: PathBuf,
        /// What was wrong.
        source: ProtocolError,
    },
    /// The socket could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ClientError {
    /// The code, if the coordinator refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } | ClientError::Disconnected { code, .. } => {
                Some(*code)
            }
            ClientError::Unanswered { source, .. } => source.code(),
            _ => None,
        }
    }
}
