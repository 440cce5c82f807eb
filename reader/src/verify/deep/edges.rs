//! Edges, their chains of versions, and the properties that they name.

use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::Region;
use sutra_layout::symbol::SymbolTable;

use super::Deep;

const EDGES: Region = Region::EDGES;

impl Deep<'_> {
    pub(super) fn edges(&mut self) -> String {
        let (view, slot) = (self.view(), self.slot);
        let (mut last_lsn, mut ending) = (0, 0);
        for ordinal in 0..slot.edges {
            self.advance(ordinal, slot.edges);
            let edge = match view.edge(ordinal, &slot) {
                Ok(edge) if edge.is_whole() => edge,
                Ok(edge) => {
                    let expected = edge.sealed().checksum;
                    self.found((EDGES, ordinal), "its checksum", edge.checksum, expected);
                    self.edges.broken.set(ordinal);
                    continue;
                }
                Err(damage) => {
                    self.damaged((EDGES, ordinal), &damage);
                    self.edges.broken.set(ordinal);
                    continue;
                }
            };
            self.in_order(EDGES, ordinal, edge.lsn, &mut last_lsn);
            ending += u64::from(edge.valid_until != 0);
            let older = self.older_edge(ordinal, edge);
            self.edge_fields(ordinal, edge, older);
        }
        let live = self.live_edges();
        if self.edges.are_whole() {
            self.compare_count("the number of live associations", slot.edges_live, live);
            let what = "the number of edges that end by themselves";
            self.compare_count(what, slot.edges_expiring, ending);
        }
        format!("{} edges of {} live associations", slot.edges, slot.edges_live)
    }

    fn older_edge(&mut self, ordinal: u64, edge: &EdgeRecord) -> Option<EdgeRecord> {
        let place = (EDGES, ordinal);
        let Some(previous) = edge.previous.checked_sub(1).map(u64::from) else {
            if edge.is_tombstone() {
                self.found(place, "the edge that it ends", "none", "one");
            }
            return None;
        };
        if previous >= ordinal {
            self.found(place, "the edge before", previous, format!("below {ordinal}"));
            return None;
        }
        if self.edges.superseded.set(previous) {
            self.found(place, "the edge before", previous, "one that no other edge follows");
        }
        if self.edges.broken.get(previous) {
            return None;
        }
        let older = *self.view().edge(previous, &self.slot).ok()?;
        let key = |edge: &EdgeRecord| (edge.source, edge.target, edge.edge_type);
        if key(&older) != key(edge) {
            self.found(place, "the edge before", previous, "one of the same ends and type");
        } else if older.is_tombstone() && edge.is_tombstone() {
            self.found(place, "the edge that it ends", previous, "one that lived");
        }
        Some(older)
    }

    fn edge_fields(&mut self, ordinal: u64, edge: &EdgeRecord, older: Option<EdgeRecord>) {
        let place = (EDGES, ordinal);
        for (what, end) in [("its source", edge.source), ("its target", edge.target)] {
            if u64::from(end) >= self.slot.concepts {
                let expected = format!("below {}", self.slot.concepts);
                self.found(place, what, end, expected);
            }
        }
        for (what, value) in [("its weight", edge.weight), ("its confidence", edge.confidence)] {
            if !value.is_finite() {
                self.found(place, what, value, "a finite number");
            }
        }
        if !self.is_named(SymbolTable::Type, edge.edge_type.into()) {
            self.found(place, "its type", edge.edge_type, "the number of a name");
        }
        if edge.author != 0 && !self.is_named(SymbolTable::Author, edge.author) {
            self.found(place, "its author", edge.author, "the number of a name");
        }
        if older.is_none_or(|older| older.properties.get() != edge.properties.get())
            && let Some(at) = edge.properties.get().checked_sub(1)
        {
            self.blob(place, "its properties", at);
        }
    }

    /// Counts live associations; both ends of each must live.
    fn live_edges(&mut self) -> u64 {
        let (view, slot) = (self.view(), self.slot);
        let mut count = 0;
        for ordinal in 0..slot.edges {
            let Ok(edge) = view.edge(ordinal, &slot) else { continue };
            if !self.edges.is_newest(ordinal) || edge.is_tombstone() {
                continue;
            }
            count += 1;
            for end in [edge.source, edge.target] {
                if !self.live_concepts.get(end.into()) && self.records.are_whole() {
                    let expected = "one that is not forgotten, as the association lives";
                    self.found((EDGES, ordinal), "its end", end, expected);
                }
            }
        }
        count
    }
}
