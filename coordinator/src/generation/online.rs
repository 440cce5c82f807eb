//! Compaction beside a coordinator that goes on: on a thread of its own.
//!
//! | step | who | what | a kill here |
//! |---:|---|---|---|
//! | 1 | thread | looks up what is to be purged, and what has expired | nothing was done |
//! | 2 | loop | forgets those, by ordinary log entries; holds the log back from there on | they are forgotten |
//! | 3 | thread | builds the next file from the version that stood then | the next start removes it |
//! | 4 | thread | applies the log to it until little is left, syncs it, gives it a durable slot and a run mark | likewise |
//! | 5 | loop | applies the rest, publishes in the new file | likewise |
//! | 6 | loop | exchanges the names | the new file is the store; readers of the old one see that its heartbeat ends |
//! | 7 | loop | tells and wakes the readers of the old file, goes on with the new one | the new file is the store |
//! | 8 | thread | syncs the directory | likewise; a loss of power may leave either file, and the log for it |
//! | 9 | thread | removes the old file, syncs the directory | the next start removes it |
//! | 10 | loop | lets go of the log | |
//!
//! What expired is forgotten before it is left out, because whoever writes next decides by the file
//! as it is: a store in which things vanish without a log entry would take its own log for damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use sutra_layout::client_entry::ClientEntry;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::sys;

use super::build;
use super::find::{Before, Doomed, Request, find, plan_of};
use super::plan::refuse;
use crate::apply::Writer;
use crate::checkpoint::Checkpointer;
use crate::clients::Clients;
use crate::entry::Entry;
use crate::error::CoordinatorError;
use crate::image::Image;
use crate::kill_point::KillPoint;
use crate::store_dir::NextStorage;
use crate::wal::{Follower, VisitError};

type Result<T> = std::result::Result<T, CoordinatorError>;

/// Bytes of log that may be left for the loop to apply.
const LAG_SIZE_MAX: u64 = 128 << 10;
/// Rounds of catching up before that is given up: the writers are faster than the thread.
const ROUNDS_MAX: u32 = 10_000;

/// What the loop tells the thread.
#[derive(Debug)]
pub enum Order {
    /// Build from this version, with the clients as of it, and follow the log behind it.
    Begin(Box<Start>),
    /// The writer was faster: catch up once more.
    CatchUp(Box<Next>),
    /// The new file is the store: remove the old one, and let go of it. Taking away the mapping of a
    /// file of a gigabyte takes tens of milliseconds, which are not to be the loop's.
    Settle(NextStorage, Image),
}

/// Where a build starts from.
#[derive(Debug)]
pub struct Start {
    /// A published version.
    pub slot: Slot,
    /// The clients as of it.
    pub clients: Vec<ClientEntry>,
    /// The log behind it.
    pub follower: Follower,
}

/// What the thread tells the loop.
#[derive(Debug)]
pub enum Event {
    /// Step 1 is done.
    Found(Vec<Doomed>),
    /// Step 4 is done.
    Ready(Box<Next>),
    /// Step 9 is done.
    Settled,
    /// It ends; the store is as it was.
    Failed(CoordinatorError),
    /// It ends, and which file a loss of power would leave is not known.
    Undecided(CoordinatorError),
}

/// The next generation, behind the log by little.
#[derive(Debug)]
pub struct Next {
    /// The file, and what is applied to it.
    pub writer: Writer,
    /// How far the log was followed.
    pub follower: Follower,
    /// Who writes its durable slots.
    pub checkpointer: Checkpointer,
    /// Up to where it is on disk.
    pub checkpoint_lsn: u64,
    /// Its place beside the old file.
    pub storage: NextStorage,
}

/// What the thread works with.
#[derive(Debug)]
pub struct Task {
    /// The file that is to be replaced.
    pub source: Image,
    /// What was asked for.
    pub request: Request,
    /// Where the next file is made.
    pub storage: NextStorage,
    /// The next file, empty.
    pub file: std::fs::File,
    /// Of the coordinator.
    pub writer_epoch: u64,
    /// Set when the coordinator ends.
    pub is_cancelled: Arc<AtomicBool>,
}

impl Task {
    /// Goes through the steps; `now` is the version published last.
    pub fn run(self, now: &Slot, orders: &Receiver<Order>, report: &dyn Fn(Event)) {
        // The loop and the clients go first: two of them and this share what may be two cores.
        let _ = rustix::process::nice(10);
        match self.prepare(now, orders, report) {
            Ok(()) => {}
            Err(error) => return report(Event::Failed(error)),
        }
        // From here on the loop has the file; it orders another round, or the end.
        while let Ok(order) = orders.recv() {
            match order {
                Order::CatchUp(mut next) => match catch_up(&mut next, written_lsn) {
                    Ok(()) => report(Event::Ready(next)),
                    Err(error) => return report(Event::Failed(error)),
                },
                Order::Settle(storage, old) => {
                    let event = settle(&storage);
                    drop(old); // before the loop waits for this thread
                    return report(event);
                }
                Order::Begin(_) => {}
            }
        }
    }

    /// Steps 1 to 4.
    fn prepare(self, now: &Slot, orders: &Receiver<Order>, report: &dyn Fn(Event)) -> Result<()> {
        let Task { source, mut request, storage, file, writer_epoch, is_cancelled } = self;
        if matches!(request.before, Before::Time(time) if time >= now.published_at) {
            // What expired is forgotten only now, and is not to stay for that.
            request.before = Before::Everything;
        }
        let check = || match is_cancelled.load(Ordering::Relaxed) {
            true => Err(CoordinatorError::Stopped),
            false => Ok(()),
        };
        report(Event::Found(find(source.view(), now, &request, &check)?));
        let Ok(Order::Begin(start)) = orders.recv() else {
            return Err(CoordinatorError::Stopped);
        };
        let Start { slot, clients, follower } = *start;
        let plan = plan_of(source.view(), &slot, &request)?;
        let started_at = Instant::now();
        let clients = Clients::new(&clients);
        let (view, mut pace) = (source.view(), check);
        let writer = build(view, &slot, &plan, clients, file, &mut refuse, &mut pace)?;
        tracing::info!(
            generation = writer.image.view().superblock().generation,
            lsn = slot.published_lsn,
            took_ms = started_at.elapsed().as_millis() as u64,
            "the next generation is built"
        );
        KillPoint::CompactionBuilt.reach();
        let checkpointer = Checkpointer::new(writer.image.clone(), 1, Slot::default());
        let checkpoint_lsn = slot.published_lsn;
        let mut next = Box::new(Next { writer, follower, checkpointer, checkpoint_lsn, storage });
        // No further than what is published: behind that, reinforcements that are not settled are in
        // memory alone, and a durable slot would say that the file has them.
        let published_lsn = || {
            let last = view.capture().map_err(CoordinatorError::from)?;
            Ok(last.map_or(slot.published_lsn, |last| last.published_lsn))
        };
        catch_up(&mut next, |_| published_lsn())?;
        check()?;
        make_durable(&mut next, writer_epoch, &check)?;
        KillPoint::CompactionSynced.reach();
        catch_up(&mut next, written_lsn)?;
        check()?;
        report(Event::Ready(next));
        Ok(())
    }
}

/// Applies the log, up to where `end` says each time, until little of it is left.
fn catch_up(next: &mut Next, end: impl Fn(&Next) -> Result<u64>) -> Result<()> {
    for _ in 0..ROUNDS_MAX {
        let size = next.follower.read_size();
        let end_lsn = end(next)?;
        next.follow(end_lsn, || false)?;
        if next.follower.read_size() - size <= LAG_SIZE_MAX {
            return Ok(());
        }
    }
    Err(CoordinatorError::Overtaken)
}

/// All there is.
fn written_lsn(next: &Next) -> Result<u64> {
    Ok(next.follower.written_lsn())
}

impl Next {
    /// Applies the log up to an entry, unless it is late; returns whether it got there.
    pub fn follow(&mut self, up_to_lsn: u64, is_late: impl Fn() -> bool) -> Result<bool> {
        let writer = &mut self.writer;
        let mut failed = None;
        let followed = self.follower.follow(up_to_lsn, &mut |lsn, payload| {
            if is_late() {
                return Err(VisitError::from("late"));
            }
            let entry = Entry::decode(payload);
            let entry = entry.map_err(|what| CoordinatorError::BadEntry { lsn, what });
            entry.and_then(|entry| writer.apply(lsn, &entry, &[])).map_err(|error| {
                failed = Some(error);
                VisitError::from("failed")
            })
        });
        match (followed, failed) {
            (_, Some(error)) => Err(error),
            (Ok(()), None) => Ok(true),
            (Err(crate::wal::WalError::Visit { .. }), None) => Ok(false),
            (Err(error), None) => Err(error.into()),
        }
    }
}

/// Gives the next file a durable slot as of what is applied to it, and the mark of this boot.
fn make_durable(next: &mut Next, writer_epoch: u64, check: &dyn Fn() -> Result<()>) -> Result<()> {
    let image = next.writer.image.clone();
    assert!(next.writer.gathered.is_empty(), "a durable slot amidst what is not settled");
    image.sync_all_gently(check)?;
    let slot = Slot { writer_epoch, ..next.writer.now };
    next.checkpointer.write(&slot, &next.writer.clients.table(), false)?;
    next.checkpoint_lsn = slot.published_lsn;
    let failed = || CoordinatorError::io("the next generation of storage.dat");
    let stat = image.view().map().file().metadata().map_err(failed())?;
    use std::os::unix::fs::MetadataExt;
    let mark = RunMark {
        boot_id: sys::clock::boot_id().map_err(failed())?,
        device: stat.dev(),
        inode: stat.ino(),
        writer_epoch,
        started_at: sys::clock::now_us(),
        ..RunMark::default()
    };
    image.store_run_mark(mark)?;
    // Its size and the place of its first bytes, too.
    image.view().map().file().sync_all().map_err(failed())
}

/// Steps 8 and 9.
fn settle(storage: &NextStorage) -> Event {
    let failed = |source| CoordinatorError::Sync { what: "the store's directory", source };
    if let Err(error) = storage.settle() {
        return Event::Undecided(failed(error));
    }
    KillPoint::CompactionSettled.reach();
    if let Err(error) = storage.remove_old() {
        tracing::warn!(%error, "the file of the generation before could not be removed");
    }
    KillPoint::CompactionDone.reach();
    Event::Settled
}

/// The thread, from the loop's side.
#[derive(Debug)]
pub struct Compactor {
    orders: Option<Sender<Order>>,
    events: Receiver<Event>,
    is_cancelled: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Compactor {
    /// Starts the thread. `wake` is called after each of its events.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        task: Task,
        now: Slot,
        wake: impl Fn() + Send + 'static,
    ) -> std::io::Result<Compactor> {
        let (orders, orders_out) = std::sync::mpsc::channel();
        let (events_in, events) = std::sync::mpsc::channel();
        let is_cancelled = Arc::clone(&task.is_cancelled);
        let thread = std::thread::Builder::new().name("sutra-compact".into()).spawn(move || {
            task.run(&now, &orders_out, &|event| {
                let _ = events_in.send(event);
                wake();
            });
            drop(events_in);
            wake(); // also if it ended without a word
        })?;
        Ok(Compactor { orders: Some(orders), events, is_cancelled, thread: Some(thread) })
    }

    /// What it has to say, if anything; an error if it ended without a word.
    pub fn event(&self) -> Option<Event> {
        use std::sync::mpsc::TryRecvError;
        match self.events.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                let what = "the thread that compacts the store";
                let ended = std::io::Error::other("it ended without a word");
                Some(Event::Failed(CoordinatorError::io(what)(ended)))
            }
        }
    }

    /// Tells it to go on.
    pub fn order(&self, order: Order) {
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }
}

impl Drop for Compactor {
    /// Waits for its end: it must not outlive the locks on the store.
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        self.orders = None;
        // What it made so far goes with its events.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
