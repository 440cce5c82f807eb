//! A store held open: which file it is by now, and its newest version.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sutra_layout::geometry::SUPERSEDED_BY_OFFSET;
use sutra_layout::slot::Slot;
use sutra_layout::sys::clock;

use crate::error::{OpenError, ReadError};
use crate::file::{HEARTBEAT_STALE, StoreFile, Writers, identity_of};
use crate::snapshot::{Snapshot, Version};
use crate::symbols::Symbols;

/// The file of a store, in its directory.
pub const STORAGE_FILE: &str = "storage.dat";

/// How often a file that anybody may write is copied again before a header that is none counts as
/// damage, and not as caught in the middle of a publication.
const COPIES_MAX: u32 = 4;

/// Without a heartbeat, the path is compared with the open file this often.
const IDENTITY_INTERVAL: Duration = Duration::from_secs(1);

/// A store, open for reading. Share it by `Arc` between threads.
///
/// It follows the store: from version to version at each [`Reader::snapshot`], and from file to
/// file when a compaction replaces `storage.dat`.
#[derive(Debug)]
pub struct Reader {
    store: PathBuf,
    writers: Writers,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The newest version captured: what a snapshot falls back on when the writer overtakes it.
    version: Arc<Version>,
    identity_checked_at: Instant,
}

/// What a heartbeat says about the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterStatus {
    /// Its heartbeat is younger than a second.
    pub alive: bool,
    /// Time since its last beat; [`Duration::MAX`] if it never beat in this boot of the machine.
    pub heartbeat_age: Duration,
    /// Its process id, in its own pid namespace; 0 if unknown.
    pub pid: u32,
    /// Raised at each start of a coordinator.
    pub epoch: u64,
}

impl Reader {
    /// Opens the store in directory `store_dir`. Creates nothing, and needs read permission only.
    ///
    /// Relies on only the coordinator writing `storage.dat`, as the modes of the files ensure where
    /// nobody else has the coordinator's user: what a snapshot gives is borrowed from the mapped
    /// file. See [`Reader::open_untrusted`] for a file of another origin.
    pub fn open(store_dir: impl AsRef<Path>) -> Result<Reader, OpenError> {
        Reader::open_written_by(Writers::Coordinator, store_dir.as_ref())
    }

    /// Opens a store whose `storage.dat` may hold anything and may be written, made longer or
    /// shorter by anybody at any moment: a store that was received, or that lies where others write.
    ///
    /// Nothing is mapped. Each snapshot reads what is asked of it, keeps its own copy, and checks
    /// that; so it gives a valid answer or an error, and gives the same again when it is asked again.
    /// Whether the answer is true only the writer knows. A get costs some ten times as much where its
    /// snapshot has not read that place before, and up to twice as much where it has (docs/SECURITY.md
    /// has the figures); what it has read it keeps in memory: up to 1 GiB, after which it gives errors
    /// and another snapshot goes on. Waiting looks every few milliseconds.
    pub fn open_untrusted(store_dir: impl AsRef<Path>) -> Result<Reader, OpenError> {
        Reader::open_written_by(Writers::Anybody, store_dir.as_ref())
    }

    fn open_written_by(writers: Writers, store: &Path) -> Result<Reader, OpenError> {
        let version = open_version(store, writers)?;
        let state = State { version: Arc::new(version), identity_checked_at: Instant::now() };
        Ok(Reader { store: store.to_owned(), writers, state: Mutex::new(state) })
    }

    /// The store's directory, as it was given.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// The newest published version, as a fixed view that later writes do not change.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        let mut state = self.lock();
        self.follow(&mut state)?;
        if self.writers == Writers::Coordinator {
            state.advance()?;
        }
        Ok(Snapshot::new(Arc::clone(&state.version), clock::now_us()))
    }

    /// Whether a coordinator writes this store at the moment.
    pub fn writer(&self) -> WriterStatus {
        // Of a file that is copied, what is known is as old as the copy.
        let newest = if self.writers == Writers::Anybody { self.follow_file().ok() } else { None };
        writer_of(&newest.unwrap_or_else(|| self.file()))
    }

    /// The file that the store has at the moment, as far as is known.
    pub(crate) fn file(&self) -> Arc<StoreFile> {
        Arc::clone(&self.lock().version.file)
    }

    /// Moves to the file that replaced ours, if one did.
    pub(crate) fn follow_file(&self) -> Result<Arc<StoreFile>, ReadError> {
        let mut state = self.lock();
        self.follow(&mut state)?;
        Ok(Arc::clone(&state.version.file))
    }

    fn follow(&self, state: &mut State) -> Result<(), ReadError> {
        if self.writers == Writers::Anybody {
            state.version = Arc::new(open_version(&self.store, self.writers)?);
            return Ok(());
        }
        let file = &state.version.file;
        let superseded_by = file.view.header_word(SUPERSEDED_BY_OFFSET);
        let is_superseded = superseded_by.load(Ordering::Relaxed) != 0;
        if !is_superseded {
            // A coordinator that beats writes the file we have. Without one, somebody may have put
            // another file in its place, or have died before it could say so.
            if !file.is_stale() || state.identity_checked_at.elapsed() < IDENTITY_INTERVAL {
                return Ok(());
            }
            state.identity_checked_at = Instant::now();
        }
        match identity_of(&file.path) {
            Ok(identity) if identity == file.identity => Ok(()),
            // The directory is being moved or deleted: what we have stays readable.
            Err(_) if !is_superseded => Ok(()),
            _ => {
                state.version = Arc::new(open_version(&self.store, self.writers)?);
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the newest published version, if there is a newer one and the writer lets us.
    fn advance(&mut self) -> Result<(), ReadError> {
        let Version { file, slot, symbols, .. } = &*self.version;
        if file.view.ring().commit_seq() == slot.commit_seq {
            return Ok(());
        }
        let captured = file.view.capture();
        let captured = captured.map_err(|damage| file.damaged(damage))?;
        if let Some(newest) = captured
            && newest.commit_seq > slot.commit_seq
        {
            let version = Version::new(Arc::clone(file), newest, Arc::clone(symbols))?;
            self.version = Arc::new(version);
        }
        Ok(())
    }
}

/// Opens the file of a store at its newest version.
fn open_version(store: &Path, writers: Writers) -> Result<Version, OpenError> {
    let mut copies_left = if writers == Writers::Anybody { COPIES_MAX } else { 1 };
    loop {
        copies_left -= 1;
        match open_version_once(store, writers) {
            Err(OpenError::Damaged { .. }) if copies_left > 0 => {}
            opened => return opened,
        }
    }
}

fn open_version_once(store: &Path, writers: Writers) -> Result<Version, OpenError> {
    let (file, slot) = StoreFile::open(store.join(STORAGE_FILE), writers)?;
    let path = Arc::clone(&file.path);
    let version = Version::new(Arc::new(file), slot, Arc::default());
    version.map_err(|error| match error {
        ReadError::Damaged { damage, .. } => OpenError::of_damage(&path, &damage),
        _ => unreachable!("a version is made from the file alone"),
    })
}

impl Version {
    /// A version of `file` as `slot` describes it, with the names it has beyond `symbols`.
    fn new(
        file: Arc<StoreFile>,
        slot: Slot,
        mut symbols: Arc<Symbols>,
    ) -> Result<Version, ReadError> {
        file.check_counts(&slot).map_err(|damage| file.damaged(damage))?;
        if !symbols.covers(&slot) {
            let extended = Arc::make_mut(&mut symbols).extend(&file.view, &slot);
            extended.map_err(|damage| file.damaged(damage))?;
        }
        Ok(Version { file, slot, symbols, as_of: None })
    }
}

/// What the heartbeat of `file` says.
pub(crate) fn writer_of(file: &StoreFile) -> WriterStatus {
    let mark = file.view.run_mark();
    let is_of_this_boot = file.is_of_this_boot(&mark);
    let age = file.heartbeat_age().filter(|_| is_of_this_boot);
    WriterStatus {
        alive: age.is_some_and(|age| age <= HEARTBEAT_STALE),
        heartbeat_age: age.unwrap_or(Duration::MAX),
        pid: if age.is_some() { file.heartbeat_pid() } else { 0 },
        epoch: if mark.is_whole() { mark.writer_epoch } else { 0 },
    }
}
