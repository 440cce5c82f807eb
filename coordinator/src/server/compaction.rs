//! The loop's side of a compaction; the table of its steps is in `generation/online.rs`.
//!
//! The loop never waits for the thread. It forgets what is to go, a frame in each turn; it takes the
//! version to build from when everything is synced; and it changes files within one turn, once it is
//! handed a next one that lags so little that the rest is applied in a few milliseconds.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sutra_client::protocol::{
    Compact, CompactReply, Compacted, ErrorCode, HEADER_SIZE, Horizon, Level, Refusal, Write,
};
use sutra_client::{Batch, Disassociate, Forget, TypeRef};
use sutra_layout::geometry::SUPERSEDED_BY_OFFSET;
use sutra_layout::limits::DISK_RESERVE_SIZE;
use sutra_layout::slot::Slot;
use sutra_layout::sys;

use super::Server;
use super::answers::Asker;
use crate::error::CoordinatorError;
use crate::generation::{
    Before, Compactor, Doomed, Event, Named, Next, Order, Request, Start, Task, dead_size,
};
use crate::index::Indexer;
use crate::kill_point::KillPoint;
use crate::publish::Publisher;
use crate::reconciler::Session;

/// The longest that a turn may apply what a next file lags behind. With the sync before it and the
/// exchange after it that stays below a reconcile interval.
const FOLLOWING_MAX: Duration = Duration::from_millis(4);
/// Concepts forgotten in one turn.
const FORGETS_PER_TURN: usize = 256;
/// After a failure, the next one that nobody asked for waits so long.
const RETRY_INTERVAL: Duration = Duration::from_secs(600);
/// How often the dead space is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Compactions of this coordinator.
#[derive(Debug)]
pub struct Compactions {
    running: Option<Running>,
    /// Who is told of the next one, and what they want of it.
    waiting: VecDeque<(Asker, Request)>,
    /// The frames in which it forgets are a client's like any other's.
    session: Session,
    sequence: u64,
    /// When the dead space is looked at next.
    look_at: Instant,
    /// When the last one was done, in µs since the Unix epoch; 0: none by this coordinator.
    pub last_at: u64,
    /// How many were done.
    pub count: u64,
}

#[derive(Debug)]
struct Running {
    compactor: Compactor,
    askers: Vec<Asker>,
    step: Step,
    /// What is still to be forgotten.
    wanted: VecDeque<Doomed>,
    done: Compacted,
    started_at: Instant,
}

#[derive(Debug)]
enum Step {
    /// The thread looks what is to be forgotten.
    Finding,
    /// The loop forgets it.
    Forgetting,
    /// The thread builds; the log is held back behind that entry.
    Building(u64),
    /// The next file is ready, and a checkpoint of the old one is still under way.
    Ready(u64, Box<Next>),
    /// The thread removes the old file.
    Settling(u64),
}

impl Compactions {
    /// None yet.
    pub fn new() -> Result<Compactions, CoordinatorError> {
        let mut client_id = [0; 16];
        getrandom::fill(&mut client_id).map_err(|error| {
            let error = std::io::Error::other(error.to_string());
            CoordinatorError::io("the system gave no random bytes")(error)
        })?;
        Ok(Compactions {
            running: None,
            waiting: VecDeque::new(),
            session: Session { client_id, author: "compaction".to_owned() },
            sequence: 0,
            look_at: Instant::now() + LOOK_INTERVAL,
            last_at: 0,
            count: 0,
        })
    }

    /// Whether one is under way.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The log entry behind which the log must be kept.
    pub fn hold_lsn(&self) -> Option<u64> {
        match self.running.as_ref()?.step {
            Step::Building(lsn) | Step::Ready(lsn, _) | Step::Settling(lsn) => Some(lsn),
            Step::Finding | Step::Forgetting => None,
        }
    }

    /// Whether a next file waits for the end of a checkpoint, so that no other must begin.
    pub fn is_ready(&self) -> bool {
        matches!(&self.running, Some(Running { step: Step::Ready(..), .. }))
    }

    /// Whether the loop has something to do for it without being woken.
    pub fn is_busy(&self) -> bool {
        matches!(&self.running, Some(Running { step: Step::Forgetting, .. }))
    }
}

impl Server<'_> {
    /// A client wants one: it begins, or follows the one under way.
    pub(super) fn ask_for_compaction(&mut self, asker: Asker, compact: &Compact<'_>) {
        let before = match compact.horizon {
            Horizon::AsServed => self.served_horizon(),
            Horizon::Lsn(lsn) => Before::Lsn(lsn),
            Horizon::Time(time) => Before::Time(time),
        };
        // Checked when the frame was decoded.
        let purges = compact.purges.iter().filter_map(Result::ok);
        let purges = purges.map(|(namespace, id)| Named::new(namespace, &id)).collect();
        self.compactions.waiting.push_back((asker, Request { before, purges }));
    }

    /// Before what history is dropped where nobody says otherwise.
    fn served_horizon(&self) -> Before {
        match self.options.history_keep {
            None => Before::Nothing,
            Some(kept) => {
                let kept = u64::try_from(kept.as_micros()).unwrap_or(u64::MAX);
                Before::Time(sys::clock::now_us().saturating_sub(kept))
            }
        }
    }

    /// Whatever is to be done for compactions in this turn.
    pub(super) fn compact(&mut self) -> Result<(), CoordinatorError> {
        if self.compactions.running.is_none() {
            if let Some((asker, request)) = self.compactions.waiting.pop_front() {
                self.begin_compaction(vec![asker], request);
            } else if Instant::now() >= self.compactions.look_at {
                self.compactions.look_at = Instant::now() + LOOK_INTERVAL;
                if self.is_compaction_due()? {
                    let (before, purges) = (self.served_horizon(), Vec::new());
                    self.begin_compaction(Vec::new(), Request { before, purges });
                }
            }
        }
        while let Some(event) = self.compactions.running.as_ref().and_then(|r| r.compactor.event())
        {
            self.take_event(event)?;
        }
        self.forget_some()?;
        if self.compactions.is_ready() && !self.progress.is_checkpointing() {
            self.change_files()?;
        }
        Ok(())
    }

    /// Bytes that a compaction would give back, about.
    pub(super) fn dead_size(&self) -> Result<u64, CoordinatorError> {
        let (image, last) = (&self.reconciler.writer.image, self.reconciler.publisher.last());
        dead_size(image, last, self.served_horizon())
    }

    fn is_compaction_due(&self) -> Result<bool, CoordinatorError> {
        let (dead_size, size) = (self.dead_size()?, self.storage_size());
        Ok(dead_size >= self.options.compact_dead_size
            && dead_size as f64 >= self.options.compact_dead_share * size as f64)
    }

    fn begin_compaction(&mut self, askers: Vec<Asker>, request: Request) {
        let (wake, purged) = (self.workers.waker(), request.purges.len());
        let started = self.check_space().and_then(|()| self.dir.begin_next_storage());
        let started = started.and_then(|(storage, file)| {
            let task = Task {
                source: self.reconciler.writer.image.clone(),
                request,
                storage,
                file,
                writer_epoch: self.reconciler.writer_epoch,
                is_cancelled: Arc::new(AtomicBool::new(false)),
            };
            Compactor::start(task, *self.reconciler.publisher.last(), wake)
        });
        match started {
            Ok(compactor) => {
                tracing::info!(asked = !askers.is_empty(), "a compaction begins");
                let (size_before, purged) = (self.storage_size(), purged as u64);
                let done = Compacted { size_before, purged, ..Compacted::default() };
                let (wanted, started_at) = (VecDeque::new(), Instant::now());
                let step = Step::Finding;
                let running = Running { compactor, askers, step, wanted, done, started_at };
                self.compactions.running = Some(running);
            }
            Err(error) => {
                let what = "the next generation of storage.dat could not be begun";
                let error = match error.kind() {
                    ErrorKind::StorageFull => CoordinatorError::StorageFull {
                        region: "the next generation",
                        source: error,
                    },
                    _ => CoordinatorError::io(what)(error),
                };
                tracing::warn!(%error, "no compaction begins");
                self.answer_compaction(&askers, &CompactReply { outcome: Err(refusal(&error)) });
                self.compactions.look_at = Instant::now() + RETRY_INTERVAL;
            }
        }
    }

    /// Refuses to begin what a full disk would end: the next file is as large as what is alive of
    /// this one, about, and the log is held back meanwhile.
    fn check_space(&self) -> std::io::Result<()> {
        let file = self.reconciler.writer.image.view().map().file();
        let dead_size = self.dead_size().map_err(std::io::Error::other)?;
        let live_size = self.storage_size().saturating_sub(dead_size);
        let wanted = live_size + live_size / 4 + DISK_RESERVE_SIZE;
        match sutra_layout::sys::free_size(file)? {
            Some(free) if free < wanted => Err(std::io::Error::new(
                ErrorKind::StorageFull,
                format!("it takes about {wanted} bytes beside the old one, and {free} are free"),
            )),
            _ => Ok(()),
        }
    }

    fn take_event(&mut self, event: Event) -> Result<(), CoordinatorError> {
        let Some(running) = &mut self.compactions.running else { return Ok(()) };
        match event {
            Event::Found(doomed) => {
                running.done.expired = doomed.iter().filter(|d| d.is_expired()).count() as u64;
                running.wanted = doomed.into();
                running.step = Step::Forgetting;
            }
            Event::Ready(next) => {
                if let Step::Building(lsn) = running.step {
                    running.step = Step::Ready(lsn, next);
                }
            }
            Event::Settled => self.end_compaction(Ok(()))?,
            Event::Failed(error) => self.end_compaction(Err(error))?,
            Event::Undecided(error) => return Err(error),
        }
        Ok(())
    }

    /// Forgets the next of what is to go. When all is done, the thread may build.
    fn forget_some(&mut self) -> Result<(), CoordinatorError> {
        let compactions = &mut self.compactions;
        let Some(Running { step: Step::Forgetting, wanted, .. }) = &mut compactions.running else {
            return Ok(());
        };
        let some: Vec<Doomed> = wanted.drain(..wanted.len().min(FORGETS_PER_TURN)).collect();
        if some.is_empty() {
            return self.begin_build();
        }
        compactions.sequence += 1;
        let frame = forget_frame(&some, compactions.sequence);
        let session = compactions.session.clone();
        let (_, body) = frame.split_at(HEADER_SIZE);
        let framed = |error| {
            let error = std::io::Error::other(format!("{error}"));
            CoordinatorError::io("what a compaction forgets could not be framed")(error)
        };
        let write = Write::decode(body).map_err(framed)?;
        let answer = self.reconciler.write(&session, &write)?;
        self.reconciler.commit()?;
        self.progress.operations_written += answer.accepted;
        // Refused is what was forgotten or learnt anew meanwhile; but without space nothing is.
        let full = answer.reply.errors.iter().find(|error| error.code == ErrorCode::StorageFull);
        let full = full.map(|error| error.message.clone());
        if let Some(message) = full.or(answer.reply.refusal.map(|refusal| refusal.message)) {
            let source = std::io::Error::other(message);
            let error = CoordinatorError::StorageFull { region: "records", source };
            return self.end_compaction(Err(error));
        }
        Ok(())
    }

    fn begin_build(&mut self) -> Result<(), CoordinatorError> {
        self.settle_log()?;
        let slot = *self.reconciler.publisher.last();
        let clients = self.reconciler.writer.clients.table();
        let follower = self.reconciler.wal.follow(slot.published_lsn);
        if let Some(running) = &mut self.compactions.running {
            running.done.records_before = slot.records;
            running.done.edges_before = slot.edges;
            running.compactor.order(Order::Begin(Box::new(Start { slot, clients, follower })));
            running.step = Step::Building(slot.published_lsn);
        }
        Ok(())
    }

    /// Steps 5 to 7: from one file to the next, within this turn; or not yet, if too much is left.
    fn change_files(&mut self) -> Result<(), CoordinatorError> {
        let begun_at = Instant::now();
        self.settle_log()?;
        if self.progress.is_checkpointing() {
            return Ok(()); // of the old file; it was asked for with the sync that has just ended
        }
        let Some(running) = &mut self.compactions.running else { return Ok(()) };
        let hold_lsn = match &running.step {
            Step::Ready(lsn, _) => *lsn,
            _ => return Ok(()),
        };
        let step = std::mem::replace(&mut running.step, Step::Building(hold_lsn));
        let Step::Ready(_, mut next) = step else { return Ok(()) };
        let written_lsn = self.reconciler.wal.written_lsn();
        match next.follow(written_lsn, || begun_at.elapsed() > FOLLOWING_MAX) {
            Ok(true) => {}
            Ok(false) => {
                running.compactor.order(Order::CatchUp(next));
                return Ok(());
            }
            Err(error) => return self.end_compaction(Err(error)),
        }
        KillPoint::CompactionCaughtUp.reach();
        let Next { mut writer, checkpointer, checkpoint_lsn, mut storage, .. } = *next;
        let last = *self.reconciler.publisher.last();
        assert_eq!(writer.applied_lsn(), last.published_lsn, "the next file is another version");
        writer.now.durable_lsn = self.progress.durable_lsn();
        writer.now.checkpoint_lsn = checkpoint_lsn;
        // One number is left for the old file's last publication, which its waiting readers see.
        let before = Slot { commit_seq: last.commit_seq + 1, ..writer.now };
        let epoch = self.reconciler.writer_epoch;
        let mut publisher = Publisher::new(writer.image.clone(), epoch, before);
        publisher.publications = self.reconciler.publisher.publications;
        writer.image.beat();
        publisher.publish(&writer.now, false)?;
        if let Err(error) = storage.take_place() {
            let what = "the next generation of storage.dat could not take its place";
            return self.end_compaction(Err(CoordinatorError::io(what)(error)));
        }
        KillPoint::CompactionExchanged.reach();

        let generation = writer.image.view().superblock().generation;
        let old = &mut self.reconciler;
        let superseded_by = old.writer.image.view().header_word(SUPERSEDED_BY_OFFSET);
        superseded_by.store(generation, Ordering::Release);
        // Changes the word that they wait on, so that none begins to wait after the wake.
        old.publisher.publish(&last, false)?;
        old.writer.image.stop_beating();
        KillPoint::CompactionSuperseded.reach();
        writer.clients = std::mem::take(&mut old.writer.clients);
        let replaced = old.writer.image.clone();
        (old.writer, old.publisher) = (writer, publisher);
        self.workers.change_files(checkpointer, Arc::clone(old.writer.image.growth()))?;
        let (image, bell) = (old.writer.image.clone(), self.workers.bell());
        let indexer = Indexer::start(image, epoch, old.publisher.last(), bell)?;
        std::mem::replace(&mut self.indexer, indexer).leave();
        self.progress.change_files(&old.writer.now);

        running.compactor.order(Order::Settle(storage, replaced));
        running.step = Step::Settling(hold_lsn);
        running.done = Compacted {
            generation,
            history_floor_lsn: old.writer.now.history_floor_lsn,
            records_copied: old.writer.now.records,
            edges_copied: old.writer.now.edges,
            stalled_us: begun_at.elapsed().as_micros() as u64,
            ..running.done
        };
        Ok(())
    }

    /// The compaction under way is over: the log is let go of, and who waited is told.
    fn end_compaction(
        &mut self,
        ended: Result<(), CoordinatorError>,
    ) -> Result<(), CoordinatorError> {
        let Some(running) = self.compactions.running.take() else { return Ok(()) };
        let Running { compactor, askers, mut done, started_at, .. } = running;
        drop(compactor);
        self.reconciler.wal.recycle(self.progress.checkpoint_lsn())?;
        let outcome = match ended {
            Ok(()) => {
                done.size_after = self.storage_size();
                done.took_us = started_at.elapsed().as_micros() as u64;
                self.compactions.count += 1;
                self.compactions.last_at = sys::clock::now_us();
                self.compactions.look_at = Instant::now() + LOOK_INTERVAL;
                tracing::info!(
                    generation = done.generation,
                    size_before = done.size_before,
                    size_after = done.size_after,
                    took_ms = done.took_us / 1000,
                    stalled_us = done.stalled_us,
                    "the store is compacted"
                );
                Ok(done)
            }
            Err(error) => {
                tracing::warn!(%error, "a compaction came to nothing; the store is as it was");
                self.compactions.look_at = Instant::now() + RETRY_INTERVAL;
                Err(refusal(&error))
            }
        };
        self.answer_compaction(&askers, &CompactReply { outcome });
        Ok(())
    }

    /// None goes on, and none begins: the coordinator ends.
    pub(super) fn stop_compactions(&mut self) -> Result<(), CoordinatorError> {
        let waiting = std::mem::take(&mut self.compactions.waiting);
        let askers: Vec<Asker> = waiting.into_iter().map(|(asker, _)| asker).collect();
        let outcome = Err(refusal(&CoordinatorError::Stopped));
        self.answer_compaction(&askers, &CompactReply { outcome });
        let is_done =
            matches!(&self.compactions.running, Some(Running { step: Step::Settling(_), .. }));
        match is_done {
            // The thread only removes the old file, and is waited for.
            true => self.end_compaction(Ok(())),
            false => self.end_compaction(Err(CoordinatorError::Stopped)),
        }
    }

    fn answer_compaction(&mut self, askers: &[Asker], reply: &CompactReply) {
        for asker in askers {
            if let Some(out) = self.connections.end_wait(asker.token) {
                reply.encode(asker.request_id, out);
            }
        }
    }
}

/// The frame that forgets those.
fn forget_frame(some: &[Doomed], sequence: u64) -> Vec<u8> {
    let mut batch = Batch::new();
    for doomed in some {
        // All of them are ids that the store has, so each can be framed, and so few together.
        let framed = match doomed {
            Doomed::Concept { named, if_lsn } => {
                batch.namespace(&named.namespace);
                batch.forget(&Forget { id: named.id.as_id(), if_lsn: *if_lsn })
            }
            Doomed::Association { source, target, edge_type, lsn } => {
                batch.namespace(&source.namespace);
                batch.disassociate(&Disassociate {
                    source: source.id.as_id(),
                    target: target.as_id(),
                    kind: Some(TypeRef::Number(*edge_type)),
                    if_lsn: Some(*lsn),
                })
            }
        };
        framed.unwrap_or_else(|error| unreachable!("{error}"));
    }
    let mut frame = Vec::new();
    batch.encode(0, sequence, Level::Durable, &mut frame);
    frame
}

/// What a client is told of a compaction that came to nothing.
fn refusal(error: &CoordinatorError) -> Refusal {
    Refusal { code: error.code(), detail: 0, message: error.to_string() }
}
