//! Questions about associations.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use sutra_store::reader::{
    self, Best, BestQuery, Budget, Direction, ExpandQuery, Filter, NeighborQuery, PathQuery,
    ReadError, Seed,
};

use super::{NearestArguments, Reading};
use crate::errors;
use crate::inputs;
use crate::results::{Association, Expanded, Expansion, Neighbor, Path};

/// Which associations are followed.
pub struct FollowArguments<'a, 'py> {
    pub direction: &'a str,
    pub types: Option<&'a Bound<'py, PyAny>>,
    pub min_confidence: f32,
    pub filter: Option<&'a Bound<'py, PyAny>>,
    pub timeout: Option<f64>,
}

/// How far is looked around.
pub struct ReachArguments<'a, 'py> {
    pub hops: u32,
    pub limit: usize,
    pub per_hop: Option<usize>,
    pub half_life: Option<f64>,
    pub follow: FollowArguments<'a, 'py>,
}

/// The same, looked up in a snapshot. The time runs.
struct Follow {
    direction: Direction,
    types: Option<Vec<u16>>,
    min_confidence: f32,
    filter: Option<Filter>,
    budget: Budget<'static>,
}

fn direction(py: Python<'_>, name: &str) -> PyResult<Direction> {
    match name {
        "out" => Ok(Direction::Out),
        "in" => Ok(Direction::In),
        "both" => Ok(Direction::Both),
        other => Err(errors::invalid(py, format!("direction {other:?}; give out, in or both"))),
    }
}

fn half_life(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(errors::invalid(py, format!("half_life is {seconds}; give seconds, more than 0"))),
    }
}

fn best(py: Python<'_>, by: &str, half_life_s: Option<f64>) -> PyResult<Best> {
    match (by, half_life_s) {
        ("confidence", None) => Ok(Best::Confidence),
        ("weight", None) => Ok(Best::Weight),
        ("strength", Some(seconds)) => Ok(Best::Strength { half_life: half_life(py, seconds)? }),
        ("strength", None) => Err(errors::invalid(py, "by strength needs a half_life, in seconds")),
        ("confidence" | "weight", Some(_)) => {
            Err(errors::invalid(py, "half_life goes with by=\"strength\""))
        }
        (other, _) => {
            let message = format!("by {other:?}; give confidence, weight or strength");
            Err(errors::invalid(py, message))
        }
    }
}

impl FollowArguments<'_, '_> {
    fn of(&self, py: Python<'_>, snapshot: &reader::Snapshot) -> PyResult<Follow> {
        let types = match self.types.filter(|given| !given.is_none()) {
            None => None,
            Some(given) => {
                let names = match given.extract::<String>() {
                    Ok(one) => vec![one],
                    Err(_) => given.extract::<Vec<String>>()?,
                };
                // A type that the store does not have joins nothing.
                Some(names.iter().filter_map(|name| snapshot.type_number(name)).collect())
            }
        };
        let deadline = match self.timeout {
            None => None,
            given => Instant::now().checked_add(inputs::timeout(py, given)?),
        };
        Ok(Follow {
            direction: direction(py, self.direction)?,
            types,
            min_confidence: self.min_confidence,
            filter: inputs::filter(self.filter)?,
            budget: Budget { deadline, ..Budget::default() },
        })
    }
}

impl ReachArguments<'_, '_> {
    fn query<'q>(&self, py: Python<'_>, follow: &'q Follow) -> PyResult<ExpandQuery<'q>> {
        Ok(ExpandQuery {
            hops: self.hops,
            per_hop: self.per_hop.unwrap_or(usize::MAX),
            limit: self.limit,
            direction: follow.direction,
            types: follow.types.as_deref(),
            min_confidence: follow.min_confidence,
            filter: follow.filter.as_ref(),
            valid_at: None,
            half_life: self.half_life.map(|seconds| half_life(py, seconds)).transpose()?,
            budget: follow.budget,
        })
    }
}

impl Reading {
    pub(super) fn type_name(&self, number: u16) -> String {
        self.snapshot.type_name(number).map_or_else(|| number.to_string(), str::to_owned)
    }

    pub fn neighbors(
        &self,
        id: &Bound<'_, PyAny>,
        limit: Option<usize>,
        follow: &FollowArguments<'_, '_>,
    ) -> PyResult<Vec<Neighbor>> {
        let py = id.py();
        let ordinal = self.known(id)?;
        let follow = follow.of(py, &self.snapshot)?;
        let query = NeighborQuery {
            direction: follow.direction,
            types: follow.types.as_deref(),
            limit,
            min_confidence: follow.min_confidence,
            filter: follow.filter.as_ref(),
            ..NeighborQuery::default()
        };
        let found: Result<_, ReadError> = py.detach(|| {
            let neighbors = self.snapshot.neighbors(&self.concept(ordinal)?, &query)?;
            let with_type = neighbors.into_iter().map(|neighbor| {
                let weight = self.snapshot.association(neighbor.edge)?.weight();
                Ok(Neighbor {
                    held: self.held(neighbor.ordinal),
                    direction: neighbor.direction,
                    r#type: self.type_name(neighbor.edge_type),
                    confidence: neighbor.confidence,
                    weight,
                })
            });
            with_type.collect()
        });
        found.map_err(|failed| self.raised(py, failed))
    }

    pub fn find_path(
        &self,
        start: &Bound<'_, PyAny>,
        end: &Bound<'_, PyAny>,
        max_depth: u32,
        follow: &FollowArguments<'_, '_>,
    ) -> PyResult<Option<Path>> {
        let py = start.py();
        let (from, to) = (self.known(start)?, self.known(end)?);
        let follow = follow.of(py, &self.snapshot)?;
        let query = PathQuery {
            max_depth,
            direction: follow.direction,
            types: follow.types.as_deref(),
            min_confidence: follow.min_confidence,
            filter: follow.filter.as_ref(),
            budget: follow.budget,
            ..PathQuery::default()
        };
        let found = py.detach(|| {
            let (from, to) = (self.concept(from)?, self.concept(to)?);
            self.snapshot.find_path(&from, &to, &query)
        });
        let found = found.map_err(|failed| self.raised(py, failed))?;
        found.map(|path| self.path(py, &path, f64::from(path.confidence))).transpose()
    }

    pub fn find_paths(
        &self,
        start: &Bound<'_, PyAny>,
        end: &Bound<'_, PyAny>,
        k: usize,
        by: &str,
        half_life: Option<f64>,
        follow: &FollowArguments<'_, '_>,
    ) -> PyResult<Vec<Path>> {
        let py = start.py();
        let (from, to) = (self.known(start)?, self.known(end)?);
        let follow = follow.of(py, &self.snapshot)?;
        let query = BestQuery {
            k,
            by: best(py, by, half_life)?,
            direction: follow.direction,
            types: follow.types.as_deref(),
            min_confidence: follow.min_confidence,
            filter: follow.filter.as_ref(),
            valid_at: None,
            budget: follow.budget,
        };
        let found = py.detach(|| {
            let (from, to) = (self.concept(from)?, self.concept(to)?);
            self.snapshot.best_paths(&from, &to, &query)
        });
        let found = found.map_err(|failed| self.raised(py, failed))?;
        let paths = found.paths.iter().map(|best| self.path(py, &best.path, best.score));
        let paths = paths.collect::<PyResult<Vec<_>>>()?;
        let Some(why) = found.stopped else { return Ok(paths) };
        let raised = self.raised(py, ReadError::StoppedEarly { why, reached: found.reached });
        raised.value(py).setattr("paths", PyList::new(py, paths)?)?;
        Err(raised)
    }

    fn path(&self, py: Python<'_>, path: &reader::Path, score: f64) -> PyResult<Path> {
        let name = |edge: &u32| {
            let association = self.snapshot.association(*edge)?;
            Ok(self.type_name(association.edge_type()))
        };
        let types: Result<_, ReadError> = path.edges.iter().map(name).collect();
        Ok(Path {
            nodes: path.nodes.iter().map(|ordinal| self.held(*ordinal)).collect(),
            types: types.map_err(|failed| self.raised(py, failed))?,
            confidence: path.confidence,
            score,
        })
    }

    pub fn expand(
        &self,
        seeds: &Bound<'_, PyAny>,
        reach: &ReachArguments<'_, '_>,
    ) -> PyResult<Expansion> {
        let py = seeds.py();
        let seeds = self.seeds(seeds)?;
        let follow = reach.follow.of(py, &self.snapshot)?;
        let query = reach.query(py, &follow)?;
        let found = py.detach(|| self.snapshot.expand(&seeds, &query));
        self.expansion(py, found.map_err(|failed| self.raised(py, failed))?)
    }

    pub fn expand_nearest(
        &self,
        vector: &Bound<'_, PyAny>,
        nearest: &NearestArguments<'_, '_>,
        reach: &ReachArguments<'_, '_>,
    ) -> PyResult<Expansion> {
        let py = vector.py();
        let vector = inputs::vector(vector)?;
        let follow = reach.follow.of(py, &self.snapshot)?;
        let query = reach.query(py, &follow)?;
        let found = self.with_nearest(py, nearest, |nearest| {
            let found = py.detach(|| self.snapshot.expand_nearest(&vector, nearest, &query));
            found.map_err(|failed| self.raised(py, failed))
        })?;
        self.expansion(py, found.unwrap_or_default())
    }

    /// An id, ids, or a `dict` of ids and what each is worth.
    fn seeds(&self, given: &Bound<'_, PyAny>) -> PyResult<Vec<Seed>> {
        let seed = |id: &Bound<'_, PyAny>, score| Ok(Seed { ordinal: self.known(id)?, score });
        if let Ok(worths) = given.cast::<PyDict>() {
            return worths.iter().map(|(id, worth)| seed(&id, worth.extract()?)).collect();
        }
        let is_one =
            given.is_instance_of::<PyString>() || inputs::with_id(given, |_| Ok(())).is_ok();
        match is_one {
            true => Ok(vec![seed(given, 1.0)?]),
            false => given.try_iter()?.map(|id| seed(&id?, 1.0)).collect(),
        }
    }

    fn expansion(&self, py: Python<'_>, found: reader::Expansion) -> PyResult<Expansion> {
        let raised = |failed| self.raised(py, failed);
        let concept = |one: &reader::Expanded| {
            let named = |(edge, from): (u32, u32)| {
                let r#type = self.type_name(self.snapshot.association(edge)?.edge_type());
                Ok((self.held(from), r#type))
            };
            let (from, r#type) = one.via.map(named).transpose().map_err(raised)?.unzip();
            let (held, seed) = (self.held(one.ordinal), self.held(one.seed));
            let (score, hops) = (one.score, one.hops);
            Bound::new(py, Expanded { held, seed, from, score, hops, r#type })
        };
        let association = |edge: &u32| {
            let association = self.snapshot.association(*edge).map_err(raised)?;
            let ends = [association.source(), association.target()];
            Bound::new(
                py,
                Association {
                    ends: ends.map(|ordinal| self.held(ordinal)),
                    r#type: self.type_name(association.edge_type()),
                    confidence: association.confidence(),
                    weight: association.weight(),
                },
            )
        };
        let concepts = found.concepts.iter().map(concept).collect::<PyResult<Vec<_>>>()?;
        let associations = found.associations.iter().map(association);
        Ok(Expansion {
            concepts: PyList::new(py, concepts)?.unbind(),
            associations: PyList::new(py, associations.collect::<PyResult<Vec<_>>>()?)?.unbind(),
            is_cut: found.is_cut,
            stopped: found.stopped.map(|why| why.to_string()),
        })
    }
}
