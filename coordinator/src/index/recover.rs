//! The graphs after a loss of power, and in the file of a new generation: what is there of them is
//! checked against truth, and kept as far as it holds.
//!
//! | what | how it is known | what becomes of it |
//! |---|---|---|
//! | head and code of a node | its checksum | made anew from the row, without links, where it does not hold |
//! | since when a row is over | the records, in order | stored anew |
//! | links | lead below the count of rows | dropped where they do not |
//! | upper lists | lie in the file | given anew where they do not |
//! | entry point, top level | levels follow from row numbers | the highest node that has links |
//! | rows that nothing leads to, or that lead nowhere | a walk over all links | linked again, at once or by the thread |
//!
//! Pages of the graph reach the disk when the system sees fit, so any of them may be older than the
//! durable slot, or newer. What was linked and is lost is linked again: a few rows here, before the
//! store is served; if they are many the watermark goes back to the first of them, and the thread
//! links all from there on again while searches look at each.

use std::sync::atomic::{AtomicU32, Ordering};

use sutra_layout::Damage;
use sutra_layout::geometry::Region;
use sutra_layout::record::ConceptRecord;
use sutra_layout::view::View;
use sutra_vectors::{
    Graph, GraphState, Inserter, Node, Reached, level_of, node_is_whole, store_node,
    store_superseded, units_per_level,
};

use crate::apply::Writer;
use crate::error::CoordinatorError;
use crate::image::Image;
use crate::rebuild::{PACE, Pace, clear_from};

/// Rows that are linked again before the store is served: at an eighth of a millisecond each.
const LINKED_AT_ONCE_MAX: usize = 1024;

impl Writer {
    /// Makes the graphs of `self.now` whole, and takes their watermarks back as far as is needed.
    pub(crate) fn recover_graphs(&mut self, pace: Pace<'_>) -> Result<(), CoordinatorError> {
        let spaces = self.now.spaces_count as usize;
        for space in 0..spaces {
            self.image.growth().ensure_anew(Region::graph(space), self.now.spaces[space].count)?;
        }
        let image = self.image.clone();
        let view = image.view();
        let graphs: Vec<Graph<'_>> = (0..spaces)
            .map(|space| Graph::capture(view, space, self.now.spaces[space].count))
            .collect::<Result<_, Damage>>()?;
        for (space, graph) in graphs.iter().enumerate() {
            let count = self.now.spaces[space].count;
            let units_end = recover_nodes(view, graph, count, pace)?;
            // No node has what lies behind: whoever gets it next counts on zeros.
            let levels = Region::graph_levels(space);
            clear_from(view, levels, units_end)?;
            self.image.live_end(levels).store(units_end, Ordering::Relaxed);
        }
        self.recover_superseded(&graphs, pace)?;
        for (space, graph) in graphs.iter().enumerate() {
            let counts = &mut self.now.spaces[space];
            let state = recover_links(&image, graph, GraphState::of(counts), counts.count)?;
            state.store(counts);
            let rows = 0..counts.count as u32;
            let is_dead =
                |row: &u32| graph.node(*row).is_some_and(|node| node.superseded_at() != 0);
            self.now.dead_rows[space] = rows.filter(is_dead).count() as u64;
        }
        Ok(())
    }

    /// Says since when each row is over. A row that no version has never was current.
    fn recover_superseded(
        &self,
        graphs: &[Graph<'_>],
        pace: Pace<'_>,
    ) -> Result<(), CoordinatorError> {
        for ordinal in 0..self.now.records {
            if ordinal % PACE == PACE - 1 {
                pace()?;
            }
            let record = self.image.view().record(ordinal, &self.now)?;
            let before = match record.previous.checked_sub(1) {
                Some(before) => *self.image.view().record(before, &self.now)?,
                None => ConceptRecord::default(),
            };
            if (record.vector, record.space) == (before.vector, before.space) {
                continue;
            }
            let (rows, rows_before) = (self.rows_of(record)?, self.rows_of(&before)?);
            for (space, graph) in graphs.iter().enumerate() {
                if rows[space] == rows_before[space] {
                    continue;
                }
                if let Some(row) = rows[space].checked_sub(1) {
                    store_superseded(graph, row, 0)?;
                }
                if let Some(row) = rows_before[space].checked_sub(1) {
                    store_superseded(graph, row, ordinal + 1)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes the nodes of a space those of its rows, all of them over, and drops what leads nowhere.
/// Returns the end of the units that upper lists have.
fn recover_nodes(
    view: &View,
    graph: &Graph<'_>,
    count: u64,
    pace: Pace<'_>,
) -> Result<u64, CoordinatorError> {
    let mut units_end = 0;
    let mut code = Vec::new();
    let drop_lost = |links: &[AtomicU32]| {
        for link in links.iter().filter(|link| u64::from(link.load(Ordering::Relaxed)) > count) {
            link.store(0, Ordering::Relaxed);
        }
    };
    for row in 0..count as u32 {
        if u64::from(row) % PACE == PACE - 1 {
            pace()?;
        }
        let (Some(node), Some(elements)) = (graph.node(row), graph.row(row)) else { break };
        if !node_is_whole(graph, row) {
            let inverse_norm = inverse_norm_of(view, graph, row)?;
            store_node(graph, row, elements.iter().copied(), inverse_norm, &mut code)?;
        }
        store_superseded(graph, row, 1)?;
        drop_lost(node.links());
        let level = level_of(row, graph.m());
        let Some(first) = node.levels().checked_sub(1) else { continue };
        let lists: Option<Vec<_>> = (1..=level).map(|at| graph.upper_links(first, at)).collect();
        match lists.filter(|_| level > 0) {
            Some(lists) => lists.into_iter().for_each(drop_lost),
            None => {
                node.levels_word().store(0, Ordering::Relaxed);
                continue;
            }
        }
        units_end = units_end.max(first + u64::from(level) * units_per_level(graph.m()));
    }
    Ok(units_end)
}

fn inverse_norm_of(view: &View, graph: &Graph<'_>, row: u32) -> Result<f32, Damage> {
    let region = Region::vector_columns(graph.space_index());
    let word = &view.words(region, row.into(), 1)?[0];
    Ok(f32::from_bits((word.load(Ordering::Relaxed) >> 32) as u32))
}

const _: () =
    assert!(std::mem::offset_of!(sutra_layout::vector_column::VectorColumn, inverse_norm) == 4);

/// Where to go on: as far as `last` says, if all rows below it can be reached.
fn recover_links(
    image: &Image,
    graph: &Graph<'_>,
    last: GraphState,
    count: u64,
) -> Result<GraphState, CoordinatorError> {
    let view = image.view();
    let indexed_count = last.indexed_count.min(count);
    let is_linked = |row: &u32| {
        let links = graph.node(*row).map(Node::links).unwrap_or_default();
        links.iter().any(|link| link.load(Ordering::Relaxed) != 0)
    };
    let level = |row: u32| level_of(row, graph.m());
    let rows = || 0..indexed_count as u32;
    // Of equally high ones the first, as when it grew.
    let entry = rows().filter(is_linked).max_by_key(|row| (level(*row), std::cmp::Reverse(*row)));
    let Some(entry) = entry else { return Ok(GraphState::default()) };
    let state = GraphState {
        indexed_count,
        entry_point: u64::from(entry) + 1,
        top_level: level(entry).into(),
    };
    let reached = Reached::from(graph, entry, indexed_count);
    let has_lists = |row: u32| level(row) == 0 || graph.node(row).is_some_and(|n| n.levels() != 0);
    let is_whole = |row: &u32| has_lists(*row) && (is_linked(row) || indexed_count == 1);
    let lost: Vec<u32> = rows().filter(|row| !reached.contains(*row) || !is_whole(row)).collect();
    let Some(&first) = lost.first() else { return Ok(state) };
    tracing::info!(lost = lost.len(), first, "vectors that are to be linked again");
    if lost.len() <= LINKED_AT_ONCE_MAX {
        let mut inserter = Inserter::open(view, graph.space_index(), state, count)?;
        let mut reserve =
            |units| image.take_units(Region::graph_levels(graph.space_index()), units);
        for row in lost.iter().filter(|row| !is_whole(row)) {
            inserter.relink(view, *row, &mut reserve)?;
        }
        if inserter.mend(view)?.unreachable == 0 {
            return Ok(inserter.state());
        }
    }
    // The entry must lie below the watermark that is left.
    let rows = (0..first).filter(is_linked);
    let entry = rows.max_by_key(|row| (level(*row), std::cmp::Reverse(*row)));
    Ok(entry.map_or_else(GraphState::default, |entry| GraphState {
        indexed_count: first.into(),
        entry_point: u64::from(entry) + 1,
        top_level: level(entry).into(),
    }))
}
