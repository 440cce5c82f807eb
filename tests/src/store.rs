//! A store of its own for each story, and the coordinator that writes it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use sutra_client::{Associate, Batch, Client, ClientBuilder, ClientError, Learn, Level, Receipt};
use sutra_coordinator::{KillPoint, Options, Plant};
use sutra_reader::{Concept, OpenError, Reader, Snapshot};
use tempfile::TempDir;

use crate::process::Process;
use crate::roles;
use crate::wait;

/// Clients give up after so long: a story that hangs says where.
const CLIENT_DEADLINE: Duration = Duration::from_secs(60);

/// A store in a directory that goes away with it.
#[derive(Debug)]
pub struct TestStore {
    _root: TempDir,
    errors: PathBuf,
    /// How its coordinator is started the next time.
    pub options: Options,
    /// Where it kills itself.
    pub kill_at: Option<KillPoint>,
    /// A bug that it has.
    pub planted: Option<Plant>,
    coordinator: Option<Process>,
    starts: AtomicU64,
}

impl TestStore {
    /// A place for a store, and nobody who makes it yet.
    pub fn unstarted() -> TestStore {
        TestStore::with(|_| {})
    }

    /// Likewise, with other options than the defaults.
    pub fn with(change: impl FnOnce(&mut Options)) -> TestStore {
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut options = Options::new(root.path().join("store"));
        options.program = "sutra-test-host".to_owned();
        change(&mut options);
        TestStore {
            errors: root.path().join("errors"),
            _root: root,
            options,
            kill_at: None,
            planted: None,
            coordinator: None,
            starts: AtomicU64::new(0),
        }
    }

    /// An empty store that is served.
    pub fn started() -> TestStore {
        TestStore::started_with(|_| {})
    }

    /// Likewise, with other options than the defaults.
    pub fn started_with(change: impl FnOnce(&mut Options)) -> TestStore {
        let mut store = TestStore::with(change);
        store.start();
        store
    }

    /// A store that holds copies of all files of a directory that are not sockets; nobody serves
    /// it. The copies are other files than the originals: to a coordinator, files whose machine
    /// lost its power.
    pub fn copy_of(directory: &Path) -> TestStore {
        let store = TestStore::unstarted();
        copy_directory(directory, store.dir());
        store
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.options.store
    }

    /// Its file.
    pub fn storage_path(&self) -> PathBuf {
        self.dir().join(sutra_reader::STORAGE_FILE)
    }

    /// The directory of its log.
    pub fn wal_dir(&self) -> PathBuf {
        self.dir().join("wal")
    }

    /// Starts its coordinator and waits until it answers.
    ///
    /// # Panics
    /// If it refuses.
    pub fn start(&mut self) {
        if let Err(errors) = self.try_start() {
            panic!("the coordinator refused: {errors}");
        }
    }

    /// Starts its coordinator and waits until it answers, or gives what it says when it refuses.
    ///
    /// # Errors
    /// What it says.
    pub fn try_start(&mut self) -> Result<(), String> {
        self.spawn();
        self.wait_until_ready()
    }

    /// Starts its coordinator and does not wait.
    pub fn spawn(&mut self) {
        assert!(self.coordinator.is_none(), "a coordinator runs already");
        let (role, errors) = (roles::coordinate(&self.options), self.errors_path());
        let process = Process::start_spoilt(&role, &errors, self.kill_at, self.planted);
        self.coordinator = Some(process);
    }

    /// Starts another coordinator beside the first.
    pub fn spawn_second(&self) -> Process {
        Process::start(&roles::coordinate(&self.options), &self.errors_path())
    }

    /// Starts the host in another role.
    pub fn child(&self, role: &[OsString]) -> Process {
        Process::start(role, &self.errors_path())
    }

    /// Waits until its coordinator answers.
    ///
    /// # Errors
    /// What the coordinator said, if it ended instead.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let dir = self.options.store.clone();
        let coordinator = self.coordinator.as_mut().expect("it was started");
        let ready = wait::until("an answer of the coordinator", || {
            let deadline = Duration::from_secs(10);
            if Client::builder(&dir).deadline(deadline).connect().is_ok() {
                return Some(true);
            }
            (!coordinator.is_running()).then_some(false)
        });
        if ready {
            return Ok(());
        }
        let errors = coordinator.errors();
        self.coordinator = None;
        Err(errors)
    }

    /// The pid of its coordinator.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Kills its coordinator with SIGKILL.
    pub fn kill(&mut self) {
        self.coordinator.take().expect("a coordinator runs").kill();
    }

    /// Waits until its coordinator has killed itself at [`TestStore::kill_at`].
    ///
    /// # Panics
    /// If it ends otherwise.
    pub fn wait_for_kill(&mut self) {
        use std::os::unix::process::ExitStatusExt;
        let mut coordinator = self.coordinator.take().expect("a coordinator runs");
        let status = coordinator.wait();
        assert_eq!(status.signal(), Some(9), "{status}: {}", coordinator.errors());
        self.kill_at = None;
    }

    /// Kills its coordinator and starts another.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Stops its coordinator cleanly, by SIGTERM.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn stop(&mut self) {
        self.running().signal(Signal::SIGTERM);
        self.wait_for_end();
    }

    /// Waits for the end of a coordinator that was told to stop.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn wait_for_end(&mut self) {
        let mut coordinator = self.coordinator.take().expect("a coordinator runs");
        let status = coordinator.wait();
        assert!(status.success(), "{status}: {}", coordinator.errors());
    }

    /// Waits until its coordinator has given up by itself, and returns what it said.
    ///
    /// # Panics
    /// If it ends well.
    pub fn wait_for_failure(&mut self) -> String {
        let mut coordinator = self.coordinator.take().expect("a coordinator runs");
        let status = coordinator.wait();
        assert!(!status.success(), "it ended well: {}", coordinator.errors());
        coordinator.errors()
    }

    /// Stops its coordinator cleanly and starts another.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Holds its coordinator where it is, by SIGSTOP.
    pub fn pause(&self) {
        self.running().signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.running().signal(Signal::SIGCONT);
    }

    /// Its coordinator.
    pub fn running(&self) -> &Process {
        self.coordinator.as_ref().expect("a coordinator runs")
    }

    /// A client under a random id.
    pub fn client(&self) -> Client {
        self.client_builder().connect().expect("it is served")
    }

    /// A client under an id that the story gives.
    pub fn client_as(&self, client_id: [u8; 16]) -> Client {
        let builder = self.client_builder().client_id(client_id);
        builder.connect().expect("it is served")
    }

    /// What a client is made of.
    pub fn client_builder(&self) -> ClientBuilder {
        Client::builder(self.dir()).author("story").deadline(CLIENT_DEADLINE)
    }

    /// A reader.
    pub fn reader(&self) -> Reader {
        self.open().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A reader, or why there is none.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn open(&self) -> Result<Reader, OpenError> {
        Reader::open(self.dir())
    }

    fn errors_path(&self) -> PathBuf {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        self.errors.with_extension(number.to_string())
    }
}

/// Short words for what stories do over and over.
pub trait Writing {
    /// Learns one concept and waits until it is visible.
    fn learn(&mut self, id: &str, content: &str) -> Receipt;
    /// Associates two concepts by a type's name and waits until it is visible.
    fn associate(&mut self, source: &str, kind: &str, target: &str) -> Receipt;
    /// Writes what `fill` puts into a batch and waits until it is visible.
    ///
    /// # Errors
    /// Those of the client.
    fn batch(&mut self, fill: impl FnOnce(&mut Batch)) -> Result<Receipt, ClientError>;
}

impl Writing for Client {
    fn learn(&mut self, id: &str, content: &str) -> Receipt {
        let learn = Learn { id: id.into(), content: Some(content), ..Learn::default() };
        self.batch(|batch| batch.learn(&learn).expect("it fits")).expect("it is written")
    }

    fn associate(&mut self, source: &str, kind: &str, target: &str) -> Receipt {
        let associate = Associate {
            source: source.into(),
            target: target.into(),
            kind: kind.into(),
            ..Associate::default()
        };
        self.batch(|batch| batch.associate(&associate).expect("it fits")).expect("it is written")
    }

    fn batch(&mut self, fill: impl FnOnce(&mut Batch)) -> Result<Receipt, ClientError> {
        let mut batch = Batch::new();
        fill(&mut batch);
        self.write(&batch, Level::Visible)
    }
}

/// Every concept of a snapshot, of every namespace, by ascending ordinal.
///
/// # Panics
/// If one cannot be read.
pub fn all_concepts(snapshot: &Snapshot) -> Vec<Concept<'_>> {
    // Ordinals of concepts that are forgotten or over are passed by; no story has more in a row.
    const GAP_MAX: u32 = 1000;
    let mut found: Vec<Concept<'_>> = Vec::new();
    for ordinal in 0.. {
        let concept = snapshot.concept(ordinal).expect("a concept can be read");
        found.extend(concept);
        let last = found.last().map_or(0, |concept| concept.ordinal());
        if ordinal > last + GAP_MAX {
            break;
        }
    }
    found
}

/// Copies a directory, without its sockets.
pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    let entries = std::fs::read_dir(from).expect("the directory is there");
    for entry in entries.map(|entry| entry.expect("its entries can be read")) {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() {
            copy_directory(&entry.path(), &target);
        } else if kind.is_file() {
            match std::fs::copy(entry.path(), &target) {
                Ok(_) => {}
                // A live log renames its segments.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => panic!("{}: {error}", entry.path().display()),
            }
        }
    }
}
