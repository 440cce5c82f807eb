//! The shortest chain of associations between two concepts.
//!
//! Breadth-first from both ends, a whole level at a time on the side with fewer associations to go
//! on along: with branching b and length d it visits about 2·b^(d/2) concepts instead of b^d
//! (I. Pohl, "Bi-directional search", 1971). Before a level of the forward side at depth f and with
//! the backward side at depth b, no concept is known to both, so no chain of f + b or fewer exists;
//! the first that becomes known to both therefore lies on a shortest one.
//!
//! A level's concepts are known before it begins, so the columns and lists of those to come are
//! fetched while one is looked at: misses overlap instead of adding up.

use std::cell::RefCell;
use std::ops::ControlFlow;

use sutra_layout::Damage;

use super::Direction;
use super::budget::{Budget, Halt, Meter};
use super::follow::Follow;
use super::links::{Head, Links};
use super::reached::Reached;
use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::many::AHEAD;
use crate::snapshot::Snapshot;

/// How a path is looked for.
#[derive(Clone, Copy, Debug)]
pub struct PathQuery<'q> {
    /// Associations of the path, at most.
    pub max_depth: u32,
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
    /// Whether to look from the beginning alone. The answer is as short; it takes longer, and
    /// shows what an index that only knows one direction would cost.
    pub is_one_sided: bool,
    /// How much may be done.
    pub budget: Budget<'q>,
}

impl Default for PathQuery<'_> {
    fn default() -> Self {
        PathQuery {
            max_depth: 6,
            direction: Direction::Out,
            types: None,
            min_confidence: 0.0,
            filter: None,
            valid_at: None,
            is_one_sided: false,
            budget: Budget::default(),
        }
    }
}

/// A chain of associations.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Ordinals of the concepts, both ends included; see [`Snapshot::concept`].
    pub nodes: Vec<u32>,
    /// Ordinals of the associations, one fewer; see [`Snapshot::association`].
    pub edges: Vec<u32>,
    /// The product of the associations' confidences; 1 for a path of none.
    pub confidence: f32,
}

/// Steps kept allocated for the next search of a thread.
const STEPS_KEPT: usize = 1 << 14;

thread_local! {
    static SCRATCH: RefCell<[Side; 2]> = RefCell::default();
}

impl Snapshot {
    /// A shortest path, if there is one of at most `max_depth` associations.
    ///
    /// Of several associations that join the same two concepts it takes the newest. It passes
    /// through no concept that is forgotten or expired, or that the filter does not take: then the
    /// path is a shortest one of those that the filter leaves. `None` means that there is none: a
    /// search that its budget ended before that was known is [`ReadError::StoppedEarly`].
    pub fn find_path(
        &self,
        from: &Concept<'_>,
        to: &Concept<'_>,
        query: &PathQuery<'_>,
    ) -> Result<Option<Path>, ReadError> {
        let PathQuery { types, min_confidence, filter, valid_at, .. } = *query;
        let mut search = Search {
            snapshot: self,
            follow: Follow::new(self, types, min_confidence, filter, valid_at),
            meter: Meter::new(query.budget, self),
        };
        SCRATCH.with_borrow_mut(|sides| {
            let found = search.run(sides, (from.ordinal(), to.ordinal()), query);
            sides.iter_mut().for_each(Side::release);
            found.map_err(|halt| halt.into_error(self, search.meter.reached()))
        })
    }

    /// The path over these concepts and associations.
    pub(super) fn path_over(&self, nodes: Vec<u32>, edges: Vec<u32>) -> Result<Path, Damage> {
        let mut confidence = 1.0;
        for edge in &edges {
            let record = self.view().edge(u64::from(*edge), self.slot())?;
            confidence *= record.confidence;
        }
        Ok(Path { nodes, edges, confidence })
    }
}

/// One search.
struct Search<'q> {
    snapshot: &'q Snapshot,
    follow: Follow<'q>,
    meter: Meter<'q>,
}

impl Search<'_> {
    fn run(
        &mut self,
        sides: &mut [Side; 2],
        (from, to): (u32, u32),
        query: &PathQuery<'_>,
    ) -> Result<Option<Path>, Halt> {
        let [forward, backward] = sides;
        [from, to].into_iter().for_each(|end| self.snapshot.view().prefetch_columns(end));
        forward.start(from);
        backward.start(to);
        if from == to {
            return Ok(Some(self.path_of(forward, backward, (0, 0))?));
        }
        let (out, back) = (query.direction, query.direction.reversed());
        for depth_left in (0..query.max_depth).rev() {
            let is_last = depth_left == 0;
            let is_forward = query.is_one_sided || self.is_cheaper(forward, backward, out, back)?;
            let met = if is_forward {
                self.advance(forward, backward, out, is_last)?
            } else {
                let met = self.advance(backward, forward, back, is_last)?;
                met.map(|(back, fore)| (fore, back))
            };
            if let Some(met) = met {
                return Ok(Some(self.path_of(forward, backward, met)?));
            }
            if forward.frontier_count() == 0 || backward.frontier_count() == 0 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Whether to go on forward: where fewer associations are to be looked at, so that no search
    /// goes through a hub that it can come to from the other side. Counting stops where one side has
    /// more than the other.
    fn is_cheaper(
        &self,
        forward: &Side,
        backward: &Side,
        out: Direction,
        back: Direction,
    ) -> Result<bool, Damage> {
        if forward.frontier_count() <= backward.frontier_count() {
            let few = self.entries(forward, out, u64::MAX)?;
            Ok(few <= self.entries(backward, back, few)?)
        } else {
            let few = self.entries(backward, back, u64::MAX)?;
            Ok(few > self.entries(forward, out, few)?)
        }
    }

    /// About how many associations there are to go on along, or more than `enough`.
    fn entries(&self, side: &Side, direction: Direction, enough: u64) -> Result<u64, Damage> {
        let mut sum = 0;
        for step in &side.steps[side.frontier_start..] {
            for list in direction.lists() {
                sum += Head::load(self.snapshot, step.node, *list)?.entries();
            }
            if sum > enough {
                break;
            }
        }
        Ok(sum)
    }

    /// Goes one level on from `side`; the steps of both sides that name the same concept, if any.
    /// On the last level nobody goes on from what is found, so only the other side is looked for.
    fn advance(
        &mut self,
        side: &mut Side,
        other: &Side,
        direction: Direction,
        is_last: bool,
    ) -> Result<Option<(usize, usize)>, Halt> {
        let level = side.frontier_start..side.steps.len();
        side.frontier_start = level.end;
        let (snapshot, view) = (self.snapshot, self.snapshot.view());
        for list in direction.lists() {
            let mut heads = [Head::default(); AHEAD];
            for at in level.start..level.end + AHEAD {
                if at < level.end {
                    view.prefetch_columns(side.steps[at].node);
                }
                if let Some(middle) = at.checked_sub(AHEAD / 2)
                    && level.contains(&middle)
                {
                    let head = Head::load(snapshot, side.steps[middle].node, *list)?;
                    head.prefetch(view);
                    heads[middle % AHEAD] = head;
                }
                let Some(parent) = at.checked_sub(AHEAD) else { continue };
                if !level.contains(&parent) {
                    continue;
                }
                let from = side.steps[parent].node;
                let links = Links::new(snapshot, heads[parent % AHEAD], u64::MAX)?;
                let mut met = None;
                let ended = links.each(|entry| {
                    self.meter.step()?;
                    let node = entry.neighbor;
                    let meeting = other.reached.get(node);
                    if (is_last && meeting.is_none()) || !self.follow.takes(from, *list, entry)? {
                        return Ok::<_, Halt>(ControlFlow::Continue(()));
                    }
                    let number = side.steps.len() as u32;
                    if side.reached.insert(node, number).is_some() {
                        return Ok(ControlFlow::Continue(()));
                    }
                    self.meter.reach()?;
                    let step = Step { node, parent: parent as u32, edge: entry.edge };
                    let is_taken = match meeting == Some(0) {
                        true => self.follow.takes_end(node)?,
                        false => self.follow.takes_concept(node)?,
                    };
                    if !is_taken {
                        return Ok(ControlFlow::Continue(()));
                    }
                    side.steps.push(step);
                    // What is marked and no step is absent there, and so it is here.
                    met = meeting.map(|meeting| (number as usize, meeting as usize));
                    Ok(match met {
                        Some(_) => ControlFlow::Break(()),
                        None => ControlFlow::Continue(()),
                    })
                })?;
                if ended.is_break() {
                    return Ok(met);
                }
            }
        }
        Ok(None)
    }

    /// The path through the steps `met`, one of each side.
    fn path_of(
        &self,
        forward: &Side,
        backward: &Side,
        met: (usize, usize),
    ) -> Result<Path, Damage> {
        let (nodes, edges) = join(met, |at| forward.steps[at], |at| backward.steps[at]);
        self.snapshot.path_over(nodes, edges)
    }
}

/// The concepts and associations of a path through the steps `met`, one of each side; step 0 of a
/// side is its end.
pub(super) fn join(
    met: (usize, usize),
    forward: impl Fn(usize) -> Step,
    backward: impl Fn(usize) -> Step,
) -> (Vec<u32>, Vec<u32>) {
    let (mut nodes, mut edges) = (Vec::new(), Vec::new());
    let mut at = met.0;
    while at != 0 {
        let step = forward(at);
        nodes.push(step.node);
        edges.push(step.edge);
        at = step.parent as usize;
    }
    nodes.push(forward(0).node);
    nodes.reverse();
    edges.reverse();
    let mut at = met.1;
    while at != 0 {
        let step = backward(at);
        edges.push(step.edge);
        at = step.parent as usize;
        nodes.push(backward(at).node);
    }
    (nodes, edges)
}

/// What one side of a search has seen; kept by the thread for the next one.
#[derive(Debug, Default)]
struct Side {
    /// The step of each concept reached.
    reached: Reached,
    /// Every concept reached, in order; the first is the end that the side began at.
    steps: Vec<Step>,
    /// The last level's first step.
    frontier_start: usize,
}

/// A concept that was reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) node: u32,
    /// The step before it.
    pub(super) parent: u32,
    /// The edge from there.
    pub(super) edge: u32,
}

impl Side {
    fn start(&mut self, node: u32) {
        self.steps.clear();
        self.frontier_start = 0;
        self.reached.start();
        self.reached.insert(node, 0);
        self.steps.push(Step { node, parent: 0, edge: 0 });
    }

    fn frontier_count(&self) -> usize {
        self.steps.len() - self.frontier_start
    }

    /// Gives back what a large search took.
    fn release(&mut self) {
        self.reached.release();
        self.steps.clear();
        self.steps.shrink_to(STEPS_KEPT);
    }
}
