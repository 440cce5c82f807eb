//! Getting a connection: the attempts, the greeting, and what was unanswered sent again.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use sutra_layout::sys::fork::Kept;

use super::connection::{Broken, Connection, Stream};
use super::link::{Link, disconnected, is_passing};
use crate::error::ClientError;
use crate::protocol::{ErrorCode, Hello, HelloReply, PROTOCOL_VERSION, ProtocolError, Reply};
use crate::socket;
use crate::tcp;

/// Pauses between attempts to connect: doubling from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// The longest where the dialer may bring the coordinator back itself.
const PAUSE_MAX_DIALER: Duration = Duration::from_millis(4);

/// A way to a coordinator other than a socket at a path that somebody else serves.
pub trait Dial: Send + Sync {
    /// A connection; `timeout` bounds the wait for a place in a listener's queue.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] or [`io::ErrorKind::ConnectionRefused`] if nobody is there yet and
    /// asking again may go better. Every other error ends the call.
    fn dial(&self, timeout: Duration) -> io::Result<Kept<UnixStream>>;
}

impl Link {
    /// Connects if there is no connection, and sends on a new one everything unanswered, in order.
    pub fn ensure_connected(&mut self) -> Result<(), ClientError> {
        while self.connection.is_none() {
            // No pause before the first attempt. Later ones pause also when connecting went well:
            // only an answer shows that it was of use.
            std::thread::sleep(self.pause);
            let pause_max =
                if self.options.dialer.is_some() { PAUSE_MAX_DIALER } else { PAUSE_MAX };
            self.pause = (2 * self.pause).clamp(PAUSE_MIN, pause_max);
            let Err(error) = self.connect() else { continue };
            let since = *self.lost_since.get_or_insert_with(Instant::now);
            if !self.may_pass(&error) || since.elapsed() >= self.patience {
                return Err(self.farewell.take().map_or(error, disconnected));
            }
        }
        Ok(())
    }

    /// Whether connecting again may go better.
    fn may_pass(&self, error: &ClientError) -> bool {
        match error {
            // At first it is an answer; later a coordinator is expected to come back.
            ClientError::NotRunning { .. } | ClientError::NotListening { .. } => {
                self.hello.is_some() || self.options.dialer.is_some()
            }
            ClientError::Disconnected { code: ErrorCode::LimitReached, .. } => self.hello.is_some(),
            ClientError::Disconnected { code, .. } => is_passing(*code),
            ClientError::Lost { .. } => true,
            _ => false,
        }
    }

    fn connect(&mut self) -> Result<(), ClientError> {
        let dialed = match (&self.options.dialer, self.options.address()?) {
            (Some(dialer), _) => dialer.dial(self.patience).map(Stream::Unix),
            (None, Some(address)) => tcp::connect(address, self.patience).map(Stream::Tcp),
            (None, None) => {
                let connected = socket::connect_within(&self.options.socket, self.patience);
                connected.map(|stream| Stream::Unix(Kept::new(stream)))
            }
        };
        let mut connection = Connection::new(dialed.map_err(|error| self.connect_error(error))?);
        self.peer_pid = connection.peer_pid();
        let mut frame = Vec::new();
        let request_id = self.next_request_id();
        Hello::new(self.client_id, &self.options.author).encode(request_id, &mut frame);
        // What was said instead of a greeting matters more than that it could not be sent.
        let sent = connection.send([frame.as_slice()], self.patience);
        let reply = connection.receive(self.patience);
        if let Err(Broken::Silent) = sent {
            return Err(self.broken(Broken::Silent));
        }
        match reply.map_err(|broken| self.broken(broken))? {
            (_, Reply::Hello(hello)) => self.greeted(hello)?,
            (_, Reply::Error(error)) => return Err(disconnected(error)),
            (_, other) => return Err(self.unexpected(&other)),
        }
        let asked = self.question.as_ref().filter(|asked| asked.reply.is_none());
        let frames = self.flight.all().chain(asked.map(|asked| asked.frame.as_slice()));
        // A failure other than silence shows again when replies are read; those that came before it
        // count.
        if let Err(Broken::Silent) = connection.send(frames, self.patience) {
            return Err(self.broken(Broken::Silent));
        }
        self.flight.note_sent();
        self.connection = Some(connection);
        self.farewell = None;
        Ok(())
    }

    fn greeted(&mut self, hello: HelloReply) -> Result<(), ClientError> {
        if hello.version != PROTOCOL_VERSION {
            let (min, max, own) = (hello.version, hello.version, PROTOCOL_VERSION);
            return Err(self.broke_protocol(ProtocolError::NoCommonVersion { min, max, own }));
        }
        if self.hello.is_some_and(|first| first.store_id != hello.store_id) {
            return Err(ClientError::StoreChanged { store: self.options.store.clone() });
        }
        if self.next_sequence == 0 {
            self.next_sequence = hello.last_sequence + 1;
        }
        self.hello = Some(hello);
        Ok(())
    }

    fn connect_error(&self, source: io::Error) -> ClientError {
        let (store, socket) = (self.options.store.clone(), self.options.socket.clone());
        match source.kind() {
            io::ErrorKind::ConnectionRefused if tcp::is_address(&store) => {
                ClientError::NotListening { address: store.display().to_string() }
            }
            io::ErrorKind::NotFound if !store.exists() => ClientError::NoStore { store },
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { store, socket }
            }
            io::ErrorKind::TimedOut => self.broken(Broken::Silent),
            _ => ClientError::Io { action: "connect to", path: socket, source },
        }
    }
}
