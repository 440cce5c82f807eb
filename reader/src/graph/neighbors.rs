//! What a concept is associated with, newest first.

use std::cell::Cell;
use std::ops::ControlFlow;

use sutra_layout::Damage;
use sutra_layout::adjacency::{Entry, dequantize};

use super::Direction;
use super::budget::{Budget, Halt, Meter, Stopped};
use super::follow::Follow;
use super::links::{Head, Links, List};
use crate::association::Association;
use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::many::AHEAD;
use crate::snapshot::Snapshot;

/// Which neighbors are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeighborQuery<'q> {
    /// Which way associations are followed; out by default.
    pub direction: Direction,
    /// Types to keep; `None`: all.
    pub types: Option<&'q [u16]>,
    /// How many, at most.
    pub limit: Option<usize>,
    /// Go on after this association, as [`Neighbor::edge`] or [`Page::next`] gave it: the next
    /// page of a list. Getting there costs a logarithm of what came before.
    pub after: Option<u32>,
    /// Associations below it are left out.
    pub min_confidence: f32,
    /// Neighbors to keep; `None`: all. With a limit, so many are found if there are so many.
    pub filter: Option<&'q Filter>,
    /// Associations and neighbors that were made by that time and not over then, in microseconds
    /// since the Unix epoch; `None`: those that are not over at [`Snapshot::read_time`]. For the
    /// store as it was, which may have had other versions of them, see [`Snapshot::as_of_time`].
    pub valid_at: Option<u64>,
    /// How much may be done; its concepts are the neighbors that are given.
    pub budget: Budget<'q>,
}

/// A concept that an association leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The concept's ordinal; see [`Snapshot::concept`].
    pub ordinal: u32,
    /// The association's ordinal; see [`Snapshot::association`] for its weight and the rest.
    pub edge: u32,
    /// Out if the association leads from the concept asked about, else in.
    pub direction: Direction,
    /// The association's type; see [`Snapshot::type_name`].
    pub edge_type: u16,
    /// 0 to 1, as lists keep it: exact for numbers of up to four decimals, else to 1/65535. The
    /// exact one is [`Association::confidence`].
    pub confidence: f32,
}

impl Neighbor {
    #[inline(always)]
    fn new(list: List, entry: Entry) -> Neighbor {
        Neighbor {
            ordinal: entry.neighbor,
            edge: entry.edge,
            direction: list.direction(),
            edge_type: entry.edge_type,
            confidence: dequantize(entry.confidence),
        }
    }
}

/// How a list of neighbors ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What [`NeighborQuery::after`] goes on from; `None`: there is no more.
    pub next: Option<u32>,
    /// Why it stopped before it had looked at all that was asked for; `None`: it did not.
    pub stopped: Option<Stopped>,
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
        let mut found = Vec::new();
        let page = self.visit_neighbors(concept, query, |neighbor| {
            found.push(neighbor);
            ControlFlow::Continue(())
        })?;
        match page.stopped {
            Some(why) => Err(ReadError::StoppedEarly { why, reached: found.len() as u64 }),
            None => Ok(found),
        }
    }

    /// Gives the neighbors of a concept to `visit`, in the same order, until that breaks off.
    /// Allocates nothing.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::ops::ControlFlow;
    /// use sutra_reader::{NeighborQuery, Reader};
    ///
    /// let snapshot = Reader::open("knowledge")?.snapshot()?;
    /// let wolf = snapshot.get("wolf.n.01")?.ok_or("no wolf")?;
    /// let mut sum = 0.0;
    /// snapshot.visit_neighbors(&wolf, &NeighborQuery::default(), |neighbor| {
    ///     sum += neighbor.confidence;
    ///     ControlFlow::Continue(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn visit_neighbors(
        &self,
        concept: &Concept<'_>,
        query: &NeighborQuery<'_>,
        visit: impl FnMut(Neighbor) -> ControlFlow<()>,
    ) -> Result<Page, ReadError> {
        let mut walk = Walk::new(self, query, visit);
        let ended = walk.concept(concept.ordinal(), query.direction);
        walk.page(ended)
    }

    /// Gives the neighbors of each of several concepts to `visit`, with the concept's place among
    /// them: the neighbors of one after those of the other, each in the order of
    /// [`Snapshot::visit_neighbors`]. Where `visit` breaks off, the next concept's follow. `limit`
    /// and `after` hold for each, the budget for all; why that ended it is returned.
    ///
    /// Lists are fetched from memory ahead of their turn: of a million concepts, that gives twice as
    /// many lists a second as one by one. Allocates nothing.
    pub fn visit_neighbors_of(
        &self,
        concepts: &[Concept<'_>],
        query: &NeighborQuery<'_>,
        mut visit: impl FnMut(usize, Neighbor) -> ControlFlow<()>,
    ) -> Result<Option<Stopped>, ReadError> {
        let at = Cell::new(0);
        let mut walk = Walk::new(self, query, |neighbor| visit(at.get(), neighbor));
        let ended = walk.each(concepts, query, &at);
        Ok(walk.page(ended)?.stopped)
    }

    /// How many associations of a concept are asked for; each is looked at.
    pub fn degree(
        &self,
        concept: &Concept<'_>,
        query: &NeighborQuery<'_>,
    ) -> Result<u64, ReadError> {
        let mut count = 0;
        let page = self.visit_neighbors(concept, query, |_| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        match page.stopped {
            Some(why) => Err(ReadError::StoppedEarly { why, reached: count }),
            None => Ok(count),
        }
    }

    /// The associations from one concept to another that have not ended, of whatever type, newest
    /// first. The shorter of the two lists that have them is walked: a hub at one end costs nothing.
    pub fn associations_between(
        &self,
        source: &Concept<'_>,
        target: &Concept<'_>,
    ) -> Result<Vec<Association<'_>>, ReadError> {
        let mut edges = Vec::new();
        self.edges_between(source.ordinal(), target.ordinal(), &mut edges)
            .map_err(|damage| self.damaged(damage))?;
        edges.into_iter().map(|edge| self.association(edge)).collect()
    }

    fn edges_between(&self, source: u32, target: u32, edges: &mut Vec<u32>) -> Result<(), Damage> {
        let out = Head::load(self, source, List::Out)?;
        let back = Head::load(self, target, List::In)?;
        let (head, list, from, to) = match out.entries() <= back.entries() {
            true => (out, List::Out, source, target),
            false => (back, List::In, target, source),
        };
        let follow = Follow::new(self, None, 0.0, None, None);
        let links = Links::new(self, head, u64::MAX)?;
        let visited = links.each(|entry| {
            if entry.neighbor == to && follow.takes(from, list, entry)? {
                edges.push(entry.edge);
            }
            Ok::<_, Damage>(ControlFlow::Continue(()))
        });
        visited.map(drop)
    }
}

/// Lists of neighbors being given.
struct Walk<'q, V> {
    snapshot: &'q Snapshot,
    follow: Follow<'q>,
    meter: Meter<'q>,
    limit: usize,
    edge_end: u64,
    /// The newest association that was looked at last.
    last: Option<u32>,
    is_full: bool,
    visit: V,
}

impl<'q, V: FnMut(Neighbor) -> ControlFlow<()>> Walk<'q, V> {
    #[inline(always)]
    fn new(snapshot: &'q Snapshot, query: &NeighborQuery<'q>, visit: V) -> Walk<'q, V> {
        let NeighborQuery { types, min_confidence, filter, valid_at, .. } = *query;
        Walk {
            snapshot,
            follow: Follow::new(snapshot, types, min_confidence, filter, valid_at),
            meter: Meter::new(query.budget, snapshot),
            limit: query.limit.unwrap_or(usize::MAX),
            edge_end: query.after.map_or(u64::MAX, u64::from),
            last: query.after,
            is_full: false,
            visit,
        }
    }

    /// What is asked of one concept.
    #[inline(always)]
    fn concept(&mut self, ordinal: u32, direction: Direction) -> Result<(), Halt> {
        match direction {
            Direction::Out => self.list(ordinal, List::Out),
            Direction::In => self.list(ordinal, List::In),
            Direction::Both => self.both(ordinal),
        }
    }

    /// What is asked of each concept, the columns and then the lists of later ones being fetched
    /// meanwhile. `turn` is the place of the one whose turn it is.
    #[inline(always)]
    fn each(
        &mut self,
        concepts: &[Concept<'_>],
        query: &NeighborQuery<'_>,
        turn: &Cell<usize>,
    ) -> Result<(), Halt> {
        let (snapshot, view) = (self.snapshot, self.snapshot.view());
        for at in 0..concepts.len() + AHEAD {
            if let Some(concept) = concepts.get(at) {
                view.prefetch_columns(concept.ordinal());
            }
            if let Some(concept) = at.checked_sub(AHEAD / 2).and_then(|at| concepts.get(at)) {
                for list in query.direction.lists() {
                    Head::load(snapshot, concept.ordinal(), *list)?.prefetch(view);
                }
            }
            let Some(at) = at.checked_sub(AHEAD) else { continue };
            turn.set(at);
            self.limit = query.limit.unwrap_or(usize::MAX);
            self.concept(concepts[at].ordinal(), query.direction)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn list(&mut self, ordinal: u32, list: List) -> Result<(), Halt> {
        let head = Head::load(self.snapshot, ordinal, list)?;
        let links = Links::new(self.snapshot, head, self.edge_end)?;
        let ended = links.each(|entry| self.give(ordinal, list, entry))?;
        self.is_full = ended.is_break();
        Ok(())
    }

    /// Both lists, merged.
    fn both(&mut self, ordinal: u32) -> Result<(), Halt> {
        let links = |list| -> Result<Links<'q>, Damage> {
            Links::new(self.snapshot, Head::load(self.snapshot, ordinal, list)?, self.edge_end)
        };
        let (mut out, mut back) = (links(List::Out)?, links(List::In)?);
        let mut heads = [out.next_entry()?, back.next_entry()?];
        loop {
            let edge = |head: Option<Entry>| head.map(|entry| entry.edge);
            let ended = if edge(heads[0]) > edge(heads[1]) {
                let head = std::mem::replace(&mut heads[0], out.next_entry()?);
                head.map(|entry| self.give(ordinal, List::Out, entry))
            } else {
                let head = std::mem::replace(&mut heads[1], back.next_entry()?);
                // One with itself is in both lists.
                let head = head.map(|entry| (entry, entry.neighbor != ordinal));
                head.map(|(entry, is_other)| match is_other {
                    true => self.give(ordinal, List::In, entry),
                    false => Ok(ControlFlow::Continue(())),
                })
            };
            match ended.transpose()? {
                None => return Ok(()),
                Some(ControlFlow::Break(())) => {
                    self.is_full = true;
                    return Ok(());
                }
                Some(ControlFlow::Continue(())) => {}
            }
        }
    }

    #[inline(always)]
    fn give(&mut self, from: u32, list: List, entry: Entry) -> Result<ControlFlow<()>, Halt> {
        if self.limit == 0 {
            return Ok(ControlFlow::Break(()));
        }
        self.meter.step()?;
        if self.follow.takes(from, list, entry)? && self.follow.takes_concept(entry.neighbor)? {
            self.meter.reach()?;
            self.limit -= 1;
            self.last = Some(entry.edge);
            return Ok((self.visit)(Neighbor::new(list, entry)));
        }
        self.last = Some(entry.edge);
        Ok(ControlFlow::Continue(()))
    }

    #[inline(always)]
    fn page(self, ended: Result<(), Halt>) -> Result<Page, ReadError> {
        match ended {
            Ok(()) => Ok(Page { next: self.last.filter(|_| self.is_full), stopped: None }),
            Err(Halt::Stopped(why)) => Ok(Page { next: self.last, stopped: Some(why) }),
            Err(halt) => Err(halt.into_error(self.snapshot, self.meter.reached())),
        }
    }
}
