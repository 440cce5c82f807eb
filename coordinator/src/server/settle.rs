//! After the frames of a turn: sync, publish, checkpoint, answer.

use std::time::{Duration, Instant};

use sutra_layout::client_entry::ClientEntry;
use sutra_layout::geometry::Region;
use sutra_layout::slot::Slot;

use super::answers::Reached;
use super::workers::Done;
use super::{BEAT_INTERVAL, Server};
use crate::error::CoordinatorError;
use crate::options::SyncMode;
use crate::publish::Publisher;
use crate::wal::Wal;

/// Bytes written to the log and not yet synced, above which frames wait for the sync.
const UNSYNCED_SIZE_MAX: u64 = 64 << 20;
/// A checkpoint is made after so long, if anything was written.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// A single write is synced by the loop itself while a sync takes less than this: being handed to
/// another thread and back takes it a third as long again. Nobody else is kept waiting by it.
const OWN_SYNC_DURATION_MAX: Duration = Duration::from_millis(1);
/// Graphs that grow while nobody writes are published that often, and when they have caught up.
const GRAPHS_INTERVAL: Duration = Duration::from_millis(50);

/// How far everything has come, and what is under way.
///
/// Always `checkpoint_lsn <= published_lsn <= applied_lsn <= written_lsn`, and unless the store runs
/// unsynced `published_lsn <= durable_lsn`.
#[derive(Debug)]
pub struct Progress {
    written_lsn: u64,
    durable_lsn: u64,
    /// What a durable acknowledgement waits for: as `durable_lsn`, or as `written_lsn` unsynced.
    acknowledged_lsn: u64,
    checkpoint_lsn: u64,
    /// The version that stood when the sync under way was asked for.
    syncing: Option<Slot>,
    /// The next checkpoint, as of the sync under way.
    checkpoint_next: Option<Vec<ClientEntry>>,
    is_checkpointing: bool,
    last_sync: Instant,
    /// How long the one before took.
    sync_duration: Duration,
    last_publication: Instant,
    last_checkpoint: Instant,
    /// Bytes of log since the last checkpoint that were there at the start. Whoever restarts again
    /// and again has no more to apply again than anybody else.
    inherited_log_size: u64,
    /// Bytes of log and records as of the last checkpoint asked for.
    checkpoint_log_size: u64,
    checkpoint_records: u64,
    /// Bytes of log as of the last sync asked for.
    synced_log_size: u64,
    operations_published: u64,
    /// Operations accepted since the start.
    pub operations_written: u64,
}

impl Progress {
    /// After recovery: everything is durable and published. `since_checkpoint` says how many records
    /// the newest durable slot has, and how much log follows it.
    pub fn new(wal: &Wal, now: &Slot, since_checkpoint: (u64, u64)) -> Progress {
        let (checkpoint_records, inherited_log_size) = since_checkpoint;
        let lsn = wal.written_lsn();
        let start = Instant::now();
        Progress {
            written_lsn: lsn,
            durable_lsn: lsn,
            acknowledged_lsn: lsn,
            checkpoint_lsn: now.checkpoint_lsn,
            syncing: None,
            checkpoint_next: None,
            is_checkpointing: false,
            last_sync: start,
            sync_duration: Duration::ZERO,
            last_publication: start,
            last_checkpoint: start,
            inherited_log_size,
            checkpoint_log_size: wal.appended_size(),
            checkpoint_records,
            synced_log_size: wal.appended_size(),
            operations_published: now.operations,
            operations_written: 0,
        }
    }

    /// How far the levels of acknowledgement have come.
    pub fn reached(&self, publisher: &Publisher) -> Reached {
        Reached {
            written_lsn: self.written_lsn,
            durable_lsn: self.acknowledged_lsn,
            visible_lsn: publisher.last().published_lsn,
            checkpoint_lsn: self.checkpoint_lsn,
        }
    }

    /// Operations applied and not yet published.
    pub fn pending(&self, now: &Slot) -> u64 {
        now.operations - self.operations_published
    }

    /// LSN up to which the log is synced.
    pub fn durable_lsn(&self) -> u64 {
        self.durable_lsn
    }

    /// Whether a checkpoint is under way.
    pub fn is_checkpointing(&self) -> bool {
        self.is_checkpointing
    }

    /// Goes on with another file, of which `now` is published.
    pub fn change_files(&mut self, now: &Slot) {
        assert!(
            !self.is_checkpointing,
            "the end of a checkpoint would be taken for the new file's"
        );
        self.checkpoint_lsn = now.checkpoint_lsn;
        self.checkpoint_records = now.records;
    }

    /// LSN up to which the newest durable slot goes.
    pub fn checkpoint_lsn(&self) -> u64 {
        self.checkpoint_lsn
    }
}

impl Server<'_> {
    /// What follows from the frames of this turn and from what the workers have done.
    pub(super) fn settle(&mut self) -> Result<(), CoordinatorError> {
        self.reconciler.commit()?;
        if std::mem::take(&mut self.is_called) {
            self.workers.note_call();
        }
        while let Some(done) = self.workers.try_done()? {
            self.take_done(done)?;
        }
        while self.reconciler.wal.appended_size() - self.progress.synced_log_size
            > UNSYNCED_SIZE_MAX
        {
            // The disk is slower than the clients: they wait, as nothing more is read.
            self.ask_for_sync()?;
            if self.progress.syncing.is_none() {
                break;
            }
            let done = self.workers.wait()?;
            self.take_done(done)?;
        }
        self.progress.written_lsn = self.reconciler.wal.written_lsn();
        if self.options.sync != SyncMode::Always {
            self.progress.acknowledged_lsn = self.progress.written_lsn;
        }
        if self.is_sync_due() {
            self.ask_for_sync()?;
        }
        self.publish_if_due()?;
        self.publish_graphs_if_due()?;
        self.note_used();
        self.answers
            .resolve(&self.progress.reached(&self.reconciler.publisher), &mut self.connections);
        Ok(())
    }

    /// Everything durable, visible, and no worker busy.
    pub(super) fn settle_everything(&mut self) -> Result<(), CoordinatorError> {
        while self.progress.is_checkpointing {
            let done = self.workers.wait()?;
            self.take_done(done)?;
        }
        self.settle_log()?;
        while self.progress.is_checkpointing {
            let done = self.workers.wait()?;
            self.take_done(done)?;
        }
        Ok(())
    }

    /// Everything durable and visible; a checkpoint may go on.
    pub(super) fn settle_log(&mut self) -> Result<(), CoordinatorError> {
        loop {
            while self.progress.syncing.is_some() {
                let done = self.workers.wait()?;
                self.take_done(done)?;
            }
            if self.progress.durable_lsn >= self.reconciler.wal.written_lsn()
                && self.reconciler.writer.gathered.is_empty()
            {
                break;
            }
            self.ask_for_sync()?;
        }
        self.progress.written_lsn = self.reconciler.wal.written_lsn();
        self.publish_now()
    }

    fn is_sync_due(&self) -> bool {
        let progress = &self.progress;
        if progress.syncing.is_some() {
            return false;
        }
        let is_unsynced = progress.durable_lsn < progress.written_lsn
            || !self.reconciler.writer.gathered.is_empty();
        let wants_checkpoint = self.is_checkpoint_due();
        match self.options.sync {
            SyncMode::Always => is_unsynced || wants_checkpoint,
            SyncMode::Interval(interval) => {
                wants_checkpoint || (is_unsynced && progress.last_sync.elapsed() >= interval)
            }
            SyncMode::Off => wants_checkpoint,
        }
    }

    fn is_checkpoint_due(&self) -> bool {
        let progress = &self.progress;
        if progress.is_checkpointing
            || progress.checkpoint_lsn >= self.reconciler.wal.written_lsn()
            || self.compactions.is_ready()
        {
            return false;
        }
        self.answers.flush_wanted(progress.checkpoint_lsn)
            || self.reconciler.wal.appended_size() - progress.checkpoint_log_size
                + progress.inherited_log_size
                >= self.options.checkpoint_log_size
            || self.reconciler.writer.now.records - progress.checkpoint_records
                >= self.options.memory_threshold
            || progress.last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL
    }

    fn ask_for_sync(&mut self) -> Result<(), CoordinatorError> {
        if self.progress.syncing.is_some() {
            return Ok(());
        }
        self.reconciler.settle()?;
        self.progress.written_lsn = self.reconciler.wal.written_lsn();
        let mut stood = self.reconciler.writer.now;
        if self.is_checkpoint_due() {
            if self.options.sync != SyncMode::Always {
                // A durable slot is one that was published, under the same number.
                self.publish_now()?;
                stood = *self.reconciler.publisher.last();
            }
            self.progress.checkpoint_next = Some(self.reconciler.writer.clients.table());
            self.progress.checkpoint_log_size = self.reconciler.wal.appended_size();
            self.progress.inherited_log_size = 0;
            self.progress.checkpoint_records = self.reconciler.writer.now.records;
            self.progress.last_checkpoint = Instant::now();
        }
        self.progress.syncing = Some(stood);
        self.progress.synced_log_size = self.reconciler.wal.appended_size();
        let now = Instant::now();
        self.progress.last_sync = now;
        if self.turn_writes == 1
            && self.activity.is_of_one(now)
            && self.unfinished.is_empty()
            && self.progress.sync_duration < OWN_SYNC_DURATION_MAX
        {
            let lsn = self.reconciler.wal.syncer().sync()?;
            return self.take_done(Done::Synced(lsn));
        }
        self.workers.sync();
        Ok(())
    }

    fn take_done(&mut self, done: Done) -> Result<(), CoordinatorError> {
        match done {
            Done::Synced(lsn) => {
                self.progress.durable_lsn = lsn;
                self.progress.sync_duration = self.progress.last_sync.elapsed();
                self.progress.acknowledged_lsn = self.progress.acknowledged_lsn.max(lsn);
                let Some(stood) = self.progress.syncing.take() else {
                    return Ok(());
                };
                let is_all = lsn >= self.reconciler.writer.applied_lsn()
                    && self.reconciler.writer.gathered.is_empty();
                let is_new = stood.published_lsn > self.reconciler.publisher.last().published_lsn;
                // As above: what a checkpoint makes durable must have been published itself.
                if is_new && (!is_all || self.progress.checkpoint_next.is_some()) {
                    self.publish(stood)?;
                }
                if let Some(clients) = self.progress.checkpoint_next.take() {
                    self.progress.is_checkpointing = true;
                    let slot = match self.options.sync {
                        SyncMode::Always => *self.reconciler.publisher.last(),
                        _ => stood,
                    };
                    self.workers.checkpoint(Slot { durable_lsn: lsn, ..slot }, clients, false);
                }
                if is_all {
                    self.publish_now()?; // nothing came meanwhile, or the sync covered it too
                }
            }
            Done::Checkpointed(lsn) => {
                self.progress.is_checkpointing = false;
                self.progress.checkpoint_lsn = lsn;
                let hold_lsn = self.compactions.hold_lsn().unwrap_or(lsn);
                self.reconciler.wal.recycle(lsn.min(hold_lsn))?;
            }
        }
        Ok(())
    }

    /// Publishes what is applied, where that does not wait for a sync.
    fn publish_if_due(&mut self) -> Result<(), CoordinatorError> {
        let is_new =
            self.reconciler.writer.applied_lsn() > self.reconciler.publisher.last().published_lsn;
        if !is_new || self.options.sync == SyncMode::Always {
            return Ok(()); // the end of the sync publishes
        }
        let is_wanted = self.answers.visible_wanted();
        if is_wanted || self.progress.last_publication.elapsed() >= self.options.reconcile_interval
        {
            self.reconciler.settle()?;
            self.progress.written_lsn = self.reconciler.wal.written_lsn();
            self.publish_now()?;
        }
        Ok(())
    }

    /// Publishes how far the graphs have come, where no write does.
    fn publish_graphs_if_due(&mut self) -> Result<(), CoordinatorError> {
        let last = *self.reconciler.publisher.last();
        let (has_grown, has_caught_up) = self.indexer.since(&last);
        let is_old = self.progress.last_publication.elapsed() >= GRAPHS_INTERVAL;
        if has_grown && (has_caught_up || is_old) {
            self.publish(last)?;
        }
        Ok(())
    }

    /// How long until something is to be done without anybody asking.
    pub(super) fn until_due(&self, _now: Instant) -> Duration {
        let progress = &self.progress;
        let mut until = BEAT_INTERVAL;
        if self.reconciler.writer.applied_lsn() > self.reconciler.publisher.last().published_lsn
            && self.options.sync != SyncMode::Always
        {
            until = until.min(
                self.options.reconcile_interval.saturating_sub(progress.last_publication.elapsed()),
            );
        }
        if let SyncMode::Interval(interval) = self.options.sync
            && progress.durable_lsn < progress.written_lsn
        {
            until = until.min(interval.saturating_sub(progress.last_sync.elapsed()));
        }
        until
    }

    fn publish_now(&mut self) -> Result<(), CoordinatorError> {
        if self.reconciler.writer.applied_lsn() > self.reconciler.publisher.last().published_lsn {
            self.publish(self.reconciler.writer.now)?;
        }
        Ok(())
    }

    fn publish(&mut self, slot: Slot) -> Result<(), CoordinatorError> {
        let slot = Slot {
            durable_lsn: self.progress.durable_lsn,
            checkpoint_lsn: self.progress.checkpoint_lsn,
            ..self.indexer.overlaid(slot)
        };
        self.reconciler.publisher.publish(&slot, self.options.sync == SyncMode::Always)?;
        self.progress.operations_published = slot.operations;
        self.progress.last_publication = Instant::now();
        self.indexer.note_published(self.reconciler.publisher.last());
        Ok(())
    }

    /// Tells the thread that reserves space how much is in use.
    fn note_used(&self) {
        let now = &self.reconciler.writer.now;
        let growth = self.reconciler.writer.image.growth();
        let live = |region| {
            self.reconciler.writer.image.live_end(region).load(std::sync::atomic::Ordering::Relaxed)
        };
        let words = sutra_layout::index::INDEX.segment_words();
        growth.note_used(Region::RECORDS, now.records);
        growth.note_used(Region::COLUMNS, now.concepts);
        growth.note_used(Region::CONTENT, now.content_size);
        growth.note_used(Region::EDGES, now.edges);
        growth.note_used(Region::ADJACENCY, live(Region::ADJACENCY));
        growth.note_used(Region::ID_SEGMENTS, live(Region::ID_SEGMENTS) * words);
        growth.note_used(Region::EDGE_SEGMENTS, live(Region::EDGE_SEGMENTS) * words);
        for (space, counts) in now.spaces.iter().enumerate().take(now.spaces_count as usize) {
            growth.note_used(Region::vectors(space), counts.count);
            growth.note_used(Region::vector_columns(space), counts.count);
            growth.note_used(Region::graph(space), counts.count);
            growth.note_used(Region::graph_levels(space), live(Region::graph_levels(space)));
        }
    }
}
