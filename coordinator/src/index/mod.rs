//! The graphs of the vector spaces: grown behind the write path, by a thread of its own.
//!
//! Applying a log entry stores a row, its code and since when it is over; the thread links rows that
//! are *published*, in order, and says how far it has come. The loop puts that into its next
//! publication, or makes one where nobody writes. Until then a search looks at each row, so nothing
//! waits for the graph: a bulk import may outrun it.
//!
//! | word | stored by | when |
//! |------|-----------|------|
//! | a node's code and head | the loop, applying | before its row is published |
//! | `superseded_at` | the loop, applying | before the record that it names is published |
//! | links, `levels`, live ends of upper levels | the thread | for rows below a published count |
//! | `indexed_count`, entry point, top level | the loop, publishing | after the links |
//!
//! What was linked beyond the watermark that a restart finds is linked again, to the same effect: a
//! node that has upper lists keeps them, and no list takes a row twice.

mod build;
mod grow;
mod recover;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::slot::Slot;
use sutra_vectors::GraphState;

use crate::error::CoordinatorError;
use crate::image::Image;

pub use build::build_graph;
use grow::Grower;

/// The thread, and the way to it. Dropping it stops the thread.
#[derive(Debug)]
pub struct Indexer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

type Spaces = [Progress; VECTOR_SPACES_MAX];

#[derive(Debug)]
struct Shared {
    spaces: Mutex<Spaces>,
    wake: Condvar,
    is_stopping: AtomicBool,
    /// Readable when a graph has grown: the loop waits on it.
    bell: Arc<OwnedFd>,
}

/// How far a space has come.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Rows that are published.
    published: u64,
    /// Of them, those that are over.
    dead: u64,
    /// The graph.
    state: GraphState,
}

impl Indexer {
    /// Starts the thread over what `slot`, the newest publication, says of the spaces.
    pub fn start(
        image: Image,
        writer_epoch: u64,
        slot: &Slot,
        bell: Arc<OwnedFd>,
    ) -> Result<Indexer, CoordinatorError> {
        let spaces = std::array::from_fn(|space| Progress {
            state: GraphState::of(&slot.spaces[space]),
            ..Progress::default()
        });
        let shared = Arc::new(Shared {
            spaces: Mutex::new(spaces),
            wake: Condvar::new(),
            is_stopping: AtomicBool::new(false),
            bell,
        });
        let grower = Grower::new(image, writer_epoch, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("sutra-index".into())
            .spawn(move || grower.run())
            .map_err(CoordinatorError::io("a thread could not be started"))?;
        let indexer = Indexer { shared, thread: Some(thread) };
        indexer.note_published(slot);
        Ok(indexer)
    }

    /// Everything in `slot` is published: its rows may be linked.
    pub fn note_published(&self, slot: &Slot) {
        let mut spaces = self.shared.lock();
        let mut has_work = false;
        for (at, space) in spaces.iter_mut().enumerate().take(slot.spaces_count as usize) {
            space.published = slot.spaces[at].count;
            space.dead = slot.dead_rows[at];
            has_work |= space.state.indexed_count < space.published;
        }
        drop(spaces);
        if has_work {
            self.shared.wake.notify_one();
        }
    }

    /// `slot` with the graphs as they are by now.
    pub fn overlaid(&self, mut slot: Slot) -> Slot {
        let spaces = self.shared.lock();
        for (counts, space) in slot.spaces.iter_mut().zip(&*spaces) {
            assert!(
                space.state.indexed_count <= counts.count,
                "a graph is ahead of its publication"
            );
            space.state.store(counts);
        }
        slot
    }

    /// Whether a graph has grown since `slot`, and whether all of them have caught up with it.
    pub fn since(&self, slot: &Slot) -> (bool, bool) {
        let spaces = self.shared.lock();
        let pairs = || slot.spaces.iter().zip(&*spaces);
        let has_grown = pairs().any(|(counts, space)| GraphState::of(counts) != space.state);
        let has_caught_up =
            pairs().all(|(counts, space)| space.state.indexed_count >= counts.count);
        (has_grown, has_caught_up)
    }

    /// Lets the thread end by itself: its file is no longer the store.
    pub fn leave(mut self) {
        self.thread = None;
    }

    /// Stops the thread within an insertion's time.
    pub fn stop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        // Under the lock, so that the thread is not between its look at the flag and its sleep.
        drop(self.shared.lock());
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it logs its own panic
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Spaces> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Tells the loop how far a graph has come.
    fn report(&self, space: usize, state: GraphState) {
        self.lock()[space].state = state;
        let _ = rustix::io::write(&*self.bell, &1u64.to_le_bytes());
    }
}
