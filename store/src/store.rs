//! A store held open by this process, whichever process that is by now.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sutra_client::{Batch, Client, ErrorCode, Level, MakeSpace};
use sutra_layout::space::GraphSettings;
use sutra_layout::space::Metric;
use sutra_layout::sys::fork::PerProcess;
use sutra_reader::{OpenError, ReadError, Reader, Snapshot};

use crate::error::StoreError;
use crate::listen::{ListenOptions, Listening};
use crate::options::{self, Mode, Options};
use crate::site::Site;

/// A snapshot waits so long for the handle's last write before the coordinator is asked after it.
const PUBLICATION_PATIENCE: Duration = Duration::from_millis(20);
/// Connections kept for the next writes; more threads than that open and close theirs.
const SPARE_CLIENTS_MAX: usize = 8;

/// A store, open for reading and writing. Share it between threads by reference or `Arc`.
///
/// Dropping the last handle of a process that hosts the coordinator ends that cleanly. A process
/// that exits without dropping it leaves the store as a killed one does: the next writer recovers
/// it at once.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    pub(crate) options: Options,
    inner: PerProcess<Inner>,
}

/// What belongs to one process.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) reader: Reader,
    pub(crate) channel: Channel,
}

/// The way to the coordinator.
#[derive(Debug)]
pub(crate) struct Channel {
    store: PathBuf,
    options: Options,
    /// `None` where this process must not host.
    pub(crate) site: Option<Arc<Site>>,
    /// Each is one thread's while it writes.
    clients: Mutex<Vec<Client>>,
    /// The highest LSN acknowledged to this handle.
    last_lsn: AtomicU64,
}

impl Store {
    /// Opens the store in a directory, and makes it if it is not there and may be made.
    ///
    /// # Errors
    /// See [`StoreError`]: no such store, no right to read it, one that needs recovery and cannot be
    /// recovered from here, a mode that there is not.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Store, StoreError> {
        let (path, options) = (path.as_ref().to_owned(), options.completed()?);
        let store = Store { path, options, inner: PerProcess::new() };
        store.inner()?;
        Ok(store)
    }

    /// Opens the store that `SUTRA_STORAGE_PATH` names.
    ///
    /// # Errors
    /// As of [`Store::open`], and if the environment names none.
    pub fn open_from_environment(options: Options) -> Result<Store, StoreError> {
        Store::open(options::path_from_environment()?, options)
    }

    /// The store's directory, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it was opened, with what the environment said.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether this process hosts the store's coordinator.
    ///
    /// # Errors
    /// As of [`Store::open`], in a forked child, whose handle opens for itself.
    pub fn is_host(&self) -> Result<bool, StoreError> {
        Ok(self.inner()?.channel.site.as_ref().is_some_and(|site| site.is_host()))
    }

    /// Takes clients over TCP too, on an address of the loopback interface (port 0: any that is
    /// free), until what this returns is dropped: see [`Listening`]. This user and root may connect.
    ///
    /// # Errors
    /// An address that is not of the loopback interface or cannot be had; and those of writing, as
    /// there must be a coordinator.
    pub fn listen(&self, address: &str) -> Result<Listening, StoreError> {
        let channel = &self.inner()?.channel;
        channel.connect_once()?;
        let socket = self.options.socket.clone();
        let options = ListenOptions {
            socket: socket.unwrap_or_else(|| sutra_client::socket::path_in(&self.path)),
            store: self.path.clone(),
            address: address.to_owned(),
            allow_uids: Vec::new(),
            allow_gids: Vec::new(),
        };
        Listening::start_at(&options, channel.site.as_ref().map(Arc::downgrade))
    }

    /// What this process has of the store.
    #[inline]
    pub(crate) fn inner(&self) -> Result<&Inner, StoreError> {
        self.inner.get_or_init(|| Inner::open(&self.path, &self.options))
    }

    /// The newest published version, with everything that was acknowledged to this handle.
    ///
    /// # Errors
    /// Those of reading; and of the coordinator, if a write of this handle does not become visible.
    #[inline]
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        if let Some(snapshot) = self.snapshot_now()? {
            return Ok(snapshot);
        }
        let inner = self.inner()?;
        inner.wait_for(inner.channel.last_lsn(), self.options.deadline)
    }

    /// The same, if everything that was acknowledged to this handle is published; never waits.
    ///
    /// # Errors
    /// Those of reading.
    #[inline]
    pub fn snapshot_now(&self) -> Result<Option<Snapshot>, StoreError> {
        let inner = self.inner()?;
        let snapshot = inner.reader.snapshot()?;
        Ok((snapshot.published_lsn() >= inner.channel.last_lsn()).then_some(snapshot))
    }

    /// The newest published version with everything up to `lsn`, which another handle may have
    /// written.
    ///
    /// # Errors
    /// [`ReadError::Timeout`] if it is not there in time.
    pub fn wait_for_lsn(&self, lsn: u64, timeout: Duration) -> Result<Snapshot, StoreError> {
        Ok(self.inner()?.reader.wait_for_lsn(lsn, timeout)?)
    }

    /// Waits until a version after number `after_commit_seq` is published; false if none was in
    /// time.
    ///
    /// # Errors
    /// Those of reading.
    pub fn wait_for_update(
        &self,
        after_commit_seq: u64,
        timeout: Duration,
    ) -> Result<bool, StoreError> {
        Ok(self.inner()?.reader.wait_for_update(after_commit_seq, timeout)?)
    }
}

impl Inner {
    fn open(path: &Path, options: &Options) -> Result<Inner, StoreError> {
        let channel = Channel::new(path, options);
        if options.mode == Some(Mode::Embedded) && !options.read_only {
            channel.connect_once()?;
        }
        let reader = match Reader::open(path) {
            Ok(reader) => reader,
            Err(error) => channel.make_or_recover(error, options.create)?,
        };
        let inner = Inner { reader, channel };
        inner.settle_vectors(options)?;
        Ok(inner)
    }

    /// Sees to it that the default vector space is the one asked for.
    fn settle_vectors(&self, options: &Options) -> Result<(), StoreError> {
        let (Some(asked), asked_metric) = (options.vector_dimension, options.metric) else {
            return Ok(());
        };
        let snapshot = self.reader.snapshot()?;
        let snapshot = match snapshot.space_count() {
            0 if options.read_only => return Ok(()),
            0 => {
                let metric = asked_metric.unwrap_or_default();
                self.make_default_space(asked, metric)?
            }
            _ => snapshot,
        };
        let space = snapshot.space(0)?;
        let asked = asked as usize;
        let asked_metric = asked_metric.unwrap_or(space.metric);
        if space.dimension == asked && space.metric == asked_metric {
            return Ok(());
        }
        let (store, found, found_metric) =
            (self.reader.store().to_owned(), space.dimension, space.metric);
        Err(StoreError::OtherVectors { store, found, found_metric, asked, asked_metric })
    }

    /// Makes the default vector space, unless somebody was faster.
    fn make_default_space(&self, dimension: u32, metric: Metric) -> Result<Snapshot, StoreError> {
        let mut batch = Batch::new();
        batch.make_space(&MakeSpace {
            name: "",
            model: "",
            dimension,
            metric,
            graph: GraphSettings::default(),
        })?;
        let receipt =
            self.channel.with_client(|client| Ok(client.write(&batch, Level::Visible)?))?;
        // One that is another by now shows when it is compared with what was asked for.
        match receipt.errors.into_iter().find(|error| error.code != ErrorCode::Exists) {
            Some(refused) => Err(StoreError::Refused(refused)),
            None => {
                Ok(self.reader.wait_for_lsn(receipt.last_lsn, self.channel.options.deadline)?)
            }
        }
    }

    /// Waits until this handle's write `lsn` is visible.
    #[cold]
    fn wait_for(&self, lsn: u64, deadline: Duration) -> Result<Snapshot, StoreError> {
        match self.reader.wait_for_lsn(lsn, PUBLICATION_PATIENCE) {
            Err(ReadError::Timeout { .. }) => {}
            seen => return Ok(seen?),
        }
        // The coordinator may have gone before it published; asked, the next one does.
        let until = Instant::now() + deadline;
        self.channel.with_client(|client| Ok(client.wait(lsn, Level::Visible, deadline)?))?;
        let left = until.saturating_duration_since(Instant::now());
        Ok(self.reader.wait_for_lsn(lsn, left.max(PUBLICATION_PATIENCE))?)
    }
}

impl Channel {
    fn new(path: &Path, options: &Options) -> Channel {
        let hosts = !options.read_only && options.mode != Some(Mode::Server);
        Channel {
            store: path.to_owned(),
            options: options.clone(),
            site: hosts.then(|| Site::of(options.for_host(path))),
            clients: Mutex::default(),
            last_lsn: AtomicU64::new(0),
        }
    }

    pub(crate) fn last_lsn(&self) -> u64 {
        self.last_lsn.load(Ordering::Acquire)
    }

    pub(crate) fn acknowledged(&self, lsn: u64) {
        self.last_lsn.fetch_max(lsn, Ordering::AcqRel);
    }

    /// Opens the file after a coordinator has made or recovered it.
    fn make_or_recover(&self, error: OpenError, create: bool) -> Result<Reader, StoreError> {
        let is_missing = matches!(error, OpenError::NotFound { .. });
        let is_curable = (is_missing && create) || matches!(error, OpenError::NeedsRecovery { .. });
        if !is_curable || self.options.read_only {
            return Err(StoreError::Open(error));
        }
        if let Some(site) = &self.site {
            site.leave_if_moved();
        }
        match self.connect_once() {
            Ok(()) => Reader::open(&self.store).map_err(StoreError::Open),
            Err(why) if is_missing => Err(why),
            Err(why) => Err(StoreError::NeedsRecovery { open: error, why: Box::new(why) }),
        }
    }

    /// Has a coordinator answer, hosted here if nowhere else.
    fn connect_once(&self) -> Result<(), StoreError> {
        self.with_client(|_| Ok(()))
    }

    /// Does something with a connection that no other thread uses meanwhile. After an error the
    /// connection is not used again: something may be in flight on it.
    pub(crate) fn with_client<T>(
        &self,
        act: impl FnOnce(&mut Client) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut client = self.client()?;
        let done = act(&mut client)?;
        self.put_back(client);
        Ok(done)
    }

    /// A connection that nobody else uses, to be put back after use.
    pub(crate) fn client(&self) -> Result<Client, StoreError> {
        let spare = self.clients.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.map_or_else(|| self.connect(), Ok)
    }

    /// Keeps a connection for the next use, and notes what was acknowledged on it.
    pub(crate) fn put_back(&self, client: Client) {
        self.acknowledged(client.last_lsn());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() < SPARE_CLIENTS_MAX {
            clients.push(client);
        }
    }

    pub(crate) fn connect(&self) -> Result<Client, StoreError> {
        if self.options.read_only {
            return Err(StoreError::ReadOnly { store: self.store.clone() });
        }
        let mut builder = Client::builder(&self.store).deadline(self.options.deadline);
        if let Some(author) = &self.options.author {
            builder = builder.author(author);
        }
        if let Some(socket) = &self.options.socket {
            builder = builder.socket(socket);
        }
        if let Some(site) = &self.site {
            builder = builder.dialer(Arc::<Site>::clone(site));
        }
        Ok(builder.connect()?)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Connections first: a host that ends would have them seen as lost.
        self.clients.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
