//! What reading gives: light objects that keep their snapshot.

mod graph;
mod log;

pub use graph::{Association, Expanded, Expansion, Neighbor, Path};
pub use log::{Change, Version};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use sutra_layout::id::key_to_hex;
use sutra_store::reader::{self, ConceptId};
use sutra_store::{Held, WriterStats};

use crate::errors;
use crate::view;

/// The Python object for an id: text and hexadecimal digits as `str`, 16 raw bytes as `bytes`.
pub fn id_object<'py>(py: Python<'py>, id: &ConceptId<'_>) -> Bound<'py, PyAny> {
    match id {
        ConceptId::Text(text) => PyString::new(py, text).into_any(),
        ConceptId::Raw(key) => key_object(py, key, true),
        ConceptId::Hex(key) | ConceptId::Content(key) => key_object(py, key, false),
    }
}

/// A key as raw bytes, or as hexadecimal digits.
pub fn key_object<'py>(py: Python<'py>, key: &[u8; 16], is_raw: bool) -> Bound<'py, PyAny> {
    match is_raw {
        true => PyBytes::new(py, key).into_any(),
        false => PyString::new(py, &key_to_hex(key)).into_any(),
    }
}

/// Asks a held concept something.
fn of<T>(
    py: Python<'_>,
    held: &Held,
    ask: impl FnOnce(&reader::Concept<'_>) -> Result<T, reader::ReadError>,
) -> PyResult<T> {
    let concept = held.concept().map_err(|failed| errors::raised(py, failed))?;
    ask(&concept).map_err(|failed| errors::raised(py, failed.into()))
}

fn id_of<'py>(py: Python<'py>, held: &Held) -> PyResult<Bound<'py, PyAny>> {
    of(py, held, |concept| Ok(id_object(py, &concept.id()?)))
}

fn content_of<'py>(py: Python<'py>, held: &Held) -> PyResult<Bound<'py, PyString>> {
    of(py, held, |concept| Ok(PyString::new(py, concept.content()?)))
}

fn metadata_of<'py>(py: Python<'py>, held: &Held) -> PyResult<Bound<'py, PyAny>> {
    let text = of(py, held, |concept| Ok(concept.metadata()?.map(str::to_owned)))?;
    json_object(py, text.as_deref())
}

/// Metadata as it was given: JSON as what it stands for, other text as `str`.
pub fn json_object<'py>(py: Python<'py>, text: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
    let Some(text) = text else {
        return Ok(py.None().into_bound(py));
    };
    match py.import("json")?.call_method1("loads", (text,)) {
        Ok(parsed) => Ok(parsed),
        Err(_) => Ok(PyString::new(py, text).into_any()),
    }
}

/// Puts a coordinator's figures into a `dict`, by name.
pub fn put_writer_stats(stats: &WriterStats, all: &Bound<'_, PyDict>) -> PyResult<()> {
    for (name, figure) in [
        ("written", stats.written),
        ("dropped", stats.dropped),
        ("pending", stats.pending),
        ("reconciliations", stats.reconciliations),
        ("written_lsn", stats.written_lsn),
        ("connections", stats.connections),
        ("log_size", stats.log_size),
        ("writer_epoch", stats.writer_epoch),
    ] {
        all.set_item(name, figure)?;
    }
    Ok(())
}

/// A concept in one snapshot; what was written later does not change it.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Concept {
    pub held: Held,
}

#[pymethods]
impl Concept {
    /// What it is called: a `str`, or `bytes` if it was given as 16 raw bytes.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_of(py, &self.held)
    }

    /// Its text.
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        content_of(py, &self.held)
    }

    /// Its metadata; `None` if it has none.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        metadata_of(py, &self.held)
    }

    /// Its vector as it was given: a read-only float32 array that looks into the mapped file and
    /// keeps this concept's snapshot alive; `None` if it has none.
    #[getter]
    fn embedding<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        view::embedding(py, &self.held)
    }

    /// 0 to 1.
    #[getter]
    fn strength(&self, py: Python<'_>) -> PyResult<f32> {
        of(py, &self.held, |concept| Ok(concept.strength()))
    }

    /// 0 to 1.
    #[getter]
    fn confidence(&self, py: Python<'_>) -> PyResult<f32> {
        of(py, &self.held, |concept| Ok(concept.confidence()))
    }

    /// What sort of thing it is; `None` if nobody said.
    #[getter]
    fn kind(&self, py: Python<'_>) -> PyResult<Option<String>> {
        of(py, &self.held, |concept| Ok(concept.kind().map(str::to_owned)))
    }

    /// Who wrote this version.
    #[getter]
    fn author(&self, py: Python<'_>) -> PyResult<Option<String>> {
        of(py, &self.held, |concept| Ok(concept.author().map(str::to_owned)))
    }

    /// Where it is filed; empty: the default namespace.
    #[getter]
    fn namespace(&self, py: Python<'_>) -> PyResult<String> {
        of(py, &self.held, |concept| Ok(concept.namespace().to_owned()))
    }

    /// When it came to be, in seconds since the Unix epoch.
    #[getter]
    fn created_at(&self, py: Python<'_>) -> PyResult<f64> {
        of(py, &self.held, |concept| Ok(seconds(concept.created_at())))
    }

    /// When this version was written, in seconds since the Unix epoch.
    #[getter]
    fn updated_at(&self, py: Python<'_>) -> PyResult<f64> {
        of(py, &self.held, |concept| Ok(seconds(concept.updated_at())))
    }

    /// When it stops being found, in seconds since the Unix epoch; `None`: never.
    #[getter]
    fn expires_at(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        of(py, &self.held, |concept| Ok(concept.expires_at().map(seconds)))
    }

    /// The log entry that wrote this version: what `if_lsn` compares with.
    #[getter]
    fn lsn(&self, py: Python<'_>) -> PyResult<u64> {
        of(py, &self.held, |concept| Ok(concept.lsn()))
    }

    /// Which version it is, from 1.
    #[getter]
    fn version(&self, py: Python<'_>) -> PyResult<u32> {
        of(py, &self.held, |concept| Ok(concept.version()))
    }

    /// Its dense number in the store; see `Snapshot.concept_at`.
    #[getter]
    fn ordinal(&self, py: Python<'_>) -> PyResult<u32> {
        of(py, &self.held, |concept| Ok(concept.ordinal()))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (id, content) = (id_of(py, &self.held)?, content_of(py, &self.held)?);
        Ok(format!("Concept(id={}, content={})", id.repr()?, content.repr()?))
    }
}

/// A concept found, and how near it is.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Hit {
    pub held: Held,
    /// Cosine similarity, dot product, or minus the Euclidean distance: larger is nearer. Of a text
    /// search, how many of the words are there as whole words.
    #[pyo3(get)]
    pub score: f32,
}

#[pymethods]
impl Hit {
    /// What the concept is called.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_of(py, &self.held)
    }

    /// Its text.
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        content_of(py, &self.held)
    }

    /// Its metadata; `None` if it has none.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        metadata_of(py, &self.held)
    }

    /// The concept.
    #[getter]
    fn concept(&self) -> Concept {
        Concept { held: self.held.clone() }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Hit(id={}, score={})", id_of(py, &self.held)?.repr()?, self.score))
    }
}

pub fn seconds(time_us: u64) -> f64 {
    time_us as f64 / 1e6
}
