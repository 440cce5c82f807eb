//! The shortest chain of associations between two concepts.
//!
//! Breadth-first from both ends, a whole level at a time on the side with fewer concepts to go on
//! from: with branching b and length d it visits about 2·b^(d/2) concepts instead of b^d (I. Pohl,
//! "Bi-directional search", 1971). Before a level of the forward side at depth f and with the
//! backward side at depth b, no concept is known to both, so no chain of f + b or fewer exists; the
//! first that becomes known to both therefore lies on a shortest one.

use std::cell::RefCell;

use sutra_layout::Damage;

use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::neighbors::{Direction, Links};
use crate::snapshot::Snapshot;

/// How a path is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathQuery<'q> {
    /// Associations of the path, at most.
    pub max_depth: u32,
    /// Which way associations are followed; out by default.
    pub direction: Direction,
    /// Concepts to go through; `None`: all. The two ends need not be among them.
    pub filter: Option<&'q Filter>,
}

impl Default for PathQuery<'_> {
    fn default() -> Self {
        PathQuery { max_depth: 6, direction: Direction::Out, filter: None }
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
const SCRATCH_STEPS_KEPT: usize = 1 << 14;
/// Words of marks kept likewise: a bit for each of eight million concepts.
const SCRATCH_WORDS_KEPT: usize = 1 << 17;

thread_local! {
    static SCRATCH: RefCell<[Side; 2]> = RefCell::default();
}

impl Snapshot {
    /// A shortest path, if there is one of at most `max_depth` associations.
    ///
    /// Of several associations that join the same two concepts it takes the newest. It passes
    /// through no concept that is forgotten or expired, or that the filter does not take: then the
    /// path is a shortest one of those that the filter leaves. Memory is bounded by the concepts visited.
    pub fn find_path(
        &self,
        from: &Concept<'_>,
        to: &Concept<'_>,
        query: &PathQuery<'_>,
    ) -> Result<Option<Path>, ReadError> {
        let found = SCRATCH.with_borrow_mut(|sides| {
            let found = self.search_path(sides, from.ordinal(), to.ordinal(), query);
            sides.iter_mut().for_each(Side::release);
            found
        });
        found.map_err(|damage| self.damaged(damage))
    }

    fn search_path(
        &self,
        sides: &mut [Side; 2],
        from: u32,
        to: u32,
        query: &PathQuery<'_>,
    ) -> Result<Option<Path>, Damage> {
        let [forward, backward] = sides;
        forward.start(from, self.slot().concepts);
        backward.start(to, self.slot().concepts);
        if from == to {
            return self.path_of(forward, backward, (0, 0)).map(Some);
        }
        for _ in 0..query.max_depth {
            let is_forward = forward.frontier_count() <= backward.frontier_count();
            let met = if is_forward {
                self.advance(forward, backward, query.direction, query.filter)?
            } else {
                let direction = query.direction.reversed();
                let met = self.advance(backward, forward, direction, query.filter)?;
                met.map(|(back, fore)| (fore, back))
            };
            if let Some(met) = met {
                return self.path_of(forward, backward, met).map(Some);
            }
            if forward.frontier_count() == 0 || backward.frontier_count() == 0 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Goes one level on from `side`; the steps of both sides that name the same concept, if any.
    fn advance(
        &self,
        side: &mut Side,
        other: &Side,
        direction: Direction,
        filter: Option<&Filter>,
    ) -> Result<Option<(usize, usize)>, Damage> {
        let level = side.frontier_start..side.steps.len();
        side.frontier_start = level.end;
        for parent in level {
            let from = side.steps[parent].node;
            for list in direction.lists() {
                let mut links = Links::new(self, from, *list)?;
                while let Some(entry) = links.next_entry()? {
                    let node = entry.neighbor;
                    if side.is_marked(node) || !links.is_current(entry)? {
                        continue;
                    }
                    side.mark(node);
                    let is_end = node == other.steps[0].node;
                    if !links.takes_neighbor(node, filter.filter(|_| !is_end))? {
                        side.absent.push(node);
                        continue;
                    }
                    side.steps.push(Step { node, parent: parent as u32, edge: entry.edge });
                    if other.is_marked(node) {
                        let meeting = other.steps.iter().position(|step| step.node == node);
                        // Not there: an absent concept, which this side would have found absent too.
                        if let Some(meeting) = meeting {
                            return Ok(Some((side.steps.len() - 1, meeting)));
                        }
                    }
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
        let (mut nodes, mut edges) = (Vec::new(), Vec::new());
        let mut at = met.0;
        while at != 0 {
            let step = forward.steps[at];
            nodes.push(step.node);
            edges.push(step.edge);
            at = step.parent as usize;
        }
        nodes.push(forward.steps[0].node);
        nodes.reverse();
        edges.reverse();
        let mut at = met.1;
        while at != 0 {
            let step = backward.steps[at];
            edges.push(step.edge);
            at = step.parent as usize;
            nodes.push(backward.steps[at].node);
        }
        let mut confidence = 1.0;
        for edge in &edges {
            let record = self.view().edge(u64::from(*edge), self.slot())?;
            confidence *= record.confidence;
        }
        Ok(Path { nodes, edges, confidence })
    }
}

/// What one side of a search has seen; kept by the thread for the next one.
#[derive(Debug, Default)]
struct Side {
    /// A bit for each concept.
    marks: Vec<u64>,
    /// Every concept reached, in order; the first is the end that the side began at.
    steps: Vec<Step>,
    /// Concepts that are marked and were not there to be passed.
    absent: Vec<u32>,
    /// The last level's first step.
    frontier_start: usize,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    node: u32,
    /// The step before it.
    parent: u32,
    /// The edge from there.
    edge: u32,
}

impl Side {
    fn start(&mut self, node: u32, concepts: u64) {
        self.release(); // a search that panicked may have left marks
        let words = (concepts / 64 + 1) as usize;
        if self.marks.len() < words {
            self.marks.resize(words, 0);
        }
        self.mark(node);
        self.steps.push(Step { node, parent: 0, edge: 0 });
    }

    fn frontier_count(&self) -> usize {
        self.steps.len() - self.frontier_start
    }

    /// Concepts are below the count that `start` was given: `Links` checks neighbors against it.
    #[inline]
    fn is_marked(&self, node: u32) -> bool {
        let word = self.marks.get(node as usize / 64).copied();
        word.unwrap_or(0) >> (node % 64) & 1 != 0
    }

    #[inline]
    fn mark(&mut self, node: u32) {
        if let Some(word) = self.marks.get_mut(node as usize / 64) {
            *word |= 1 << (node % 64);
        }
    }

    /// Takes all marks away again, in as many steps as it took to make them.
    fn release(&mut self) {
        let nodes = self.steps.iter().map(|step| step.node);
        for node in nodes.chain(self.absent.iter().copied()) {
            if let Some(word) = self.marks.get_mut(node as usize / 64) {
                *word = 0;
            }
        }
        self.steps.clear();
        self.absent.clear();
        self.frontier_start = 0;
        self.steps.shrink_to(SCRATCH_STEPS_KEPT);
        self.absent.shrink_to(SCRATCH_STEPS_KEPT);
        if self.marks.len() > SCRATCH_WORDS_KEPT {
            self.marks.truncate(SCRATCH_WORDS_KEPT);
            self.marks.shrink_to_fit();
        }
    }
}
