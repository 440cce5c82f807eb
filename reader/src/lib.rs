//! Reads a live Sutra store in place: get, neighbors, paths, nearest, text, history and changes.
//!
//! A [`Reader`] maps `STORE/storage.dat` read-only and takes [`Snapshot`]s of it: fixed, consistent
//! views of one published version. What a snapshot gives is borrowed from the mapping, where it
//! lies: no copy, no lock, no message, and nothing that another process would have to clean up.
//!
//! What is absent here: nothing in this crate stores into the mapping, creates a file, or talks to
//! the coordinator. No byte of the file is trusted: each offset, ordinal and count is checked
//! against the snapshot and the file's real size before it is used, every loop over file data has a
//! budget, and damage is an error that names the file.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reader = sutra_reader::Reader::open("knowledge")?;
//! let snapshot = reader.snapshot()?;
//! if let Some(wolf) = snapshot.get("wolf.n.01")? {
//!     println!("{}", wolf.content()?);
//!     for neighbor in snapshot.neighbors(&wolf, &Default::default())? {
//!         println!("{}", neighbor.ordinal);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod access;
mod as_of;
mod association;
mod changes;
mod concept;
mod concepts;
mod error;
mod file;
mod filter;
mod graph;
mod history;
mod many;
mod names;
mod nearest;
mod reader;
mod search;
mod snapshot;
mod stats;
mod symbols;
pub mod verify;
mod wait;

pub use access::Access;
pub use association::Association;
pub use changes::{Change, ChangeKind, Changes};
pub use concept::{Concept, ConceptId};
pub use concepts::{ConceptQuery, Concepts};
pub use error::{OpenError, ReadError};
pub use filter::{Filter, FilterError, Value, parse_time};
pub use graph::{
    Best, BestPath, BestPaths, BestQuery, Budget, Direction, ExpandQuery, Expanded, Expansion,
    Neighbor, NeighborQuery, Page, Path, PathQuery, Seed, Stopped,
};
pub use history::{AssociationHistory, History};
pub use names::{NamespaceInfo, Namespaces, SpaceInfo};
pub use nearest::{Hit, NearestQuery, Predicate};
pub use reader::{Reader, STORAGE_FILE, WriterStatus};
pub use search::{SearchHit, SearchQuery};
pub use snapshot::Snapshot;
pub use stats::SnapshotStats;

pub use sutra_layout::Damage;
pub use sutra_layout::id::{Id, IdError};
pub use sutra_layout::space::{GraphSettings, Metric, Quantization, Space};
