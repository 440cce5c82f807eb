//! How a store is to be opened: what the caller says, else the environment, else the default.
//!
//! | variable                      | meaning                                                       |
//! |-------------------------------|---------------------------------------------------------------|
//! | `SUTRA_STORAGE_PATH`          | the store's directory, for [`Store::open_from_environment`]   |
//! | `SUTRA_STORAGE_MODE`          | `auto`, `embedded` (or `single`), `server`; see [`Mode`]      |
//! | `SUTRA_STORAGE_SERVER`        | the coordinator's socket; `coordinator.sock` in the store     |
//! | `SUTRA_NUM_SHARDS`            | 1; more come with a later version                             |
//! | `SUTRA_VECTOR_DIMENSION`      | elements of a vector, in a store that has none yet            |
//! | `SUTRA_RECONCILE_INTERVAL_MS` | the longest that a write waits to become visible, where this process hosts |
//! | `SUTRA_MEMORY_THRESHOLD`      | new records between checkpoints, likewise                     |
//!
//! Each has an older name without `SUTRA_`, which counts where the newer one is not set.
//!
//! [`Store::open_from_environment`]: crate::Store::open_from_environment

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use sutra_client::Level;
use sutra_coordinator::SyncMode;
use sutra_coordinator::args::{
    ArgsError, MEMORY_THRESHOLD, RECONCILE_INTERVAL_MS, STORAGE_MODE, STORAGE_PATH,
    VECTOR_DIMENSION, check_mode, variable,
};
use sutra_layout::space::Metric;

use crate::error::StoreError;

const STORAGE_SERVER: &str = "SUTRA_STORAGE_SERVER";
const NUM_SHARDS: &str = "SUTRA_NUM_SHARDS";

/// How long a coordinator may be away or silent unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(30);

/// Who writes the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The coordinator that is there; where none is, this process hosts it for all.
    #[default]
    Auto,
    /// This process alone, from the opening on; others may read.
    Embedded,
    /// A coordinator that somebody else serves.
    Server,
}

impl Mode {
    /// The mode of that name, as the environment says it.
    ///
    /// # Errors
    /// If it comes with a later version, or is none at all.
    pub fn parse(name: &str) -> Result<Mode, StoreError> {
        check_mode(Some(name.as_ref()))?;
        Ok(match name {
            "embedded" | "single" => Mode::Embedded,
            "server" => Mode::Server,
            _ => Mode::Auto,
        })
    }
}

/// How a store is to be opened. What is `None` is asked of the environment, and else the default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who writes.
    pub mode: Option<Mode>,
    /// Make the store if it is not there.
    pub create: bool,
    /// Neither write nor host.
    pub read_only: bool,
    /// The coordinator's socket; `coordinator.sock` in the store unless told otherwise.
    pub socket: Option<PathBuf>,
    /// Elements of a vector of the default space. In a store whose vectors have another number,
    /// opening is an error.
    pub vector_dimension: Option<u32>,
    /// How vectors are compared, in a store that has none yet; cosine unless told otherwise.
    pub metric: Option<Metric>,
    /// Where concepts are looked for and learnt; empty: the default namespace.
    pub namespace: String,
    /// Who writes, recorded with what is written; the program's name unless told otherwise.
    pub author: Option<String>,
    /// What a write waits for.
    pub level: Level,
    /// How long a call may wait for a coordinator that is gone, stopped or silent.
    pub deadline: Duration,
    /// Where this process hosts: the longest that a write waits to become visible; 10 ms.
    pub reconcile_interval: Option<Duration>,
    /// Where this process hosts: new records between checkpoints; 50,000.
    pub memory_threshold: Option<u64>,
    /// Where this process hosts: when the log is synced.
    pub sync: SyncMode,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            mode: None,
            create: true,
            read_only: false,
            socket: None,
            vector_dimension: None,
            metric: None,
            namespace: String::new(),
            author: None,
            level: Level::Durable,
            deadline: DEADLINE,
            reconcile_interval: None,
            memory_threshold: None,
            sync: SyncMode::Always,
        }
    }
}

impl Options {
    /// The same, with what was left open taken from the environment.
    pub(crate) fn completed(mut self) -> Result<Options, StoreError> {
        if let Some(shards) = number(NUM_SHARDS)?
            && shards > 1
        {
            return Err(ArgsError::Sharded.into());
        }
        if self.mode.is_none() {
            let mode = text(STORAGE_MODE).map(|mode| mode.to_string_lossy().into_owned());
            self.mode = Some(mode.map_or(Ok(Mode::Auto), |mode| Mode::parse(&mode))?);
        }
        if self.socket.is_none() {
            self.socket = text(STORAGE_SERVER).map(PathBuf::from);
        }
        if self.vector_dimension.is_none() {
            let dimension = number(VECTOR_DIMENSION)?;
            self.vector_dimension =
                dimension.map(|dimension| u32::try_from(dimension).unwrap_or(u32::MAX));
        }
        if self.reconcile_interval.is_none() {
            self.reconcile_interval = number(RECONCILE_INTERVAL_MS)?.map(Duration::from_millis);
        }
        if self.memory_threshold.is_none() {
            self.memory_threshold = number(MEMORY_THRESHOLD)?;
        }
        Ok(self)
    }

    /// How a coordinator that this process hosts is to run.
    pub(crate) fn for_host(&self, store: &std::path::Path) -> sutra_coordinator::Options {
        let mut options = sutra_coordinator::Options::new(store);
        options.socket = self.socket.clone();
        options.listens = self.mode != Some(Mode::Embedded);
        options.vector_dimension = self.vector_dimension;
        options.metric = self.metric.unwrap_or_default();
        options.sync = self.sync;
        options.program = program_name();
        if let Some(interval) = self.reconcile_interval {
            options.reconcile_interval = interval;
        }
        if let Some(threshold) = self.memory_threshold {
            options.memory_threshold = threshold;
        }
        options
    }
}

/// The store that the environment names.
pub(crate) fn path_from_environment() -> Result<PathBuf, StoreError> {
    text(STORAGE_PATH).map(PathBuf::from).ok_or(StoreError::NoPath)
}

fn text(name: &'static str) -> Option<OsString> {
    std::env::var_os(variable(name)).filter(|value| !value.is_empty())
}

fn number(name: &'static str) -> Result<Option<u64>, StoreError> {
    let Some(found) = text(name) else {
        return Ok(None);
    };
    let found = found.to_string_lossy().into_owned();
    let number = found.trim().parse().ok().filter(|number| *number > 0);
    let wrong = || StoreError::Environment { name: variable(name), found };
    number.map(Some).ok_or_else(wrong)
}

fn program_name() -> String {
    let name = std::env::args_os().next().map(PathBuf::from);
    let name = name.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    name.filter(|name| !name.is_empty()).map_or_else(|| "a program".to_owned(), Into::into)
}
