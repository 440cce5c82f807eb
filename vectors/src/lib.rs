//! Nearest vectors over the mapped file: distances, codes, and the graph that leads to the nearest.
//!
//! A space's graph lies in the store's file (`sutra_layout::graph` has its bytes): each row has a
//! node with its code and its links, and a search in any process walks them where they lie, while
//! the coordinator adds to them. This crate knows rows and nodes, and nothing of concepts, sockets
//! or threads. It is used in three places:
//!
//! - **Where a row is written**, the coordinator's apply calls [`store_node`] with it, so that every
//!   visible row has its code from the start; and [`store_superseded`] when the row's owner gets
//!   another vector or is forgotten.
//! - **Behind it**, one thread for each space owns an [`Inserter`] and calls
//!   [`Inserter::insert_next`] for row after row; [`Inserter::state`] goes into the next
//!   publication. When idle, [`Inserter::mend`] sees that every row can be reached.
//! - **In a reader**, [`Graph::capture`] and [`nearest`] answer a query under a slot's counts; with
//!   a [`Scratch`] that is kept for the next query, nothing is allocated. [`nearest_of`] looks at
//!   given rows only, for filters that few rows pass.
//!
//! The search is that of HNSW (Malkov and Yashunin, 2016). It compares codes of one byte an element
//! on the way and rows in 32-bit floating point at the end.

mod census;
mod code;
mod graph;
mod insert;
pub mod kernel;
mod level;
mod place;
mod pool;
mod search;
mod visited;
mod walk;

pub use census::Reached;
pub use code::{node_is_whole, store_node, store_superseded};
pub use graph::{Graph, Node, units_per_level};
pub use insert::{GraphState, Inserter, Mended};
pub use level::{LEVEL_MAX, level_of};
pub use search::{Hit, Request, Scratch, Sweep, inverse_norm_of, nearest, nearest_of};
