//! Getting a connection: the attempts, the greeting, and what was unanswered sent again.

use std::io;
use std::time::{Duration, Instant};

use super::connection::{Broken, Connection};
use super::link::{Link, disconnected, is_farewell};
use crate::error::ClientError;
use crate::protocol::{ErrorCode, Hello, HelloReply, PROTOCOL_VERSION, ProtocolError, Reply};

/// Pauses between attempts to connect: doubling from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

impl Link {
    /// Connects if there is no connection, and sends on a new one everything unanswered, in order.
    pub fn ensure_connected(&mut self) -> Result<(), ClientError> {
        while self.connection.is_none() {
            // No pause before the first attempt. Later ones pause also when connecting went well:
            // only an answer shows that it was of use.
            std::thread::sleep(self.pause);
            self.pause = (2 * self.pause).clamp(PAUSE_MIN, PAUSE_MAX);
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
            ClientError::NotRunning { .. } => self.hello.is_some(),
            ClientError::Disconnected { code: ErrorCode::LimitReached, .. } => self.hello.is_some(),
            ClientError::Disconnected { code, .. } => is_farewell(*code),
            ClientError::Lost { .. } => true,
            _ => false,
        }
    }

    fn connect(&mut self) -> Result<(), ClientError> {
        let opened = Connection::open(&self.options.socket, self.patience);
        let mut connection = opened.map_err(|error| self.connect_error(error))?;
        let mut frame = Vec::new();
        let request_id = self.next_request_id();
        Hello::new(self.client_id, &self.options.author).encode(request_id, &mut frame);
        // What was said instead of a greeting matters more than that it could not be sent.
        let sent = connection.send(&frame, self.patience);
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
        for frame in self.flight.all().chain(asked.map(|asked| asked.frame.as_slice())) {
            match connection.send(frame, self.patience) {
                Ok(()) => {}
                Err(Broken::Silent) => return Err(self.broken(Broken::Silent)),
                // It shows again when replies are read; those that came before it count.
                Err(_) => break,
            }
        }
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
            io::ErrorKind::NotFound if !store.exists() => ClientError::NoStore { store },
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { store, socket }
            }
            io::ErrorKind::TimedOut => self.broken(Broken::Silent),
            _ => ClientError::Io { action: "connect to", path: socket, source },
        }
    }
}
