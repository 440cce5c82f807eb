//! The best chain of associations between two concepts: Dijkstra's algorithm from both ends.
//!
//! The better of two paths has the larger product of confidences, or the smaller sum of weights, and
//! of two that are equal the one of fewer associations. Neither gets better by going on, so the best
//! open concept of a side is final; and when the best open ones of both sides together are no better
//! than the best path found, none can be (I. Pohl, 1971). Lists hold rounded confidences: they tell
//! which associations cannot improve anything, and the records of the others are fetched together.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::time::Duration;

use sutra_layout::Damage;
use sutra_layout::adjacency::Entry;
use sutra_layout::edge::EdgeRecord;

use super::Direction;
use super::budget::{Budget, Halt, Meter, Stopped};
use super::follow::{Follow, edge_of};
use super::k_best::k_best;
use super::links::{Head, Links, List};
use super::path::{Path, Step, join};
use super::reached::Reached;
use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::snapshot::Snapshot;

/// What makes one path better than another. Of two that are equal, the one of fewer associations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Best {
    /// The larger product of the associations' confidences. One of confidence 0 is not followed.
    #[default]
    Confidence,
    /// The smaller sum of the associations' weights, none of which may be negative.
    Weight,
    /// The larger product of the associations' confidences and of the effective strength
    /// ([`Concept::effective_strength`]) that each concept it comes to has at the snapshot's time,
    /// or at `valid_at`: evidence that fades with disuse.
    Strength {
        /// The time in which an unused concept loses half of its strength.
        half_life: Duration,
    },
}

/// How the best paths are looked for.
#[derive(Clone, Copy, Debug)]
pub struct BestQuery<'q> {
    /// How many, at most. Each goes through no concept twice, and no two go through the same ones
    /// in the same order.
    pub k: usize,
    /// What makes one better.
    pub by: Best,
    /// Which way associations are followed; out by default.
    pub direction: Direction,
    /// Types to follow; `None`: all.
    pub types: Option<&'q [u16]>,
    /// Associations below it are not followed.
    pub min_confidence: f32,
    /// Concepts to go through; `None`: all. The two ends need not be among them.
    pub filter: Option<&'q Filter>,
    /// Only what was made by that time and not over then; see [`crate::NeighborQuery::valid_at`].
    pub valid_at: Option<u64>,
    /// How much may be done, for all paths together.
    pub budget: Budget<'q>,
}

impl Default for BestQuery<'_> {
    fn default() -> Self {
        BestQuery {
            k: 1,
            by: Best::Confidence,
            direction: Direction::Out,
            types: None,
            min_confidence: 0.0,
            filter: None,
            valid_at: None,
            budget: Budget::default(),
        }
    }
}

/// The best paths, the best one first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BestPaths {
    /// They are exactly the best ones, also if it stopped early: then there may be more.
    pub paths: Vec<BestPath>,
    /// Why it stopped before it had found as many as there are; `None`: it did not.
    pub stopped: Option<Stopped>,
    /// Concepts that were reached on the way.
    pub reached: u64,
}

/// One of the best paths.
#[derive(Clone, Debug, PartialEq)]
pub struct BestPath {
    /// The concepts and the associations: what speaks for it.
    pub path: Path,
    /// The product or sum that it is ranked by.
    pub score: f64,
}

impl Snapshot {
    /// The best paths from one concept to another, exactly. None if there is no path at all.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sutra_reader::{BestQuery, Reader};
    ///
    /// let snapshot = Reader::open("knowledge")?.snapshot()?;
    /// let dog = snapshot.get("dog.n.01")?.ok_or("no dog")?;
    /// let wolf = snapshot.get("wolf.n.01")?.ok_or("no wolf")?;
    /// let query = BestQuery { k: 3, ..BestQuery::default() };
    /// for best in snapshot.best_paths(&dog, &wolf, &query)?.paths {
    ///     println!("{} over {:?}", best.score, best.path.nodes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn best_paths(
        &self,
        from: &Concept<'_>,
        to: &Concept<'_>,
        query: &BestQuery<'_>,
    ) -> Result<BestPaths, ReadError> {
        let BestQuery { types, min_confidence, filter, valid_at, .. } = *query;
        let mut search = Search {
            snapshot: self,
            follow: Follow::new(self, types, min_confidence, filter, valid_at),
            meter: Meter::new(query.budget, self),
            by: query.by,
            time: valid_at.unwrap_or(self.read_time()),
            direction: query.direction,
        };
        let mut found = BestPaths::default();
        let ended = SCRATCH.with_borrow_mut(|scratch| {
            let ends = (from.ordinal(), to.ordinal());
            let ended = k_best(&mut search, scratch, ends, query.k, &mut found.paths);
            scratch.sides.iter_mut().for_each(Side::release);
            ended
        });
        found.reached = search.meter.reached();
        match ended {
            Ok(()) => Ok(found),
            Err(Halt::Stopped(why)) => Ok(BestPaths { stopped: Some(why), ..found }),
            Err(halt) => Err(halt.into_error(self, found.reached)),
        }
    }
}

/// How good a path is: greater is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Merit {
    /// A product, or minus a sum.
    pub(super) gain: f64,
    /// Associations.
    pub(super) hops: u32,
}

impl Eq for Merit {}

impl Ord for Merit {
    #[inline]
    fn cmp(&self, other: &Merit) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.hops.cmp(&self.hops))
    }
}

impl PartialOrd for Merit {
    #[inline]
    fn partial_cmp(&self, other: &Merit) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Steps kept allocated for the next search of a thread.
const STEPS_KEPT: usize = 1 << 13;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// What a search works with; kept by the thread for the next one.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    sides: [Side; 2],
    /// Associations of one concept that may improve something.
    candidates: Vec<(List, Entry)>,
}

#[derive(Debug, Default)]
struct Side {
    reached: Reached,
    /// Every concept reached; the first is the end that the side began at.
    marks: Vec<Mark>,
    open: BinaryHeap<(Merit, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    step: Step,
    merit: Merit,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Done,
    /// Not to be gone through.
    Absent,
}

/// What a search must leave out, as it was taken by better paths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bans<'b> {
    /// Concepts that are not gone through.
    pub(super) nodes: &'b [u32],
    /// Concepts that do not follow upon the first.
    pub(super) nexts: &'b [u32],
    /// A path that is no better than this is of no use.
    pub(super) bound: Option<Merit>,
}

impl Side {
    fn start(&mut self, node: u32, merit: Merit, bans: &Bans<'_>) {
        self.marks.clear();
        self.open.clear();
        self.reached.start();
        let step = Step { node, parent: 0, edge: 0 };
        self.mark(Mark { step, merit, state: State::Open });
        self.open.push((merit, 0));
        for node in bans.nodes {
            let step = Step { node: *node, parent: 0, edge: 0 };
            self.mark(Mark { step, merit, state: State::Absent });
        }
    }

    fn mark(&mut self, mark: Mark) {
        if self.reached.insert(mark.step.node, self.marks.len() as u32).is_none() {
            self.marks.push(mark);
        }
    }

    fn found(&self, node: u32) -> Option<&Mark> {
        self.reached.get(node).map(|at| &self.marks[at as usize])
    }

    /// The best open concept's merit.
    fn best_open(&mut self) -> Option<Merit> {
        while let Some((merit, at)) = self.open.peek() {
            let mark = &self.marks[*at as usize];
            if mark.state == State::Open && mark.merit == *merit {
                return Some(*merit);
            }
            self.open.pop(); // it was improved since
        }
        None
    }

    /// Gives back what a large search took.
    fn release(&mut self) {
        self.reached.release();
        self.marks.clear();
        self.marks.shrink_to(STEPS_KEPT);
        self.open.clear();
        self.open.shrink_to(STEPS_KEPT);
    }
}

/// A path as a search finds it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) nodes: Vec<u32>,
    pub(super) edges: Vec<u32>,
    pub(super) merit: Merit,
}

/// What all searches of one question have in common.
pub(super) struct Search<'q> {
    pub(super) snapshot: &'q Snapshot,
    follow: Follow<'q>,
    meter: Meter<'q>,
    by: Best,
    time: u64,
    direction: Direction,
}

impl Search<'_> {
    /// The merit of a path of no association.
    pub(super) fn start(&self) -> Merit {
        Merit { gain: if self.by == Best::Weight { 0.0 } else { 1.0 }, hops: 0 }
    }

    /// The merit of one path after another.
    #[inline(always)]
    pub(super) fn then(&self, first: Merit, second: Merit) -> Merit {
        let gain = match self.by {
            Best::Weight => first.gain + second.gain,
            Best::Confidence | Best::Strength { .. } => first.gain * second.gain,
        };
        Merit { gain, hops: first.hops + second.hops }
    }

    /// What a merit says to people.
    pub(super) fn score(&self, merit: Merit) -> f64 {
        if self.by == Best::Weight { 0.0 - merit.gain } else { merit.gain }
    }

    /// The merit of an association that leads to concept `target`, as the path goes.
    pub(super) fn merit_of(
        &self,
        edge: u32,
        record: &EdgeRecord,
        target: u32,
    ) -> Result<Merit, Halt> {
        let gain = match self.by {
            Best::Confidence => f64::from(record.confidence),
            Best::Strength { half_life } => {
                let strength = self.strength_of(target, half_life)?;
                f64::from(record.confidence) * f64::from(strength)
            }
            Best::Weight => {
                let weight = record.weight;
                if weight.is_nan() || weight < 0.0 {
                    return Err(Halt::Weight { edge, weight });
                }
                0.0 - f64::from(weight)
            }
        };
        Ok(Merit { gain, hops: 1 })
    }

    #[inline(never)]
    fn strength_of(&self, ordinal: u32, half_life: Duration) -> Result<f32, Halt> {
        let Some(record) = self.snapshot.present_record(ordinal)? else { return Ok(0.0) };
        let concept = Concept::of_checked(self.snapshot, record);
        concept.effective_strength(half_life, self.time).map_err(Halt::Read)
    }

    /// The most that an entry's association can be worth.
    #[inline(always)]
    fn merit_at_most(&self, entry: Entry) -> Merit {
        let gain = match self.by {
            Best::Weight => 0.0,
            // The exact confidence is within half a step, and as much as f32 rounds.
            _ => ((f64::from(entry.confidence) + 0.51) / 65535.0).min(1.0),
        };
        Merit { gain, hops: 1 }
    }

    /// The best path between two concepts that is not banned, beginning with `start`.
    pub(super) fn between(
        &mut self,
        scratch: &mut Scratch,
        (from, to): (u32, u32),
        start: Merit,
        bans: &Bans<'_>,
    ) -> Result<Option<Found>, Halt> {
        let Scratch { sides: [forward, backward], candidates } = scratch;
        self.meter.start_again();
        forward.start(from, start, bans);
        backward.start(to, self.start(), bans);
        let mut best = bans.bound;
        let mut meeting = None;
        while let (Some(fore), Some(back)) = (forward.best_open(), backward.best_open()) {
            if best.is_some_and(|best| self.then(fore, back) <= best) {
                break;
            }
            let is_forward = forward.open.len() <= backward.open.len();
            let (side, other) =
                if is_forward { (&mut *forward, &*backward) } else { (&mut *backward, &*forward) };
            let direction = if is_forward { self.direction } else { self.direction.reversed() };
            let Some((_, at)) = side.open.pop() else { break };
            side.marks[at as usize].state = State::Done;
            self.collect(side, at, direction, best, candidates)?;
            let is_banned = |node: u32, next: u32| match is_forward {
                true => at == 0 && bans.nexts.contains(&next),
                false => next == from && bans.nexts.contains(&node),
            };
            let from = side.marks[at as usize];
            for (list, entry) in candidates.drain(..) {
                let (node, next) = (from.step.node, entry.neighbor);
                if !bans.nexts.is_empty() && is_banned(node, next) {
                    continue;
                }
                let record = edge_of(self.snapshot, node, list, entry)?;
                let merit =
                    self.merit_of(entry.edge, record, if is_forward { next } else { node })?;
                let merit = self.then(from.merit, merit);
                let is_nothing = self.by != Best::Weight && merit.gain <= 0.0;
                if is_nothing || best.is_some_and(|best| merit <= best) {
                    continue;
                }
                let Some(number) = self.relax(side, other, at, entry, merit)? else { continue };
                if let Some(mark) = other.found(next)
                    && mark.state != State::Absent
                {
                    let whole = self.then(merit, mark.merit);
                    if best.is_none_or(|best| whole > best) {
                        best = Some(whole);
                        let met = (number as usize, other.reached.get(next).unwrap_or(0) as usize);
                        meeting = Some(if is_forward { met } else { (met.1, met.0) });
                    }
                }
            }
        }
        let (Some(merit), Some(met)) = (best, meeting) else { return Ok(None) };
        let step = |side: &Side, at: usize| side.marks[at].step;
        let (nodes, edges) = join(met, |at| step(forward, at), |at| step(backward, at));
        Ok(Some(Found { nodes, edges, merit }))
    }

    /// Gathers the associations of a concept that may improve something, and asks for their records.
    fn collect(
        &mut self,
        side: &Side,
        at: u32,
        direction: Direction,
        best: Option<Merit>,
        candidates: &mut Vec<(List, Entry)>,
    ) -> Result<(), Halt> {
        let from = side.marks[at as usize];
        candidates.clear();
        for list in direction.lists() {
            let head = Head::load(self.snapshot, from.step.node, *list)?;
            let links = Links::new(self.snapshot, head, u64::MAX)?;
            let _ = links.each(|entry| {
                self.meter.step()?;
                let most = self.then(from.merit, self.merit_at_most(entry));
                let is_useless = best.is_some_and(|best| most <= best)
                    || side
                        .found(entry.neighbor)
                        .is_some_and(|mark| mark.state != State::Open || mark.merit >= most);
                if !is_useless && self.follow.takes(from.step.node, *list, entry)? {
                    self.snapshot.view().prefetch_edge(entry.edge.into());
                    candidates.push((*list, entry));
                }
                Ok::<_, Halt>(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    /// Notes that a concept can be reached so; its place, unless that is no better than before.
    fn relax(
        &mut self,
        side: &mut Side,
        other: &Side,
        parent: u32,
        entry: Entry,
        merit: Merit,
    ) -> Result<Option<u32>, Halt> {
        let node = entry.neighbor;
        let step = Step { node, parent, edge: entry.edge };
        let number = side.marks.len() as u32;
        if let Some(known) = side.reached.insert(node, number) {
            let mark = &mut side.marks[known as usize];
            if mark.state != State::Open || merit <= mark.merit {
                return Ok(None);
            }
            *mark = Mark { step, merit, state: State::Open };
            side.open.push((merit, known));
            return Ok(Some(known));
        }
        self.meter.reach()?;
        let is_end = node == other.marks[0].step.node;
        let is_taken = match is_end {
            true => self.follow.takes_end(node)?,
            false => self.follow.takes_concept(node)?,
        };
        let state = if is_taken { State::Open } else { State::Absent };
        side.marks.push(Mark { step, merit, state });
        if !is_taken {
            return Ok(None);
        }
        side.open.push((merit, number));
        Ok(Some(number))
    }

    /// The record of an edge on a path.
    pub(super) fn edge(&self, edge: u32) -> Result<&EdgeRecord, Damage> {
        self.snapshot.view().edge(edge.into(), self.snapshot.slot())
    }
}
