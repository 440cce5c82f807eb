//! The threads beside the loop: one syncs the log, one makes checkpoints, one reserves space.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use sutra_layout::client_entry::ClientEntry;
use sutra_layout::slot::Slot;

use crate::checkpoint::Checkpointer;
use crate::error::CoordinatorError;
use crate::image::Growth;
use crate::wal::Syncer;

/// What a worker has done.
#[derive(Debug)]
pub enum Done {
    /// The log is durable up to that LSN.
    Synced(u64),
    /// The file is durable up to that LSN.
    Checkpointed(u64),
}

/// What the checkpoint thread is to do.
#[derive(Debug)]
enum Job {
    Checkpoint {
        slot: Box<Slot>,
        clients: Vec<ClientEntry>,
        is_clean: bool,
    },
    /// Go on with another file.
    ChangeFiles(Box<Checkpointer>),
}

type Result<T> = std::result::Result<T, CoordinatorError>;

/// The threads, and the way to them.
#[derive(Debug)]
pub struct Workers {
    sync: Option<Sender<()>>,
    checkpoint: Option<Sender<Job>>,
    results: Receiver<Result<Done>>,
    wake: Arc<OwnedFd>,
    growth: Arc<Growth>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts them.
    pub fn start(
        syncer: Syncer,
        mut checkpointer: Checkpointer,
        growth: Arc<Growth>,
    ) -> Result<Workers> {
        let failed = || CoordinatorError::io("a thread could not be started");
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = Arc::new(wake.map_err(|errno| failed()(errno.into()))?);
        let (results_in, results) = channel();

        let (sync, sync_jobs) = channel::<()>();
        let report = reporter(results_in.clone(), Arc::clone(&wake));
        let sync_thread = std::thread::Builder::new().name("sutra-sync".into()).spawn(move || {
            while sync_jobs.recv().is_ok() {
                report(syncer.sync().map(Done::Synced).map_err(CoordinatorError::from));
            }
        });
        let (checkpoint, checkpoint_jobs) = channel::<Job>();
        let report = reporter(results_in, Arc::clone(&wake));
        let checkpoint_thread =
            std::thread::Builder::new().name("sutra-checkpoint".into()).spawn(move || {
                while let Ok(job) = checkpoint_jobs.recv() {
                    match job {
                        Job::ChangeFiles(next) => checkpointer = *next,
                        Job::Checkpoint { slot, clients, is_clean } => {
                            let written = checkpointer.write(&slot, &clients, is_clean);
                            report(written.map(|()| Done::Checkpointed(slot.published_lsn)));
                        }
                    }
                }
            });
        let growth_thread = grow(&growth);
        let threads = [sync_thread, checkpoint_thread, growth_thread];
        let threads = threads.into_iter().collect::<std::io::Result<Vec<_>>>().map_err(failed())?;
        Ok(Workers {
            sync: Some(sync),
            checkpoint: Some(checkpoint),
            results,
            wake,
            growth,
            threads,
        })
    }

    /// What makes the loop turn once it is written to.
    pub fn bell(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.wake)
    }

    /// Readable when there is a result.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Asks for a sync of all that is written by now.
    pub fn sync(&self) {
        let _ = self.sync.as_ref().map(|sync| sync.send(()));
    }

    /// Asks for a checkpoint of a published slot.
    pub fn checkpoint(&self, slot: Slot, clients: Vec<ClientEntry>, is_clean: bool) {
        let job = Job::Checkpoint { slot: Box::new(slot), clients, is_clean };
        let _ = self.checkpoint.as_ref().map(|checkpoint| checkpoint.send(job));
    }

    /// A checkpoint, done when this returns. No other must be under way.
    pub fn checkpoint_and_wait(
        &self,
        slot: Slot,
        clients: Vec<ClientEntry>,
        is_clean: bool,
    ) -> Result<()> {
        self.checkpoint(slot, clients, is_clean);
        self.wait().map(|_| ())
    }

    /// Makes the descriptor unreadable, until a worker does something more.
    pub fn note_call(&self) {
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
    }

    /// The next result, if there is one. After [`Workers::note_call`], so that one that comes too
    /// late is told by the descriptor.
    pub fn try_done(&self) -> Result<Option<Done>> {
        self.results.try_recv().ok().transpose()
    }

    /// The next result.
    pub fn wait(&self) -> Result<Done> {
        let gone = || CoordinatorError::io("a worker")(std::io::Error::other("has ended"));
        self.results.recv().map_err(|_| gone())?
    }

    /// Goes on with another file. No checkpoint must be under way.
    pub fn change_files(&mut self, checkpointer: Checkpointer, growth: Arc<Growth>) -> Result<()> {
        let job = Job::ChangeFiles(Box::new(checkpointer));
        let _ = self.checkpoint.as_ref().map(|checkpoint| checkpoint.send(job));
        self.growth.stop(); // and ends by itself
        let failed = CoordinatorError::io("a thread could not be started");
        self.threads.push(grow(&growth).map_err(failed)?);
        self.growth = growth;
        Ok(())
    }

    /// What another thread calls to have the loop look for what it did.
    pub fn waker(&self) -> impl Fn() + Send + 'static {
        let wake = Arc::clone(&self.wake);
        move || {
            let _ = rustix::io::write(&*wake, &1u64.to_le_bytes());
        }
    }

    /// Ends the threads.
    pub fn stop(&mut self) {
        self.sync = None;
        self.checkpoint = None;
        self.growth.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn grow(growth: &Arc<Growth>) -> std::io::Result<JoinHandle<()>> {
    let growth = Arc::clone(growth);
    std::thread::Builder::new().name("sutra-growth".into()).spawn(move || growth.run_ahead())
}

fn reporter(results: Sender<Result<Done>>, wake: Arc<OwnedFd>) -> impl Fn(Result<Done>) + Send {
    move |done| {
        let _ = results.send(done);
        let _ = rustix::io::write(&*wake, &1u64.to_le_bytes());
    }
}
