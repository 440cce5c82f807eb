//! The handle behind a `Store`: open until it is closed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use pyo3::prelude::*;
use sutra_store::{Listening, StoreError};

use crate::errors;
use crate::reading::Reading;

/// A store that was opened, and the namespace in which it is used.
pub struct Opened {
    store: RwLock<Option<Arc<sutra_store::Store>>>,
    pub path: PathBuf,
    pub namespace: Arc<str>,
    listenings: Mutex<Vec<Listening>>,
}

impl Opened {
    pub fn new(store: sutra_store::Store, namespace: &str) -> Opened {
        Opened {
            path: store.path().to_owned(),
            namespace: namespace.into(),
            listenings: Mutex::default(),
            store: RwLock::new(Some(Arc::new(store))),
        }
    }

    pub fn store(&self, py: Python<'_>) -> PyResult<Arc<sutra_store::Store>> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().ok_or_else(|| {
            let message = format!("{} was closed; open it again", self.path.display());
            errors::error(py, "ClosedError", message)
        })
    }

    /// What can be read now, this handle's own writes included.
    pub fn reading(&self, py: Python<'_>) -> PyResult<Reading> {
        let store = self.store(py)?;
        let snapshot = store.snapshot_now().map_err(|failed| errors::raised(py, failed))?;
        let snapshot = match snapshot {
            Some(snapshot) => snapshot,
            // A write of this handle is not visible yet.
            None => done(py, || store.snapshot())?,
        };
        Ok(Reading { snapshot, namespace: Arc::clone(&self.namespace) })
    }

    /// Listens until this is closed.
    pub fn keep(&self, listening: Listening) {
        self.listenings.lock().unwrap_or_else(PoisonError::into_inner).push(listening);
    }

    pub fn close(&self, py: Python<'_>) {
        let store = self.store.write().unwrap_or_else(PoisonError::into_inner).take();
        self.listenings.lock().unwrap_or_else(PoisonError::into_inner).clear();
        py.detach(|| drop(store));
    }

    pub fn is_closed(&self) -> bool {
        self.store.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// Does something of the store without the interpreter.
pub fn done<T: Send>(
    py: Python<'_>,
    act: impl FnOnce() -> Result<T, StoreError> + Send,
) -> PyResult<T> {
    py.detach(act).map_err(|failed| errors::raised(py, failed))
}
