//! Every question, asked of one snapshot.

mod graph;
mod log;
mod vectors;

pub use graph::{FollowArguments, ReachArguments};
pub use vectors::NearestArguments;

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sutra_store::Held;
use sutra_store::reader::{self, ConceptQuery, Filter, Namespaces, ReadError, SearchQuery};

use crate::errors;
use crate::inputs::{self, with_id};
use crate::results::{Concept, Hit};

/// One snapshot, and the namespace in which questions are asked.
#[derive(Clone)]
pub struct Reading {
    pub snapshot: reader::Snapshot,
    pub namespace: Arc<str>,
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
        };
        let found = py.detach(|| self.snapshot.search(text, &query));
        let found = found.map_err(|failed| self.raised(py, failed))?;
        let hit = |hit: reader::SearchHit| Hit {
            held: self.held(hit.ordinal),
            score: hit.whole_words as f32,
        };
        Ok(found.into_iter().map(hit).collect())
    }

    pub fn concept_at(&self, py: Python<'_>, ordinal: u32) -> PyResult<Option<Concept>> {
        let found = self.snapshot.concept(ordinal).map_err(|failed| self.raised(py, failed))?;
        Ok(found.map(|_| Concept { held: self.held(ordinal) }))
    }

    /// The ordinals of all concepts of the namespace that the filter takes.
    pub fn ordinals(&self, py: Python<'_>, filter: Option<&Filter>) -> PyResult<Vec<u32>> {
        let query = ConceptQuery { filter, namespaces: Namespaces::One(&self.namespace) };
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
