//! How a client is to connect.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::dial::Dial;
use crate::error::ClientError;
use crate::socket;
use crate::tcp;

/// How long a coordinator may be away or silent unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a [`Client`] is to be, before it connects.
#[derive(Clone)]
pub struct ClientBuilder {
    pub(super) store: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) client_id: Option<[u8; 16]>,
    pub(super) author: String,
    pub(super) deadline: Duration,
    pub(super) first_sequence: Option<u64>,
    pub(super) dialer: Option<Arc<dyn Dial>>,
    pub(super) gathered_size: usize,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClientBuilder { store, socket, client_id, author, deadline, first_sequence, .. } = self;
        f.debug_struct("ClientBuilder")
            .field("store", store)
            .field("socket", socket)
            .field("client_id", client_id)
            .field("author", author)
            .field("deadline", deadline)
            .field("first_sequence", first_sequence)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    pub(super) fn new(store: &Path) -> ClientBuilder {
        ClientBuilder {
            store: store.to_owned(),
            socket: socket::path_in(store),
            client_id: None,
            author: program_name(),
            deadline: DEADLINE,
            first_sequence: None,
            dialer: None,
            gathered_size: 0,
        }
    }

    /// Where the coordinator listens; `coordinator.sock` in the store's directory unless told
    /// otherwise.
    pub fn socket(mut self, path: impl AsRef<Path>) -> ClientBuilder {
        self.socket = path.as_ref().to_owned();
        self
    }

    /// The id under which sequence numbers count; a random uuid unless told otherwise. No two
    /// clients may use the same at a time.
    pub fn client_id(mut self, client_id: [u8; 16]) -> ClientBuilder {
        self.client_id = Some(client_id);
        self
    }

    /// Who writes, recorded with what is written; at most 64 bytes, the program's name unless told
    /// otherwise.
    pub fn author(mut self, author: &str) -> ClientBuilder {
        self.author = author.to_owned();
        self
    }

    /// How long a call may go on without anything moving: the coordinator gone, stopped or silent;
    /// 30 s unless told otherwise. Less than a flush or a sync may take is too little.
    pub fn deadline(mut self, deadline: Duration) -> ClientBuilder {
        self.deadline = deadline;
        self
    }

    /// The sequence number of the first write. Unless told otherwise it goes on from the highest
    /// that the coordinator knows of this `client_id`, and so from 1 under a random one.
    ///
    /// A program that keeps a ledger repeats a write whose outcome it does not know, also after a
    /// restart, by connecting with the same id and that write's number: if it had been applied,
    /// the receipt says so and it is not applied again.
    pub fn first_sequence(mut self, sequence: u64) -> ClientBuilder {
        self.first_sequence = Some(sequence.max(1));
        self
    }

    /// How connections are made, instead of by the socket at a path. While it says that nobody is
    /// there, it is asked again until the deadline, at first too.
    pub fn dialer(mut self, dialer: Arc<dyn Dial>) -> ClientBuilder {
        self.dialer = Some(dialer);
        self
    }

    /// Where to connect by TCP; `None`: by the socket at a path.
    pub(super) fn address(&self) -> Result<Option<SocketAddr>, ClientError> {
        match tcp::is_address(&self.store) {
            true => tcp::loopback(&self.store.to_string_lossy()).map(Some),
            false => Ok(None),
        }
    }

    /// Keeps what is [submitted](Client::submit) until it comes to `size` bytes, and sends it by one
    /// call of the system, which costs more than a small frame does; 0 unless told otherwise: each
    /// at once. What is kept goes out earlier when the client waits for an answer, asks or
    /// [is told to](Client::send_gathered), and never if it is dropped before.
    pub fn gather(mut self, size: usize) -> ClientBuilder {
        self.gathered_size = size;
        self
    }

    /// Connects. If nobody listens, that is an error at once.
    pub fn connect(self) -> Result<Client, ClientError> {
        Client::new(self)
    }
}

fn program_name() -> String {
    let name = std::env::current_exe().ok();
    let name = name.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    name.unwrap_or("sutra-client").to_owned()
}
