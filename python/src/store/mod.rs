//! `Store`: a store held open for reading and writing.

mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sutra_store::{Level, Metric, Mode, Options};

use crate::errors;
use crate::inputs;
use crate::opened::{Opened, done};
use crate::readable::Readable;
use crate::reading::Reading;
use crate::results::put_writer_stats;
use crate::snapshot::Snapshot;

/// Between looks whether Ctrl-C was pressed.
const WAIT_SLICE: Duration = Duration::from_millis(100);

/// A store, open for reading and writing, and shared with any number of other processes.
///
/// Reading looks into the mapped file. Writing goes to the store's coordinator; where none runs, this
/// process hosts it, and when the host goes away, another process takes its place: a writer waits a
/// moment, and nothing acknowledged is lost. Threads may share a handle, a forked child may use it,
/// and pickled it opens the same path again.
#[pyclass(frozen, weakref, extends = Readable, module = "sutra_storage")]
pub struct Store {
    opened: Arc<Opened>,
    /// What it was opened with, to be opened with again.
    arguments: (Option<u32>, Option<String>, Option<String>, bool, bool),
    /// The publication that `wait_for_update` has told of.
    seen: AtomicU64,
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
    ) -> PyResult<PyClassInitializer<Store>> {
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
            deadline: inputs::timeout(py, Some(timeout))?,
            reconcile_interval: reconcile_interval_ms.map(Duration::from_millis),
            memory_threshold,
            ..Options::default()
        };
        let store = done(py, || match &path {
            Some(path) => sutra_store::Store::open(path, options),
            None => sutra_store::Store::open_from_environment(options),
        })?;
        let seen = done(py, || Ok(store.snapshot()?.commit_seq()))?;
        let opened = Arc::new(Opened::new(store, &namespace.unwrap_or_default()));
        let base = PyClassInitializer::from(Readable::live(Arc::clone(&opened)));
        Ok(base.add_subclass(Store {
            opened,
            arguments: (vector_dimension, metric, mode, create, read_only),
            seen: AtomicU64::new(seen),
        }))
    }

    /// The store's directory, as it was given.
    #[getter]
    fn path(&self) -> PathBuf {
        self.opened.path.clone()
    }

    /// The namespace in which this handle learns and looks; empty: the default one.
    #[getter]
    fn namespace(&self) -> &str {
        &self.opened.namespace
    }

    /// Whether this process hosts the store's coordinator.
    #[getter]
    fn is_host(&self, py: Python<'_>) -> PyResult<bool> {
        let store = self.opened.store(py)?;
        done(py, || store.is_host())
    }

    /// The store as it is now, with everything this handle has written; it stays as it is.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Snapshot>> {
        Snapshot::of(py, self.opened.reading(py)?)
    }

    /// Waits until something new is published, and is False if nothing was in `timeout` seconds.
    /// Each publication is told once to a handle, from its opening on, those of its own writes too.
    #[pyo3(signature = (timeout=None))]
    fn wait_for_update(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = inputs::timeout(py, timeout)?;
        let started_at = Instant::now();
        let store = self.opened.store(py)?;
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
    fn wait_for_lsn<'py>(
        &self,
        py: Python<'py>,
        lsn: u64,
        timeout: f64,
    ) -> PyResult<Bound<'py, Snapshot>> {
        let (store, timeout) = (self.opened.store(py)?, inputs::timeout(py, Some(timeout))?);
        let snapshot = done(py, || store.wait_for_lsn(lsn, timeout))?;
        let namespace = Arc::clone(&self.opened.namespace);
        Snapshot::of(py, Reading { snapshot, namespace })
    }

    /// The store in figures: what a reader sees and, with a coordinator, what that says.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let store = self.opened.store(py)?;
        let stats = done(py, || store.stats())?;
        let all = self.opened.reading(py)?.stats(py)?;
        if let Some(writer) = stats.writer {
            put_writer_stats(&writer, &all)?;
        }
        all.set_item("is_host", stats.is_host)?;
        Ok(all)
    }

    /// Also takes clients over TCP, on an address of the loopback interface, as long as this handle
    /// is open: programs that cannot map the store's file read and write with `StorageClient`. Only
    /// this user and root may connect. Returns the address, with the port where that was 0.
    #[pyo3(signature = (address="127.0.0.1:0"))]
    fn listen(&self, py: Python<'_>, address: &str) -> PyResult<String> {
        let store = self.opened.store(py)?;
        let listening = done(py, || store.listen(address))?;
        let address = listening.address().to_string();
        self.opened.keep(listening);
        Ok(address)
    }

    /// Closes the handle: a process that hosts the coordinator by its last handle ends that, and
    /// another process takes over. What was read from it stays usable.
    fn close(&self, py: Python<'_>) {
        self.opened.close(py);
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.opened.is_closed()
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
        let path = std::path::absolute(&this.opened.path)?;
        let arguments = (path, dimension, metric, mode, create, read_only, &*this.opened.namespace);
        Ok((slf.get_type().into_any(), arguments.into_pyobject(py)?.into_any()))
    }

    fn __repr__(&self) -> String {
        format!("Store({:?})", self.opened.path)
    }
}
