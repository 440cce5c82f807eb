//! Seeing that every row can be reached, and attaching those that cannot.

use std::sync::atomic::Ordering;

use sutra_layout::{Damage, View};

use super::links;
use super::{Insert, Inserter};
use crate::census::Reached;
use crate::graph::Graph;
use crate::kernel::{self, Kernel, Work};
use crate::pool::Candidate;
use crate::walk::links_on;

/// How often strays are looked for: attaching them may strand others.
const ROUNDS_MAX: usize = 8;

/// What [`Inserter::mend`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Rows that could not be reached, and were attached.
    pub attached: u64,
    /// Rows that cannot be reached still.
    pub unreachable: u64,
}

impl Inserter {
    /// Looks for rows of the graph that cannot be reached from its entry on level 0, and links them
    /// from near ones that can.
    pub fn mend(&mut self, view: &View) -> Result<Mended, Damage> {
        let graph = Graph::capture(view, self.space_index, self.state.indexed_count)?;
        self.in_degrees.grow(self.state.indexed_count);
        let mut mended = Mended::default();
        let Some(entry) = self.state.entry() else { return Ok(mended) };
        for _ in 0..ROUNDS_MAX {
            let mut reached = Reached::from(&graph, entry, self.state.indexed_count);
            let strays: Vec<u32> = reached.missing().collect();
            mended.unreachable = strays.len() as u64;
            if strays.is_empty() {
                break;
            }
            for row in strays {
                // A stray may have been reached through one that was attached before it.
                if reached.contains(row) {
                    continue;
                }
                let work = Reattach { inserter: self, graph: &graph, row, reached: &reached };
                if kernel::dispatch(work)? {
                    mended.attached += 1;
                    reached.extend(&graph, row);
                }
            }
        }
        self.inserted_since_census = 0;
        Ok(mended)
    }
}

impl Inserter {
    /// Links rows anew of whose links more than a quarter lead to rows that are no longer current:
    /// `rows` rows from `first` on are looked at, and the row to go on from is returned.
    ///
    /// Rows that are not current stay in the graph, as older versions of the store may have them, and
    /// keep a link that leads to them.
    pub fn repair(&mut self, view: &View, first: u64, rows: u64) -> Result<u64, Damage> {
        let count = self.state.indexed_count;
        let graph = Graph::capture(view, self.space_index, count)?;
        self.in_degrees.grow(count);
        let end = first.saturating_add(rows).min(count);
        for row in first as u32..end as u32 {
            let Some(node) = graph.node(row) else { continue };
            let linked = node.links().iter().filter_map(|link| {
                let other = link.load(Ordering::Relaxed).checked_sub(1)?;
                graph.node(other)
            });
            let (mut all, mut dead) = (0, 0);
            for other in linked {
                all += 1;
                dead += u32::from(other.superseded_at() != 0);
            }
            if dead * 4 > all && node.superseded_at() == 0 {
                self.prefers_current = true;
                let linked = kernel::dispatch(Insert { inserter: self, graph: &graph, row });
                self.prefers_current = false;
                linked?;
                self.inserted_since_census += 1; // other rows may have lost a way to them
            }
        }
        Ok(end)
    }
}

struct Reattach<'a> {
    inserter: &'a mut Inserter,
    graph: &'a Graph<'a>,
    row: u32,
    reached: &'a Reached,
}

impl Work for Reattach<'_> {
    type Output = Result<bool, Damage>;

    /// Attaches the row as if it were new, and in any case a near row that can be reached to it.
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<bool, Damage> {
        let Reattach { inserter, graph, row, reached } = self;
        inserter.attach(kernel, graph, row)?;
        let near: Vec<Candidate> = inserter
            .room
            .candidates
            .iter()
            .copied()
            .filter(|other| other.row() != row && reached.contains(other.row()))
            .collect();
        let is_linked = near.iter().any(|other| {
            links_on(graph, other.row(), 0).is_some_and(|list| links::leads_to(list, row))
        });
        Ok(is_linked || links::force_link(graph, &near, row, &mut inserter.in_degrees))
    }
}
