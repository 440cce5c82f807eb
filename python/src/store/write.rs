//! Writing, one by one and in bulk.

use pyo3::prelude::*;
use pyo3::types::PyString;
use sutra_client::{Disassociate, Forget, Learn, Reinforce, Touch};
use sutra_store::{BatchError, Bulk, Id, StoreError};

use super::Store;
use crate::batch::Batch;
use crate::errors;
use crate::inputs::{
    self, AssociateArguments, LearnArguments, Matrix, OwnedId, OwnedType, with_id,
};
use crate::opened::done;

impl Store {
    /// Writes through the store without the interpreter.
    fn write<T: Send>(
        &self,
        py: Python<'_>,
        write: impl FnOnce(&sutra_store::Store) -> Result<T, StoreError> + Send,
    ) -> PyResult<T> {
        let store = self.opened.store(py)?;
        done(py, || write(&store))
    }

    /// Writes an atomic batch; its LSN.
    pub fn write_batch(&self, py: Python<'_>, batch: &sutra_client::Batch) -> PyResult<u64> {
        self.write(py, |store| Ok(store.write(batch, store.options().level)?.last_lsn))
    }

    /// One bulk write: `fill` adds to it, and each full frame is sent without the interpreter.
    fn write_bulk(
        &self,
        py: Python<'_>,
        fill: impl FnOnce(&mut Bulk<'_>) -> PyResult<()>,
    ) -> PyResult<u64> {
        let store = self.opened.store(py)?;
        let mut bulk = store.bulk().map_err(|failed| errors::raised(py, failed))?;
        fill(&mut bulk)?;
        let receipt = done(py, || bulk.finish())?;
        match receipt.errors.is_empty() {
            true => Ok(receipt.last_lsn),
            false => Err(errors::raised_in_bulk(py, &receipt)),
        }
    }
}

/// Adds an operation to a bulk write, and sends the frame if it is full.
fn put(
    py: Python<'_>,
    bulk: &mut Bulk<'_>,
    add: impl FnMut(&mut sutra_client::Batch) -> Result<(), BatchError>,
) -> PyResult<()> {
    bulk.put(add).map_err(|failed| errors::raised(py, failed))?;
    match bulk.is_full() {
        true => done(py, || bulk.send()),
        false => Ok(()),
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
        learn.with(py, |learn| self.write(py, |store| store.learn(learn)))
    }

    /// Learns many concepts at once: lists of ids and contents, and vectors as a matrix with a row
    /// for each. The LSN of the last. What was refused is told in a `BatchError`; the others are
    /// learnt. Frames are sent while the next ones are made, so after another error some may be too.
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
        let rows = embeddings.map(Matrix::of).transpose()?;
        let lengths = [
            ("embeddings", rows.as_ref().map(Matrix::count)),
            ("strengths", strengths.as_ref().map(Vec::len)),
            ("confidences", confidences.as_ref().map(Vec::len)),
        ];
        for (name, found) in lengths {
            if let Some(found) = found.filter(|found| *found != count) {
                let message = format!("{name} has {found} rows, and there are {count} concepts");
                return Err(errors::invalid(py, message));
            }
        }
        // Before anything is sent: what is no id or no text.
        for id in ids.iter().flatten() {
            with_id(id, |_| Ok(()))?;
        }
        for at in 0..count {
            text_at(&contents, at)?;
            text_at(&kinds, at)?;
        }
        let mut row = Vec::new();
        self.write_bulk(py, |bulk| {
            for at in 0..count {
                let (content, kind) = (text_at(&contents, at)?, text_at(&kinds, at)?);
                let metadata = inputs::json(metadata.as_ref().map(|column| &column[at]))?;
                if let Some(rows) = &rows {
                    rows.copy_row(py, at, &mut row);
                }
                let mut add = |id: Id<'_>| {
                    let learn = Learn {
                        id,
                        content: content.map(|content| content.to_str()).transpose()?,
                        kind: kind.map(|kind| kind.to_str()).transpose()?,
                        embedding: rows.is_some().then_some(&row[..]),
                        metadata: metadata.as_deref(),
                        strength: strengths.as_ref().map(|all| all[at]),
                        confidence: confidences.as_ref().map(|all| all[at]),
                        ..Learn::default()
                    };
                    put(py, bulk, |batch| batch.learn(&learn))
                };
                match &ids {
                    Some(ids) => with_id(&ids[at], add)?,
                    None => add(Id::Content)?,
                }
            }
            Ok(())
        })
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
        associate.with(py, |associate| self.write(py, |store| store.associate(associate)))
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
        self.write_bulk(py, |bulk| {
            for association in associations.try_iter()? {
                inputs::with_association(&association?, create_missing, |associate| {
                    put(py, bulk, |batch| batch.associate(associate))
                })??;
            }
            Ok(())
        })
    }

    /// Operations that are applied all or not at all: `with store.batch() as batch: ...`.
    fn batch(slf: &Bound<'_, Self>) -> PyResult<Batch> {
        let batch = slf.get().opened.store(slf.py())?.batch();
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
}
