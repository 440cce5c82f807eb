//! The line to the coordinator, kept up: sends, files answers, asks.

use std::io;
use std::time::{Duration, Instant};

use sutra_layout::sys::fork;

use super::builder::ClientBuilder;
use super::connection::{Broken, Connection};
use super::flight::Flight;
use super::unexpected_kind;
use crate::error::ClientError;
use crate::protocol::{
    ErrorCode, ErrorReply, HelloReply, ProtocolError, Refusal, Reply, WriteReply,
};

/// How long a coordinator that said it is going may be silent before it counts as gone.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);

/// A question other than a write; one at a time.
#[derive(Debug)]
pub(super) struct Question {
    request_id: u64,
    pub frame: Vec<u8>,
    pub reply: Option<Reply>,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) options: ClientBuilder,
    pub(super) connection: Option<Connection>,
    /// The process at the other end of the newest connection, as the system says.
    pub(super) peer_pid: Option<u32>,
    /// From the newest connection.
    pub(super) hello: Option<HelloReply>,
    pub flight: Flight,
    pub(super) question: Option<Question>,
    pub client_id: [u8; 16],
    pub next_sequence: u64,
    last_request_id: u64,
    pub last_lsn: u64,
    /// The process that this link belongs to, as [`fork::generation`] counts them.
    generation: u32,
    /// How long the current call may go on without anything moving.
    pub(super) patience: Duration,
    /// Since when the current call has had no answer over a connection that was lost.
    pub(super) lost_since: Option<Instant>,
    /// The pause before the next attempt to connect.
    pub(super) pause: Duration,
    /// What the coordinator said when it went away.
    pub(super) farewell: Option<ErrorReply>,
}

impl Link {
    pub fn new(options: ClientBuilder) -> Result<Link, ClientError> {
        let client_id = match options.client_id {
            Some(client_id) => client_id,
            None => random_uuid()?,
        };
        let mut link = Link {
            patience: options.deadline,
            next_sequence: options.first_sequence.unwrap_or(0),
            options,
            connection: None,
            peer_pid: None,
            hello: None,
            flight: Flight::default(),
            question: None,
            client_id,
            last_request_id: 0,
            last_lsn: 0,
            generation: fork::generation(),
            lost_since: None,
            pause: Duration::ZERO,
            farewell: None,
        };
        link.ensure_connected()?;
        Ok(link)
    }

    /// To be called first by every call of a user.
    pub fn begin(&mut self, patience: Duration) -> Result<(), ClientError> {
        self.patience = patience;
        self.lost_since = None;
        self.pause = Duration::ZERO;
        self.farewell = None;
        self.question = None;
        if self.generation != fork::generation() {
            self.start_anew_after_fork()?;
        }
        Ok(())
    }

    /// The parent goes on with the connection, its sequence numbers and what is in flight.
    fn start_anew_after_fork(&mut self) -> Result<(), ClientError> {
        self.generation = fork::generation();
        self.connection = None;
        self.flight = Flight::default();
        self.client_id = random_uuid()?;
        self.next_sequence = 1;
        self.last_request_id = 0;
        Ok(())
    }

    /// What the coordinator said of itself.
    pub fn hello(&self) -> &HelloReply {
        self.hello.as_ref().expect("a link connects before it is given out")
    }

    pub fn next_request_id(&mut self) -> u64 {
        self.last_request_id += 1;
        self.last_request_id
    }

    /// Sends the frames in flight that were not sent yet, all at once.
    pub fn send_unsent(&mut self) -> Result<(), ClientError> {
        if !self.flight.has_unsent() {
            return Ok(());
        }
        let Some(connection) = &mut self.connection else {
            return self.ensure_connected();
        };
        let sent = connection.send(self.flight.unsent(), self.patience);
        self.flight.note_sent();
        match sent {
            Ok(()) => Ok(()),
            Err(broken) => {
                self.settle(broken)?;
                self.ensure_connected()
            }
        }
    }

    /// Reads one reply and files it. When the connection is lost instead, connects again and
    /// sends again what is unanswered.
    pub fn advance(&mut self) -> Result<(), ClientError> {
        self.ensure_connected()?;
        if !self.connection.as_ref().is_some_and(Connection::has_reply) {
            self.send_unsent()?; // it may be what is waited for
        }
        let is_alone = self.flight.awaits_one_unsynced();
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let is_going = self.farewell.is_some();
        let limit = if is_going { self.patience.min(FAREWELL_PATIENCE) } else { self.patience };
        match connection.receive_soon(limit, is_alone) {
            Ok((request_id, reply)) => self.file(request_id, reply),
            Err(Broken::Silent) if !is_going => Err(self.broken(Broken::Silent)),
            Err(Broken::Lost | Broken::Silent) => self.lose_and_check_time(),
            Err(Broken::Protocol(error)) => {
                self.lose();
                Err(self.broke_protocol(error))
            }
        }
    }

    /// Asks, again over a new connection if the first is lost, and waits for the reply.
    pub fn ask(&mut self, request_id: u64, frame: Vec<u8>) -> Result<Reply, ClientError> {
        self.ensure_connected()?;
        self.send_unsent()?;
        let sent = match &mut self.connection {
            Some(connection) => connection.send([frame.as_slice()], self.patience),
            None => Ok(()),
        };
        self.question = Some(Question { request_id, frame, reply: None });
        if let Err(broken) = sent {
            self.settle(broken)?;
        }
        loop {
            if let Some(reply) = self.question.as_mut().and_then(|asked| asked.reply.take()) {
                self.question = None;
                return Ok(reply);
            }
            self.advance()?;
        }
    }

    /// Asks over this connection alone. Answers to what is in flight are filed meanwhile.
    pub fn ask_once(&mut self, request_id: u64, frame: Vec<u8>) -> Result<Reply, ClientError> {
        self.ensure_connected()?;
        self.send_unsent()?;
        // What was said before the end is read in any case.
        let sent = match &mut self.connection {
            Some(connection) => connection.send([frame.as_slice()], self.patience),
            None => Err(Broken::Lost),
        };
        loop {
            let Some(connection) = &mut self.connection else {
                return Err(self.broken(sent.err().unwrap_or(Broken::Lost)));
            };
            match connection.receive(self.patience) {
                Ok((_, Reply::Error(error))) => {
                    self.connection = None;
                    return Err(disconnected(error));
                }
                Ok((id, reply)) if id == request_id => return Ok(reply),
                Ok((id, reply)) => self.file(id, reply)?,
                Err(broken) => {
                    self.connection = None;
                    return Err(self.broken(sent.err().unwrap_or(broken)));
                }
            }
        }
    }

    /// Waits until the coordinator has closed the connection.
    pub fn wait_for_end(&mut self) -> Result<(), ClientError> {
        while let Some(connection) = &mut self.connection {
            match connection.receive(self.patience) {
                Ok(_) => {}
                Err(Broken::Silent) => return Err(self.broken(Broken::Silent)),
                Err(_) => self.connection = None,
            }
        }
        Ok(())
    }

    /// After a send has failed: files what the coordinator said before the end, and has no
    /// connection afterwards.
    fn settle(&mut self, broken: Broken) -> Result<(), ClientError> {
        if let Broken::Silent = broken {
            // It may have a part of the frame; nothing more can be sent there.
            self.lose();
            return Err(self.broken(Broken::Silent));
        }
        while let Some(connection) = &mut self.connection {
            match connection.receive(self.patience) {
                Ok((request_id, reply)) => self.file(request_id, reply)?,
                Err(Broken::Protocol(error)) => {
                    self.lose();
                    return Err(self.broke_protocol(error));
                }
                Err(_) => self.lose(),
            }
        }
        Ok(())
    }

    fn lose(&mut self) {
        self.connection = None;
        self.lost_since.get_or_insert_with(Instant::now);
    }

    /// A coordinator that takes connections and never answers on one must not be tried for ever.
    fn lose_and_check_time(&mut self) -> Result<(), ClientError> {
        self.lose();
        match self.lost_since {
            Some(since) if since.elapsed() >= self.patience => {
                let lost = self.broken(Broken::Lost);
                Err(self.farewell.take().map_or(lost, disconnected))
            }
            _ => Ok(()),
        }
    }

    /// An answer came: what was lost before it is made good.
    fn answered(&mut self) {
        self.lost_since = None;
        self.pause = Duration::ZERO;
    }

    fn file(&mut self, request_id: u64, reply: Reply) -> Result<(), ClientError> {
        match reply {
            Reply::Error(error) => {
                if !is_passing(error.code) {
                    self.lose();
                    return Err(disconnected(error));
                }
                self.farewell = Some(error);
                self.lose_and_check_time()
            }
            Reply::Write(WriteReply { refusal: Some(Refusal { code, message, .. }), .. })
            | Reply::Flush(WriteReply { refusal: Some(Refusal { code, message, .. }), .. })
                if is_farewell(code) =>
            {
                // It stays unanswered, to be sent again when a coordinator is back.
                self.farewell = Some(ErrorReply { code, message });
                Ok(())
            }
            Reply::Write(reply) if self.flight.holds(request_id) => {
                self.answered();
                let lsn = self.flight.answered(request_id, reply);
                self.last_lsn = self.last_lsn.max(lsn.unwrap_or(0));
                Ok(())
            }
            reply if self.flight.holds(request_id) => {
                self.lose();
                Err(self.unexpected(&reply))
            }
            reply => match &mut self.question {
                Some(asked) if asked.request_id == request_id => {
                    asked.reply = Some(reply);
                    self.answered();
                    Ok(())
                }
                // The answer to a question that was given up.
                _ if (1..=self.last_request_id).contains(&request_id) => Ok(()),
                _ => {
                    self.lose();
                    Err(self.unexpected(&reply))
                }
            },
        }
    }

    pub(super) fn broken(&self, broken: Broken) -> ClientError {
        let socket = self.options.socket.clone();
        match broken {
            Broken::Lost => ClientError::Lost { socket },
            Broken::Silent => {
                let pid = self.peer_pid.or(self.hello.map(|hello| hello.writer_pid));
                ClientError::Stalled { socket, pid, waited: self.patience }
            }
            Broken::Protocol(source) => ClientError::Protocol { socket, source },
        }
    }

    pub(super) fn broke_protocol(&self, source: ProtocolError) -> ClientError {
        self.broken(Broken::Protocol(source))
    }

    pub(super) fn unexpected(&self, reply: &Reply) -> ClientError {
        self.broke_protocol(unexpected_kind(reply))
    }
}

pub(super) fn disconnected(error: ErrorReply) -> ClientError {
    ClientError::Disconnected { code: error.code, message: error.message }
}

/// Codes after which the next coordinator may well accept the same frame. Whether a frame refused
/// as poisoned was kept, only the next coordinator can say.
pub(super) fn is_farewell(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Stopping | ErrorCode::Poisoned)
}

/// Codes that end a connection after which another may well be of use: the coordinator goes, or
/// could not keep up with all that its clients hold, or this process was stopped inside a frame.
pub(super) fn is_passing(code: ErrorCode) -> bool {
    is_farewell(code) || matches!(code, ErrorCode::LimitReached | ErrorCode::TooSlow)
}

/// A random uuid (version 4).
fn random_uuid() -> Result<[u8; 16], ClientError> {
    let mut uuid = [0; 16];
    getrandom::fill(&mut uuid).map_err(|error| ClientError::Io {
        action: "get random bytes from",
        path: "/dev/urandom".into(),
        source: io::Error::other(error.to_string()),
    })?;
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(uuid)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::protocol::frame::HEADER_SIZE;
    use crate::protocol::{FrameHeader, Hello, PROTOCOL_VERSION};
    use crate::{Client, Level, socket};

    /// Greets one client; its id and the stream.
    fn greet(listener: &UnixListener) -> ([u8; 16], UnixStream) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut header = [0; HEADER_SIZE];
        stream.read_exact(&mut header).unwrap();
        let header = FrameHeader::parse(&header, 100).unwrap();
        let mut body = vec![0; header.body_size as usize];
        stream.read_exact(&mut body).unwrap();
        let hello = HelloReply {
            version: PROTOCOL_VERSION,
            writer_epoch: 1,
            writer_pid: 1,
            store_id: [0; 16],
            frame_size_max: 1 << 20,
            operations_per_frame_max: 100,
            last_sequence: 5,
            published_lsn: 0,
        };
        let mut out = Vec::new();
        hello.encode(header.request_id, &mut out);
        std::io::Write::write_all(&mut stream, &out).unwrap();
        (Hello::decode(&body).unwrap().client_id, stream)
    }

    #[test]
    fn in_another_process_it_is_another_client_with_nothing_in_flight() {
        let store = tempfile::tempdir().unwrap();
        let listener = socket::bind(socket::path_in(store.path()), 0o600).unwrap();
        let server = std::thread::spawn(move || {
            let (parent, mut parents_stream) = greet(&listener);
            let (child, _childs_stream) = greet(&listener);
            assert_ne!(parent, child);
            // The parent's frame came once, on the parent's connection.
            let mut sent = Vec::new();
            parents_stream.read_to_end(&mut sent).unwrap();
            assert_eq!(sent.len(), 32);
        });
        let builder = Client::builder(store.path()).client_id([9; 16]);
        let mut link = Link::new(builder).unwrap();
        assert_eq!(link.next_sequence, 6);
        let request_id = link.next_request_id();
        let mut frame = Vec::new();
        crate::Batch::new().encode(request_id, 6, Level::Durable, &mut frame);
        link.flight.add(request_id, 6, Level::Durable, frame);
        link.send_unsent().unwrap();

        // As a fork would leave it.
        link.generation += 1;
        link.begin(Duration::from_secs(20)).unwrap();
        link.ensure_connected().unwrap();
        assert_eq!((link.flight.count(), link.next_sequence), (0, 1));
        assert_ne!(link.client_id, [9; 16]);
        server.join().unwrap();
    }
}
