//! The graphs of the vector spaces: nodes against rows and records, links, and what they lead to.

use std::sync::atomic::{AtomicU32, Ordering};

use sutra_layout::Damage;
use sutra_layout::geometry::Region;
use sutra_layout::lookup;
use sutra_vectors::{Graph, Reached, level_of, node_is_whole};

use super::Deep;

/// So many rows, and one in a thousand, may be such that no link leads to them before it is damage:
/// the index thread finds and links those that a change of other lists left alone, when it is idle.
const UNREACHABLE_MAX: u64 = 16;

impl Deep<'_> {
    pub(super) fn graphs(&mut self) -> String {
        let mut details = Vec::new();
        for space in 0..self.slot.spaces_count as usize {
            match self.graph(space) {
                Ok(detail) => details.push(detail),
                Err(damage) => self.damaged((Region::graph(space), 0), &damage),
            }
        }
        if details.is_empty() { "no vector space".to_owned() } else { details.join("; ") }
    }

    fn graph(&mut self, space: usize) -> Result<String, Damage> {
        let counts = self.slot.spaces[space];
        let (count, indexed) = (counts.count, counts.indexed_count.min(counts.count));
        let graph = Graph::capture(self.view(), space, count)?;
        let (mut links, mut dead) = (0, 0);
        for row in 0..count as u32 {
            self.advance(row.into(), count);
            self.node(&graph, row);
            dead += u64::from(graph.node(row).is_some_and(|node| node.superseded_at() != 0));
            if u64::from(row) < indexed {
                links += self.links(&graph, row, indexed);
            }
        }
        let unreachable = self.reach(&graph, indexed)?;
        let degree = links as f64 / indexed.max(1) as f64;
        Ok(format!(
            "{indexed} of {count} rows of space {space} linked, {degree:.1} links each, {dead} over, \
             {unreachable} that no link leads to"
        ))
    }

    /// A node is that of its row, and says whether the row is current as the records do.
    fn node(&mut self, graph: &Graph<'_>, row: u32) {
        let space = graph.space_index();
        let place = (Region::graph(space), u64::from(row));
        if !node_is_whole(graph, row) {
            let found = "not that of its head and code";
            return self.found(place, "its checksum", found, "theirs");
        }
        let (view, slot) = (self.view(), self.slot);
        let Ok(column) = view.vector_column(space, row.into(), &slot) else { return };
        // What cannot be read was told before.
        let Ok(newest) = lookup::newest_record(view, &slot, column.owner) else { return };
        let has_row = newest.map(|(_, record)| view.row_of(record, space, &slot));
        let is_current = matches!(has_row, Some(Ok(Some(own))) if own == row);
        let superseded_at = graph.node(row).map_or(0, |node| node.superseded_at());
        let says_current = superseded_at == 0 || superseded_at > slot.records;
        if is_current != says_current {
            let expected =
                if is_current { "0, as its owner has it" } else { "since when it is over" };
            self.found(place, "since which record it is over", superseded_at, expected);
        }
    }

    /// A row's links lead to rows. Returns how many there are on level 0.
    fn links(&mut self, graph: &Graph<'_>, row: u32, indexed: u64) -> u64 {
        let space = graph.space_index();
        let Some(node) = graph.node(row) else { return 0 };
        let mut links = 0;
        for link in node.links() {
            links += u64::from(self.link(graph, row, 0, link));
        }
        if links == 0 && indexed > 1 {
            let place = (Region::graph(space), u64::from(row));
            self.found(place, "the number of its links", 0, "some");
        }
        let top = level_of(row, graph.m());
        for level in 1..=top {
            let first = node.levels().checked_sub(1);
            let Some(list) = first.and_then(|first| graph.upper_links(first, level)) else {
                let place = (Region::graph(space), u64::from(row));
                self.found(
                    place,
                    "where its upper lists are",
                    node.levels(),
                    "a place in the file",
                );
                break;
            };
            for link in list {
                self.link(graph, row, level, link);
            }
        }
        links
    }

    /// Whether there is a link; it leads to a row that reaches as high.
    fn link(&mut self, graph: &Graph<'_>, row: u32, level: u32, link: &AtomicU32) -> bool {
        let Some(other) = link.load(Ordering::Relaxed).checked_sub(1) else { return false };
        let is_there = u64::from(other) < graph.end();
        if !is_there || level_of(other, graph.m()) < level {
            let place = (Region::graph(graph.space_index()), u64::from(row));
            let what = format!("a link of its on level {level}");
            self.found(place, what, other, "a row that reaches that level");
        }
        true
    }

    /// Every linked row is led to. Returns how many are not.
    fn reach(&mut self, graph: &Graph<'_>, indexed: u64) -> Result<u64, Damage> {
        let space = graph.space_index();
        let counts = self.slot.spaces[space];
        if indexed == 0 {
            return Ok(0);
        }
        let entry = counts.entry_point.checked_sub(1).filter(|entry| *entry < counts.count);
        let level = entry.map(|entry| u64::from(level_of(entry as u32, graph.m())));
        let Some(entry) = entry.filter(|_| level == Some(counts.top_level)) else {
            let found = counts.entry_point;
            let place = (Region::graph(space), found);
            self.found(place, "the entry of the graph", found, "a row of the level that it has");
            return Ok(indexed);
        };
        let reached = Reached::from(graph, entry as u32, indexed);
        let missing: Vec<u32> = reached.missing().collect();
        if missing.len() as u64 > UNREACHABLE_MAX + indexed / 1000 {
            for row in &missing {
                let place = (Region::graph(space), u64::from(*row));
                self.found(place, "the number of links that lead to it", 0, "some");
            }
        }
        Ok(missing.len() as u64)
    }
}
