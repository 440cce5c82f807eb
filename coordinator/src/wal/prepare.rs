//! The preparer: a thread that has the next segment ready before it is needed.
//!
//! What it does there is in `workshop.rs`.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Options;
use super::directory::Directory;
use super::error::WalError;
use super::format::GROUPS_OFFSET;
use super::segment::Segment;
use super::sync::{Shared, lock};
use super::workshop::{Retired, Want, Workshop};

const MIB: u64 = 1 << 20;

#[derive(Debug, Default)]
struct State {
    wanted: Option<Want>,
    busy: bool,
    ready: Option<Segment>,
    failed: Option<WalError>,
    retired: Vec<Retired>,
    /// Total size of the spares, for whoever asks how much disk the log takes.
    spare_size: u64,
    stop: bool,
    /// The thread has ended; if it was not told to, then by a panic.
    gone: bool,
}

#[derive(Debug)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

/// The writer's end; dropping it stops the thread.
#[derive(Debug)]
pub(crate) struct Preparer {
    desk: Arc<Desk>,
    options: Options,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    pub(crate) fn start(
        directory: Arc<Directory>,
        store_id: [u8; 16],
        options: Options,
        spares: Vec<Retired>,
        shared: Arc<Shared>,
    ) -> Result<Preparer, WalError> {
        let desk = Arc::new(Desk { state: Mutex::default(), changed: Condvar::new() });
        let mut workshop = Workshop { directory, store_id, options, spares };
        lock(&desk.state).spare_size = workshop.spare_size();
        let path = workshop.directory.path().to_owned();
        let thread = std::thread::Builder::new()
            .name("wal-prepare".into())
            .spawn({
                let desk = Arc::clone(&desk);
                move || {
                    let _gone = Gone(&desk);
                    run(&desk, &mut workshop, &shared);
                }
            })
            .map_err(|source| WalError::io(&path, "start a thread for", source))?;
        Ok(Preparer { desk, options, thread: Some(thread) })
    }

    /// Has segment `sequence` prepared meanwhile, unless one is or the disk was full.
    pub(crate) fn ask(&self, sequence: u64, current_size: u64) {
        let mut state = lock(&self.desk.state);
        let idle = state.ready.is_none() && state.wanted.is_none() && !state.busy;
        if idle && state.failed.is_none() {
            state.wanted = Some(self.want(sequence, current_size, 0));
            self.desk.changed.notify_all();
        }
    }

    /// Waits until segment `sequence` is ready and has room for a group of `size` bytes.
    pub(crate) fn require(
        &self,
        sequence: u64,
        current_size: u64,
        size: u64,
    ) -> Result<(), WalError> {
        let want = self.want(sequence, current_size, size);
        let mut asked = false;
        let mut state = lock(&self.desk.state);
        loop {
            if state.ready.as_ref().is_some_and(|ready| ready.capacity() >= size) {
                return Ok(());
            }
            if state.gone {
                let reason = "the thread that prepares segments is gone".into();
                return Err(WalError::Poisoned { reason });
            }
            if !state.busy && state.wanted.is_none() {
                let failed = state.failed.take(); // of an earlier wish, if we did not ask
                if let (true, Some(error)) = (asked, failed) {
                    return Err(error);
                }
                state.wanted = Some(want);
                asked = true;
                self.desk.changed.notify_all();
            }
            state = self.desk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The segment that [`Preparer::require`] has waited for.
    pub(crate) fn take(&self) -> Option<Segment> {
        lock(&self.desk.state).ready.take()
    }

    /// Where segments go that nobody will read again.
    pub(crate) fn retirer(&self) -> Retirer {
        Retirer(Arc::clone(&self.desk))
    }

    /// Bytes of disk taken by what is ready, spare or about to be.
    pub(crate) fn held_size(&self) -> u64 {
        let state = lock(&self.desk.state);
        let retired: u64 = state.retired.iter().map(|retired| retired.size).sum();
        state.spare_size + retired + state.ready.as_ref().map_or(0, |ready| ready.size)
    }

    /// Waits until nothing is left to do, so that tests see one state of the directory.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        let mut state = lock(&self.desk.state);
        while state.busy || state.wanted.is_some() || !state.retired.is_empty() {
            state = self.desk.changed.wait(state).unwrap();
        }
    }

    fn want(&self, sequence: u64, current_size: u64, group_size: u64) -> Want {
        let size_min = (group_size + GROUPS_OFFSET)
            .next_multiple_of(4096)
            .max(self.options.segment_size_first);
        let doubled = (current_size * 2)
            .clamp(self.options.segment_size_first, self.options.segment_size_max);
        let fitting = match size_min.next_power_of_two() {
            size if size <= self.options.segment_size_max => size,
            _ => size_min.next_multiple_of(MIB),
        };
        let size = if size_min <= doubled { doubled } else { fitting };
        Want { sequence, size, size_min }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        lock(&self.desk.state).stop = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there has been printed; nothing is owed to it
        }
    }
}

/// Gives segments to the preparer.
#[derive(Clone, Debug)]
pub(crate) struct Retirer(Arc<Desk>);

impl Retirer {
    /// Segments that nobody will read again: kept as spares or removed.
    pub(crate) fn retire(&self, retired: impl IntoIterator<Item = Retired>) {
        lock(&self.0.state).retired.extend(retired);
        self.0.changed.notify_all();
    }
}

/// Wakes whoever waits for the thread when it ends, so that a panic is not a hang.
struct Gone<'a>(&'a Desk);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).gone = true;
        self.0.changed.notify_all();
    }
}

fn run(desk: &Desk, workshop: &mut Workshop, shared: &Shared) {
    let mut state = lock(&desk.state);
    loop {
        if !state.retired.is_empty() {
            let retired = std::mem::take(&mut state.retired);
            state.busy = true;
            drop(state);
            if let Err(error) = workshop.keep_or_remove(&retired) {
                finish_failed(&error, shared);
            }
            state = lock(&desk.state);
        } else if state.stop {
            return;
        } else if let Some(want) = state.wanted.take() {
            let existing = state.ready.take();
            state.busy = true;
            drop(state);
            let stop = || !lock(&desk.state).stop;
            let (ready, failed) = match existing {
                None => match workshop.make(want, stop) {
                    Ok(segment) => (Some(segment), None),
                    Err(error) => (None, Some(error)),
                },
                Some(mut segment) => {
                    let failed = workshop.grow(&mut segment, want, stop).err();
                    (Some(segment), failed)
                }
            };
            state = lock(&desk.state);
            if let Some(error) = &failed
                && !state.stop
            {
                finish_failed(error, shared);
            }
            state.ready = ready;
            state.failed = failed;
        } else {
            state = desk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        state.busy = false;
        state.spare_size = workshop.spare_size();
        desk.changed.notify_all();
    }
}

/// A failed sync or write is final wherever it happens; the rest may be tried again.
fn finish_failed(error: &WalError, shared: &Shared) {
    match error {
        WalError::Sync { .. } | WalError::Write { .. } => shared.poison(error),
        _ => tracing::warn!("{error}"),
    }
}
