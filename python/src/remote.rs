//! `Remote`: a store reached over the wire, where its file cannot be mapped.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use sutra_client::{
    Associate, Batch, Client, ClientError, FoundConcept, FoundHit, FoundId, FoundNeighbor,
    FoundPath, Id, Learn, Level, Way,
};
use sutra_store::StoreError;

use crate::errors;
use crate::inputs::{self, OwnedId, OwnedType, with_id};
use crate::results::{json_object, key_object, put_writer_stats, seconds};

/// A coordinator that listens on the loopback interface (`sutra serve --listen`), and the questions
/// that it answers.
#[pyclass(frozen, module = "sutra_storage._native")]
pub struct Remote {
    /// One call at a time; `None` once it was closed.
    client: Mutex<Option<Client>>,
}

impl Remote {
    /// Asks or writes without the interpreter.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Client) -> Result<T, ClientError> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
            client.as_mut().map(|client| act(client).map_err(StoreError::from))
        });
        match done {
            Some(done) => done.map_err(|failed| errors::raised(py, failed)),
            None => Err(errors::error(py, "ClosedError", "it was closed; open it again".into())),
        }
    }

    /// Writes one operation; its LSN.
    fn write(&self, py: Python<'_>, batch: &Batch) -> PyResult<u64> {
        let receipt = self.with(py, |client| client.write(batch, Level::Durable))?;
        match receipt.errors.into_iter().next() {
            Some(refused) => Err(errors::raised(py, StoreError::Refused(refused))),
            None => Ok(receipt.last_lsn),
        }
    }
}

fn framed(py: Python<'_>, added: Result<(), sutra_client::BatchError>) -> PyResult<()> {
    added.map_err(|failed| errors::raised(py, failed.into()))
}

fn way(py: Python<'_>, name: &str) -> PyResult<Way> {
    match name {
        "out" => Ok(Way::Out),
        "in" => Ok(Way::In),
        "both" => Ok(Way::Both),
        other => Err(errors::invalid(py, format!("direction {other:?}; give out, in or both"))),
    }
}

fn id_object<'py>(py: Python<'py>, id: &FoundId) -> Bound<'py, PyAny> {
    match id {
        FoundId::Text(text) => {
            text.into_pyobject(py).map_or_else(|no| match no {}, Bound::into_any)
        }
        FoundId::Hex(key) => key_object(py, key, false),
        FoundId::Raw(key) => key_object(py, key, true),
    }
}

#[pymethods]
impl Remote {
    #[new]
    #[pyo3(signature = (address, timeout=30.0))]
    fn new(py: Python<'_>, address: &str, timeout: f64) -> PyResult<Remote> {
        let deadline = inputs::timeout(py, Some(timeout))?;
        let connected = py.detach(|| {
            sutra_client::tcp::loopback(address)
                .and_then(|_| Client::builder(address).deadline(deadline).connect())
        });
        let client = connected.map_err(|failed| errors::raised(py, failed.into()))?;
        Ok(Remote { client: Mutex::new(Some(client)) })
    }

    #[pyo3(signature = (id, content=None, *, embedding=None, strength=None, confidence=None))]
    fn learn(
        &self,
        py: Python<'_>,
        id: OwnedId,
        content: Option<&str>,
        embedding: Option<&Bound<'_, PyAny>>,
        strength: Option<f32>,
        confidence: Option<f32>,
    ) -> PyResult<u64> {
        let embedding = embedding.map(inputs::vector).transpose()?;
        let (id, embedding) = (id.as_id(), embedding.as_deref());
        let mut batch = Batch::new();
        let learn = Learn { id, content, embedding, strength, confidence, ..Learn::default() };
        framed(py, batch.learn(&learn))?;
        self.write(py, &batch)
    }

    #[pyo3(signature = (source, target, r#type=OwnedType::Number(0), *, confidence=None))]
    fn associate(
        &self,
        py: Python<'_>,
        source: OwnedId,
        target: OwnedId,
        r#type: OwnedType,
        confidence: Option<f32>,
    ) -> PyResult<u64> {
        let (source, target, kind) = (source.as_id(), target.as_id(), r#type.as_type());
        let mut batch = Batch::new();
        let associate = Associate { source, target, kind, confidence, ..Associate::default() };
        framed(py, batch.associate(&associate))?;
        self.write(py, &batch)
    }

    fn get(&self, id: &Bound<'_, PyAny>) -> PyResult<Option<RemoteConcept>> {
        let py = id.py();
        let found = with_id(id, |id| self.with(py, |client| client.get("", id)))?;
        Ok(found.map(|found| RemoteConcept { found }))
    }

    fn contains(&self, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        with_id(id, |named| self.with(id.py(), |client| client.contains("", named)))
    }

    #[pyo3(signature = (id, *, direction="out", limit=10_000))]
    fn neighbors(
        &self,
        id: &Bound<'_, PyAny>,
        direction: &str,
        limit: u32,
    ) -> PyResult<Vec<RemoteNeighbor>> {
        let py = id.py();
        let way = way(py, direction)?;
        let found = with_id(id, |id| self.with(py, |client| client.neighbors("", id, way, limit)))?;
        Ok(found.into_iter().map(|found| RemoteNeighbor { found }).collect())
    }

    #[pyo3(signature = (start, end, max_depth=6, *, direction="out"))]
    fn find_path(
        &self,
        py: Python<'_>,
        start: OwnedId,
        end: OwnedId,
        max_depth: u32,
        direction: &str,
    ) -> PyResult<Option<RemotePath>> {
        let way = way(py, direction)?;
        let ends: (Id<'_>, Id<'_>) = (start.as_id(), end.as_id());
        let found = self.with(py, |client| client.find_path("", ends, way, max_depth))?;
        Ok(found.map(|found| RemotePath { found }))
    }

    #[pyo3(signature = (vector, k=10, *, ef=None, filter=None))]
    fn nearest(
        &self,
        vector: &Bound<'_, PyAny>,
        k: u32,
        ef: Option<u32>,
        filter: Option<&str>,
    ) -> PyResult<Vec<RemoteHit>> {
        let elements = inputs::vector(vector)?;
        let filter = filter.unwrap_or_default();
        let found =
            self.with(vector.py(), |client| client.nearest("", &elements, k, ef, filter))?;
        Ok(found.into_iter().map(|found| RemoteHit { found }).collect())
    }

    #[pyo3(signature = (text, limit=10, *, filter=None))]
    fn search(
        &self,
        py: Python<'_>,
        text: &str,
        limit: u32,
        filter: Option<&str>,
    ) -> PyResult<Vec<RemoteHit>> {
        let filter = filter.unwrap_or_default();
        let found = self.with(py, |client| client.search("", text, limit, filter))?;
        Ok(found.into_iter().map(|found| RemoteHit { found }).collect())
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (seen, writer) = self.with(py, |client| Ok((client.read_stats()?, client.stats()?)))?;
        let all = PyDict::new(py);
        for (name, figure) in [
            ("concepts", seen.concepts),
            ("edges", seen.edges),
            ("vectors", seen.vectors),
            ("indexed_vectors", seen.indexed_vectors),
            ("file_size", seen.file_size),
        ] {
            all.set_item(name, figure)?;
        }
        put_writer_stats(&writer, &all)?;
        Ok(all)
    }

    fn flush(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |client| Ok(client.flush()?.last_lsn))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.client.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}

/// A concept as it came over the wire.
#[pyclass(frozen, module = "sutra_storage._native")]
pub struct RemoteConcept {
    found: FoundConcept,
}

#[pymethods]
impl RemoteConcept {
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        id_object(py, &self.found.id)
    }

    #[getter]
    fn content(&self) -> &str {
        &self.found.content
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json_object(py, self.found.metadata.as_deref())
    }

    #[getter]
    fn embedding<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let elements = &self.found.embedding;
        let is_there = !elements.is_empty();
        is_there.then(|| crate::view::array(py, elements, &[elements.len()])).transpose()
    }

    #[getter]
    fn strength(&self) -> f32 {
        self.found.strength
    }

    #[getter]
    fn confidence(&self) -> f32 {
        self.found.confidence
    }

    #[getter]
    fn created_at(&self) -> f64 {
        seconds(self.found.created_at)
    }

    #[getter]
    fn updated_at(&self) -> f64 {
        seconds(self.found.updated_at)
    }

    #[getter]
    fn lsn(&self) -> u64 {
        self.found.lsn
    }

    #[getter]
    fn version(&self) -> u32 {
        self.found.version
    }
}

/// What an association leads to, as it came over the wire.
#[pyclass(frozen, module = "sutra_storage._native")]
pub struct RemoteNeighbor {
    found: FoundNeighbor,
}

#[pymethods]
impl RemoteNeighbor {
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        id_object(py, &self.found.id)
    }

    #[getter]
    fn r#type(&self) -> &str {
        &self.found.kind
    }

    #[getter]
    fn confidence(&self) -> f32 {
        self.found.confidence
    }
}

/// A path as it came over the wire.
#[pyclass(frozen, module = "sutra_storage._native")]
pub struct RemotePath {
    found: FoundPath,
}

#[pymethods]
impl RemotePath {
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.found.ids.iter().map(|id| id_object(py, id)))
    }

    #[getter]
    fn types(&self) -> Vec<String> {
        self.found.kinds.clone()
    }

    #[getter]
    fn confidence(&self) -> f32 {
        self.found.confidence
    }
}

/// A hit as it came over the wire.
#[pyclass(frozen, module = "sutra_storage._native")]
pub struct RemoteHit {
    found: FoundHit,
}

#[pymethods]
impl RemoteHit {
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        id_object(py, &self.found.id)
    }

    #[getter]
    fn score(&self) -> f32 {
        self.found.score
    }
}
