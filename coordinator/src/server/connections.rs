//! All connected clients, and what they may have in memory together.
//!
//! A client that has more than its share of anything is not read until that is over: it is slowed,
//! and nobody else. Memory is counted over all of them: the bytes of unfinished frames, of answers
//! not taken, and of answers that wait for their level. Up to [`MEMORY_SIZE_OF_EACH`] a client is
//! always read; above that, only while all together have less than the limit. Then only the one
//! that has had too much for the longest time, the elder, is read on, so that frames are finished
//! one after the other; an elder that does not move is closed.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use sutra_client::protocol::ErrorCode;
use sutra_layout::sys::fork::Kept;

use super::connection::{Connection, Lateness, MEMORY_SIZE_OF_EACH, Obstacle};
use super::peers::Peer;
use super::poll::{Poll, Token};

/// While memory is short, a client that has much of it and does not move is closed after so long.
const ELDER_DEADLINE: Duration = Duration::from_millis(100);
/// What is left to send when the coordinator stops is sent within that time.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(1);

/// All connections, by token.
#[derive(Debug)]
pub struct Connections {
    all: HashMap<Token, Connection>,
    /// Those that may have something to send.
    busy: Vec<Token>,
    /// Those that are not read for now, in the order in which they were held back.
    held_back: Vec<Token>,
    /// Those that left since somebody asked.
    left: Vec<Token>,
    next: u64,
    memory_size_max: usize,
    /// Bytes of memory that the connections have, and of answers that wait for their level.
    memory_size: usize,
    owed_size: usize,
    /// Who has had too much for the longest time while memory is short, and since when that is so.
    elder: Option<(Token, Instant)>,
    /// A buffer for whoever is read next, so that idle clients need none.
    spare: Vec<u8>,
}

impl Connections {
    /// None; together they may have `memory_size_max` bytes.
    pub fn new(memory_size_max: usize) -> Connections {
        Connections {
            all: HashMap::new(),
            busy: Vec::new(),
            held_back: Vec::new(),
            left: Vec::new(),
            next: 0,
            memory_size_max,
            memory_size: 0,
            owed_size: 0,
            elder: None,
            spare: Vec::new(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Takes a new one on.
    pub fn add(&mut self, stream: Kept<UnixStream>, peer: Peer, poll: &mut Poll) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let token = Token(self.next);
        self.next += 1;
        poll.watch(stream.as_fd(), token)?;
        self.all.insert(token, Connection::new(token, stream, peer));
        Ok(())
    }

    /// Closes the oldest of those that have not said hello, for one more to be taken on. False if
    /// all have.
    pub fn make_room(&mut self) -> bool {
        let strangers = self.all.values().filter(|connection| connection.session.is_none());
        let Some(oldest) = strangers.map(|connection| connection.token).min_by_key(|t| t.0) else {
            return false;
        };
        if let Some(connection) = self.all.get_mut(&oldest) {
            connection.fail(ErrorCode::LimitReached, "others wait; say hello at once");
            connection.send();
        }
        self.remove(oldest);
        true
    }

    /// Takes one out, to be put back by [`Connections::put_back`]. `None` if it is gone, or was
    /// served in this turn.
    pub fn take(&mut self, token: Token, turn: u64) -> Option<Connection> {
        if self.all.get(&token)?.turn == turn {
            return None;
        }
        let mut connection = self.all.remove(&token)?;
        connection.turn = turn;
        Some(connection)
    }

    /// Reads from one that was taken out. False once nothing more will come.
    pub fn read(&mut self, connection: &mut Connection) -> bool {
        connection.read(&mut self.spare)
    }

    /// Puts one back; what it has to send goes out at the end of the turn.
    pub fn put_back(&mut self, mut connection: Connection) {
        connection.inbox.give_back(&mut self.spare);
        recount(&mut self.memory_size, &mut connection);
        if connection.held_back.is_some() && !self.held_back.contains(&connection.token) {
            self.held_back.push(connection.token);
        }
        push_once(&mut self.busy, connection.token);
        self.all.insert(connection.token, connection);
    }

    /// Why a client must not be read now.
    pub fn obstacle(
        &self,
        connection: &mut Connection,
        now: Instant,
        durable_lsn: u64,
    ) -> Option<Obstacle> {
        let obstacle = connection.obstacle(now, durable_lsn);
        obstacle.or_else(|| {
            let is_short = self.memory_size + self.owed_size >= self.memory_size_max;
            let has_little = connection.memory_size() <= MEMORY_SIZE_OF_EACH;
            let is_elder = self.elder.is_some_and(|(elder, _)| elder == connection.token);
            (is_short && !has_little && !is_elder).then_some(Obstacle::Memory)
        })
    }

    /// Notes that a client is owed an answer of so many bytes.
    pub fn owe(&mut self, connection: &mut Connection, size: usize) {
        connection.owed_size += size;
        self.owed_size += size;
    }

    /// Where to put an answer of which so many bytes were owed; `None` if the client left.
    pub fn pay(&mut self, token: Token, size: usize) -> Option<&mut Vec<u8>> {
        self.owed_size -= size;
        let connection = self.all.get_mut(&token)?;
        connection.owed_size -= size;
        push_once(&mut self.busy, token);
        Some(&mut connection.out)
    }

    /// Where to put the answer to a question that waited; `None` if the client left.
    pub fn end_wait(&mut self, token: Token) -> Option<&mut Vec<u8>> {
        let connection = self.all.get_mut(&token)?;
        connection.waits -= 1;
        self.busy.push(token);
        Some(&mut connection.out)
    }

    /// Where to put the last answer for a client; `None` if it left.
    pub fn out(&mut self, token: Token) -> Option<&mut Vec<u8>> {
        self.all.get_mut(&token).map(|connection| &mut connection.out)
    }

    /// Those that left since this was last asked.
    pub fn take_left(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.left)
    }

    /// Sends what can be sent, and closes whoever is done.
    pub fn send_all(&mut self, poll: &mut Poll) {
        for token in std::mem::take(&mut self.busy) {
            let Some(connection) = self.all.get_mut(&token) else {
                continue;
            };
            connection.send();
            recount(&mut self.memory_size, connection);
            if connection.is_done() || watch(connection, poll).is_err() {
                self.remove(token);
            }
        }
    }

    /// Looks at those that are not read: gives back whoever may be again, for it may have sent
    /// whole frames that no event tells of.
    pub fn release(&mut self, now: Instant, durable_lsn: u64, poll: &mut Poll) -> Vec<Token> {
        self.relieve(now, poll);
        let mut released = Vec::new();
        for token in std::mem::take(&mut self.held_back) {
            let Some(mut connection) = self.all.remove(&token) else {
                continue;
            };
            match self.obstacle(&mut connection, now, durable_lsn) {
                Some(obstacle) => {
                    connection.hold_back(obstacle, now);
                    self.held_back.push(token);
                }
                None => {
                    connection.release(now);
                    released.push(token);
                }
            }
            let watched = watch(&mut connection, poll);
            self.all.insert(token, connection);
            if watched.is_err() {
                self.remove(token);
            }
        }
        released
    }

    /// How long until somebody has rested. Whoever waits for something else is released by what
    /// happens.
    pub fn until_release(&self, now: Instant) -> Option<Duration> {
        let held_back = self.held_back.iter().filter_map(|token| self.all.get(token));
        let rests = held_back.filter_map(Connection::rests_until);
        Some(rests.min()?.saturating_duration_since(now))
    }

    /// While memory is short, finds the elder, and closes it if it does not move.
    fn relieve(&mut self, now: Instant, poll: &mut Poll) {
        if self.memory_size + self.owed_size < self.memory_size_max {
            self.elder = None;
            return;
        }
        if let Some((token, since)) = self.elder
            && now - since > ELDER_DEADLINE
            && let Some(connection) = self.all.get_mut(&token)
            && connection.large_since.is_some_and(|large_since| large_since <= since)
        {
            let message = "the clients together have more in memory than they may, and this one \
                           did not finish its frame or take its answers; connect again";
            connection.fail(ErrorCode::LimitReached, message);
            connection.send();
            recount(&mut self.memory_size, connection);
            if connection.is_done() || watch(connection, poll).is_err() {
                self.remove(token);
            }
        }
        let large = self.all.values().filter(|connection| !connection.is_closing());
        let large =
            large.filter_map(|connection| Some((connection.large_since?, connection.token)));
        let elder = large.min_by_key(|(since, token)| (*since, token.0)).map(|(_, token)| token);
        if elder != self.elder.map(|(token, _)| token) {
            self.elder = elder.map(|token| (token, now));
        }
    }

    /// An event came of one that is not watched for input: the other end has closed.
    pub fn ended(&mut self, token: Token, poll: &mut Poll) {
        let Some(connection) = self.all.get_mut(&token) else {
            return;
        };
        if connection.unsent() > 0 {
            self.busy.push(token); // sending will show it
        } else if matches!(connection.held_back, Some((Obstacle::Answers, _))) {
            self.remove(token); // whoever asked so much is gone
        } else {
            // What it sent is read when it may be; until then the event would come again and again.
            connection.watches = None;
            let _ = poll.forget(&connection.stream);
        }
    }

    /// Ends those that were too slow.
    pub fn expire(&mut self, now: Instant, poll: &mut Poll) {
        let late: Vec<(Token, Lateness)> =
            self.all.values().filter_map(|c| Some((c.token, c.lateness(now)?))).collect();
        for (token, lateness) in late {
            let Some(connection) = self.all.get_mut(&token) else {
                continue;
            };
            let message = match lateness {
                Lateness::Hello => "no hello came in time; connect again",
                Lateness::Frame => "a frame was begun and not completed in time; connect again",
                Lateness::Taking => {
                    connection.close(); // whatever is said would not be taken either
                    ""
                }
            };
            connection.fail(ErrorCode::TooSlow, message);
            self.busy.push(token);
        }
        self.send_all(poll);
    }

    fn remove(&mut self, token: Token) {
        if let Some(connection) = self.all.remove(&token) {
            self.memory_size -= connection.counted_size;
            self.left.push(token);
        }
    }

    /// Sends what is left, for a second at most, and closes all.
    pub fn send_all_before_close(&mut self) {
        let end = Instant::now() + FAREWELL_DEADLINE;
        for (_, mut connection) in self.all.drain() {
            let left = end.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                let _ = connection
                    .stream
                    .set_nonblocking(false)
                    .and_then(|()| connection.stream.set_write_timeout(Some(left)));
            }
            connection.send();
        }
        (self.memory_size, self.held_back) = (0, Vec::new());
    }

    /// Tells everyone that nothing more is acknowledged, and closes all.
    pub fn fail_all(&mut self, code: ErrorCode, message: &str) {
        for connection in self.all.values_mut() {
            connection.fail(code, message);
        }
        self.send_all_before_close();
    }
}

/// A client's answers mostly come one after the other: it is looked at once for all of them.
fn push_once(busy: &mut Vec<Token>, token: Token) {
    if busy.last() != Some(&token) {
        busy.push(token);
    }
}

fn recount(memory_size: &mut usize, connection: &mut Connection) {
    *memory_size -= connection.counted_size;
    connection.counted_size = connection.memory_size();
    *memory_size += connection.counted_size;
}

/// Watches a connection for what it may do next.
fn watch(connection: &mut Connection, poll: &mut Poll) -> io::Result<()> {
    let reads = connection.held_back.is_none() && !connection.is_closing();
    let wanted = (reads, connection.unsent() > 0);
    match connection.watches {
        Some(watches) if watches == wanted => return Ok(()),
        Some(_) => poll.change(&connection.stream, connection.token, wanted)?,
        None if wanted == (false, false) => return Ok(()),
        None => poll.watch_for(&connection.stream, connection.token, wanted)?,
    }
    connection.watches = Some(wanted);
    Ok(())
}
