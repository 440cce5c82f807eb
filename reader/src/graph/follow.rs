//! Which associations a traversal follows, and which concepts it goes through.

use sutra_layout::Damage;
use sutra_layout::adjacency::{Entry, quantize};
use sutra_layout::edge::EdgeRecord;
use sutra_layout::lookup;

use super::links::List;
use crate::filter::Filter;
use crate::snapshot::Snapshot;

/// What the queries have in common, with what a snapshot makes of it.
#[derive(Clone, Copy)]
pub(crate) struct Follow<'q> {
    snapshot: &'q Snapshot,
    types: Option<&'q [u16]>,
    min_confidence: f32,
    /// The same in the steps of a list's entries.
    min_steps: u16,
    filter: Option<&'q Filter>,
    valid_at: Option<u64>,
    /// Whether every entry is taken as it is.
    takes_all: bool,
    looks_at_edges: bool,
    looks_at_concepts: bool,
}

impl<'q> Follow<'q> {
    pub(crate) fn new(
        snapshot: &'q Snapshot,
        types: Option<&'q [u16]>,
        min_confidence: f32,
        filter: Option<&'q Filter>,
        valid_at: Option<u64>,
    ) -> Follow<'q> {
        let slot = snapshot.slot();
        // Most stores have nothing that ends by itself; then no record needs to be looked at.
        let looks_at_edges = slot.edges_expiring > 0 || valid_at.is_some();
        Follow {
            snapshot,
            types,
            min_confidence,
            min_steps: quantize(min_confidence),
            filter,
            valid_at,
            takes_all: !looks_at_edges && types.is_none() && min_confidence <= 0.0,
            looks_at_edges,
            looks_at_concepts: slot.records_expiring > 0 || valid_at.is_some(),
        }
    }

    /// Whether an entry of a list of concept `from` is followed. The neighbor is not looked at yet.
    #[inline(always)]
    pub(crate) fn takes(&self, from: u32, list: List, entry: Entry) -> Result<bool, Damage> {
        if self.takes_all { Ok(true) } else { self.takes_particular(from, list, entry) }
    }

    #[inline(never)]
    fn takes_particular(&self, from: u32, list: List, entry: Entry) -> Result<bool, Damage> {
        if self.types.is_some_and(|types| !types.contains(&entry.edge_type)) {
            return Ok(false);
        }
        if entry.confidence < self.min_steps {
            return Ok(false);
        }
        // Rounding keeps order, so only at the bound itself is the exact number needed.
        let is_at_bound = entry.confidence == self.min_steps && self.min_confidence > 0.0;
        if !is_at_bound && !self.looks_at_edges {
            return Ok(true);
        }
        let record = edge_of(self.snapshot, from, list, entry)?;
        let time = self.valid_at.unwrap_or(self.snapshot.read_time());
        let is_over = record.is_tombstone() || is_over(record.valid_until, time);
        let is_made = self.valid_at.is_none_or(|at| record.created_at <= at);
        Ok(!is_over && is_made && record.confidence >= self.min_confidence)
    }

    /// Whether a concept is there to be gone through and passes the filter. Forgetting one ends its
    /// associations; so without a filter, its record is only looked at where some expire.
    #[inline(always)]
    pub(crate) fn takes_concept(&self, ordinal: u32) -> Result<bool, Damage> {
        if self.filter.is_none() && !self.looks_at_concepts {
            return Ok(true);
        }
        self.takes_record(ordinal, self.filter)
    }

    /// The same for an end of a path, which the filter need not take.
    pub(crate) fn takes_end(&self, ordinal: u32) -> Result<bool, Damage> {
        if self.looks_at_concepts { self.takes_record(ordinal, None) } else { Ok(true) }
    }

    #[inline(never)]
    fn takes_record(&self, ordinal: u32, filter: Option<&Filter>) -> Result<bool, Damage> {
        let (view, slot) = (self.snapshot.view(), self.snapshot.slot());
        let Some((_, record)) = lookup::newest_record(view, slot, ordinal)? else {
            return Ok(false);
        };
        let time = self.valid_at.unwrap_or(self.snapshot.read_time());
        let is_made = self.valid_at.is_none_or(|at| record.created_at <= at);
        if record.is_tombstone() || is_over(record.expires_at, time) || !is_made {
            return Ok(false);
        }
        filter.map_or(Ok(true), |filter| filter.takes(self.snapshot, record))
    }
}

fn is_over(limit: u64, time: u64) -> bool {
    limit != 0 && limit <= time
}

/// The edge of an entry of a list of concept `from`.
#[inline]
pub(crate) fn edge_of(
    snapshot: &Snapshot,
    from: u32,
    list: List,
    entry: Entry,
) -> Result<&EdgeRecord, Damage> {
    let edge = u64::from(entry.edge);
    let record = snapshot.view().edge(edge, snapshot.slot())?;
    let ends = match list {
        List::Out => (from, entry.neighbor),
        List::In => (entry.neighbor, from),
    };
    if (record.source, record.target, record.edge_type) != (ends.0, ends.1, entry.edge_type) {
        return Err(another_edge(edge, ends));
    }
    Ok(record)
}

#[cold]
fn another_edge(edge: u64, ends: (u32, u32)) -> Damage {
    let expected = format!("one from {} to {}", ends.0, ends.1);
    Damage::new(0, "the edge of a list's entry", edge, expected)
}
