//! Serving a store: one loop over sockets, with the log's sync and checkpoints beside it.
//!
//! One turn of the loop: wait for sockets → read, decide, log and apply every frame that has
//! arrived → ask for a sync of what was written, unless one is under way → when a sync is done,
//! publish the version that stood when it was asked for, or the newest
//! if the sync covered that → answer whoever waited for that → send.
//! So a write of an idle store is synced and published at once, and while the disk is busy all that
//! arrives shares the next sync and the next publication.

mod answers;
mod compaction;
mod connection;
mod connections;
mod descriptors;
mod frames;
mod orders;
mod peers;
mod poll;
mod settle;
mod workers;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sutra_client::protocol::{ErrorCode, ErrorReply};
use sutra_layout::limits::CONNECTIONS_MAX;
use sutra_layout::sys;
use sutra_layout::sys::fork::{Kept, keep};

use crate::decide::Decider;
use crate::error::CoordinatorError;
use crate::index::Indexer;
use crate::options::Options;
use crate::poison;
use crate::reconciler::Reconciler;
use crate::recovery::{self, Opened};
use crate::store_dir::StoreDir;

use answers::Answers;
use compaction::Compactions;
use connections::Connections;
pub use orders::{HostOrders, Orders};
pub use peers::Allowed;
use peers::{Peer, Ration};
use poll::{Poll, Token};
use settle::Progress;
use workers::Workers;

/// How often the heartbeat is stored at least; readers take a writer for dead after a second.
const BEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Where a client writes as soon as it is answered, its next frame is looked for so long before the
/// loop sleeps: being woken up takes 30 to 60 µs where the processor was idle, a write a few.
const LOOKING_DURATION: Duration = Duration::from_micros(50);
/// A client that took longer for its last frame is not waited for in that way.
const STEP_DURATION_MAX: Duration = Duration::from_micros(150);

/// Clients taken on before those that are connected get their turn.
const ACCEPTS_PER_TURN: usize = 16;

/// Serves the store until SIGINT, SIGTERM or a client's stop.
///
/// # Errors
/// Whatever keeps the store from being opened, or ends the service: see [`CoordinatorError`].
/// Nothing that was acknowledged is lost by it.
pub fn run(options: Options) -> Result<(), CoordinatorError> {
    let dir = StoreDir::acquire(&options.store, &options.program, &options.socket_path())?;
    serve(&options, &dir, || {
        Orders::of_system().map_err(CoordinatorError::io("signals could not be caught"))
    })
}

/// Serves the store in `dir` until it is ordered to stop; obeys once the store is recovered.
pub fn serve(
    options: &Options,
    dir: &StoreDir,
    orders: impl FnOnce() -> Result<Orders, CoordinatorError>,
) -> Result<(), CoordinatorError> {
    let Some(socket_path) = options.listened_at() else {
        let opened = recovery::open(dir, options)?;
        return Server::new(options, dir, None, orders()?, opened)?.serve();
    };
    let listening = |source| CoordinatorError::Io {
        what: format!("{} could not be listened on", socket_path.display()),
        source,
    };
    // Clients that connect while the store recovers wait in the listener's queue.
    dir.remove_stale_socket(&socket_path).map_err(listening)?;
    let listener = keep(|| sutra_client::socket::bind(&socket_path, options.socket_mode))
        .map_err(listening)?;
    listener.set_nonblocking(true).map_err(listening)?;
    let opened = recovery::open(dir, options);
    let served = opened
        .and_then(|opened| Server::new(options, dir, Some(listener), orders()?, opened)?.serve());
    if !matches!(served, Err(CoordinatorError::Deposed { .. })) {
        // Still under the lock, so it is ours.
        let _ = std::fs::remove_file(&socket_path);
    }
    served
}

/// Everything the loop holds.
struct Server<'a> {
    options: &'a Options,
    dir: &'a StoreDir,
    /// `None` where only this process writes.
    listener: Option<Kept<UnixListener>>,
    orders: Orders,
    poll: Poll,
    connections: Connections,
    connections_max: usize,
    allowed: Allowed,
    refusals: Ration,
    /// The listener is watched; not so for a moment after descriptors ran out.
    accepts: bool,
    /// Connections that have sent more frames than their turn was long.
    unfinished: Vec<Token>,
    activity: frames::Activity,
    turn: u64,
    /// Writes that this turn has served.
    turn_writes: u64,
    /// How long the loop has slept, or looked, before this turn.
    slept: Duration,
    /// A worker has done something.
    is_called: bool,
    answers: Answers,
    reconciler: Reconciler,
    workers: Workers,
    indexer: Indexer,
    progress: Progress,
    compactions: Compactions,
    started_at: u64,
    last_beat: Instant,
    is_stopping: bool,
}

impl<'a> Server<'a> {
    fn new(
        options: &'a Options,
        dir: &'a StoreDir,
        listener: Option<Kept<UnixListener>>,
        orders: Orders,
        opened: Opened,
    ) -> Result<Server<'a>, CoordinatorError> {
        tracing::info!(
            state = ?opened.state,
            lsn = opened.writer.applied_lsn(),
            epoch = opened.writer_epoch,
            "the store is recovered"
        );
        let since_checkpoint = opened.since_checkpoint;
        let (reconciler, checkpointer) =
            Reconciler::new(opened, Decider::new(options.metric, options.graph));
        let raises = matches!(orders, Orders::System(..));
        let connections_max = descriptors::make_room_for(CONNECTIONS_MAX, raises);
        let failed = CoordinatorError::io("the event loop could not be set up");
        let mut poll = Poll::new().map_err(failed)?;
        let watching = || CoordinatorError::io("a descriptor could not be watched");
        if let Some(listener) = &listener {
            poll.watch(listener.as_fd(), Token::LISTENER).map_err(watching())?;
        }
        poll.watch(orders.as_fd(), Token::ORDERS).map_err(watching())?;
        let growth = Arc::clone(reconciler.writer.image.growth());
        let workers = Workers::start(reconciler.wal.syncer(), checkpointer, growth)?;
        poll.watch(workers.as_fd(), Token::WORKERS).map_err(watching())?;
        let indexer = Indexer::start(
            reconciler.writer.image.clone(),
            reconciler.writer_epoch,
            reconciler.publisher.last(),
            workers.bell(),
        )?;
        let progress = Progress::new(&reconciler.wal, &reconciler.writer.now, since_checkpoint);
        Ok(Server {
            options,
            dir,
            listener,
            orders,
            poll,
            connections: Connections::new(options.client_memory_size),
            connections_max,
            allowed: Allowed::new(options)?,
            refusals: Ration::default(),
            accepts: true,
            unfinished: Vec::new(),
            activity: frames::Activity::default(),
            turn: 0,
            turn_writes: 0,
            slept: Duration::ZERO,
            is_called: false,
            answers: Answers::default(),
            reconciler,
            workers,
            indexer,
            progress,
            compactions: Compactions::new()?,
            started_at: sys::clock::now_us(),
            last_beat: Instant::now(),
            is_stopping: false,
        })
    }

    fn serve(mut self) -> Result<(), CoordinatorError> {
        tracing::info!(
            store = %self.options.store.display(),
            socket = ?self.options.listened_at(),
            "ready"
        );
        self.orders.ready(&format!("serving {}", self.options.store.display()));
        let ended = self.turn_until_stopped().and_then(|()| self.finish());
        if let Err(error) = &ended {
            self.give_up(error);
        }
        self.indexer.stop();
        self.workers.stop();
        if !matches!(ended, Err(CoordinatorError::Deposed { .. })) {
            self.reconciler.writer.image.stop_beating();
        }
        ended
    }

    fn turn_until_stopped(&mut self) -> Result<(), CoordinatorError> {
        while !self.is_stopping {
            let tokens = self.wait()?;
            self.turn += 1;
            self.turn_writes = 0;
            let unfinished = std::mem::take(&mut self.unfinished);
            let duration = frames::service_duration(tokens.len() + unfinished.len());
            for token in tokens.into_iter().chain(unfinished) {
                match token {
                    Token::LISTENER => self.accept(),
                    Token::ORDERS => self.take_orders(),
                    Token::WORKERS => self.is_called = true,
                    token => self.read_connection(token, duration)?,
                }
            }
            self.settle()?;
            self.compact()?;
            self.send_all();
            self.beat();
        }
        Ok(())
    }

    /// Sleeps until somebody wants something.
    fn wait(&mut self) -> Result<Vec<Token>, CoordinatorError> {
        let timeout = self.timeout();
        if timeout.is_zero() {
            self.slept = Duration::ZERO;
            return self.poll.wait(timeout);
        }
        let began = Instant::now();
        let mut tokens = Vec::new();
        if self.turn_writes == 1 && self.slept < STEP_DURATION_MAX && !self.answers.has_writes() {
            while tokens.is_empty() && began.elapsed() < LOOKING_DURATION.min(timeout) {
                tokens = self.poll.wait(Duration::ZERO)?;
                if tokens.is_empty() {
                    std::thread::yield_now(); // to the client, if it is on this processor
                }
            }
        }
        if tokens.is_empty() {
            tokens = self.poll.wait(timeout)?;
        }
        self.slept = began.elapsed();
        Ok(tokens)
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Duration {
        if !self.unfinished.is_empty() {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let mut timeout = BEAT_INTERVAL.saturating_sub(now - self.last_beat);
        if let Some(until) = self.connections.until_release(now) {
            timeout = timeout.min(until);
        }
        if let Some(until) = self.orders.until_beat(now) {
            timeout = timeout.min(until);
        }
        if let Some(until) = self.answers.until_deadline(now) {
            timeout = timeout.min(until);
        }
        if self.compactions.is_busy() {
            return Duration::ZERO;
        }
        timeout.min(self.until_due(now))
    }

    fn beat(&mut self) {
        let now = Instant::now();
        if now - self.last_beat >= BEAT_INTERVAL {
            self.last_beat = now;
            self.reconciler.writer.image.beat();
            self.connections.expire(now, &mut self.poll);
            if let Some(listener) = self.listener.as_ref().filter(|_| !self.accepts) {
                self.accepts = self.poll.watch(listener.as_fd(), Token::LISTENER).is_ok();
            }
        }
        self.orders.beat(now);
    }

    fn take_orders(&mut self) {
        self.is_stopping |= self.orders.drain();
        while let Some(stream) = self.orders.connection() {
            self.take_on(stream);
        }
    }

    fn take_on(&mut self, stream: Kept<UnixStream>) {
        if let Err(error) = self.welcome(stream) {
            self.log_refusal(&format!("a client could not be taken on: {error}"));
        }
    }

    /// Takes on whoever waits, but a flood of them only bit by bit.
    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = &self.listener else { return };
            match keep(|| listener.accept().map(|(stream, _)| stream)) {
                Ok(stream) => self.take_on(stream),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // Out of descriptors, most likely: they stay in the queue until the next beat.
                    self.accepts = self.poll.forget(listener).is_err();
                    self.log_refusal(&format!("no client could be accepted: {error}"));
                    return;
                }
            }
        }
    }

    /// Takes a client on, or tells it why not. A new socket's buffer takes that at once.
    fn welcome(&mut self, stream: Kept<UnixStream>) -> std::io::Result<()> {
        let peer = Peer::of(&stream)?;
        let refusal = if !self.allowed.has(peer) {
            let Peer { uid, gid, pid } = peer;
            self.log_refusal(&format!("uid {uid}, gid {gid} (pid {pid}) is not allowed to write"));
            let message = format!(
                "uid {uid} with gid {gid} is not among those that may write here; ask whoever \
                 serves the store for --allow-uid {uid}, or read it, which needs no coordinator"
            );
            ErrorReply { code: ErrorCode::NotAllowed, message }
        } else if self.connections.count() >= self.connections_max && !self.connections.make_room()
        {
            let max = self.connections_max;
            self.log_refusal(&format!("a client was turned away: {max} are connected"));
            let message = format!("{max} clients are connected already; close some or wait");
            ErrorReply { code: ErrorCode::LimitReached, message }
        } else {
            return self.connections.add(stream, peer, &mut self.poll);
        };
        let mut frame = Vec::new();
        refusal.encode(0, &mut frame);
        stream.set_nonblocking(true)?;
        (&*stream).write_all(&frame)
    }

    fn log_refusal(&mut self, message: &str) {
        if let Some(others) = self.refusals.next(Instant::now()) {
            tracing::warn!(others_before = others, "{message}");
        }
    }

    fn send_all(&mut self) {
        self.connections.send_all(&mut self.poll);
        let (now, synced_lsn) = (Instant::now(), self.synced_lsn());
        self.unfinished.extend(self.connections.release(now, synced_lsn, &mut self.poll));
        self.answers.forget(self.connections.take_left());
    }

    /// A clean stop: everything durable, visible, checkpointed; then the clean flag.
    fn finish(&mut self) -> Result<(), CoordinatorError> {
        tracing::info!("stopping");
        self.orders.stopping("making the store clean");
        self.stop_compactions()?;
        // What is not linked yet is linked after the next start.
        self.indexer.stop();
        self.settle_everything()?;
        self.answers
            .resolve(&self.progress.reached(&self.reconciler.publisher), &mut self.connections);
        let number = self.reconciler.publisher.last().commit_seq + 1;
        let slot =
            sutra_layout::slot::Slot { commit_seq: number, ..*self.reconciler.publisher.last() };
        let slot = self.indexer.overlaid(slot);
        let clients = self.reconciler.writer.clients.table();
        self.workers.checkpoint_and_wait(slot, clients, true)?;
        self.answers.stopped(&mut self.connections);
        self.connections.send_all_before_close();
        tracing::info!(lsn = slot.published_lsn, "stopped cleanly");
        Ok(())
    }

    /// An end that is not clean: clients are told, and what must not be trusted is marked.
    fn give_up(&mut self, error: &CoordinatorError) {
        tracing::error!(%error, "stopping without acknowledging anything more");
        poison::mark(self.dir, error);
        self.connections.fail_all(error.code(), &error.to_string());
    }
}
