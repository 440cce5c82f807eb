//! The bytes of a Sutra store: header, publication, records, indexes, and their checks.
//!
//! Nothing here knows sockets, threads or policy. `docs/FORMAT.md` draws the whole file; the byte
//! table of each struct stands at the top of its module.

pub mod access;
pub mod adjacency;
pub mod blob;
pub mod checksum;
pub mod client_entry;
pub mod column;
pub mod directory;
pub mod edge;
pub mod error;
pub mod geometry;
pub mod graph;
pub mod id;
pub mod index;
pub mod index_view;
pub mod limits;
pub mod lookup;
pub mod record;
pub mod ring;
pub mod run_mark;
pub mod slot;
pub mod space;
pub mod superblock;
pub mod symbol;
pub mod sync;
pub mod sys;
#[cfg(test)]
mod table;
mod u48;
pub mod vector_column;
pub mod version;
pub mod view;

pub use error::Damage;
pub use u48::U48;
pub use view::View;
