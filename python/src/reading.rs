//! Every question that a store and a snapshot answer alike.
#![allow(
    clippy::needless_update,
    reason = "what a query does not name has its default, also when there is nothing more yet"
)]

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use sutra_store::Held;
use sutra_store::reader::{
    self, ChangeKind, ConceptQuery, Direction, Filter, Namespaces, NearestQuery, NeighborQuery,
    PathQuery, ReadError, SearchQuery,
};

use crate::errors;
use crate::inputs::{self, with_id};
use crate::results::{Change, Concept, Hit, Neighbor, Path, Version, id_object, seconds};
use crate::view;

/// One snapshot, and the namespace in which questions are asked.
#[derive(Clone)]
pub struct Reading {
    pub snapshot: reader::Snapshot,
    pub namespace: Arc<str>,
}

/// What narrows a search for neighbors.
pub struct NeighborArguments<'a, 'py> {
    pub direction: &'a str,
    pub types: Option<&'a Bound<'py, PyAny>>,
    pub limit: Option<usize>,
    pub min_confidence: f32,
    pub filter: Option<&'a Bound<'py, PyAny>>,
}

/// What narrows a search for vectors.
pub struct NearestArguments<'a, 'py> {
    pub k: usize,
    pub ef: Option<usize>,
    pub filter: Option<&'a Bound<'py, PyAny>>,
    pub exclude: Option<&'a Bound<'py, PyAny>>,
    pub space: Option<&'a str>,
}

/// The direction of that name.
pub fn direction(py: Python<'_>, name: &str) -> PyResult<Direction> {
    match name {
        "out" => Ok(Direction::Out),
        "in" => Ok(Direction::In),
        "both" => Ok(Direction::Both),
        other => Err(errors::invalid(py, format!("direction {other:?}; give out, in or both"))),
    }
}

impl Reading {
    fn raised(&self, py: Python<'_>, failed: ReadError) -> PyErr {
        errors::raised(py, failed.into())
    }

    fn held(&self, ordinal: u32) -> Held {
        Held::new(self.snapshot.clone(), ordinal)
    }

    fn ordinal_of(&self, id: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
        let py = id.py();
        with_id(id, |id| {
            let found = self.snapshot.get_in(&self.namespace, id);
            let found = found.map_err(|failed| self.raised(py, failed))?;
            Ok(found.map(|concept| concept.ordinal()))
        })
    }

    fn known(&self, id: &Bound<'_, PyAny>) -> PyResult<u32> {
        self.ordinal_of(id)?.ok_or_else(|| {
            let shown = id.repr().map_or_else(|_| "that id".to_owned(), |id| id.to_string());
            let message = format!("there is no concept {shown}; ids are case-sensitive and exact");
            errors::error(id.py(), "UnknownConceptError", message)
        })
    }

    fn concept(&self, ordinal: u32) -> Result<reader::Concept<'_>, ReadError> {
        let found = self.snapshot.concept(ordinal)?;
        Ok(found.expect("what was found in a snapshot stays in it"))
    }

    pub fn get(&self, id: &Bound<'_, PyAny>) -> PyResult<Option<Concept>> {
        Ok(self.ordinal_of(id)?.map(|ordinal| Concept { held: self.held(ordinal) }))
    }

    pub fn item(&self, id: &Bound<'_, PyAny>) -> PyResult<Concept> {
        Ok(Concept { held: self.held(self.known(id)?) })
    }

    pub fn get_many(&self, ids: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Concept>>> {
        ids.try_iter()?.map(|id| self.get(&id?)).collect()
    }

    pub fn contains(&self, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.ordinal_of(id)?.is_some())
    }

    fn type_numbers(&self, given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Vec<u16>>> {
        let Some(given) = given.filter(|given| !given.is_none()) else {
            return Ok(None);
        };
        let names = match given.extract::<String>() {
            Ok(one) => vec![one],
            Err(_) => given.extract::<Vec<String>>()?,
        };
        // A type that the store does not have joins nothing.
        Ok(Some(names.iter().filter_map(|name| self.snapshot.type_number(name)).collect()))
    }

    fn type_name(&self, number: u16) -> String {
        self.snapshot.type_name(number).map_or_else(|| number.to_string(), str::to_owned)
    }

    pub fn neighbors(
        &self,
        id: &Bound<'_, PyAny>,
        arguments: NeighborArguments<'_, '_>,
    ) -> PyResult<Vec<Neighbor>> {
        let py = id.py();
        let ordinal = self.known(id)?;
        let types = self.type_numbers(arguments.types)?;
        let filter = inputs::filter(arguments.filter)?;
        let query = NeighborQuery {
            direction: direction(py, arguments.direction)?,
            types: types.as_deref(),
            limit: arguments.limit,
            min_confidence: arguments.min_confidence,
            filter: filter.as_ref(),
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
        way: &str,
        filter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Path>> {
        let py = start.py();
        let (from, to) = (self.known(start)?, self.known(end)?);
        let filter = inputs::filter(filter)?;
        let direction = direction(py, way)?;
        let query =
            PathQuery { max_depth, direction, filter: filter.as_ref(), ..PathQuery::default() };
        let found = py.detach(|| {
            let (from, to) = (self.concept(from)?, self.concept(to)?);
            self.snapshot.find_path(&from, &to, &query)
        });
        let found = found.map_err(|failed| self.raised(py, failed))?;
        found.map(|path| self.path(py, path)).transpose()
    }

    fn path(&self, py: Python<'_>, path: reader::Path) -> PyResult<Path> {
        let name = |edge: &u32| {
            let association = self.snapshot.association(*edge)?;
            Ok(self.type_name(association.edge_type()))
        };
        let types: Result<_, ReadError> = path.edges.iter().map(name).collect();
        Ok(Path {
            nodes: path.nodes.iter().map(|ordinal| self.held(*ordinal)).collect(),
            types: types.map_err(|failed| self.raised(py, failed))?,
            confidence: path.confidence,
        })
    }

    /// Hits by vector of the query.
    fn search_vectors(
        &self,
        vectors: &Bound<'_, PyAny>,
        arguments: &NearestArguments<'_, '_>,
    ) -> PyResult<(bool, Vec<Vec<reader::Hit>>)> {
        let py = vectors.py();
        let rows = inputs::rows(vectors)?;
        let filter = inputs::filter(arguments.filter)?;
        let exclude = match arguments.exclude.filter(|given| !given.is_none()) {
            Some(id) => self.ordinal_of(id)?,
            None => None,
        };
        let space = match arguments.space {
            None => 0,
            Some(name) => {
                let number = self.snapshot.space_number(name);
                let number = number.map_err(|failed| self.raised(py, failed))?;
                number.ok_or_else(|| {
                    errors::invalid(py, format!("the store has no vector space {name:?}"))
                })?
            }
        };
        if arguments.ef.is_some_and(|ef| ef == 0) {
            return Err(errors::invalid(py, "ef is 0; give a number from 1, or None"));
        }
        let query = NearestQuery {
            k: arguments.k,
            space,
            exclude,
            filter: filter.as_ref(),
            namespaces: Namespaces::One(&self.namespace),
            ..NearestQuery::default()
        };
        if self.snapshot.space_count() == 0 && arguments.space.is_none() {
            return Ok((rows.is_one, vec![Vec::new(); rows.count()])); // no vector was learnt yet
        }
        let found = py.detach(|| {
            rows.iter().map(|row| self.snapshot.nearest(row, &query)).collect::<Result<_, _>>()
        });
        Ok((rows.is_one, found.map_err(|failed| self.raised(py, failed))?))
    }

    pub fn nearest<'py>(
        &self,
        vectors: &Bound<'py, PyAny>,
        arguments: &NearestArguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = vectors.py();
        let (is_one, found) = self.search_vectors(vectors, arguments)?;
        let list = |hits: Vec<reader::Hit>| {
            let hit = |hit: reader::Hit| Hit { held: self.held(hit.ordinal), score: hit.score };
            let hits = hits.into_iter().map(|found| Bound::new(py, hit(found)));
            PyList::new(py, hits.collect::<PyResult<Vec<_>>>()?)
        };
        let mut lists = found.into_iter().map(list).collect::<PyResult<Vec<_>>>()?;
        match is_one {
            true => Ok(lists.swap_remove(0)),
            false => PyList::new(py, lists),
        }
    }

    pub fn nearest_arrays<'py>(
        &self,
        vectors: &Bound<'py, PyAny>,
        arguments: &NearestArguments<'_, 'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = vectors.py();
        let (is_one, found) = self.search_vectors(vectors, arguments)?;
        // A matrix has as many columns as the longest answer: what is short ends in -1 and NaN.
        let width = found.iter().map(Vec::len).max().unwrap_or(0);
        let mut ordinals = Vec::with_capacity(found.len() * width);
        let mut scores = Vec::with_capacity(found.len() * width);
        for hits in &found {
            ordinals.extend(hits.iter().map(|hit| i64::from(hit.ordinal)));
            scores.extend(hits.iter().map(|hit| hit.score));
            ordinals.resize(ordinals.len() + width - hits.len(), -1);
            scores.resize(scores.len() + width - hits.len(), f32::NAN);
        }
        let shape = [found.len(), width];
        let shape = if is_one { &shape[1..] } else { &shape[..] };
        Ok((view::array(py, &ordinals, shape)?, view::array(py, &scores, shape)?))
    }

    pub fn search(
        &self,
        py: Python<'_>,
        text: &str,
        limit: usize,
        filter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Hit>> {
        let filter = inputs::filter(filter)?;
        let query = SearchQuery {
            limit,
            filter: filter.as_ref(),
            namespaces: Namespaces::One(&self.namespace),
            ..SearchQuery::default()
        };
        let found = py.detach(|| self.snapshot.search(text, &query));
        let found = found.map_err(|failed| self.raised(py, failed))?;
        let hit = |hit: reader::SearchHit| Hit {
            held: self.held(hit.ordinal),
            score: hit.whole_words as f32,
        };
        Ok(found.into_iter().map(hit).collect())
    }

    pub fn history(&self, id: &Bound<'_, PyAny>) -> PyResult<Vec<Version>> {
        let py = id.py();
        with_id(id, |id| {
            let versions = || {
                let Some(last) = self.snapshot.last_version(&self.namespace, id)? else {
                    return Ok(Vec::new());
                };
                let version = |version: Result<reader::Concept<'_>, ReadError>| {
                    let version = version?;
                    let is_forgotten = version.is_forgotten();
                    let content = match is_forgotten {
                        true => None,
                        false => Some(version.content()?.to_owned()),
                    };
                    Ok(Version {
                        version: version.version(),
                        lsn: version.lsn(),
                        updated_at: seconds(version.updated_at()),
                        content,
                        strength: version.strength(),
                        confidence: version.confidence(),
                        author: version.author().map(str::to_owned),
                        is_forgotten,
                    })
                };
                self.snapshot.history(&last).map(version).collect()
            };
            versions().map_err(|failed| self.raised(py, failed))
        })
    }

    pub fn changes(&self, py: Python<'_>, since_lsn: u64, limit: usize) -> PyResult<Vec<Change>> {
        let raised = |failed| self.raised(py, failed);
        let mut all = Vec::new();
        for change in self.snapshot.changes(since_lsn).map_err(raised)? {
            if all.len() == limit {
                break;
            }
            all.push(self.change(py, &change.map_err(raised)?)?);
        }
        Ok(all)
    }

    fn change(&self, py: Python<'_>, change: &reader::Change<'_>) -> PyResult<Change> {
        let raised = |failed| self.raised(py, failed);
        let id = |concept: &reader::Concept<'_>| {
            PyResult::Ok(id_object(py, &concept.id().map_err(raised)?).unbind())
        };
        let end = |ordinal| match self.snapshot.last_version_of(ordinal).map_err(raised)? {
            Some(concept) => id(&concept),
            None => Ok(py.None()),
        };
        let kind = match change.kind {
            ChangeKind::ConceptLearnt => "learnt",
            ChangeKind::ConceptUpdated => "updated",
            ChangeKind::ConceptForgotten => "forgotten",
            ChangeKind::Associated => "associated",
            ChangeKind::AssociationUpdated => "association_updated",
            ChangeKind::Disassociated => "disassociated",
        };
        let (id, target, r#type) = match (change.concept(), change.association()) {
            (Some(concept), _) => (id(&concept)?, None, None),
            (None, Some(association)) => (
                end(association.source())?,
                Some(end(association.target())?),
                Some(self.type_name(association.edge_type())),
            ),
            (None, None) => (py.None(), None, None),
        };
        Ok(Change { lsn: change.lsn, kind, id, target, r#type })
    }

    pub fn concept_at(&self, py: Python<'_>, ordinal: u32) -> PyResult<Option<Concept>> {
        let found = self.snapshot.concept(ordinal).map_err(|failed| self.raised(py, failed))?;
        Ok(found.map(|_| Concept { held: self.held(ordinal) }))
    }

    /// The ordinals of all concepts of the namespace that the filter takes.
    pub fn ordinals(&self, py: Python<'_>, filter: Option<&Filter>) -> PyResult<Vec<u32>> {
        let query = ConceptQuery {
            filter,
            namespaces: Namespaces::One(&self.namespace),
            ..ConceptQuery::default()
        };
        let found: Result<_, ReadError> = py.detach(|| {
            let concepts = self.snapshot.concepts_where(&query);
            concepts.map(|concept| concept.map(|concept| concept.ordinal())).collect()
        });
        found.map_err(|failed| self.raised(py, failed))
    }

    pub fn concepts(
        &self,
        py: Python<'_>,
        filter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Concepts> {
        let filter = inputs::filter(filter)?;
        let ordinals = self.ordinals(py, filter.as_ref())?;
        Ok(Concepts { reading: self.clone(), ordinals: ordinals.into_iter() })
    }

    /// What a reader knows of the store, in figures.
    pub fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = py.detach(|| self.snapshot.stats());
        let all = PyDict::new(py);
        for (name, figure) in [
            ("concepts", stats.concepts),
            ("edges", stats.edges),
            ("vectors", stats.vectors),
            ("indexed_vectors", stats.indexed_vectors),
            ("written", stats.written),
            ("dropped", stats.dropped),
            ("pending", stats.pending),
            ("reconciliations", stats.reconciliations),
            ("published_lsn", stats.published_lsn),
            ("durable_lsn", stats.durable_lsn),
            ("checkpoint_lsn", stats.checkpoint_lsn),
            ("readers", stats.readers),
            ("file_size", stats.file_size),
            ("generation", stats.generation),
            ("staleness_ms", stats.staleness_ms),
            ("writer_pid", stats.writer_pid.into()),
        ] {
            all.set_item(name, figure)?;
        }
        Ok(all)
    }
}

/// Concepts, one after the other.
#[pyclass(module = "sutra_storage._native")]
pub struct Concepts {
    reading: Reading,
    ordinals: std::vec::IntoIter<u32>,
}

#[pymethods]
impl Concepts {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self) -> Option<Concept> {
        let ordinal = self.ordinals.next()?;
        Some(Concept { held: self.reading.held(ordinal) })
    }
}
