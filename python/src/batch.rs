//! `Batch`: operations that are applied all or not at all, in one publication.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use sutra_client::{Disassociate, Forget, Reinforce};
use sutra_store::BatchError;

use crate::errors;
use crate::inputs::{AssociateArguments, LearnArguments, OwnedId, OwnedType, with_id};
use crate::store::Store;

/// Operations that are applied all or not at all, and become visible at once.
///
/// Used as a context manager it is written at the end of the block, unless an exception left it.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Batch {
    store: Py<Store>,
    batch: Mutex<sutra_client::Batch>,
}

impl Batch {
    pub fn new(store: Py<Store>, mut batch: sutra_client::Batch) -> Batch {
        batch.atomic(true);
        Batch { store, batch: Mutex::new(batch) }
    }

    fn batch(&self) -> MutexGuard<'_, sutra_client::Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &self,
        py: Python<'_>,
        add: impl FnOnce(&mut sutra_client::Batch) -> Result<(), BatchError>,
    ) -> PyResult<()> {
        add(&mut self.batch()).map_err(|failed| errors::raised(py, failed.into()))
    }
}

#[pymethods]
impl Batch {
    /// Adds a concept, or a new version of one; see `Store.learn`.
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
    ) -> PyResult<()> {
        let learn = LearnArguments {
            id,
            content,
            embedding,
            metadata,
            kind,
            strength,
            confidence,
            expires_in,
            if_lsn,
            if_absent,
        };
        learn.with(py, |learn| self.add(py, |batch| batch.learn(learn)))
    }

    /// Adds an association, or a new version of one; see `Store.associate`.
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
    ) -> PyResult<()> {
        let associate = AssociateArguments {
            source,
            target,
            kind: r#type,
            confidence,
            weight,
            properties,
            valid_for,
            create_missing,
        };
        associate.with(py, |associate| self.add(py, |batch| batch.associate(associate)))
    }

    /// Adds a change of a concept's strength or confidence.
    #[pyo3(signature = (id, *, strength=None, confidence=None))]
    fn reinforce(
        &self,
        id: &Bound<'_, PyAny>,
        strength: Option<f32>,
        confidence: Option<f32>,
    ) -> PyResult<()> {
        with_id(id, |named| {
            let reinforce = Reinforce { id: named, strength, confidence, if_lsn: None };
            self.add(id.py(), |batch| batch.reinforce(&reinforce))
        })
    }

    /// Adds the forgetting of a concept, and with it of its associations.
    #[pyo3(signature = (id, *, if_lsn=None))]
    fn forget(&self, id: &Bound<'_, PyAny>, if_lsn: Option<u64>) -> PyResult<()> {
        with_id(id, |named| self.add(id.py(), |batch| batch.forget(&Forget { id: named, if_lsn })))
    }

    /// Adds the end of the associations from one concept to another.
    #[pyo3(signature = (source, target, r#type=None))]
    fn disassociate(
        &self,
        py: Python<'_>,
        source: OwnedId,
        target: OwnedId,
        r#type: Option<OwnedType>,
    ) -> PyResult<()> {
        let (source, target) = (source.as_id(), target.as_id());
        let kind = r#type.as_ref().map(OwnedType::as_type);
        let ended = Disassociate { source, target, kind, if_lsn: None };
        self.add(py, |batch| batch.disassociate(&ended))
    }

    /// Writes what was added, and begins anew; its LSN, or 0 if there was nothing.
    fn write(&self, py: Python<'_>) -> PyResult<u64> {
        let mut batch = self.batch();
        if batch.is_empty() {
            return Ok(0);
        }
        let written = self.store.get().write_batch(py, &batch)?;
        batch.clear();
        Ok(written)
    }

    /// How many operations were added.
    fn __len__(&self) -> usize {
        self.batch().len()
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        match kind.is_none() {
            true => drop(self.write(py)?),
            false => self.batch().clear(),
        }
        Ok(false)
    }
}
