//! `Store`: a store held open for reading and writing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use sutra_client::{Associate, Disassociate, Forget, Learn, Reinforce, Touch};
use sutra_layout::sys::clock;
use sutra_store::{Id, Level, Metric, Mode, Options, StoreError};

use crate::batch::Batch;
use crate::errors;
use crate::inputs::{self, OwnedId, OwnedType, with_id};
use crate::reading::{Concepts, NearestArguments, NeighborArguments, Reading};
use crate::results::{Change, Concept, Hit, Neighbor, Path, Version};
use crate::snapshot::Snapshot;

/// Between looks whether Ctrl-C was pressed.
const WAIT_SLICE: Duration = Duration::from_millis(100);

/// A store, open for reading and writing, and shared with any number of other processes.
///
/// Reading looks into the mapped file. Writing goes to the store's coordinator; where none runs, this
/// process hosts it, and when the host goes away, another process takes its place: a writer waits a
/// moment, and nothing acknowledged is lost. Threads may share a handle, a forked child may use it,
/// and pickled it opens the same path again.
#[pyclass(frozen, weakref, module = "sutra_storage")]
pub struct Store {
    store: RwLock<Option<Arc<sutra_store::Store>>>,
    path: PathBuf,
    namespace: Arc<str>,
    /// What it was opened with, to be opened with again.
    arguments: (Option<u32>, Option<String>, Option<String>, bool, bool),
    /// The publication that `wait_for_update` has told of.
    seen: AtomicU64,
}

impl Store {
    fn store(&self, py: Python<'_>) -> PyResult<Arc<sutra_store::Store>> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().ok_or_else(|| {
            let message = format!("{} was closed; open it again", self.path.display());
            errors::error(py, "ClosedError", message)
        })
    }

    fn reading(&self, py: Python<'_>) -> PyResult<Reading> {
        let store = self.store(py)?;
        let snapshot = store.snapshot_now().map_err(|failed| errors::raised(py, failed))?;
        let snapshot = match snapshot {
            Some(snapshot) => snapshot,
            // A write of this handle is not visible yet.
            None => done(py, || store.snapshot())?,
        };
        Ok(Reading { snapshot, namespace: Arc::clone(&self.namespace) })
    }

    /// Writes through the store without the interpreter.
    fn write<T: Send>(
        &self,
        py: Python<'_>,
        write: impl FnOnce(&sutra_store::Store) -> Result<T, StoreError> + Send,
    ) -> PyResult<T> {
        let store = self.store(py)?;
        done(py, || write(&store))
    }

    /// Writes an atomic batch; its LSN.
    pub fn write_batch(&self, py: Python<'_>, batch: &sutra_client::Batch) -> PyResult<u64> {
        self.write(py, |store| Ok(store.write(batch, store.options().level)?.last_lsn))
    }

    fn write_frames(&self, py: Python<'_>, frames: &sutra_store::Frames) -> PyResult<u64> {
        if frames.is_empty() {
            return Ok(0);
        }
        let receipt = self.write(py, |store| store.write_frames(frames))?;
        match receipt.errors.is_empty() {
            true => Ok(receipt.last_lsn),
            false => Err(errors::raised_in_bulk(py, &receipt)),
        }
    }
}

/// Does something of the store without the interpreter.
fn done<T: Send>(
    py: Python<'_>,
    act: impl FnOnce() -> Result<T, StoreError> + Send,
) -> PyResult<T> {
    py.detach(act).map_err(|failed| errors::raised(py, failed))
}

/// When what lives for so many seconds from now on ends; `None` for what nobody said.
pub fn expires_at(py: Python<'_>, expires_in: Option<f64>) -> PyResult<Option<u64>> {
    let Some(seconds) = expires_in else {
        return Ok(None);
    };
    if seconds.is_infinite() && seconds > 0.0 {
        return Ok(Some(0)); // for ever
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) => Ok(Some(clock::now_us().saturating_add(time.as_micros() as u64))),
        Err(_) => Err(errors::invalid(py, format!("expires_in is {seconds}; give seconds from 0"))),
    }
}

fn timeout_of(py: Python<'_>, seconds: Option<f64>) -> PyResult<Duration> {
    match seconds {
        None => Ok(Duration::MAX),
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| {
            errors::invalid(py, format!("a timeout of {seconds}; give seconds from 0"))
        }),
    }
}

/// The elements of an optional list that goes along with another of `count`.
fn column<'py>(
    given: Option<&Bound<'py, PyAny>>,
    name: &str,
    count: usize,
) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(None);
    };
    let all = given.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    if all.len() != count {
        let message = format!("{name} has {} elements, and there are {count} concepts", all.len());
        return Err(errors::invalid(given.py(), message));
    }
    Ok(Some(all))
}

/// The text at a place of a column; `None` where there is none.
fn text_at<'a, 'py>(
    column: &'a Option<Vec<Bound<'py, PyAny>>>,
    at: usize,
) -> PyResult<Option<&'a Bound<'py, PyString>>> {
    match column {
        Some(column) if !column[at].is_none() => Ok(Some(column[at].cast::<PyString>()?)),
        _ => Ok(None),
    }
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (path=None, vector_dimension=None, metric=None, mode=None, create=true, read_only=false, namespace=None, *, socket=None, author=None, timeout=30.0, level="durable", reconcile_interval_ms=None, memory_threshold=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        path: Option<PathBuf>,
        vector_dimension: Option<u32>,
        metric: Option<String>,
        mode: Option<String>,
        create: bool,
        read_only: bool,
        namespace: Option<String>,
        socket: Option<PathBuf>,
        author: Option<String>,
        timeout: f64,
        level: &str,
        reconcile_interval_ms: Option<u64>,
        memory_threshold: Option<u64>,
    ) -> PyResult<Store> {
        let named_metric = |name: &String| {
            let metrics = [Metric::Cosine, Metric::Dot, Metric::L2];
            let found = metrics.into_iter().find(|metric| metric.name() == name);
            found.ok_or_else(|| {
                errors::invalid(py, format!("metric {name:?}; give cosine, dot or l2"))
            })
        };
        let level = match level {
            "accepted" => Level::Accepted,
            "durable" => Level::Durable,
            "visible" => Level::Visible,
            other => {
                let message = format!("level {other:?}; give accepted, durable or visible");
                return Err(errors::invalid(py, message));
            }
        };
        let parsed = mode.as_deref().map(Mode::parse).transpose();
        let options = Options {
            mode: parsed.map_err(|failed| errors::raised(py, failed))?,
            create,
            read_only,
            socket,
            vector_dimension,
            metric: metric.as_ref().map(named_metric).transpose()?,
            namespace: namespace.clone().unwrap_or_default(),
            author,
            level,
            deadline: timeout_of(py, Some(timeout))?,
            reconcile_interval: reconcile_interval_ms.map(Duration::from_millis),
            memory_threshold,
            ..Options::default()
        };
        let store = done(py, || match &path {
            Some(path) => sutra_store::Store::open(path, options),
            None => sutra_store::Store::open_from_environment(options),
        })?;
        let seen = done(py, || Ok(store.snapshot()?.commit_seq()))?;
        Ok(Store {
            path: store.path().to_owned(),
            namespace: namespace.unwrap_or_default().into(),
            arguments: (vector_dimension, metric, mode, create, read_only),
            seen: AtomicU64::new(seen),
            store: RwLock::new(Some(Arc::new(store))),
        })
    }

    /// The store's directory, as it was given.
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// The namespace in which this handle learns and looks; empty: the default one.
    #[getter]
    fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether this process hosts the store's coordinator.
    #[getter]
    fn is_host(&self, py: Python<'_>) -> PyResult<bool> {
        let store = self.store(py)?;
        done(py, || store.is_host())
    }

    /// Learns a concept, or a new version of one, and waits until that is durable; its LSN.
    ///
    /// What is not given keeps the value that the concept has. Without an id the concept is filed
    /// under the hash of its content.
    #[pyo3(signature = (id=None, content=None, *, embedding=None, metadata=None, kind=None, strength=None, confidence=None, expires_in=None, if_lsn=None, if_absent=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn learn(
        &self,
        py: Python<'_>,
        id: Option<OwnedId>,
        content: Option<&str>,
        embedding: Option<&Bound<'_, PyAny>>,
        metadata: Option<&Bound<'_, PyAny>>,
        kind: Option<&str>,
        strength: Option<f32>,
        confidence: Option<f32>,
        expires_in: Option<f64>,
        if_lsn: Option<u64>,
        if_absent: bool,
    ) -> PyResult<u64> {
        let embedding = embedding.map(inputs::vector).transpose()?;
        let metadata = inputs::json(metadata)?;
        let learn = Learn {
            id: id.as_ref().map_or(Id::Content, OwnedId::as_id),
            content,
            embedding: embedding.as_deref(),
            metadata: metadata.as_deref(),
            kind,
            strength,
            confidence,
            expires_at: expires_at(py, expires_in)?,
            if_lsn,
            if_absent,
            ..Learn::default()
        };
        self.write(py, |store| store.learn(&learn))
    }

    /// Learns many concepts at once: lists of ids and contents, and vectors as a matrix with a row
    /// for each. The LSN of the last. What was refused is told in a `BatchError`; the others are
    /// learnt.
    #[pyo3(signature = (ids=None, contents=None, *, embeddings=None, metadata=None, kinds=None, strengths=None, confidences=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn learn_batch(
        &self,
        py: Python<'_>,
        ids: Option<&Bound<'_, PyAny>>,
        contents: Option<&Bound<'_, PyAny>>,
        embeddings: Option<&Bound<'_, PyAny>>,
        metadata: Option<&Bound<'_, PyAny>>,
        kinds: Option<&Bound<'_, PyAny>>,
        strengths: Option<Vec<f32>>,
        confidences: Option<Vec<f32>>,
    ) -> PyResult<u64> {
        let count = match (ids, contents) {
            (Some(ids), _) => ids.len()?,
            (None, Some(contents)) => contents.len()?,
            (None, None) => return Err(errors::invalid(py, "neither ids nor contents; give one")),
        };
        let ids = column(ids, "ids", count)?;
        let contents = column(contents, "contents", count)?;
        let metadata = column(metadata, "metadata", count)?;
        let kinds = column(kinds, "kinds", count)?;
        let rows = embeddings.map(inputs::rows).transpose()?;
        let lengths = [
            ("embeddings", rows.as_ref().map(inputs::Rows::count)),
            ("strengths", strengths.as_ref().map(Vec::len)),
            ("confidences", confidences.as_ref().map(Vec::len)),
        ];
        for (name, found) in lengths {
            if let Some(found) = found.filter(|found| *found != count) {
                let message = format!("{name} has {found} rows, and there are {count} concepts");
                return Err(errors::invalid(py, message));
            }
        }
        let mut rows = rows.as_ref().map(inputs::Rows::iter);
        let store = self.store(py)?;
        let mut frames = store.frames();
        for at in 0..count {
            let (content, kind) = (text_at(&contents, at)?, text_at(&kinds, at)?);
            let metadata = inputs::json(metadata.as_ref().map(|column| &column[at]))?;
            let row = rows.as_mut().and_then(Iterator::next);
            let mut add = |id: Id<'_>| {
                let learn = Learn {
                    id,
                    content: content.as_ref().map(|content| content.to_str()).transpose()?,
                    kind: kind.as_ref().map(|kind| kind.to_str()).transpose()?,
                    embedding: row,
                    metadata: metadata.as_deref(),
                    strength: strengths.as_ref().map(|all| all[at]),
                    confidence: confidences.as_ref().map(|all| all[at]),
                    ..Learn::default()
                };
                let added = frames.add(|batch| batch.learn(&learn));
                added.map_err(|failed| errors::raised(py, failed.into()))
            };
            match &ids {
                Some(ids) => with_id(&ids[at], add)?,
                None => add(Id::Content)?,
            }
        }
        self.write_frames(py, &frames)
    }

    /// Joins two concepts, or changes how they are joined; its LSN. The type is `"semantic"`,
    /// `"causal"`, `"temporal"`, `"hierarchical"`, `"compositional"`, or a name of your own.
    #[pyo3(signature = (source, target, r#type=OwnedType::Number(0), *, confidence=None, weight=None, properties=None, valid_for=None, create_missing=false))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn associate(
        &self,
        py: Python<'_>,
        source: OwnedId,
        target: OwnedId,
        r#type: OwnedType,
        confidence: Option<f32>,
        weight: Option<f32>,
        properties: Option<&Bound<'_, PyAny>>,
        valid_for: Option<f64>,
        create_missing: bool,
    ) -> PyResult<u64> {
        let properties = inputs::json(properties)?;
        let associate = Associate {
            source: source.as_id(),
            target: target.as_id(),
            kind: r#type.as_type(),
            confidence,
            weight,
            properties: properties.as_deref(),
            valid_until: expires_at(py, valid_for)?,
            create_missing,
            ..Associate::default()
        };
        self.write(py, |store| store.associate(&associate))
    }

    /// Makes many associations at once: `(source, target)`, `(source, target, type)` or
    /// `(source, target, type, confidence)` each. The LSN of the last.
    #[pyo3(signature = (associations, *, create_missing=false))]
    fn associate_batch(
        &self,
        py: Python<'_>,
        associations: &Bound<'_, PyAny>,
        create_missing: bool,
    ) -> PyResult<u64> {
        let mut frames = self.store(py)?.frames();
        for association in associations.try_iter()? {
            let added = inputs::with_association(&association?, create_missing, |associate| {
                frames.add(|batch| batch.associate(associate))
            })?;
            added.map_err(|failed| errors::raised(py, failed.into()))?;
        }
        self.write_frames(py, &frames)
    }

    /// Operations that are applied all or not at all: `with store.batch() as batch: ...`.
    fn batch(slf: &Bound<'_, Self>) -> PyResult<Batch> {
        let batch = slf.get().store(slf.py())?.batch();
        Ok(Batch::new(slf.clone().unbind(), batch))
    }

    /// Adds to a concept's strength or confidence, which stay within 0 and 1; its LSN.
    #[pyo3(signature = (id, *, strength=None, confidence=None, if_lsn=None))]
    fn reinforce(
        &self,
        py: Python<'_>,
        id: OwnedId,
        strength: Option<f32>,
        confidence: Option<f32>,
        if_lsn: Option<u64>,
    ) -> PyResult<u64> {
        let reinforce = Reinforce { id: id.as_id(), strength, confidence, if_lsn };
        self.write(py, |store| store.reinforce(&reinforce))
    }

    /// Counts accesses to a concept, without a new version of it; its LSN.
    #[pyo3(signature = (id, count=1))]
    fn touch(&self, py: Python<'_>, id: OwnedId, count: u32) -> PyResult<u64> {
        let touch = Touch { id: id.as_id(), count, at: None };
        self.write(py, |store| store.touch(&touch))
    }

    /// Forgets a concept and its associations; its LSN.
    #[pyo3(signature = (id, *, if_lsn=None))]
    fn forget(&self, py: Python<'_>, id: OwnedId, if_lsn: Option<u64>) -> PyResult<u64> {
        let forget = Forget { id: id.as_id(), if_lsn };
        self.write(py, |store| store.forget(&forget))
    }

    /// Ends the associations from one concept to another, of one type or of all; its LSN.
    #[pyo3(signature = (source, target, r#type=None))]
    fn disassociate(
        &self,
        py: Python<'_>,
        source: OwnedId,
        target: OwnedId,
        r#type: Option<OwnedType>,
    ) -> PyResult<u64> {
        let kind = r#type.as_ref().map(OwnedType::as_type);
        let (source, target) = (source.as_id(), target.as_id());
        let ended = Disassociate { source, target, kind, if_lsn: None };
        self.write(py, |store| store.disassociate(&ended))
    }

    /// Makes everything written before it durable, visible and checkpointed; the last LSN.
    fn flush(&self, py: Python<'_>) -> PyResult<u64> {
        self.write(py, |store| Ok(store.flush()?.last_lsn))
    }

    /// The store as it is now, with everything this handle has written; it stays as it is.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        Ok(Snapshot { reading: self.reading(py)? })
    }

    /// Waits until something new is published, and is False if nothing was in `timeout` seconds.
    /// Each publication is told once to a handle, from its opening on, those of its own writes too.
    #[pyo3(signature = (timeout=None))]
    fn wait_for_update(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = timeout_of(py, timeout)?;
        let started_at = Instant::now();
        let store = self.store(py)?;
        loop {
            let left = timeout.saturating_sub(started_at.elapsed());
            let seen = self.seen.load(Ordering::Relaxed);
            let updated = done(py, || store.wait_for_update(seen, left.min(WAIT_SLICE)))?;
            if updated {
                let now = done(py, || Ok(store.snapshot()?.commit_seq()))?;
                self.seen.fetch_max(now, Ordering::Relaxed);
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
            py.check_signals()?;
        }
    }

    /// The snapshot that has everything up to an LSN, which another handle may have written; a
    /// `WaitTimeoutError` if it is not published in `timeout` seconds.
    #[pyo3(signature = (lsn, timeout=10.0))]
    fn wait_for_lsn(&self, py: Python<'_>, lsn: u64, timeout: f64) -> PyResult<Snapshot> {
        let (store, timeout) = (self.store(py)?, timeout_of(py, Some(timeout))?);
        let snapshot = done(py, || store.wait_for_lsn(lsn, timeout))?;
        Ok(Snapshot { reading: Reading { snapshot, namespace: Arc::clone(&self.namespace) } })
    }

    /// The store in figures: what a reader sees and, with a coordinator, what that says.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let store = self.store(py)?;
        let stats = done(py, || store.stats())?;
        let all = self.reading(py)?.stats(py)?;
        if let Some(writer) = stats.writer {
            for (name, figure) in [
                ("written", writer.written),
                ("dropped", writer.dropped),
                ("pending", writer.pending),
                ("reconciliations", writer.reconciliations),
                ("written_lsn", writer.written_lsn),
                ("connections", writer.connections),
                ("log_size", writer.log_size),
                ("writer_epoch", writer.writer_epoch),
            ] {
                all.set_item(name, figure)?;
            }
        }
        all.set_item("is_host", stats.is_host)?;
        Ok(all)
    }

    /// Closes the handle: a process that hosts the coordinator by its last handle ends that, and
    /// another process takes over. What was read from it stays usable.
    fn close(&self, py: Python<'_>) {
        let store = self.store.write().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(store));
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.store.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

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
        let arguments = NeighborArguments { direction, types, limit, min_confidence, filter };
        self.reading(id.py())?.neighbors(id, arguments)
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
        self.reading(start.py())?.find_path(start, end, max_depth, direction, filter)
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

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close(py);
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = slf.py();
        let this = slf.get();
        let (dimension, metric, mode, create, read_only) = this.arguments.clone();
        let path = std::path::absolute(&this.path)?;
        let arguments = (path, dimension, metric, mode, create, read_only, &*this.namespace);
        Ok((slf.get_type().into_any(), arguments.into_pyobject(py)?.into_any()))
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

    fn __repr__(&self) -> String {
        format!("Store({:?})", self.path)
    }
}
