//! The workload's edges as petgraph holds them: compressed rows, in the memory of this process. What
//! a program pays that keeps a private copy of the graph, and what it gets for that.

use petgraph::algo::dijkstra;
use petgraph::csr::Csr;
use petgraph::visit::EdgeRef;

use crate::reading::search::{self, Scratch};
use crate::reading::{Source, View, neighbor_digest};
use crate::workload::{Edge, Workload};

/// Type, confidence, and minus its logarithm.
type Link = (u16, f32, f64);

/// Both directions of the graph.
#[derive(Debug)]
pub struct Petgraph {
    out: Csr<(), Link>,
    back: Csr<(), Link>,
}

impl Petgraph {
    /// The graph of a workload. Of several edges between the same two concepts the one of the
    /// largest confidence: compressed rows have room for one.
    pub fn new(workload: &Workload) -> anyhow::Result<Petgraph> {
        let edges = workload.edges();
        let forward = |edge: &Edge| (edge.source, edge.target);
        let backward = |edge: &Edge| (edge.target, edge.source);
        Ok(Petgraph {
            out: rows(workload, &edges, forward)?,
            back: rows(workload, &edges, backward)?,
        })
    }
}

fn rows(
    workload: &Workload,
    edges: &[Edge],
    ends: impl Fn(&Edge) -> (u32, u32),
) -> anyhow::Result<Csr<(), Link>> {
    let link = |edge: &Edge| {
        let (from, to) = ends(edge);
        let cost = -f64::from(edge.confidence).ln();
        (from, to, (edge.edge_type, edge.confidence, cost))
    };
    let mut links: Vec<(u32, u32, Link)> = edges.iter().map(link).collect();
    links.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.1.total_cmp(&a.2.1)));
    links.dedup_by_key(|(from, to, _)| (*from, *to));
    let mut rows = Csr::from_sorted_edges(&links)
        .map_err(|_| anyhow::anyhow!("petgraph takes the edges for unsorted"))?;
    while rows.node_count() < workload.concepts as usize {
        rows.add_node(()); // the last concepts may have no edge out
    }
    Ok(rows)
}

impl Source for Petgraph {
    type View<'s> = &'s Petgraph;

    fn view(&self) -> &Petgraph {
        self
    }
}

impl View for &Petgraph {
    type Held<'s>
        = u32
    where
        Self: 's;

    fn record(&self, _: &[u8; 16]) -> Option<u64> {
        unreachable!("petgraph is asked about edges only")
    }

    fn content(&self, _: &[u8; 16]) -> Option<u64> {
        unreachable!("petgraph is asked about edges only")
    }

    fn hold(&self, ordinal: u32) -> u32 {
        ordinal
    }

    #[inline]
    fn neighbors(&self, held: u32) -> u64 {
        let edges = self.out.edges(held);
        edges.fold(0, |sum: u64, edge| {
            let (edge_type, confidence, _) = *edge.weight();
            sum.wrapping_add(neighbor_digest(edge.target(), edge_type, confidence))
        })
    }

    #[inline]
    fn visit(&self, ordinal: u32, is_out: bool, visit: impl FnMut(u32)) {
        let rows = if is_out { &self.out } else { &self.back };
        rows.neighbors_slice(ordinal).iter().copied().for_each(visit);
    }

    fn path_forward(&self, from: u32, to: u32, scratch: &mut Scratch) -> Option<u64> {
        search::forward(self, (from, to), 3, scratch)
    }

    fn path(&self, from: u32, to: u32, scratch: &mut Scratch) -> Option<u64> {
        search::both(self, (from, to), 3, scratch)
    }

    fn best_path(&self, from: u32, to: u32) -> Option<f64> {
        let costs = dijkstra(&self.out, from, Some(to), |edge| edge.weight().2);
        Some((-costs.get(&to)?).exp())
    }
}
