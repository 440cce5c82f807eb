//! The walk over links: greedy from the top, then best first on one level.

use std::sync::atomic::{AtomicU32, Ordering, fence};

use sutra_layout::Damage;
use sutra_layout::space::M_RANGE;

use crate::code::{Target, no_node};
use crate::graph::{Graph, Node};
use crate::kernel::Kernel;
use crate::level::level_of;
use crate::pool::{Candidate, Pool};
use crate::visited::Visited;

/// How many distances ahead of the one that is computed its lines are asked for. 4 to 8 measured
/// the same, 0 took 1.5 times as long.
const PREFETCH_AHEAD: usize = 6;

/// Rows gathered over two links from one row: from there on only its own links are looked at.
const LINKED_MAX: usize = 64;

/// Steps of the greedy search on one level: it ends by itself after a handful, and always, as each
/// step comes nearer.
const GREEDY_STEPS_MAX: usize = 4096;

/// What a walk needs beside the graph, used again by the next one.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) target: Target,
    pub(crate) pool: Pool,
    pub(crate) visited: Visited,
    /// Rows linked from the row in hand.
    linked: Vec<u32>,
    /// Their distances.
    found: [f32; FOUND_MAX],
}

/// Links of a node on level 0, at most.
const FOUND_MAX: usize = 2 * *M_RANGE.end() as usize;

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            target: Target::default(),
            pool: Pool::default(),
            visited: Visited::default(),
            linked: Vec::new(),
            found: [0.0; FOUND_MAX],
        }
    }
}

/// The distance of a node from the target.
#[inline(always)]
pub(crate) fn distance<K: Kernel>(
    kernel: K,
    graph: &Graph<'_>,
    target: &Target,
    row: u32,
    node: Node<'_>,
) -> f32 {
    let product = if graph.is_quantized() {
        kernel.dot_codes(&target.code, node.code(), node.code_sum()) as f32
    } else {
        kernel.dot(&target.row, graph.row(row).unwrap_or_default())
    };
    target.base + node.square() - target.factor * node.scale() * product
}

impl Walk {
    /// Comes as near as it can by following links on the levels from `top` down to `bottom`, which
    /// is not 0, and returns where it ended.
    #[inline(always)]
    pub(crate) fn descend<K: Kernel>(
        &mut self,
        kernel: K,
        graph: &Graph<'_>,
        entry: u32,
        top: u32,
        bottom: u32,
    ) -> Result<Candidate, Damage> {
        let node = graph.node(entry).ok_or_else(|| no_node(graph, entry))?;
        let mut best = Candidate::new(distance(kernel, graph, &self.target, entry, node), entry);
        for level in (bottom.max(1)..=top).rev() {
            for _ in 0..GREEDY_STEPS_MAX {
                let links = links_on(graph, best.row(), level);
                self.linked.clear();
                for link in links.unwrap_or_default() {
                    let Some(row) = link.load(Ordering::Relaxed).checked_sub(1) else { continue };
                    if u64::from(row) < graph.end() && level_of(row, graph.m()) >= level {
                        graph.prefetch_for_distance(row);
                        self.linked.push(row);
                    }
                }
                fence(Ordering::Acquire); // the nodes of the rows are seen as they were linked
                let before = best;
                for &row in &self.linked {
                    let Some(node) = graph.node(row) else { continue };
                    let found = distance(kernel, graph, &self.target, row, node);
                    best = best.min(Candidate::new(found, row));
                }
                if best == before {
                    break;
                }
            }
        }
        Ok(best)
    }

    /// Gathers the nearest rows on a level in the pool, beginning with those that are in it.
    /// `counts` says whether a row that comes near enough counts; one that does not is followed all
    /// the same.
    #[inline(always)]
    pub(crate) fn sweep<K: Kernel, E>(
        &mut self,
        kernel: K,
        graph: &Graph<'_>,
        level: u32,
        mut counts: impl FnMut(u32, Node<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        while let Some(nearest) = self.pool.follow_next() {
            let links = links_on(graph, nearest.row(), level).unwrap_or_default();
            let fresh = self.visited.insert_linked(links);
            fence(Ordering::Acquire); // the nodes of the rows are seen as they were linked
            if let Some(next) = self.pool.peek_next() {
                graph.prefetch_links(next.row());
            }
            let rows = &self.visited.rows()[fresh];
            for &row in rows.iter().take(PREFETCH_AHEAD) {
                graph.prefetch_for_distance(row);
            }
            // All distances first: a wrong guess at which row comes near enough would throw away what
            // was computed ahead of it.
            let found = &mut self.found[..rows.len().min(FOUND_MAX)];
            for (at, found) in found.iter_mut().enumerate() {
                if let Some(ahead) = rows.get(at + PREFETCH_AHEAD) {
                    graph.prefetch_for_distance(*ahead);
                }
                let row = rows[at];
                *found = match graph.node(row) {
                    Some(node) => distance(kernel, graph, &self.target, row, node),
                    None => f32::INFINITY,
                };
            }
            for (row, found) in rows.iter().zip(found) {
                let candidate = Candidate::new(*found, *row);
                if self.pool.takes(candidate) {
                    let Some(node) = graph.node(*row) else { continue };
                    let counts = counts(*row, node)?;
                    if self.pool.insert(candidate, !counts) {
                        graph.prefetch_links(*row);
                    }
                }
            }
        }
        Ok(())
    }

    /// As [`Walk::sweep`] on level 0, but only rows that `counts` takes are compared and gathered.
    /// Where a link leads to another one, that one's links are followed at once: among rows of which
    /// one in a few counts, paths over those alone would break off. (ACORN, Patel et al., 2024.)
    #[inline(always)]
    pub(crate) fn sweep_counted<K: Kernel, E>(
        &mut self,
        kernel: K,
        graph: &Graph<'_>,
        mut counts: impl FnMut(u32, Node<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        while let Some(nearest) = self.pool.follow_next() {
            let links = links_on(graph, nearest.row(), 0).unwrap_or_default();
            let first = self.visited.insert_linked(links);
            fence(Ordering::Acquire); // the nodes of the rows are seen as they were linked
            for row in &self.visited.rows()[first.clone()] {
                graph.prefetch_links(*row);
            }
            self.linked.clear();
            for at in first {
                let row = self.visited.rows()[at];
                let Some(node) = graph.node(row) else { continue };
                if counts(row, node)? {
                    self.linked.push(row);
                } else if self.linked.len() < LINKED_MAX {
                    let second = self.visited.insert_linked(node.links());
                    fence(Ordering::Acquire); // likewise
                    for at in second {
                        let row = self.visited.rows()[at];
                        let Some(node) = graph.node(row) else { continue };
                        if counts(row, node)? {
                            self.linked.push(row);
                        }
                    }
                }
            }
            for at in 0..self.linked.len() {
                if let Some(ahead) = self.linked.get(at + PREFETCH_AHEAD) {
                    graph.prefetch_for_distance(*ahead);
                }
                let row = self.linked[at];
                let Some(node) = graph.node(row) else { continue };
                let found = distance(kernel, graph, &self.target, row, node);
                let candidate = Candidate::new(found, row);
                if self.pool.takes(candidate) {
                    self.pool.insert(candidate, false);
                }
            }
        }
        Ok(())
    }

    /// Bytes that it keeps.
    pub(crate) fn memory(&self) -> usize {
        self.pool.memory()
            + self.visited.memory()
            + self.linked.capacity() * 4
            + self.target.code.capacity()
            + self.target.row.capacity() * 4
    }
}

/// A node's links on a level; `None` if it has none there.
#[inline(always)]
pub(crate) fn links_on<'v>(graph: &Graph<'v>, row: u32, level: u32) -> Option<&'v [AtomicU32]> {
    let node = graph.node(row)?;
    if level == 0 {
        return Some(node.links());
    }
    if level > level_of(row, graph.m()) {
        return None;
    }
    let first = node.levels().checked_sub(1)?;
    fence(Ordering::Acquire); // the units are seen as they were when the node got them
    graph.upper_links(first, level)
}
