//! Which of the nearest candidates a node is linked with: those that no chosen one hides.
//!
//! A candidate is hidden by a chosen one that is nearer to it than the node is. So links lead in all
//! directions instead of into one cluster (Malkov and Yashunin, 2016, algorithm 4); a factor above 1
//! hides less and keeps lists denser (Subramanya et al., DiskANN, 2019).

use sutra_layout::space::Metric;

use crate::code::Target;
use crate::graph::Graph;
use crate::kernel::Kernel;
use crate::pool::Candidate;
use crate::walk::distance;

/// A candidate is hidden only by what is nearer by this factor, of squared distances.
const ALPHA: f32 = 1.1;

/// The factor of a space: a distance by dot product may be negative, and has no scale.
#[inline(always)]
pub(super) fn alpha(graph: &Graph<'_>) -> f32 {
    if graph.metric() == Metric::Dot { 1.0 } else { ALPHA }
}

/// Chooses at most `limit` of `candidates`, which are in order of their distance.
#[inline(always)]
pub(super) fn select<K: Kernel>(
    kernel: K,
    graph: &Graph<'_>,
    candidates: &[Candidate],
    limit: usize,
    pair: &mut Target,
    chosen: &mut Vec<Candidate>,
) {
    chosen.clear();
    let alpha = alpha(graph);
    for candidate in candidates {
        if chosen.len() >= limit {
            break;
        }
        let Some(node) = graph.node(candidate.row()) else { continue };
        pair.set_node(graph, candidate.row(), node);
        let is_hidden = chosen.iter().any(|other: &Candidate| {
            graph.node(other.row()).is_some_and(|node| {
                let between = distance(kernel, graph, pair, other.row(), node);
                between * alpha < candidate.distance()
            })
        });
        if !is_hidden {
            chosen.push(*candidate);
        }
    }
}
