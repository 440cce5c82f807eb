//! Searches for vectors.

use pyo3::prelude::*;
use pyo3::types::PyList;
use sutra_store::reader::{self, Namespaces, NearestQuery};

use super::Reading;
use crate::errors;
use crate::inputs;
use crate::results::Hit;
use crate::view;

/// What narrows a search for vectors.
pub struct NearestArguments<'a, 'py> {
    pub k: usize,
    pub ef: Option<usize>,
    pub filter: Option<&'a Bound<'py, PyAny>>,
    pub exclude: Option<&'a Bound<'py, PyAny>>,
    pub space: Option<&'a str>,
}

impl Reading {
    /// Calls `search` with the query; `None` of a store that has no vectors yet, where nothing is
    /// near.
    pub(super) fn with_nearest<T>(
        &self,
        py: Python<'_>,
        arguments: &NearestArguments<'_, '_>,
        search: impl FnOnce(&NearestQuery<'_>) -> PyResult<T>,
    ) -> PyResult<Option<T>> {
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
        if self.snapshot.space_count() == 0 && arguments.space.is_none() {
            return Ok(None);
        }
        search(&NearestQuery {
            k: arguments.k,
            ef: arguments.ef,
            space,
            exclude,
            filter: filter.as_ref(),
            namespaces: Namespaces::One(&self.namespace),
            ..NearestQuery::default()
        })
        .map(Some)
    }

    /// Hits by vector of the query.
    fn search_vectors(
        &self,
        vectors: &Bound<'_, PyAny>,
        arguments: &NearestArguments<'_, '_>,
    ) -> PyResult<(bool, Vec<Vec<reader::Hit>>)> {
        let py = vectors.py();
        let rows = inputs::rows(vectors)?;
        let found = self.with_nearest(py, arguments, |query| {
            let found = py.detach(|| self.snapshot.nearest_batch(rows.iter(), query));
            found.map_err(|failed| self.raised(py, failed))
        })?;
        Ok((rows.is_one, found.unwrap_or_else(|| vec![Vec::new(); rows.count()])))
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
}
