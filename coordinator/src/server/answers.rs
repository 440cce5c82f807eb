//! Answers that wait until what they acknowledge has come far enough.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use sutra_client::protocol::reply::encode_stop_reply;
use sutra_client::protocol::{Level, WaitReply, WriteReply};

use super::connections::Connections;
use super::poll::Token;

/// How far the log and the file have come.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    /// In the log.
    pub written_lsn: u64,
    /// Good enough for a durable acknowledgement.
    pub durable_lsn: u64,
    /// Published.
    pub visible_lsn: u64,
    /// In a durable slot.
    pub checkpoint_lsn: u64,
}

impl Reached {
    fn at(&self, level: Level) -> u64 {
        match level {
            Level::Accepted => self.written_lsn,
            Level::Durable => self.durable_lsn,
            Level::Visible => self.visible_lsn,
        }
    }
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The connection.
    pub token: Token,
    /// Its number for the request.
    pub request_id: u64,
}

/// A reply that waits.
#[derive(Debug)]
struct WaitingReply {
    lsn: u64,
    asker: Asker,
    reply: WriteReply,
    /// Bytes that the client is owed.
    size: usize,
}

/// Bytes that a reply which waits is counted as: about what it takes here, and no less than on the
/// wire.
fn size_of_reply(reply: &WriteReply) -> usize {
    let errors = reply.errors.iter().map(|error| size_of_val(error) + error.message.len());
    size_of::<WaitingReply>() + errors.sum::<usize>()
}

#[derive(Debug)]
struct WaitingWait {
    asker: Asker,
    lsn: u64,
    level: Level,
    deadline: Instant,
}

/// The answers that wait.
#[derive(Debug, Default)]
pub struct Answers {
    /// By level, each ascending by LSN.
    writes: [VecDeque<WaitingReply>; 3],
    /// Ascending by LSN, too.
    flushes: VecDeque<WaitingReply>,
    /// At most a few for each client.
    waits: Vec<WaitingWait>,
    stops: Vec<Asker>,
}

impl Answers {
    /// `reply` goes out when `lsn` has reached `level`. Gives the bytes that the client is owed.
    pub fn write(&mut self, asker: Asker, lsn: u64, level: Level, reply: WriteReply) -> usize {
        push(&mut self.writes[level as usize], asker, lsn, reply)
    }

    /// `reply` goes out when `lsn` is durable, visible and checkpointed. Gives the bytes that the
    /// client is owed.
    pub fn flush(&mut self, asker: Asker, lsn: u64, reply: WriteReply) -> usize {
        push(&mut self.flushes, asker, lsn, reply)
    }

    /// An answer goes out when `lsn` has reached `level`, or after the timeout.
    pub fn wait(&mut self, asker: Asker, lsn: u64, level: Level, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        self.waits.push(WaitingWait { asker, lsn, level, deadline });
    }

    /// An answer goes out when the coordinator has stopped.
    pub fn stop(&mut self, asker: Asker) {
        self.stops.push(asker);
    }

    /// Whether somebody waits for a checkpoint of `lsn` or later.
    pub fn flush_wanted(&self, checkpoint_lsn: u64) -> bool {
        self.flushes.back().is_some_and(|waiting| waiting.lsn > checkpoint_lsn)
    }

    /// Whether the answer to a write waits.
    pub fn has_writes(&self) -> bool {
        self.writes.iter().any(|queue| !queue.is_empty())
    }

    /// Whether somebody waits for a publication.
    pub fn visible_wanted(&self) -> bool {
        !self.writes[Level::Visible as usize].is_empty()
            || !self.flushes.is_empty()
            || self.waits.iter().any(|wait| wait.level == Level::Visible)
    }

    /// Until the next wait is over.
    pub fn until_deadline(&self, now: Instant) -> Option<Duration> {
        let next = self.waits.iter().map(|wait| wait.deadline).min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Sends every answer whose time has come.
    pub fn resolve(&mut self, reached: &Reached, connections: &mut Connections) {
        for level in [Level::Accepted, Level::Durable, Level::Visible] {
            let queue = &mut self.writes[level as usize];
            while let Some(waiting) = queue.pop_front_if(|waiting| waiting.lsn <= reached.at(level))
            {
                let WaitingReply { asker, mut reply, size, .. } = waiting;
                reply.level_reached = level;
                if let Some(out) = connections.pay(asker.token, size) {
                    reply.encode(asker.request_id, out);
                }
            }
        }
        let flushed = reached.checkpoint_lsn.min(reached.visible_lsn);
        while let Some(waiting) = self.flushes.pop_front_if(|waiting| waiting.lsn <= flushed) {
            let WaitingReply { asker, mut reply, size, .. } = waiting;
            reply.level_reached = Level::Visible;
            if let Some(out) = connections.pay(asker.token, size) {
                reply.encode_flush(asker.request_id, out);
            }
        }
        let now = Instant::now();
        let is_over =
            |wait: &WaitingWait| wait.lsn <= reached.at(wait.level) || wait.deadline <= now;
        for wait in self.waits.extract_if(.., |wait| is_over(wait)) {
            let lsn = reached.at(wait.level);
            if let Some(out) = connections.end_wait(wait.asker.token) {
                WaitReply { timed_out: lsn < wait.lsn, lsn }.encode(wait.asker.request_id, out);
            }
        }
    }

    /// Forgets the questions of clients that left.
    pub fn forget(&mut self, left: Vec<Token>) {
        if !left.is_empty() && !self.waits.is_empty() {
            let left: HashSet<Token> = left.into_iter().collect();
            self.waits.retain(|wait| !left.contains(&wait.asker.token));
        }
    }

    /// Tells whoever asked for it that the coordinator has stopped.
    pub fn stopped(&mut self, connections: &mut Connections) {
        for asker in self.stops.drain(..) {
            if let Some(out) = connections.out(asker.token) {
                encode_stop_reply(asker.request_id, out);
            }
        }
    }
}

fn push(queue: &mut VecDeque<WaitingReply>, asker: Asker, lsn: u64, reply: WriteReply) -> usize {
    // A retry may name an older entry; it waits with the newest, which costs it nothing much.
    let lsn = queue.back().map_or(lsn, |last| lsn.max(last.lsn));
    let size = size_of_reply(&reply);
    queue.push_back(WaitingReply { lsn, asker, reply, size });
    size
}
