//! The archiver: a thread that copies segments to an archive before they may be used again.
//!
//! Until it has copied one, the segment stays in the log as it is: a full or absent archive costs
//! disk, and neither time nor entries. What is not copied at a stop is copied after the next start,
//! since the segments are still there.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::archive::{archive, make_archive};
use super::directory::Directory;
use super::error::WalError;
use super::prepare::Retirer;
use super::sync::lock;
use super::workshop::Retired;

/// After a failure it tries again so much later.
const RETRY_INTERVAL: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 5_000 });

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Retired>,
    stop: bool,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

/// The writer's end; dropping it stops the thread.
#[derive(Debug)]
pub(crate) struct Archiver {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Archiver {
    /// Segments go to the directory `path`, and from there to `retirer`.
    pub(crate) fn start(
        directory: Arc<Directory>,
        path: PathBuf,
        retirer: Retirer,
    ) -> Result<Archiver, WalError> {
        make_archive(&path)?;
        let desk = Arc::new(Desk::default());
        let thread = std::thread::Builder::new().name("wal-archive".into()).spawn({
            let (desk, path) = (Arc::clone(&desk), path.clone());
            move || run(&desk, &directory, &path, &retirer)
        });
        let thread = thread.map_err(|source| WalError::io(&path, "start a thread for", source))?;
        Ok(Archiver { desk, thread: Some(thread) })
    }

    /// Segments that nobody will read again once they are in the archive.
    pub(crate) fn retire(&self, retired: impl IntoIterator<Item = Retired>) {
        lock(&self.desk.state).waiting.extend(retired);
        self.desk.changed.notify_all();
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        lock(&self.desk.state).stop = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there has been printed; nothing is owed to it
        }
    }
}

fn run(desk: &Desk, directory: &Directory, path: &std::path::Path, retirer: &Retirer) {
    let mut has_failed = false;
    let mut state = lock(&desk.state);
    while !state.stop {
        let Some(segment) = state.waiting.front().copied() else {
            state = desk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let archived = archive(directory, segment.sequence, path);
        state = lock(&desk.state);
        match archived {
            Ok(_) => {
                state.waiting.pop_front();
                retirer.retire([segment]);
                if std::mem::take(&mut has_failed) {
                    tracing::info!("the log is kept in {} again", path.display());
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    let path = path.display();
                    tracing::warn!(
                        "the log cannot be kept in {path}, and grows until it can: {error}"
                    );
                }
                let waited = desk.changed.wait_timeout_while(state, RETRY_INTERVAL, |s| !s.stop);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}
