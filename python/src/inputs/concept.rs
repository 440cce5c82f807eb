//! The arguments of `learn` and `associate`, which a store and a batch take alike.

use pyo3::prelude::*;
use sutra_client::{Associate, Learn};
use sutra_layout::id::Id;

use super::{OwnedId, OwnedType, expires_at, json, vector};

/// What `learn` was called with.
pub struct LearnArguments<'a, 'py> {
    pub id: Option<OwnedId>,
    pub content: Option<&'a str>,
    pub embedding: Option<&'a Bound<'py, PyAny>>,
    pub metadata: Option<&'a Bound<'py, PyAny>>,
    pub kind: Option<&'a str>,
    pub strength: Option<f32>,
    pub confidence: Option<f32>,
    pub expires_in: Option<f64>,
    pub if_lsn: Option<u64>,
    pub if_absent: bool,
}

impl LearnArguments<'_, '_> {
    /// Calls `act` with the operation.
    pub fn with<T>(
        self,
        py: Python<'_>,
        act: impl FnOnce(&Learn<'_>) -> PyResult<T>,
    ) -> PyResult<T> {
        let embedding = self.embedding.map(vector).transpose()?;
        let metadata = json(self.metadata)?;
        act(&Learn {
            id: self.id.as_ref().map_or(Id::Content, OwnedId::as_id),
            content: self.content,
            embedding: embedding.as_deref(),
            metadata: metadata.as_deref(),
            kind: self.kind,
            strength: self.strength,
            confidence: self.confidence,
            expires_at: expires_at(py, self.expires_in)?,
            if_lsn: self.if_lsn,
            if_absent: self.if_absent,
            ..Learn::default()
        })
    }
}

/// What `associate` was called with.
pub struct AssociateArguments<'a, 'py> {
    pub source: OwnedId,
    pub target: OwnedId,
    pub kind: OwnedType,
    pub confidence: Option<f32>,
    pub weight: Option<f32>,
    pub properties: Option<&'a Bound<'py, PyAny>>,
    pub valid_for: Option<f64>,
    pub create_missing: bool,
}

impl AssociateArguments<'_, '_> {
    /// Calls `act` with the operation.
    pub fn with<T>(
        self,
        py: Python<'_>,
        act: impl FnOnce(&Associate<'_>) -> PyResult<T>,
    ) -> PyResult<T> {
        let properties = json(self.properties)?;
        act(&Associate {
            source: self.source.as_id(),
            target: self.target.as_id(),
            kind: self.kind.as_type(),
            confidence: self.confidence,
            weight: self.weight,
            properties: properties.as_deref(),
            valid_until: expires_at(py, self.valid_for)?,
            create_missing: self.create_missing,
            ..Associate::default()
        })
    }
}
