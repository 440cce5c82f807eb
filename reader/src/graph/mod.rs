//! Questions about associations: neighbors, paths, the surroundings of concepts.
//!
//! All of them walk the lists of [`sutra_layout::adjacency`] through [`links`], keep what a
//! [`follow::Follow`] takes, and spend a [`Budget`]. Memory for what was reached is kept by the
//! thread for its next traversal, and grows with what is reached, not with the store.

mod best;
mod budget;
mod expand;
mod follow;
mod k_best;
mod links;
mod neighbors;
mod path;
mod reached;

pub use best::{Best, BestPath, BestPaths, BestQuery};
pub use budget::{Budget, Stopped};
pub use expand::{ExpandQuery, Expanded, Expansion, Seed};
pub use neighbors::{Neighbor, NeighborQuery, Page};
pub use path::{Path, PathQuery};

use links::List;

/// Which way an association is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From its source to its target.
    #[default]
    Out,
    /// From its target to its source.
    In,
    /// Either way.
    Both,
}

impl Direction {
    /// The way back.
    #[must_use]
    pub fn reversed(self) -> Direction {
        match self {
            Direction::Out => Direction::In,
            Direction::In => Direction::Out,
            Direction::Both => Direction::Both,
        }
    }

    /// The lists it takes.
    pub(crate) fn lists(self) -> &'static [List] {
        match self {
            Direction::Out => &[List::Out],
            Direction::In => &[List::In],
            Direction::Both => &[List::Out, List::In],
        }
    }
}
