//! What is measured beside us, one file a peer. A peer plays up to two roles: it is written
//! ([`Writing`]), and it is read in processes of its own (`reading::View`; most by way of
//! [`Lists`], which asks for no more than gets and lists).

pub mod lmdb;
#[cfg(feature = "peers")]
pub mod mmap_sync;
pub mod petgraph;
#[cfg(feature = "peers")]
pub mod redb;
#[cfg(feature = "peers")]
pub mod redis;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
#[cfg(feature = "peers")]
pub mod sqlite;
pub mod sutra;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::ValueEnum;

use crate::workload::{Contents, Edge, Workload};

/// Operations of one transaction of a bulk load.
pub const OPERATIONS_PER_TRANSACTION: usize = 100_000;
/// Bytes of a concept's fields before its content.
pub const FIELDS_SIZE: usize = 24;
/// Bytes of an edge in a list, where a peer keeps bytes.
pub const LINK_SIZE: usize = 12;

/// Whose store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// Ours
    Sutra,
    /// LMDB, through heed
    Lmdb,
    /// redb
    Redb,
    /// SQLite, in WAL mode
    Sqlite,
    /// RocksDB, read as a secondary
    Rocksdb,
    /// mmap-sync, one mapped value
    MmapSync,
    /// Redis, over a Unix socket
    Redis,
    /// petgraph, made from the workload in the reader's own memory
    Petgraph,
}

use Contender::{Lmdb, MmapSync, Petgraph, Redb, Redis, Rocksdb, Sqlite, Sutra};

impl Contender {
    /// Those that can hold all of the workload.
    pub const STORES: [Contender; 7] = [Sutra, Lmdb, Redb, Sqlite, Rocksdb, MmapSync, Redis];

    /// Its column, and its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Sutra => crate::board::OURS,
            Lmdb => "lmdb",
            Redb => "redb",
            Sqlite => "sqlite",
            Rocksdb => "rocksdb",
            MmapSync => "mmap-sync",
            Redis => "redis",
            Petgraph => "petgraph",
        }
    }

    /// Why it cannot be measured here, if it cannot.
    pub fn absence(self) -> Option<&'static str> {
        match self {
            Sutra | Lmdb | Petgraph => None,
            Rocksdb if cfg!(feature = "rocksdb") => None,
            Rocksdb => Some("not built: it needs --features rocksdb and librocksdb-dev"),
            _ if !cfg!(feature = "peers") => Some("not built: it needs --features peers"),
            Redis if !is_in_path("redis-server") => Some("not installed: no redis-server in PATH"),
            _ => None,
        }
    }

    /// Opens its store in `dir` for writing, and makes it if there is none. With `is_synced` each
    /// commit is durable.
    pub fn open_to_write(self, dir: &Path, is_synced: bool) -> anyhow::Result<Box<dyn Writing>> {
        std::fs::create_dir_all(dir)?;
        Ok(match self {
            Lmdb => Box::new(lmdb::Lmdb::open(dir, is_synced)?),
            #[cfg(feature = "peers")]
            Redb => Box::new(redb::Writer::open(dir, is_synced)?),
            #[cfg(feature = "peers")]
            Sqlite => Box::new(sqlite::Writer::open(dir, is_synced)?),
            #[cfg(feature = "rocksdb")]
            Rocksdb => Box::new(rocksdb::Rocksdb::open(dir, is_synced)?),
            #[cfg(feature = "peers")]
            MmapSync => Box::new(mmap_sync::Writer::new(dir)),
            #[cfg(feature = "peers")]
            Redis => Box::new(redis::Writer::open(dir, is_synced)?),
            other => bail!("{} cannot be written by this build of the benches", other.name()),
        })
    }
}

fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// A concept to be written.
#[derive(Clone, Copy, Debug)]
pub struct Concept<'c> {
    pub id: [u8; 16],
    pub ordinal: u32,
    pub content: &'c str,
}

impl Concept<'_> {
    /// Fields and content as a peer keeps them that keeps bytes.
    pub fn value(&self, out: &mut Vec<u8>) {
        out.clear();
        out.resize(FIELDS_SIZE, 0);
        out[..4].copy_from_slice(&self.ordinal.to_le_bytes());
        out[4..8].copy_from_slice(&0.5f32.to_le_bytes());
        out[8..12].copy_from_slice(&0.75f32.to_le_bytes());
        out.extend_from_slice(self.content.as_bytes());
    }
}

/// The role of the peer that is written.
pub trait Writing {
    /// One transaction that writes these concepts.
    fn write(&mut self, concepts: &[Concept<'_>]) -> anyhow::Result<()>;

    /// One transaction that writes these edges, both ways.
    fn write_edges(&mut self, edges: &[Edge]) -> anyhow::Result<()>;

    /// Has everything on the disk.
    fn sync(&mut self) -> anyhow::Result<()>;

    /// Bytes of its files.
    fn file_size(&self) -> anyhow::Result<u64>;

    /// Writes all concepts in large transactions in the order in which they come, then syncs. Gives
    /// the time.
    fn load_concepts(
        &mut self,
        workload: &Workload,
        contents: &Contents,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let ordinals: Vec<u32> = (0..workload.concepts).collect();
        for chunk in ordinals.chunks(OPERATIONS_PER_TRANSACTION) {
            let concept = |&ordinal: &u32| Concept {
                id: workload.id(ordinal),
                ordinal,
                content: contents.get(ordinal),
            };
            let concepts: Vec<Concept<'_>> = chunk.iter().map(concept).collect();
            self.write(&concepts)?;
        }
        self.sync()?;
        Ok(began.elapsed())
    }

    /// Writes all edges likewise.
    fn load_edges(&mut self, edges: &[Edge]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for chunk in edges.chunks(OPERATIONS_PER_TRANSACTION) {
            self.write_edges(chunk)?;
        }
        self.sync()?;
        Ok(began.elapsed())
    }
}

/// An edge as it lies in a list.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The concept at the other end.
    pub neighbor: u32,
    /// The type.
    pub edge_type: u16,
    /// 0 to 1.
    pub confidence: f32,
}

impl Link {
    /// The edge as it lies in its source's list, or in its target's.
    pub fn of(edge: &Edge, is_out: bool) -> Link {
        let neighbor = if is_out { edge.target } else { edge.source };
        Link { neighbor, edge_type: edge.edge_type, confidence: edge.confidence }
    }

    /// As bytes.
    pub fn bytes(&self) -> [u8; LINK_SIZE] {
        let mut bytes = [0; LINK_SIZE];
        bytes[..4].copy_from_slice(&self.neighbor.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.edge_type.to_le_bytes());
        bytes[8..].copy_from_slice(&self.confidence.to_le_bytes());
        bytes
    }

    /// From bytes.
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Link {
        Link {
            neighbor: u32_at(bytes, 0),
            edge_type: u32_at(bytes, 4) as u16,
            confidence: f32::from_bits(u32_at(bytes, 8)),
        }
    }
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Bytes of all files in a folder.
#[cfg(any(feature = "peers", feature = "rocksdb"))]
fn folder_size(dir: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}

/// The role of a fixed view of a peer that knows gets and lists, and no paths.
pub trait Lists {
    /// The ordinal of a concept.
    fn ordinal(&self, id: &[u8; 16]) -> Option<u32>;

    /// The same, and what `touch` makes of its content.
    fn content(&self, id: &[u8; 16], touch: impl FnOnce(&[u8]) -> u64) -> Option<(u32, u64)>;

    /// Gives each edge of a concept to `visit`.
    fn links(&self, ordinal: u32, is_out: bool, visit: impl FnMut(Link));
}

/// A store that was just written has no damage; a bench that met some must not go on.
#[inline]
fn whole<T, E: std::fmt::Debug>(read: Result<T, E>) -> T {
    read.expect("the store under test can be read")
}
