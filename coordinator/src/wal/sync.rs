//! Durability: one fdatasync for all that wait, and the poison after a failed one.
//!
//! The writer stores `written_lsn` (Release) after the entries are written and after
//! their segment is in `unsynced`. A syncer loads it (Acquire) and then takes the list,
//! so the files it syncs hold every entry up to the LSN it has loaded.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use sutra_layout::sys::fork::Kept;

use super::LogSyncer;
use super::error::WalError;
use crate::plant::Plant;

/// A file that may hold entries not yet on disk.
#[derive(Clone, Debug)]
pub(crate) struct Unsynced {
    pub(crate) file: Arc<Kept<File>>,
    pub(crate) path: PathBuf,
}

/// What the writer, its syncers and the preparer share.
#[derive(Debug)]
pub(crate) struct Shared {
    written_lsn: AtomicU64,
    durable_lsn: AtomicU64,
    /// Oldest first; the last one is being written, those before it are complete.
    unsynced: Mutex<Vec<Unsynced>>,
    /// Held for the length of a sync, so that those who come meanwhile share the next.
    turn: Mutex<()>,
    /// The first failed write or sync. Set once, never taken back.
    poison: OnceLock<String>,
}

impl Shared {
    /// All up to `lsn` is on disk already.
    pub(crate) fn new(lsn: u64) -> Shared {
        Shared {
            written_lsn: AtomicU64::new(lsn),
            durable_lsn: AtomicU64::new(lsn),
            unsynced: Mutex::new(Vec::new()),
            turn: Mutex::new(()),
            poison: OnceLock::new(),
        }
    }

    pub(crate) fn written_lsn(&self) -> u64 {
        self.written_lsn.load(Ordering::Acquire)
    }

    pub(crate) fn durable_lsn(&self) -> u64 {
        self.durable_lsn.load(Ordering::Acquire)
    }

    /// Entries up to `lsn` have been written. Called by the writer alone.
    pub(crate) fn set_written(&self, lsn: u64) {
        let before = self.written_lsn.load(Ordering::Relaxed); // only we store here
        assert!(before <= lsn, "the written LSN would move back from {before} to {lsn}");
        self.written_lsn.store(lsn, Ordering::Release);
    }

    /// Entries go to this file from now on.
    pub(crate) fn begin_file(&self, file: Unsynced) {
        lock(&self.unsynced).push(file);
    }

    /// Everything fails with the same words from now on.
    pub(crate) fn poison(&self, error: &WalError) {
        let _ = self.poison.set(error.to_string()); // the first one stays
        tracing::error!("{error}");
    }

    pub(crate) fn check(&self) -> Result<(), WalError> {
        match self.poison.get() {
            None => Ok(()),
            Some(reason) => Err(WalError::Poisoned { reason: reason.clone() }),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these mutexes guard is replaced in one step: a panic leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes written entries durable. Clones share one log; any thread may hold one.
#[derive(Clone, Debug)]
pub struct Syncer {
    shared: Arc<Shared>,
}

impl Syncer {
    pub(crate) fn new(shared: Arc<Shared>) -> Syncer {
        Syncer { shared }
    }

    /// Makes all that was written before the call durable, and returns the LSN up to
    /// which the log now is. Callers that wait for each other share one fdatasync.
    ///
    /// # Errors
    ///
    /// [`WalError::Sync`] from the call that failed, [`WalError::Poisoned`] ever after,
    /// here and in the writer: a failed sync is never tried again, because the system
    /// reports lost pages once and then calls them clean.
    pub fn sync(&self) -> Result<u64, WalError> {
        let shared = &*self.shared;
        let wanted_lsn = shared.written_lsn();
        let turn = lock(&shared.turn);
        shared.check()?;
        if shared.durable_lsn() >= wanted_lsn {
            return Ok(shared.durable_lsn()); // the turn before ours has covered us
        }
        let written_lsn = shared.written_lsn();
        let files = lock(&shared.unsynced).clone();
        for Unsynced { file, path } in &files {
            if let Err(source) = Plant::outcome(file.sync_data()) {
                let error = WalError::Sync { path: path.clone(), source };
                shared.poison(&error);
                return Err(error);
            }
        }
        // All but the last were complete before we began; new ones come behind it.
        lock(&shared.unsynced).drain(..files.len().saturating_sub(1));
        shared.durable_lsn.store(written_lsn, Ordering::Release);
        drop(turn);
        Ok(written_lsn)
    }

    /// LSN of the last entry written so far.
    #[must_use]
    pub fn written_lsn(&self) -> u64 {
        self.shared.written_lsn()
    }

    /// LSN up to which the log is on disk.
    #[must_use]
    pub fn durable_lsn(&self) -> u64 {
        self.shared.durable_lsn()
    }

    /// An error once a write or a sync has failed.
    ///
    /// # Errors
    ///
    /// [`WalError::Poisoned`], with the words of the first failure.
    pub fn check(&self) -> Result<(), WalError> {
        self.shared.check()
    }
}

impl LogSyncer for Syncer {
    fn sync(&self) -> Result<u64, WalError> {
        Syncer::sync(self)
    }

    fn durable_lsn(&self) -> u64 {
        Syncer::durable_lsn(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_being_written_is_synced_each_time_and_complete_ones_once() {
        let home = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared::new(0));
        let syncer = Syncer::new(Arc::clone(&shared));
        let begin = |name: &str| {
            let path = home.path().join(name);
            let file = Arc::new(Kept::new(File::create(&path).unwrap()));
            shared.begin_file(Unsynced { file, path });
        };
        let unsynced = || -> Vec<String> {
            let name = |file: &Unsynced| file.path.file_name().unwrap().to_str().unwrap().into();
            lock(&shared.unsynced).iter().map(name).collect()
        };

        begin("a");
        for lsn in 1..=2 {
            shared.set_written(lsn);
            assert_eq!(syncer.sync().unwrap(), lsn);
            assert_eq!(unsynced(), ["a"]);
        }
        begin("b");
        begin("c");
        shared.set_written(3);
        assert_eq!(unsynced(), ["a", "b", "c"]);
        assert_eq!(syncer.sync().unwrap(), 3);
        assert_eq!(unsynced(), ["c"]);
    }
}
