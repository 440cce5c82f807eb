//! The graph's growth: one row at a time, behind the rows, by one thread for each space.
//!
//! A new node gets its own links first; then its neighbours are linked back, each by one store of 32
//! bits; then the caller publishes the watermark. Searches in other processes go on meanwhile: a
//! list read in the middle of a change mixes valid rows, old and new.
//!
//! No link is taken away that is the last one to a row. What is unreachable all the same, because a
//! circle of rows has links among themselves only, [`Inserter::mend`] finds and attaches.

mod links;
mod mend;
mod select;

use std::sync::atomic::{Ordering, fence};

use sutra_layout::slot::SpaceCounts;
use sutra_layout::{Damage, View};

use crate::code::no_node;
use crate::graph::{Graph, Node, units_per_level};
use crate::kernel::{self, Kernel, Work};
use crate::level::level_of;
use crate::pool::Candidate;
use crate::walk::{Walk, links_on};
use links::InDegrees;
pub use mend::Mended;

/// The state of a graph that a publication carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphState {
    /// Rows below it are in the graph.
    pub indexed_count: u64,
    /// 1 + the row where a search starts; 0: no graph.
    pub entry_point: u64,
    /// The level of the entry point.
    pub top_level: u64,
}

impl GraphState {
    /// The state in a slot.
    pub fn of(counts: &SpaceCounts) -> GraphState {
        let SpaceCounts { indexed_count, entry_point, top_level, .. } = *counts;
        GraphState { indexed_count, entry_point, top_level }
    }

    /// Puts the state into a slot.
    pub fn store(&self, counts: &mut SpaceCounts) {
        let GraphState { indexed_count, entry_point, top_level } = *self;
        (counts.indexed_count, counts.entry_point) = (indexed_count, entry_point);
        counts.top_level = top_level;
    }

    fn entry(&self) -> Option<u32> {
        u32::try_from(self.entry_point.checked_sub(1)?).ok()
    }
}

/// What grows the graph of one space. It remembers how many links lead to each row: two bytes a row.
#[derive(Debug)]
pub struct Inserter {
    space_index: usize,
    state: GraphState,
    in_degrees: InDegrees,
    walk: Walk,
    room: Room,
    /// Insertions since all rows were last seen to be reachable.
    inserted_since_census: u64,
    /// Whether rows are linked with current ones alone, where there are such.
    prefers_current: bool,
}

/// Lists that an insertion fills, used again by the next one.
#[derive(Debug, Default)]
struct Room {
    candidates: Vec<Candidate>,
    chosen: Vec<Candidate>,
    pair: crate::code::Target,
    neighbors: Vec<links::Neighbor>,
}

impl Inserter {
    /// Goes on from a state, over a space of so many rows.
    pub fn open(
        view: &View,
        space_index: usize,
        state: GraphState,
        count: u64,
    ) -> Result<Inserter, Damage> {
        let graph = Graph::capture(view, space_index, count)?;
        let in_degrees = InDegrees::count(&graph, count);
        Ok(Inserter {
            space_index,
            state,
            in_degrees,
            walk: Walk::default(),
            room: Room::default(),
            inserted_since_census: 0,
            prefers_current: false,
        })
    }

    /// What the next publication says.
    pub fn state(&self) -> GraphState {
        self.state
    }

    /// Insertions since [`Inserter::mend`] last saw that all rows are reachable.
    pub fn inserted_since_census(&self) -> u64 {
        self.inserted_since_census
    }

    /// Bytes that it keeps in this process.
    pub fn memory(&self) -> usize {
        self.walk.memory() + self.in_degrees.memory()
    }

    /// Inserts the next row, if one below `count` is left, and says whether it did.
    ///
    /// Rows below `count` are there for good, and so are their nodes, see [`crate::store_node`].
    /// `reserve` gives the first of so many units of the space's upper levels, in one extent, all
    /// zeros, and never given before.
    pub fn insert_next<E: From<Damage>>(
        &mut self,
        view: &View,
        count: u64,
        reserve: &mut dyn FnMut(u64) -> Result<u64, E>,
    ) -> Result<bool, E> {
        let row = self.state.indexed_count;
        if row >= count {
            return Ok(false);
        }
        let graph = Graph::capture(view, self.space_index, count)?;
        let row = u32::try_from(row)
            .map_err(|_| Damage::new(0, "a row of the vector graph", row, "below 2^32"))?;
        self.in_degrees.grow(count);
        reserve_levels(&graph, row, reserve)?;
        kernel::dispatch(Insert { inserter: self, graph: &graph, row })?;
        self.state.indexed_count = u64::from(row) + 1;
        self.inserted_since_census += 1;
        Ok(true)
    }
}

impl Inserter {
    /// Links a row of the graph anew, which has lost its links or its upper lists. `reserve` is as
    /// for [`Inserter::insert_next`].
    pub fn relink<E: From<Damage>>(
        &mut self,
        view: &View,
        row: u32,
        reserve: &mut dyn FnMut(u64) -> Result<u64, E>,
    ) -> Result<(), E> {
        let graph = Graph::capture(view, self.space_index, self.state.indexed_count)?;
        self.in_degrees.grow(self.state.indexed_count);
        reserve_levels(&graph, row, reserve)?;
        kernel::dispatch(Insert { inserter: self, graph: &graph, row })?;
        Ok(())
    }
}

/// Gives a node its upper lists, unless it has them or needs none.
fn reserve_levels<E: From<Damage>>(
    graph: &Graph<'_>,
    row: u32,
    reserve: &mut dyn FnMut(u64) -> Result<u64, E>,
) -> Result<(), E> {
    let node = graph.node(row).ok_or_else(|| no_node(graph, row))?;
    let level = level_of(row, graph.m());
    if level == 0 || node.levels() != 0 {
        return Ok(());
    }
    let first = reserve(u64::from(level) * units_per_level(graph.m()))?;
    node.levels_word().store(first + 1, Ordering::Release);
    Ok(())
}

struct Insert<'a> {
    inserter: &'a mut Inserter,
    graph: &'a Graph<'a>,
    row: u32,
}

impl Work for Insert<'_> {
    type Output = Result<(), Damage>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<(), Damage> {
        let Insert { inserter, graph, row } = self;
        inserter.attach(kernel, graph, row)
    }
}

impl Inserter {
    /// Links a row with its neighbours on each of its levels, and makes it the entry if it reaches
    /// higher than that.
    #[inline(always)]
    fn attach<K: Kernel>(&mut self, kernel: K, graph: &Graph<'_>, row: u32) -> Result<(), Damage> {
        let node = graph.node(row).ok_or_else(|| no_node(graph, row))?;
        let level = level_of(row, graph.m());
        if let Some(entry) = self.state.entry().filter(|entry| *entry != row) {
            let top = self.state.top_level as u32;
            self.walk.target.set_node(graph, row, node);
            let mut start = self.walk.descend(kernel, graph, entry, top, level + 1)?;
            for at in (0..=level.min(top)).rev() {
                start = self.attach_on(kernel, graph, row, at, start)?;
            }
            if level <= top {
                return Ok(());
            }
        }
        (self.state.entry_point, self.state.top_level) = (u64::from(row) + 1, level.into());
        Ok(())
    }

    /// Links a row on one level with the best that a sweep from `start` finds, and returns the best.
    #[inline(always)]
    fn attach_on<K: Kernel>(
        &mut self,
        kernel: K,
        graph: &Graph<'_>,
        row: u32,
        level: u32,
        start: Candidate,
    ) -> Result<Candidate, Damage> {
        let walk = &mut self.walk;
        walk.visited.reset(graph.end());
        walk.visited.insert(row);
        walk.pool.reset(graph.settings().ef_construction.into());
        walk.visited.insert(start.row());
        // New rows are linked with rows that are over too: among themselves alone, they would be an
        // island that nothing leads to once all of a store has new vectors.
        let takes_all = !self.prefers_current;
        let is_current =
            |_: u32, node: Node<'_>| Ok::<bool, Damage>(takes_all || node.superseded_at() == 0);
        let node = graph.node(start.row()).ok_or_else(|| no_node(graph, start.row()))?;
        let is_bridge = start.row() == row || !is_current(start.row(), node)?;
        walk.pool.insert(start, is_bridge);
        walk.sweep(kernel, graph, level, is_current)?;

        let room = &mut self.room;
        room.candidates.clear();
        room.candidates.extend(walk.pool.counted());
        if room.candidates.is_empty() {
            // Where nothing near is current, bridges must do.
            room.candidates.extend(walk.pool.all().filter(|other| other.row() != row));
        }
        let nearest = room.candidates.first().copied().unwrap_or(start);
        let limit = if level == 0 { 2 * graph.m() } else { graph.m() };
        select::select(kernel, graph, &room.candidates, limit, &mut room.pair, &mut room.chosen);
        let Some(own) = links_on(graph, row, level) else { return Ok(nearest) };
        self.in_degrees.replace(own, &room.chosen, level);
        fence(Ordering::Release); // who sees a link to the row sees its own ones
        let mut is_linked = false;
        for other in &room.chosen {
            let Some(list) = links_on(graph, other.row(), level) else { continue };
            is_linked |= links::link_back(
                kernel,
                graph,
                (list, *other),
                row,
                level,
                &mut self.in_degrees,
                &mut room.neighbors,
                &mut room.pair,
            );
        }
        if !is_linked && level == 0 {
            links::force_link(graph, &room.chosen, row, &mut self.in_degrees);
        }
        Ok(nearest)
    }
}
