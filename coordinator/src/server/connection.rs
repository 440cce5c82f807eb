//! One connected client: what it has sent, what it is still to get, and how long it may take.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_client::protocol::{ErrorCode, ErrorReply, HEADER_SIZE, Inbox};
use sutra_layout::limits::FRAME_SIZE_MAX;
use sutra_layout::sys::fork::Kept;

use super::peers::Peer;
use super::poll::Token;
use crate::reconciler::Session;

/// A client must have said hello by then, and a header that has begun must be complete.
const HEADER_DEADLINE: Duration = Duration::from_secs(2);
/// A frame that has begun must be complete by then.
const FRAME_DEADLINE: Duration = Duration::from_secs(10);
/// A client that has answers to take must have taken some by then.
const TAKING_DEADLINE: Duration = Duration::from_secs(10);
/// A client that is told why it is closed must have taken that by then.
const CLOSING_DEADLINE: Duration = Duration::from_secs(1);
/// Bytes read from one client before the others get their turn.
const READ_SIZE_MAX: usize = 256 << 10;

/// Bytes of answers that one client may leave unread, or have waiting, before it is read on.
const OWED_SIZE_MAX: usize = 4 << 20;
/// Questions of one client that may wait for an LSN.
const WAITS_MAX: usize = 64;
/// Bytes of log that one client may have written and that are not synced yet, in halves: the sync
/// that the others wait for must not be long because of one.
const UNSYNCED_HALF_MAX: u64 = 1 << 20;
/// Bytes that each client may have, whatever the others have.
pub const MEMORY_SIZE_OF_EACH: usize = 128 << 10;

/// What a client waits for before it is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// That it takes its answers, or that they can be given.
    Answers,
    /// That a sync covers what it wrote.
    Sync,
    /// That the clients together have less in memory.
    Memory,
    /// That it has rested as long as it kept the others waiting.
    Rest,
}

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    /// Its place in the table.
    pub token: Token,
    pub(super) stream: Kept<UnixStream>,
    /// What it has sent and nobody took yet.
    pub inbox: Inbox,
    /// Answers on their way, from `sent` on.
    pub out: Vec<u8>,
    sent: usize,
    /// Bytes of answers that wait for their level.
    pub(super) owed_size: usize,
    /// Questions that wait for an LSN.
    pub(super) waits: usize,
    /// What it wrote to the log and is not known to be synced: up to which LSN, and how many bytes.
    unsynced: [(u64, u64); 2],
    /// Who it is, after its hello.
    pub session: Option<Arc<Session>>,
    /// The process at the other end, as the system says.
    pub peer: Peer,
    opened_at: Instant,
    /// When the frame that is incomplete in the inbox began.
    frame_begun_at: Option<Instant>,
    /// When it last took an answer, or had none to take.
    took_at: Instant,
    /// Since when it has more than each may have, and nothing came of it.
    pub(super) large_since: Option<Instant>,
    /// It is not read before then.
    rests_until: Option<Instant>,
    /// Why it is not read, and since when.
    pub(super) held_back: Option<(Obstacle, Instant)>,
    /// What it is watched for: input and output; `None` if it is not watched at all.
    pub(super) watches: Option<(bool, bool)>,
    /// Bytes of memory that the table counts for it.
    pub(super) counted_size: usize,
    /// The turn in which it was last served.
    pub(super) turn: u64,
    /// It gets what is in `out` and is then closed, from that moment on.
    closing_since: Option<Instant>,
    /// The peer closed its end, or the connection broke.
    is_broken: bool,
}

impl Connection {
    /// A new one, already watched for input.
    pub(super) fn new(token: Token, stream: Kept<UnixStream>, peer: Peer) -> Connection {
        let now = Instant::now();
        Connection {
            token,
            stream,
            inbox: Inbox::new(FRAME_SIZE_MAX as u32),
            out: Vec::new(),
            sent: 0,
            owed_size: 0,
            waits: 0,
            unsynced: [(0, 0); 2],
            session: None,
            peer,
            opened_at: now,
            frame_begun_at: None,
            took_at: now,
            large_since: None,
            rests_until: None,
            held_back: None,
            watches: Some((true, false)),
            counted_size: 0,
            turn: 0,
            closing_since: None,
            is_broken: false,
        }
    }

    /// Reads what has arrived, within its turn. False once nothing more will come.
    pub fn read(&mut self, spare: &mut Vec<u8>) -> bool {
        self.inbox.borrow(spare);
        let mut left = READ_SIZE_MAX;
        while left > 0 {
            let room = self.inbox.room();
            let size = room.len().min(left);
            match (&*self.stream).read(&mut room[..size]) {
                Ok(0) => return false,
                Ok(count) => {
                    self.inbox.filled(count);
                    left -= count;
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

    /// Notes what a turn has left, for the deadlines.
    pub fn note_turn(&mut self, now: Instant, made_progress: bool) {
        let has_rest = self.inbox.size() > 0;
        if !has_rest {
            self.frame_begun_at = None;
        } else if made_progress || self.frame_begun_at.is_none() {
            self.frame_begun_at = Some(now);
        }
        self.note_size(now, made_progress);
    }

    fn note_size(&mut self, now: Instant, made_progress: bool) {
        let is_large = self.memory_size() > MEMORY_SIZE_OF_EACH;
        if !is_large {
            self.large_since = None;
        } else if made_progress || self.large_since.is_none() {
            self.large_since = Some(now);
        }
    }

    /// Notes an entry of the log that it wrote.
    pub fn note_written(&mut self, lsn: u64, log_size: u64) {
        let [older, newer] = &mut self.unsynced;
        if newer.1 >= UNSYNCED_HALF_MAX {
            *older = (newer.0, older.1 + newer.1);
            newer.1 = 0;
        }
        *newer = (lsn, newer.1 + log_size);
    }

    /// Lets it rest until `until`.
    pub fn rest(&mut self, until: Instant) {
        self.rests_until = Some(until);
    }

    /// Until when it rests, if that is why it is not read.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        matches!(self.held_back, Some((Obstacle::Rest, _))).then_some(self.rests_until)?
    }

    /// Why it must not be read now, the table's memory aside. `durable_lsn` is as far as waits for
    /// a sync need to go.
    pub fn obstacle(&mut self, now: Instant, durable_lsn: u64) -> Option<Obstacle> {
        for (lsn, size) in &mut self.unsynced {
            if *lsn <= durable_lsn {
                *size = 0;
            }
        }
        if self.unsent() + self.owed_size >= OWED_SIZE_MAX || self.waits >= WAITS_MAX {
            return Some(Obstacle::Answers);
        }
        let [older, newer] = self.unsynced;
        if older.1 > 0 && newer.1 >= UNSYNCED_HALF_MAX {
            return Some(Obstacle::Sync);
        }
        if self.rests_until.is_some_and(|until| now < until) {
            return Some(Obstacle::Rest);
        }
        None
    }

    /// Notes that it is not read for now.
    pub fn hold_back(&mut self, obstacle: Obstacle, now: Instant) {
        self.held_back.get_or_insert((obstacle, now)).0 = obstacle;
    }

    /// Notes that it is read again. The time in between is not counted against it.
    pub fn release(&mut self, now: Instant) {
        if let Some((_, since)) = self.held_back.take()
            && let Some(begun_at) = &mut self.frame_begun_at
        {
            *begun_at += now - since;
        }
    }

    /// Says why, and closes after that.
    pub fn fail(&mut self, code: ErrorCode, message: &str) {
        if self.closing_since.is_none() {
            ErrorReply { code, message: message.to_owned() }.encode(0, &mut self.out);
            self.close_after_sending();
        }
    }

    /// Closes when everything is sent.
    pub fn close_after_sending(&mut self) {
        self.closing_since.get_or_insert_with(Instant::now);
        // Whatever else it has sent is of no use.
        self.inbox = Inbox::new(0);
    }

    /// Closes without a word.
    pub fn close(&mut self) {
        self.is_broken = true;
    }

    /// Sends what the socket takes.
    pub(super) fn send(&mut self) {
        let before = self.sent;
        while self.sent < self.out.len() {
            match (&*self.stream).write(&self.out[self.sent..]) {
                Ok(count) if count > 0 => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It takes no more answers. What it sent before it left is served nevertheless; the
                // end comes when that is read.
                _ => self.sent = self.out.len(),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.out.shrink_to(1 << 12);
            self.sent = 0;
        }
        let has_taken = self.sent != before || self.unsent() == 0;
        if has_taken {
            let now = Instant::now();
            self.took_at = now;
            self.note_size(now, true);
        }
    }

    /// Bytes of answers that were not taken yet.
    pub(super) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Bytes of memory that it has.
    pub(super) fn memory_size(&self) -> usize {
        self.inbox.memory_size() + self.out.capacity()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing_since.is_some()
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_broken || (self.is_closing() && self.unsent() == 0)
    }

    /// What it takes too long for, if it does.
    pub(super) fn lateness(&self, now: Instant) -> Option<Lateness> {
        let is_over = |since: Instant, deadline| now.saturating_duration_since(since) > deadline;
        if let Some(since) = self.closing_since {
            return is_over(since, CLOSING_DEADLINE).then_some(Lateness::Taking);
        }
        if self.unsent() > 0 && is_over(self.took_at, TAKING_DEADLINE) {
            return Some(Lateness::Taking);
        }
        if self.session.is_none() && is_over(self.opened_at, HEADER_DEADLINE) {
            return Some(Lateness::Hello);
        }
        let begun_at = self.frame_begun_at.filter(|_| self.held_back.is_none())?;
        if self.inbox.has_next() {
            return None; // it waits for us
        }
        let deadline =
            if self.inbox.size() < HEADER_SIZE { HEADER_DEADLINE } else { FRAME_DEADLINE };
        is_over(begun_at, deadline).then_some(Lateness::Frame)
    }
}

/// What a client takes too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    Hello,
    Frame,
    Taking,
}
