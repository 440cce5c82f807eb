//! What surrounds some concepts: those within a few associations, the best first.
//!
//! A concept's score is its seed's times the confidences along the best path to it of at most so
//! many associations. The best open one is always taken next, so the first `limit` are the best
//! `limit`, and what is worse is never gone on from. A concept may be gone on from again by a
//! shorter path that is worse, as that one leads further; no path is left out by that.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::time::Duration;

use sutra_layout::adjacency::dequantize;
use sutra_layout::space::Metric;

use super::Direction;
use super::best::Merit;
use super::budget::{Budget, Halt, Meter, Stopped};
use super::follow::Follow;
use super::links::{Head, Links, List};
use super::reached::Reached;
use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::nearest::NearestQuery;
use crate::snapshot::Snapshot;

/// A concept to begin with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seed {
    /// The concept's ordinal.
    pub ordinal: u32,
    /// What it is worth: 0 or more; 1 where all are alike.
    pub score: f32,
}

/// How far to look, and how much to take.
#[derive(Clone, Copy, Debug)]
pub struct ExpandQuery<'q> {
    /// Associations from a seed, at most.
    pub hops: u32,
    /// Concepts so many associations away, at most, for each number of associations but 0.
    pub per_hop: usize,
    /// Concepts in all, at most, seeds included.
    pub limit: usize,
    /// Which way associations are followed; either way by default.
    pub direction: Direction,
    /// Types to follow; `None`: all.
    pub types: Option<&'q [u16]>,
    /// Associations below it are not followed.
    pub min_confidence: f32,
    /// Concepts to go through and to give; `None`: all. The seeds need not be among them.
    pub filter: Option<&'q Filter>,
    /// Only what was made by that time and not over then; see [`crate::NeighborQuery::valid_at`].
    pub valid_at: Option<u64>,
    /// Also weigh each concept by the effective strength ([`Concept::effective_strength`]) that it
    /// has under this half-life.
    pub half_life: Option<Duration>,
    /// How much may be done.
    pub budget: Budget<'q>,
}

impl Default for ExpandQuery<'_> {
    fn default() -> Self {
        ExpandQuery {
            hops: 2,
            per_hop: usize::MAX,
            limit: 100,
            direction: Direction::Both,
            types: None,
            min_confidence: 0.0,
            filter: None,
            valid_at: None,
            half_life: None,
            budget: Budget::default(),
        }
    }
}

/// The surroundings of some concepts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expansion {
    /// The best first; of equal ones those that fewer associations lead to.
    pub concepts: Vec<Expanded>,
    /// The associations between them that are of the kind followed, each once, by ascending ordinal.
    pub associations: Vec<u32>,
    /// Whether a limit left out concepts that could have been given.
    pub is_cut: bool,
    /// Why it stopped before it was done; `None`: it did not. What is given is right, and not all.
    pub stopped: Option<Stopped>,
}

/// A concept of an expansion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expanded {
    /// The concept's ordinal.
    pub ordinal: u32,
    /// The seed's score times the confidences along the path to it, rounded as
    /// [`crate::Neighbor::confidence`] is.
    pub score: f64,
    /// Associations on that path.
    pub hops: u32,
    /// The ordinal of the seed that the path begins at.
    pub seed: u32,
    /// The last association of the path, and the concept it comes from; `None`: it is a seed.
    pub via: Option<(u32, u32)>,
}

impl Snapshot {
    /// The concepts around some, and the associations between them.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sutra_reader::{ExpandQuery, Reader, Seed};
    ///
    /// let snapshot = Reader::open("knowledge")?.snapshot()?;
    /// let wolf = snapshot.get("wolf.n.01")?.ok_or("no wolf")?;
    /// let seeds = [Seed { ordinal: wolf.ordinal(), score: 1.0 }];
    /// for found in snapshot.expand(&seeds, &ExpandQuery::default())?.concepts {
    ///     println!("{} {}", found.score, found.ordinal);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn expand(&self, seeds: &[Seed], query: &ExpandQuery<'_>) -> Result<Expansion, ReadError> {
        let ExpandQuery { types, min_confidence, filter, valid_at, .. } = *query;
        let follow = Follow::new(self, types, min_confidence, filter, valid_at);
        let mut found = Expansion::default();
        // Each shorter path to a concept that is worse goes on from it again; in any real store that
        // is rare.
        let passes = u64::from(query.hops.min(PASSES_MAX)) + 2;
        let mut meter = Meter::new(query.budget, self).times(passes);
        let ended = SCRATCH.with_borrow_mut(|scratch| {
            let mut search = Search {
                snapshot: self,
                follow,
                meter: &mut meter,
                query,
                scratch,
                out: &mut found,
            };
            let ended = search.run(seeds).and_then(|()| search.join());
            scratch.release();
            ended
        });
        match ended {
            Ok(()) => Ok(found),
            Err(Halt::Stopped(why)) => Ok(Expansion { stopped: Some(why), ..found }),
            Err(halt) => Err(halt.into_error(self, meter.reached())),
        }
    }

    /// The concepts nearest to a vector and what surrounds them, in this one version of the store:
    /// ranked by similarity times the confidences along the path.
    ///
    /// Similarity is the cosine or the dot product, but at least 0; under the Euclidean metric it
    /// is 1 / (1 + distance).
    pub fn expand_nearest(
        &self,
        vector: &[f32],
        nearest: &NearestQuery<'_>,
        expand: &ExpandQuery<'_>,
    ) -> Result<Expansion, ReadError> {
        let hits = self.nearest(vector, nearest)?;
        if hits.is_empty() {
            return Ok(Expansion::default());
        }
        let metric = self.space(nearest.space)?.metric;
        let seed = |score: f32| match metric {
            Metric::Cosine | Metric::Dot => score.max(0.0),
            Metric::L2 => 1.0 / (1.0 - score), // the score is minus the distance
        };
        let seeds = hits.iter().map(|hit| Seed { ordinal: hit.ordinal, score: seed(hit.score) });
        self.expand(&seeds.collect::<Vec<_>>(), expand)
    }
}

/// A path that may be taken.
#[derive(Clone, Copy, Debug)]
struct Label {
    ordinal: u32,
    seed: u32,
    via: Option<(u32, u32)>,
}

/// What is known of a concept.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The best path to it so far, and of those as good the shortest.
    best: Merit,
    /// It was gone on from by a path of so many associations.
    done_hops: u32,
    is_given: bool,
    is_absent: bool,
}

/// How often all concepts together are gone on from before that is taken for damage.
const PASSES_MAX: u32 = 64;
/// Steps kept allocated for the next one of a thread.
const STEPS_KEPT: usize = 1 << 13;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Debug, Default)]
struct Scratch {
    reached: Reached,
    known: Vec<Known>,
    labels: Vec<Label>,
    open: BinaryHeap<(Merit, Reverse<u32>)>,
    hop_counts: Vec<usize>,
}

impl Scratch {
    fn start(&mut self) {
        self.reached.start();
        self.known.clear();
        self.labels.clear();
        self.open.clear();
        self.hop_counts.clear();
    }

    /// Gives back what a large one took.
    fn release(&mut self) {
        self.start();
        self.reached.release();
        self.known.shrink_to(STEPS_KEPT);
        self.labels.shrink_to(STEPS_KEPT);
        self.open.shrink_to(STEPS_KEPT);
    }
}

struct Search<'q, 's> {
    snapshot: &'q Snapshot,
    follow: Follow<'q>,
    meter: &'s mut Meter<'q>,
    query: &'s ExpandQuery<'q>,
    scratch: &'s mut Scratch,
    out: &'s mut Expansion,
}

impl Search<'_, '_> {
    fn run(&mut self, seeds: &[Seed]) -> Result<(), Halt> {
        self.scratch.start();
        for seed in seeds {
            let merit = Merit { gain: f64::from(seed.score.max(0.0)), hops: 0 };
            let label = Label { ordinal: seed.ordinal, seed: seed.ordinal, via: None };
            if u64::from(seed.ordinal) < self.snapshot.slot().concepts
                && self.snapshot.present_record(seed.ordinal)?.is_some()
            {
                self.offer(label, merit, true)?;
            }
        }
        while let Some((merit, Reverse(at))) = self.scratch.open.pop() {
            let label = self.scratch.labels[at as usize];
            let Some(number) = self.scratch.reached.get(label.ordinal) else { continue };
            let known = self.scratch.known[number as usize];
            if known.done_hops <= merit.hops {
                continue; // a path as good or better that is as short has been taken
            }
            if !known.is_given {
                if self.out.concepts.len() >= self.query.limit {
                    self.out.is_cut = true;
                    return Ok(());
                }
                if !self.hop_has_room(merit.hops) {
                    self.out.is_cut = true;
                    continue;
                }
                let Label { ordinal, seed, via } = label;
                let (score, hops) = (merit.gain, merit.hops);
                self.out.concepts.push(Expanded { ordinal, score, hops, seed, via });
            }
            let known = &mut self.scratch.known[number as usize];
            (known.is_given, known.done_hops) = (true, merit.hops);
            if merit.hops < self.query.hops {
                self.go_on(label, merit)?;
            }
        }
        Ok(())
    }

    /// Takes a place among the concepts that are so far away, if there is one.
    fn hop_has_room(&mut self, hops: u32) -> bool {
        if hops == 0 || self.query.per_hop == usize::MAX {
            return true;
        }
        let (counts, at) = (&mut self.scratch.hop_counts, hops as usize);
        if counts.len() <= at {
            counts.resize(at + 1, 0); // hops ascend one by one, so no more than there are
        }
        counts[at] += 1;
        counts[at] <= self.query.per_hop
    }

    /// Offers what a concept is associated with.
    fn go_on(&mut self, from: Label, merit: Merit) -> Result<(), Halt> {
        for list in self.query.direction.lists() {
            let head = Head::load(self.snapshot, from.ordinal, *list)?;
            let links = Links::new(self.snapshot, head, u64::MAX)?;
            let _ = links.each(|entry| {
                self.meter.step()?;
                if self.follow.takes(from.ordinal, *list, entry)? {
                    let gain = merit.gain * f64::from(dequantize(entry.confidence));
                    let label = Label {
                        ordinal: entry.neighbor,
                        seed: from.seed,
                        via: Some((entry.edge, from.ordinal)),
                    };
                    self.offer(label, Merit { gain, hops: merit.hops + 1 }, false)?;
                }
                Ok::<_, Halt>(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    /// Notes a path, unless one is known that is as good and as short.
    fn offer(&mut self, label: Label, merit: Merit, is_seed: bool) -> Result<(), Halt> {
        let number = self.scratch.known.len() as u32;
        let mut merit = merit;
        match self.scratch.reached.insert(label.ordinal, number) {
            Some(known) => {
                let Known { best, done_hops, is_absent, .. } = self.scratch.known[known as usize];
                if is_absent || done_hops <= merit.hops {
                    return Ok(());
                }
                merit.gain *= self.weight_of(label.ordinal, is_seed)?;
                if best.gain >= merit.gain && best.hops <= merit.hops {
                    return Ok(());
                }
                let known = &mut self.scratch.known[known as usize];
                known.best = known.best.max(merit);
            }
            None => {
                self.meter.reach()?;
                let is_absent = !is_seed && !self.follow.takes_concept(label.ordinal)?;
                merit.gain *= self.weight_of(label.ordinal, is_seed)?;
                let known = Known { best: merit, done_hops: u32::MAX, is_given: false, is_absent };
                self.scratch.known.push(known);
                if is_absent {
                    return Ok(());
                }
            }
        }
        self.scratch.open.push((merit, Reverse(self.scratch.labels.len() as u32)));
        self.scratch.labels.push(label);
        Ok(())
    }

    /// The effective strength, if that is asked for.
    fn weight_of(&self, ordinal: u32, is_seed: bool) -> Result<f64, Halt> {
        let Some(half_life) = self.query.half_life.filter(|_| !is_seed) else { return Ok(1.0) };
        let Some(record) = self.snapshot.present_record(ordinal)? else { return Ok(0.0) };
        let time = self.query.valid_at.unwrap_or(self.snapshot.read_time());
        let concept = Concept::of_checked(self.snapshot, record);
        let strength = concept.effective_strength(half_life, time).map_err(Halt::Read)?;
        Ok(strength.into())
    }

    /// Finds the associations between what was taken.
    fn join(&mut self) -> Result<(), Halt> {
        let reached = &mut self.scratch.reached;
        reached.start();
        for found in &self.out.concepts {
            reached.insert(found.ordinal, 0);
        }
        for at in 0..self.out.concepts.len() {
            let from = self.out.concepts[at].ordinal;
            let head = Head::load(self.snapshot, from, List::Out)?;
            let links = Links::new(self.snapshot, head, u64::MAX)?;
            let _ = links.each(|entry| {
                self.meter.step()?;
                if self.scratch.reached.get(entry.neighbor).is_some()
                    && self.follow.takes(from, List::Out, entry)?
                {
                    self.out.associations.push(entry.edge);
                }
                Ok::<_, Halt>(ControlFlow::Continue(()))
            })?;
        }
        self.out.associations.sort_unstable();
        Ok(())
    }
}
