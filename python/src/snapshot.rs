//! `Snapshot`: the store as it was at one publication.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::reading::{Concepts, NearestArguments, NeighborArguments, Reading};
use crate::results::{Change, Concept, Hit, Neighbor, Path, Version};

/// One published version of the store: whatever is written later, it stays as it is.
///
/// It costs the writer nothing, and keeps its file mapped as long as it is referred to.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Snapshot {
    pub reading: Reading,
}

#[pymethods]
impl Snapshot {
    /// Every log entry up to it is in this snapshot.
    #[getter]
    fn lsn(&self) -> u64 {
        self.reading.snapshot.published_lsn()
    }

    /// The concept with that id; `None` if there is none.
    fn get(&self, id: &Bound<'_, PyAny>) -> PyResult<Option<Concept>> {
        self.reading.get(id)
    }

    /// The concepts with those ids, each at the place of its id; `None` where there is none.
    fn get_many(&self, ids: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Concept>>> {
        self.reading.get_many(ids)
    }

    /// Whether there is a concept with that id.
    fn contains(&self, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.reading.contains(id)
    }

    /// The concept with that number, as `nearest_arrays` gives it.
    fn concept_at(&self, py: Python<'_>, ordinal: u32) -> PyResult<Option<Concept>> {
        self.reading.concept_at(py, ordinal)
    }

    /// The neighbors of a concept, by newest association first.
    #[pyo3(signature = (id, *, direction="out", types=None, limit=None, min_confidence=0.0, filter=None))]
    fn neighbors(
        &self,
        id: &Bound<'_, PyAny>,
        direction: &str,
        types: Option<&Bound<'_, PyAny>>,
        limit: Option<usize>,
        min_confidence: f32,
        filter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Neighbor>> {
        let arguments = NeighborArguments { direction, types, limit, min_confidence, filter };
        self.reading.neighbors(id, arguments)
    }

    /// A shortest path from one concept to another; `None` if there is none so short.
    #[pyo3(signature = (start, end, max_depth=6, *, direction="out", filter=None))]
    fn find_path(
        &self,
        start: &Bound<'_, PyAny>,
        end: &Bound<'_, PyAny>,
        max_depth: u32,
        direction: &str,
        filter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Path>> {
        self.reading.find_path(start, end, max_depth, direction, filter)
    }

    /// The concepts whose vectors are nearest to one vector, nearest first; of a matrix, a list for
    /// each of its rows.
    #[pyo3(signature = (vector, k=10, *, ef=None, filter=None, exclude=None, space=None))]
    fn nearest<'py>(
        &self,
        vector: &Bound<'py, PyAny>,
        k: usize,
        ef: Option<usize>,
        filter: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        space: Option<&str>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.reading.nearest(vector, &NearestArguments { k, ef, filter, exclude, space })
    }

    /// The same as two numpy arrays: ordinals (`Snapshot.concept_at`) and scores. Of a matrix a row
    /// for each of its rows; one with fewer hits ends in -1 and NaN.
    #[pyo3(signature = (vector, k=10, *, ef=None, filter=None, exclude=None, space=None))]
    fn nearest_arrays<'py>(
        &self,
        vector: &Bound<'py, PyAny>,
        k: usize,
        ef: Option<usize>,
        filter: Option<&Bound<'py, PyAny>>,
        exclude: Option<&Bound<'py, PyAny>>,
        space: Option<&str>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        self.reading.nearest_arrays(vector, &NearestArguments { k, ef, filter, exclude, space })
    }

    /// The concepts whose text has all the words, or words that begin with them; the best first.
    #[pyo3(signature = (text, limit=10, *, filter=None))]
    fn search(
        &self,
        py: Python<'_>,
        text: &str,
        limit: usize,
        filter: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Hit>> {
        self.reading.search(py, text, limit, filter)
    }

    /// All versions of a concept, newest first, also of one that was forgotten.
    fn history(&self, id: &Bound<'_, PyAny>) -> PyResult<Vec<Version>> {
        self.reading.history(id)
    }

    /// What was written after log entry `since_lsn`, oldest first.
    #[pyo3(signature = (since_lsn=0, *, limit=1_000_000))]
    fn changes(&self, py: Python<'_>, since_lsn: u64, limit: usize) -> PyResult<Vec<Change>> {
        self.reading.changes(py, since_lsn, limit)
    }

    /// The concepts that a filter takes, in the order in which they came to be.
    #[pyo3(signature = (*, filter=None))]
    fn concepts(&self, py: Python<'_>, filter: Option<&Bound<'_, PyAny>>) -> PyResult<Concepts> {
        self.reading.concepts(py, filter)
    }

    /// The snapshot in figures.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.reading.stats(py)
    }

    fn __contains__(&self, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.reading.contains(id)
    }

    fn __getitem__(&self, id: &Bound<'_, PyAny>) -> PyResult<Concept> {
        self.reading.item(id)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Concepts> {
        self.reading.concepts(py, None)
    }

    fn __len__(&self) -> usize {
        self.reading.snapshot.concept_count() as usize
    }

    fn __repr__(&self) -> String {
        format!("Snapshot(lsn={})", self.lsn())
    }
}
