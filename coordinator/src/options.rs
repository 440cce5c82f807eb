//! How a coordinator is to run.

use std::path::PathBuf;
use std::time::Duration;

use sutra_layout::space::{GraphSettings, Metric};

/// When the log is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Before anything is acknowledged as durable, or published.
    Always,
    /// That often; a loss of power may take what was acknowledged since.
    Interval(Duration),
    /// When the system sees fit, and at a checkpoint.
    Off,
}

/// How a coordinator is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store's directory.
    pub store: PathBuf,
    /// Where to listen; `coordinator.sock` in the store unless told otherwise.
    pub socket: Option<PathBuf>,
    /// Whether to listen at all: without it, only the process that hosts the coordinator writes.
    pub listens: bool,
    /// Permissions of the socket.
    pub socket_mode: u32,
    /// The dimension of the default vector space, if the store is new; else the first vector's.
    pub vector_dimension: Option<u32>,
    /// The metric of the default vector space, if it is not made yet.
    pub metric: Metric,
    /// The longest that an applied write may wait for its publication.
    pub reconcile_interval: Duration,
    /// When the log is synced.
    pub sync: SyncMode,
    /// A checkpoint is made after so many new records: versions of concepts.
    pub memory_threshold: u64,
    /// A checkpoint is made after so many bytes of log.
    pub checkpoint_log_size: u64,
    /// How the graph of the default vector space is built and searched, if it is not made yet.
    pub graph: GraphSettings,
    /// A compaction begins by itself once so much of the file is dead, as a share of 1; above 1: never.
    pub compact_dead_share: f64,
    /// And at least so many bytes of it are.
    pub compact_dead_size: u64,
    /// Compactions keep history of so long, all of it where none is given.
    pub history_keep: Option<Duration>,
    /// The program to name to whoever finds the store locked.
    pub program: String,
    /// Bytes of the log's first segment; later ones double up to 64 times that. A multiple of 4096,
    /// at least 8192.
    pub log_segment_size: u64,
    /// Users that may write; if these and the groups are empty, the mode of the socket decides.
    pub allow_uids: Vec<u32>,
    /// Groups whose members may write.
    pub allow_gids: Vec<u32>,
    /// Bytes that all clients together may have in memory: unfinished frames and answers not taken.
    pub client_memory_size: usize,
    /// Where segments of the log are copied to before they are used again, so that a backup can be
    /// brought to any entry after it.
    pub keep_log: Option<PathBuf>,
}

impl Options {
    /// The defaults for the store in directory `store`.
    pub fn new(store: impl Into<PathBuf>) -> Options {
        Options {
            store: store.into(),
            socket: None,
            listens: true,
            socket_mode: 0o660,
            vector_dimension: None,
            metric: Metric::Cosine,
            reconcile_interval: Duration::from_millis(10),
            sync: SyncMode::Always,
            memory_threshold: 50_000,
            checkpoint_log_size: 64 << 20,
            graph: GraphSettings::default(),
            compact_dead_share: 0.5,
            compact_dead_size: 64 << 20,
            history_keep: None,
            program: "sutra-coordinator".to_owned(),
            log_segment_size: 1 << 20,
            allow_uids: Vec::new(),
            allow_gids: Vec::new(),
            client_memory_size: 256 << 20,
            keep_log: None,
        }
    }

    /// Where it listens; `None` if it does not.
    pub fn listened_at(&self) -> Option<PathBuf> {
        self.listens.then(|| self.socket_path())
    }

    /// Where clients look for it.
    pub fn socket_path(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| sutra_client::socket::path_in(&self.store))
    }
}
