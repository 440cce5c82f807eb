//! What a store and a snapshot are asked alike; one set of methods for both.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::opened::Opened;
use crate::reading::{Concepts, FollowArguments, NearestArguments, ReachArguments, Reading};
use crate::results::{Change, Concept, Expansion, Hit, Neighbor, Path, Version};

/// What can be asked: the base of `Store`, which answers of the newest version of its store, and of
/// `Snapshot`, which answers of one version.
#[pyclass(frozen, subclass, module = "sutra_storage._native")]
pub struct Readable {
    source: Source,
}

enum Source {
    Live(Arc<Opened>),
    Fixed(Reading),
}

impl Readable {
    pub fn live(opened: Arc<Opened>) -> Readable {
        Readable { source: Source::Live(opened) }
    }

    pub fn fixed(reading: Reading) -> Readable {
        Readable { source: Source::Fixed(reading) }
    }

    fn reading(&self, py: Python<'_>) -> PyResult<Cow<'_, Reading>> {
        match &self.source {
            Source::Live(opened) => opened.reading(py).map(Cow::Owned),
            Source::Fixed(reading) => Ok(Cow::Borrowed(reading)),
        }
    }
}

#[pymethods]
impl Readable {
    /// The concept with that id; `None` if there is none.
    fn get(&self, id: &Bound<'_, PyAny>) -> PyResult<Option<Concept>> {
        self.reading(id.py())?.get(id)
    }

    /// The concepts with those ids, each at the place of its id; `None` where there is none.
    fn get_many(&self, ids: &Bound<'_, PyAny>) -> PyResult<Vec<Option<Concept>>> {
        self.reading(ids.py())?.get_many(ids)
    }

    /// Whether there is a concept with that id.
    fn contains(&self, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.reading(id.py())?.contains(id)
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
        let follow = FollowArguments { direction, types, min_confidence, filter, timeout: None };
        self.reading(id.py())?.neighbors(id, limit, &follow)
    }

    /// A shortest path from one concept to another; `None` if there is none so short. A filter holds
    /// for the concepts on the way, not for the two ends.
    #[pyo3(signature = (start, end, max_depth=6, *, direction="out", types=None, min_confidence=0.0, filter=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn find_path(
        &self,
        start: &Bound<'_, PyAny>,
        end: &Bound<'_, PyAny>,
        max_depth: u32,
        direction: &str,
        types: Option<&Bound<'_, PyAny>>,
        min_confidence: f32,
        filter: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Path>> {
        let follow = FollowArguments { direction, types, min_confidence, filter, timeout };
        self.reading(start.py())?.find_path(start, end, max_depth, &follow)
    }

    /// The `k` best paths from one concept to another, the best first, none through a concept twice.
    ///
    /// `by` says what is better: `"confidence"`, a larger product of the associations' confidences;
    /// `"weight"`, a smaller sum of their weights; `"strength"`, a larger product of confidences and
    /// of the strengths that the concepts still have when unused they lose half in `half_life`
    /// seconds. Of two equal ones the shorter is better. After `timeout` seconds it is a
    /// `StoppedEarlyError`, whose `paths` are the best ones found until then.
    #[pyo3(signature = (start, end, k=3, *, by="confidence", half_life=None, direction="out", types=None, min_confidence=0.0, filter=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn find_paths(
        &self,
        start: &Bound<'_, PyAny>,
        end: &Bound<'_, PyAny>,
        k: usize,
        by: &str,
        half_life: Option<f64>,
        direction: &str,
        types: Option<&Bound<'_, PyAny>>,
        min_confidence: f32,
        filter: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Path>> {
        let follow = FollowArguments { direction, types, min_confidence, filter, timeout };
        self.reading(start.py())?.find_paths(start, end, k, by, half_life, &follow)
    }

    /// What surrounds some concepts: those within `hops` associations, ranked by the product of the
    /// confidences along the best path to them, and the associations between them.
    ///
    /// `seeds` is an id, a sequence of ids, or a `dict` of ids and what each is worth. With
    /// `half_life` a concept also counts by the strength that it still has when unused it loses half
    /// in so many seconds. After `timeout` seconds it gives what it has, and says so in `stopped`.
    #[pyo3(signature = (seeds, *, hops=2, limit=100, per_hop=None, half_life=None, direction="both", types=None, min_confidence=0.0, filter=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn expand(
        &self,
        seeds: &Bound<'_, PyAny>,
        hops: u32,
        limit: usize,
        per_hop: Option<usize>,
        half_life: Option<f64>,
        direction: &str,
        types: Option<&Bound<'_, PyAny>>,
        min_confidence: f32,
        filter: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Expansion> {
        let follow = FollowArguments { direction, types, min_confidence, filter, timeout };
        let reach = ReachArguments { hops, limit, per_hop, half_life, follow };
        self.reading(seeds.py())?.expand(seeds, &reach)
    }

    /// The `k` concepts nearest to a vector and what surrounds them, in one version of the store,
    /// ranked by similarity times the confidences along the path. See `nearest` and `expand`; the
    /// filter holds for both.
    #[pyo3(signature = (vector, k=10, *, ef=None, exclude=None, space=None, hops=2, limit=100, per_hop=None, half_life=None, direction="both", types=None, min_confidence=0.0, filter=None, timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn expand_nearest(
        &self,
        vector: &Bound<'_, PyAny>,
        k: usize,
        ef: Option<usize>,
        exclude: Option<&Bound<'_, PyAny>>,
        space: Option<&str>,
        hops: u32,
        limit: usize,
        per_hop: Option<usize>,
        half_life: Option<f64>,
        direction: &str,
        types: Option<&Bound<'_, PyAny>>,
        min_confidence: f32,
        filter: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Expansion> {
        let follow = FollowArguments { direction, types, min_confidence, filter, timeout };
        let reach = ReachArguments { hops, limit, per_hop, half_life, follow };
        let nearest = NearestArguments { k, ef, filter, exclude, space };
        self.reading(vector.py())?.expand_nearest(vector, &nearest, &reach)
    }

    /// The concepts whose vectors are nearest to one vector, nearest first; of a matrix, a list for
    /// each of its rows. `ef` is how many candidates the walk keeps: more find more of the nearest,
    /// and take longer.
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
        self.reading(vector.py())?
            .nearest(vector, &NearestArguments { k, ef, filter, exclude, space })
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
        self.reading(vector.py())?
            .nearest_arrays(vector, &NearestArguments { k, ef, filter, exclude, space })
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
        self.reading(py)?.search(py, text, limit, filter)
    }

    /// All versions of a concept, newest first, also of one that was forgotten.
    fn history(&self, id: &Bound<'_, PyAny>) -> PyResult<Vec<Version>> {
        self.reading(id.py())?.history(id)
    }

    /// What was written after log entry `since_lsn`, oldest first.
    #[pyo3(signature = (since_lsn=0, *, limit=1_000_000))]
    fn changes(&self, py: Python<'_>, since_lsn: u64, limit: usize) -> PyResult<Vec<Change>> {
        self.reading(py)?.changes(py, since_lsn, limit)
    }

    /// The concepts that a filter takes, in the order in which they came to be.
    #[pyo3(signature = (*, filter=None))]
    fn concepts(&self, py: Python<'_>, filter: Option<&Bound<'_, PyAny>>) -> PyResult<Concepts> {
        self.reading(py)?.concepts(py, filter)
    }

    /// The version in figures.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.reading(py)?.stats(py)
    }

    fn __contains__(&self, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.contains(id)
    }

    fn __getitem__(&self, id: &Bound<'_, PyAny>) -> PyResult<Concept> {
        self.reading(id.py())?.item(id)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Concepts> {
        self.concepts(py, None)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.reading(py)?.snapshot.concept_count() as usize)
    }
}
