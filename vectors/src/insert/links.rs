//! Changing lists of links while others read them: each change is one store of 32 bits.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::code::Target;
use crate::graph::{Graph, Node};
use crate::kernel::Kernel;
use crate::pool::Candidate;
use crate::walk::{distance, links_on};

use super::select::alpha;

/// How many links on level 0 lead to each row.
#[derive(Debug, Default)]
pub(super) struct InDegrees {
    counts: Vec<u16>,
}

impl InDegrees {
    /// Counts the links of the first `count` rows.
    pub(super) fn count(graph: &Graph<'_>, count: u64) -> InDegrees {
        let mut degrees = InDegrees::default();
        degrees.grow(count);
        for row in 0..count as u32 {
            for link in graph.node(row).map(Node::links).unwrap_or_default() {
                if let Some(row) = link.load(Ordering::Relaxed).checked_sub(1) {
                    degrees.add(row);
                }
            }
        }
        degrees
    }

    /// Has room for so many rows.
    pub(super) fn grow(&mut self, count: u64) {
        if self.counts.len() < count as usize {
            self.counts.resize(count as usize, 0);
        }
    }

    /// Links that lead to a row.
    pub(super) fn of(&self, row: u32) -> u16 {
        self.counts.get(row as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, row: u32) {
        if let Some(count) = self.counts.get_mut(row as usize) {
            *count = count.saturating_add(1);
        }
    }

    fn remove(&mut self, row: u32) {
        // A count that reached its limit no longer says how many there are, and stays.
        if let Some(count) = self.counts.get_mut(row as usize).filter(|count| **count < u16::MAX) {
            *count = count.saturating_sub(1);
        }
    }

    /// Turns one link of a list.
    pub(super) fn turn(&mut self, link: &AtomicU32, row: u32, level: u32) {
        let before = link.load(Ordering::Relaxed); // only this thread stores
        link.store(row + 1, Ordering::Relaxed);
        if level == 0 {
            if let Some(before) = before.checked_sub(1) {
                self.remove(before);
            }
            self.add(row);
        }
    }

    /// Takes one link of a list away.
    pub(super) fn clear(&mut self, link: &AtomicU32, level: u32) {
        let before = link.load(Ordering::Relaxed); // only this thread stores
        link.store(0, Ordering::Relaxed);
        if let Some(before) = before.checked_sub(1).filter(|_| level == 0) {
            self.remove(before);
        }
    }

    /// Makes a node's own list lead to `chosen`. Links that are the last ones to their rows stay.
    pub(super) fn replace(&mut self, own: &[AtomicU32], chosen: &[Candidate], level: u32) {
        let rows = || chosen.iter().map(|candidate| candidate.row());
        let mut missing = rows().filter(|row| !leads_to(own, *row));
        for link in own {
            let before = link.load(Ordering::Relaxed).checked_sub(1);
            // A row that is linked again keeps what it would get.
            if before.is_some_and(|before| rows().any(|row| row == before)) {
                continue;
            }
            if level == 0 && before.is_some_and(|before| self.of(before) <= 1) {
                continue;
            }
            let next = missing.next();
            match (next, before) {
                (Some(row), _) => self.turn(link, row, level),
                (None, Some(_)) => self.clear(link, level),
                (None, None) => {}
            }
        }
    }

    /// Bytes that it keeps.
    pub(super) fn memory(&self) -> usize {
        self.counts.capacity() * 2
    }
}

/// Whether a list leads to a row.
#[inline(always)]
pub(super) fn leads_to(list: &[AtomicU32], row: u32) -> bool {
    list.iter().any(|link| link.load(Ordering::Relaxed) == row + 1)
}

/// A row that a node is linked with, or may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbor {
    /// Its place in the list; `None` for the new one.
    at: Option<usize>,
    /// From the node whose list it is.
    candidate: Candidate,
    is_kept: bool,
}

/// Links `owner`, whose list it is, to `row`, if there is room or the list is better with it, and
/// says whether it did. A list without room loses all that is hidden in it, see [`super::select`],
/// so that the next ones find some.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the parts of an inserter, borrowed apart")]
pub(super) fn link_back<K: Kernel>(
    kernel: K,
    graph: &Graph<'_>,
    (list, owner): (&[AtomicU32], Candidate),
    row: u32,
    level: u32,
    in_degrees: &mut InDegrees,
    neighbors: &mut Vec<Neighbor>,
    pair: &mut Target,
) -> bool {
    if leads_to(list, row) {
        return true;
    }
    if let Some(free) = list.iter().find(|link| link.load(Ordering::Relaxed) == 0) {
        in_degrees.turn(free, row, level);
        return true;
    }
    let Some(owner_node) = graph.node(owner.row()) else { return false };
    pair.set_node(graph, owner.row(), owner_node);
    neighbors.clear();
    neighbors.push(Neighbor {
        at: None,
        candidate: Candidate::new(owner.distance(), row),
        is_kept: false,
    });
    for (at, link) in list.iter().enumerate() {
        let other = link.load(Ordering::Relaxed).wrapping_sub(1);
        let found = match graph.node(other) {
            Some(node) => distance(kernel, graph, pair, other, node),
            None => f32::INFINITY,
        };
        let candidate = Candidate::new(found, other);
        neighbors.push(Neighbor { at: Some(at), candidate, is_kept: false });
    }
    neighbors.sort_unstable_by_key(|neighbor| neighbor.candidate);
    let alpha = alpha(graph);
    for at in 0..neighbors.len() {
        let candidate = neighbors[at].candidate;
        let Some(node) = graph.node(candidate.row()) else { continue };
        pair.set_node(graph, candidate.row(), node);
        let hides = |other: &Neighbor| {
            other.is_kept
                && graph.node(other.candidate.row()).is_some_and(|node| {
                    let row = other.candidate.row();
                    distance(kernel, graph, pair, row, node) * alpha < candidate.distance()
                })
        };
        neighbors[at].is_kept = !neighbors[..at].iter().any(hides);
    }
    let must_stay = |neighbor: &Neighbor, in_degrees: &InDegrees| {
        level == 0 && in_degrees.of(neighbor.candidate.row()) <= 1
    };
    // Nothing is hidden: the farthest goes.
    if neighbors.iter().all(|neighbor| neighbor.is_kept || must_stay(neighbor, in_degrees)) {
        let mut farthest_first = neighbors.iter_mut().rev();
        if let Some(farthest) = farthest_first
            .find(|neighbor| neighbor.at.is_none() || !must_stay(neighbor, in_degrees))
        {
            farthest.is_kept = false;
        }
    }
    let takes_row = neighbors.iter().any(|neighbor| neighbor.at.is_none() && neighbor.is_kept);
    let mut is_linked = false;
    for neighbor in neighbors.iter().filter(|neighbor| !neighbor.is_kept) {
        let Some(at) = neighbor.at else { continue };
        if must_stay(neighbor, in_degrees) {
            continue;
        }
        if takes_row && !is_linked {
            in_degrees.turn(&list[at], row, level);
            is_linked = true;
        } else {
            in_degrees.clear(&list[at], level);
        }
    }
    is_linked
}

/// Links the nearest of `chosen` that has a link to spare to `row`, and says whether one had.
pub(super) fn force_link(
    graph: &Graph<'_>,
    chosen: &[Candidate],
    row: u32,
    in_degrees: &mut InDegrees,
) -> bool {
    for other in chosen {
        let Some(list) = links_on(graph, other.row(), 0) else { continue };
        let linked_most = list.iter().max_by_key(|link| {
            let other = link.load(Ordering::Relaxed).checked_sub(1);
            other.map_or(u16::MAX, |other| in_degrees.of(other))
        });
        let can_go = |link: &&AtomicU32| {
            let other = link.load(Ordering::Relaxed).checked_sub(1);
            other.is_none_or(|other| in_degrees.of(other) > 1)
        };
        if let Some(link) = linked_most.filter(can_go) {
            in_degrees.turn(link, row, 0);
            return true;
        }
    }
    false
}
