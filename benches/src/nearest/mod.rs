//! Nearest vectors: the data, and the process that searches for them in a store that another one
//! writes.

mod child;
mod data;

pub use child::{NearestArgs, Searched, Searcher, run};
pub use data::{DataArgs, NearestData, Part};
