//! The connected clients: what they have sent, what they are still to get.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use sutra_client::protocol::{ErrorCode, ErrorReply, Inbox};
use sutra_layout::limits::{CONNECTIONS_MAX, FRAME_SIZE_MAX};
use sutra_layout::sys::fork::Kept;

use super::poll::{Poll, Token};
use crate::reconciler::Session;

/// A client must have said hello by then.
const HELLO_DEADLINE: Duration = Duration::from_secs(2);
/// A frame that has begun must be complete by then.
const FRAME_DEADLINE: Duration = Duration::from_secs(10);
/// Nothing more is read from a client that leaves so many bytes of answers unread.
const UNREAD_SIZE_MAX: usize = 4 << 20;
/// Bytes read from one client before the others get their turn.
const READ_SIZE_MAX: usize = 1 << 20;

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    /// Its place in the table.
    pub token: Token,
    stream: Kept<UnixStream>,
    /// What it has sent and nobody took yet.
    pub inbox: Inbox,
    /// Answers on their way, from `sent` on.
    pub out: Vec<u8>,
    sent: usize,
    /// Who it is, after its hello.
    pub session: Option<Session>,
    /// The user at the other end, as the system says.
    pub peer_uid: u32,
    opened_at: Instant,
    /// When the frame that is incomplete in the inbox began.
    frame_begun_at: Option<Instant>,
    watches: (bool, bool),
    /// It gets what is in `out` and is then closed.
    pub is_closing: bool,
    /// The peer closed its end, or the connection broke.
    is_broken: bool,
}

impl Connection {
    /// Reads what has arrived, within its turn. False once nothing more will come.
    pub fn read(&mut self) -> bool {
        if self.unsent() >= UNREAD_SIZE_MAX {
            return true; // it takes its answers first
        }
        let mut left = READ_SIZE_MAX;
        while left > 0 {
            let room = self.inbox.room();
            let size = room.len();
            match (&*self.stream).read(room) {
                Ok(0) => return false,
                Ok(count) => {
                    self.inbox.filled(count);
                    left = left.saturating_sub(count);
                    if count < size {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Notes whether a frame is still incomplete, for its deadline.
    pub fn note_frame(&mut self, now: Instant, made_progress: bool) {
        if self.inbox.size() == 0 {
            self.frame_begun_at = None;
        } else if made_progress || self.frame_begun_at.is_none() {
            self.frame_begun_at = Some(now);
        }
    }

    /// Says why, and closes after that.
    pub fn fail(&mut self, code: ErrorCode, message: &str) {
        if !self.is_closing {
            ErrorReply { code, message: message.to_owned() }.encode(0, &mut self.out);
            self.is_closing = true;
        }
    }

    /// Closes without a word.
    pub fn close(&mut self) {
        self.is_broken = true;
    }

    fn send(&mut self) {
        while self.sent < self.out.len() && !self.is_broken {
            match (&*self.stream).write(&self.out[self.sent..]) {
                Ok(0) => self.is_broken = true,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.is_broken = true,
            }
        }
        self.out.clear();
        self.out.shrink_to(1 << 16);
        self.sent = 0;
    }

    fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    fn is_done(&self) -> bool {
        self.is_broken || (self.is_closing && self.unsent() == 0)
    }

    fn is_late(&self, now: Instant) -> bool {
        (self.session.is_none() && now - self.opened_at > HELLO_DEADLINE)
            || self.frame_begun_at.is_some_and(|begun| now - begun > FRAME_DEADLINE)
    }
}

/// Tells a client that there are too many, and closes. A new socket's buffer takes it at once.
pub fn turn_away(stream: &UnixStream) {
    let message = format!("{CONNECTIONS_MAX} clients are connected already; close some or wait");
    let mut frame = Vec::new();
    ErrorReply { code: ErrorCode::LimitReached, message }.encode(0, &mut frame);
    let _ = stream.set_nonblocking(true).and_then(|()| (&*stream).write_all(&frame));
}

/// All connections, by token.
#[derive(Debug, Default)]
pub struct Connections {
    all: HashMap<Token, Connection>,
    /// Those that may have something to send.
    busy: Vec<Token>,
    next: u64,
}

impl Connections {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Takes a new one on.
    pub fn add(&mut self, stream: Kept<UnixStream>, poll: &mut Poll) -> io::Result<()> {
        use std::os::fd::AsFd;
        stream.set_nonblocking(true)?;
        let peer_uid = getsockopt(&stream, PeerCredentials)?.uid();
        let token = Token(self.next);
        self.next += 1;
        poll.watch(stream.as_fd(), token)?;
        let connection = Connection {
            token,
            stream,
            inbox: Inbox::new(FRAME_SIZE_MAX as u32),
            out: Vec::new(),
            sent: 0,
            session: None,
            peer_uid,
            opened_at: Instant::now(),
            frame_begun_at: None,
            watches: (true, false),
            is_closing: false,
            is_broken: false,
        };
        self.all.insert(token, connection);
        Ok(())
    }

    /// Takes one out, to be put back by [`Connections::put_back`].
    pub fn take(&mut self, token: Token) -> Option<Connection> {
        self.all.remove(&token)
    }

    /// Puts one back; what it has to send goes out at the end of the turn.
    pub fn put_back(&mut self, connection: Connection) {
        self.busy.push(connection.token);
        self.all.insert(connection.token, connection);
    }

    /// Where to put an answer for a client; `None` if it left.
    pub fn out(&mut self, token: Token) -> Option<&mut Vec<u8>> {
        let connection = self.all.get_mut(&token)?;
        self.busy.push(token);
        Some(&mut connection.out)
    }

    /// Sends what can be sent, and closes whoever is done.
    pub fn send_all(&mut self, poll: &mut Poll) {
        for token in std::mem::take(&mut self.busy) {
            let Some(connection) = self.all.get_mut(&token) else {
                continue;
            };
            connection.send();
            if connection.is_done() {
                self.all.remove(&token);
                continue;
            }
            let unsent = connection.unsent();
            let watches = (unsent < UNREAD_SIZE_MAX && !connection.is_closing, unsent > 0);
            if watches != connection.watches {
                connection.watches = watches;
                if poll.change(&connection.stream, token, watches.0, watches.1).is_err() {
                    self.all.remove(&token);
                }
            }
        }
    }

    /// Ends those that were too slow to say hello or to complete a frame.
    pub fn expire(&mut self, now: Instant, poll: &mut Poll) {
        let late: Vec<Token> =
            self.all.values().filter(|c| c.is_late(now)).map(|c| c.token).collect();
        for token in late {
            if let Some(connection) = self.all.get_mut(&token) {
                connection
                    .fail(ErrorCode::Malformed, "nothing complete arrived in time; connect again");
                self.busy.push(token);
            }
        }
        self.send_all(poll);
    }

    /// Sends what is left, each within a second, and closes all.
    pub fn send_all_before_close(&mut self) {
        for (_, mut connection) in self.all.drain() {
            let blocking = connection.stream.set_nonblocking(false).is_ok()
                && connection.stream.set_write_timeout(Some(Duration::from_secs(1))).is_ok();
            if blocking {
                connection.send();
            }
        }
    }

    /// Tells everyone that nothing more is acknowledged, and closes all.
    pub fn fail_all(&mut self, message: &str) {
        for connection in self.all.values_mut() {
            connection.fail(ErrorCode::Poisoned, message);
        }
        self.send_all_before_close();
    }
}
