//! Our own store, read as its users read it.

use std::ops::ControlFlow;
use std::path::Path;

use sutra_reader::{BestQuery, Concept, Direction, NeighborQuery, PathQuery, Reader, Snapshot};

use super::whole;
use crate::reading::search::Scratch;
use crate::reading::{Source, View, neighbor_digest, touched};

/// An open reader.
#[derive(Debug)]
pub struct Sutra(pub Reader);

impl Sutra {
    /// Opens the store.
    pub fn open(store: &Path) -> anyhow::Result<Sutra> {
        Ok(Sutra(Reader::open(store)?))
    }
}

impl Source for Sutra {
    type View<'s> = Snapshot;

    fn view(&self) -> Snapshot {
        whole(self.0.snapshot())
    }
}

impl View for Snapshot {
    type Held<'s> = Concept<'s>;

    #[inline]
    fn record(&self, id: &[u8; 16]) -> Option<u64> {
        let concept = whole(self.get(*id))?;
        Some(concept.ordinal().into())
    }

    fn records_of(&self, ids: &[[u8; 16]]) -> u64 {
        let found = whole(self.get_many(ids.iter().copied()));
        let ordinals = found.iter().flatten().map(|concept| u64::from(concept.ordinal()));
        ordinals.fold(0, u64::wrapping_add)
    }

    #[inline]
    fn content(&self, id: &[u8; 16]) -> Option<u64> {
        let concept = whole(self.get(*id))?;
        let content = whole(concept.content());
        Some(u64::from(concept.ordinal()).wrapping_add(touched(content.as_bytes())))
    }

    fn hold(&self, ordinal: u32) -> Concept<'_> {
        whole(self.concept(ordinal)).expect("the workload has a concept for each ordinal")
    }

    #[inline]
    fn neighbors(&self, held: Concept<'_>) -> u64 {
        let mut sum = 0u64;
        whole(self.visit_neighbors(&held, &NeighborQuery::default(), |n| {
            sum = sum.wrapping_add(neighbor_digest(n.ordinal, n.edge_type, n.confidence));
            ControlFlow::Continue(())
        }));
        sum
    }

    fn neighbors_of(&self, held: &[Concept<'_>]) -> u64 {
        let mut sum = 0u64;
        whole(self.visit_neighbors_of(held, &NeighborQuery::default(), |_, n| {
            sum = sum.wrapping_add(neighbor_digest(n.ordinal, n.edge_type, n.confidence));
            ControlFlow::Continue(())
        }));
        sum
    }

    fn visit(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(u32)) {
        let query = NeighborQuery {
            direction: if is_out { Direction::Out } else { Direction::In },
            ..NeighborQuery::default()
        };
        let concept = self.hold(ordinal);
        whole(self.visit_neighbors(&concept, &query, |n| {
            visit(n.ordinal);
            ControlFlow::Continue(())
        }));
    }

    fn path_forward(&self, from: u32, to: u32, _: &mut Scratch) -> Option<u64> {
        let query = PathQuery { max_depth: 3, is_one_sided: true, ..PathQuery::default() };
        path_length(self, (from, to), &query)
    }

    fn path(&self, from: u32, to: u32, _: &mut Scratch) -> Option<u64> {
        path_length(self, (from, to), &PathQuery { max_depth: 3, ..PathQuery::default() })
    }

    fn best_path(&self, from: u32, to: u32) -> Option<f64> {
        let (from, to) = (self.hold(from), self.hold(to));
        let found = whole(self.best_paths(&from, &to, &BestQuery::default()));
        Some(found.paths.first()?.score)
    }
}

fn path_length(snapshot: &Snapshot, (from, to): (u32, u32), query: &PathQuery<'_>) -> Option<u64> {
    let path = whole(snapshot.find_path(&snapshot.hold(from), &snapshot.hold(to), query))?;
    Some(path.edges.len() as u64)
}
