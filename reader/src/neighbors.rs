//! The associations of a concept, newest first, as a snapshot sees them.

use std::sync::atomic::Ordering;

use sutra_layout::Damage;
use sutra_layout::adjacency::{Block, BlockRef, Entries, Entry};
use sutra_layout::column;
use sutra_layout::edge::EdgeRecord;
use sutra_layout::view::View;

use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::snapshot::Snapshot;

/// Entries above the snapshot that a walk may pass before it is taken for damage.
const UNPUBLISHED_BUDGET: u64 = 1 << 24;

/// Which way an association is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From its source to its target.
    #[default]
    Out,
    /// From its target to its source.
    In,
    /// Either way.
    Both,
}

impl Direction {
    /// The way back.
    #[must_use]
    pub fn reversed(self) -> Direction {
        match self {
            Direction::Out => Direction::In,
            Direction::In => Direction::Out,
            Direction::Both => Direction::Both,
        }
    }

    /// The lists it takes.
    pub(crate) fn lists(self) -> &'static [List] {
        match self {
            Direction::Out => &[List::Out],
            Direction::In => &[List::In],
            Direction::Both => &[List::Out, List::In],
        }
    }
}

/// Which neighbors are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NeighborQuery<'q> {
    /// Which way associations are followed; out by default.
    pub direction: Direction,
    /// Types to keep; `None`: all.
    pub types: Option<&'q [u16]>,
    /// How many, at most.
    pub limit: Option<usize>,
    /// Associations below it are left out.
    pub min_confidence: f32,
    /// Neighbors to keep; `None`: all. With a limit, so many are found if there are so many.
    pub filter: Option<&'q Filter>,
}

/// A concept that an association leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The concept's ordinal; see [`Snapshot::concept`].
    pub ordinal: u32,
    /// The association's ordinal; see [`Snapshot::association`].
    pub edge: u32,
    /// Out if the association leads from the concept asked about, else in.
    pub direction: Direction,
    /// The association's type; see [`Snapshot::type_name`].
    pub edge_type: u16,
    /// 0 to 1.
    pub confidence: f32,
    /// As the caller gave it.
    pub weight: f32,
}

/// One of the two lists of a concept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Out,
    In,
}

impl Snapshot {
    /// The neighbors of a concept, by newest association first. One joined by several associations
    /// comes once for each; under [`Direction::Both`] an association with itself comes once, as
    /// out. A neighbor that expired is left out with its associations.
    pub fn neighbors(
        &self,
        concept: &Concept<'_>,
        query: &NeighborQuery<'_>,
    ) -> Result<Vec<Neighbor>, ReadError> {
        let found = self.neighbors_of(concept.ordinal(), query);
        found.map_err(|damage| self.damaged(damage))
    }

    fn neighbors_of(
        &self,
        ordinal: u32,
        query: &NeighborQuery<'_>,
    ) -> Result<Vec<Neighbor>, Damage> {
        let limit = query.limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        match query.direction.lists() {
            [list] => {
                let mut links = Links::new(self, ordinal, *list)?;
                while found.len() < limit
                    && let Some(neighbor) = links.next_neighbor(query, false)?
                {
                    found.push(neighbor);
                }
            }
            _ => {
                let mut out = Links::new(self, ordinal, List::Out)?;
                let mut back = Links::new(self, ordinal, List::In)?;
                let mut heads =
                    [out.next_neighbor(query, false)?, back.next_neighbor(query, true)?];
                while found.len() < limit {
                    let edge = |head: &Option<Neighbor>| head.map(|neighbor| neighbor.edge);
                    if edge(&heads[0]) > edge(&heads[1]) {
                        found.extend(heads[0]);
                        heads[0] = out.next_neighbor(query, false)?;
                    } else if heads[1].is_some() {
                        found.extend(heads[1]);
                        heads[1] = back.next_neighbor(query, true)?;
                    } else {
                        break;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// A walk over one list of a concept, newest association first.
pub(crate) struct Links<'s> {
    snapshot: &'s Snapshot,
    ordinal: u32,
    list: List,
    entries: Entries<'s>,
    /// Edges come in descending order; the next is below it.
    edge_end: u64,
    unpublished_left: u64,
}

impl<'s> Links<'s> {
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        ordinal: u32,
        list: List,
    ) -> Result<Links<'s>, Damage> {
        let head = match list {
            List::Out => column::OUT_HEAD,
            List::In => column::IN_HEAD,
        };
        let is_known = u64::from(ordinal) < snapshot.slot().concepts;
        let head = if is_known {
            // Loaded after the snapshot was captured, so the list is at least as new.
            snapshot.view().columns(ordinal)?[head].load(Ordering::Relaxed)
        } else {
            0
        };
        let head = match snapshot.as_of_state() {
            Some(_) => head_below(snapshot.view(), head, snapshot.slot().edges)?,
            None => head,
        };
        Ok(Links {
            snapshot,
            ordinal,
            list,
            entries: Entries::new(snapshot.view(), head),
            edge_end: snapshot.slot().edges,
            unpublished_left: UNPUBLISHED_BUDGET,
        })
    }

    /// The next entry that lives in the snapshot. Its time limit is not looked at yet.
    #[inline]
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, Damage> {
        let slot = self.snapshot.slot();
        for entry in self.entries.by_ref() {
            let entry = entry?;
            let edge = u64::from(entry.edge);
            if edge >= slot.edges {
                self.unpublished_left -= 1;
                if self.unpublished_left == 0 {
                    let (what, found) = ("the length of a list of associations", edge);
                    return Err(Damage::new(0, what, found, "fewer above the watermark"));
                }
                continue;
            }
            // It ends every walk, however the blocks of a damaged file hang together.
            if edge >= self.edge_end {
                let (what, expected) = ("an edge in a list", format!("below {}", self.edge_end));
                return Err(Damage::new(0, what, edge, expected));
            }
            self.edge_end = edge;
            if !entry.lives_in(slot.edges) {
                continue;
            }
            if u64::from(entry.neighbor) >= slot.concepts {
                let expected = format!("below {}", slot.concepts);
                let found = entry.neighbor.into();
                return Err(Damage::new(0, "a neighbor's ordinal", found, expected));
            }
            return Ok(Some(entry));
        }
        Ok(None)
    }

    /// The edge of an entry of this list; `None` if its time is over.
    #[inline]
    pub(crate) fn edge(&self, entry: Entry) -> Result<Option<&'s EdgeRecord>, Damage> {
        let edge = u64::from(entry.edge);
        let record = self.snapshot.view().edge(edge, self.snapshot.slot())?;
        let ends = match self.list {
            List::Out => (self.ordinal, entry.neighbor),
            List::In => (entry.neighbor, self.ordinal),
        };
        if (record.source, record.target, record.edge_type) != (ends.0, ends.1, entry.edge_type) {
            let what = "the edge of a list's entry";
            let expected = format!("one from {} to {}", ends.0, ends.1);
            return Err(Damage::new(0, what, edge, expected));
        }
        let is_over = record.is_tombstone() || self.snapshot.is_over(record.valid_until);
        Ok((!is_over).then_some(record))
    }

    /// Whether a neighbor is there to be seen and passes the filter. Forgetting one ends its
    /// associations; so without a filter, its record is only looked at where some expire.
    #[inline]
    pub(crate) fn takes_neighbor(
        &self,
        ordinal: u32,
        filter: Option<&Filter>,
    ) -> Result<bool, Damage> {
        if filter.is_none() && self.snapshot.slot().records_expiring == 0 {
            return Ok(true);
        }
        let Some(neighbor) = self.snapshot.present_record(ordinal)? else { return Ok(false) };
        filter.map_or(Ok(true), |filter| filter.takes(self.snapshot, neighbor))
    }

    /// Whether the time of an entry's edge is not over. The edge is only looked at where some end
    /// by themselves.
    #[inline]
    pub(crate) fn is_current(&self, entry: Entry) -> Result<bool, Damage> {
        Ok(self.snapshot.slot().edges_expiring == 0 || self.edge(entry)?.is_some())
    }

    fn next_neighbor(
        &mut self,
        query: &NeighborQuery<'_>,
        skip_itself: bool,
    ) -> Result<Option<Neighbor>, Damage> {
        while let Some(entry) = self.next_entry()? {
            let is_wanted = query.types.is_none_or(|types| types.contains(&entry.edge_type));
            if !is_wanted || (skip_itself && entry.neighbor == self.ordinal) {
                continue;
            }
            let Some(record) = self.edge(entry)? else {
                continue;
            };
            if record.confidence < query.min_confidence {
                continue;
            }
            if !self.takes_neighbor(entry.neighbor, query.filter)? {
                continue;
            }
            return Ok(Some(Neighbor {
                ordinal: entry.neighbor,
                edge: entry.edge,
                direction: match self.list {
                    List::Out => Direction::Out,
                    List::In => Direction::In,
                },
                edge_type: entry.edge_type,
                confidence: record.confidence,
                weight: record.weight,
            }));
        }
        Ok(None)
    }
}

/// The head of what is left of a list when all blocks are taken away that hold nothing below
/// `edge_end`: a store as it was need not walk past all that came since. A logarithm of blocks is
/// looked at.
fn head_below(view: &View, head: u64, edge_end: u64) -> Result<u64, Damage> {
    let is_above =
        |block: &Block<'_>| block.entry(0).is_none_or(|oldest| u64::from(oldest.edge) >= edge_end);
    let mut next = BlockRef::decode(head);
    // Each step leads to a lower unit, so the walk ends.
    while let Some(at) = next {
        let block = Block::open(view, at)?;
        if !is_above(&block) {
            return Ok(at.encode());
        }
        next = block.next()?;
        if let Some(skip) = block.skip()?
            && is_above(&Block::open(view, skip)?)
        {
            next = Some(skip);
        }
    }
    Ok(0)
}
