//! Questions about what was written when.

use pyo3::prelude::*;
use sutra_store::reader::{self, ChangeKind, ReadError};

use super::Reading;
use crate::inputs::with_id;
use crate::results::{Change, Version, id_object, seconds};

impl Reading {
    pub fn history(&self, id: &Bound<'_, PyAny>) -> PyResult<Vec<Version>> {
        let py = id.py();
        with_id(id, |id| {
            let versions = || {
                let Some(last) = self.snapshot.last_version(&self.namespace, id)? else {
                    return Ok(Vec::new());
                };
                let version = |version: Result<reader::Concept<'_>, ReadError>| {
                    let version = version?;
                    let is_forgotten = version.is_forgotten();
                    let content = match is_forgotten {
                        true => None,
                        false => Some(version.content()?.to_owned()),
                    };
                    Ok(Version {
                        version: version.version(),
                        lsn: version.lsn(),
                        updated_at: seconds(version.updated_at()),
                        content,
                        strength: version.strength(),
                        confidence: version.confidence(),
                        author: version.author().map(str::to_owned),
                        is_forgotten,
                    })
                };
                self.snapshot.history(&last).map(version).collect()
            };
            versions().map_err(|failed| self.raised(py, failed))
        })
    }

    pub fn changes(&self, py: Python<'_>, since_lsn: u64, limit: usize) -> PyResult<Vec<Change>> {
        let raised = |failed| self.raised(py, failed);
        let mut all = Vec::new();
        for change in self.snapshot.changes(since_lsn).map_err(raised)? {
            if all.len() == limit {
                break;
            }
            all.push(self.change(py, &change.map_err(raised)?)?);
        }
        Ok(all)
    }

    fn change(&self, py: Python<'_>, change: &reader::Change<'_>) -> PyResult<Change> {
        let raised = |failed| self.raised(py, failed);
        let id = |concept: &reader::Concept<'_>| {
            PyResult::Ok(id_object(py, &concept.id().map_err(raised)?).unbind())
        };
        let end = |ordinal| match self.snapshot.last_version_of(ordinal).map_err(raised)? {
            Some(concept) => id(&concept),
            None => Ok(py.None()),
        };
        let kind = match change.kind {
            ChangeKind::ConceptLearnt => "learnt",
            ChangeKind::ConceptUpdated => "updated",
            ChangeKind::ConceptForgotten => "forgotten",
            ChangeKind::Associated => "associated",
            ChangeKind::AssociationUpdated => "association_updated",
            ChangeKind::Disassociated => "disassociated",
        };
        let (id, target, r#type) = match (change.concept(), change.association()) {
            (Some(concept), _) => (id(&concept)?, None, None),
            (None, Some(association)) => (
                end(association.source())?,
                Some(end(association.target())?),
                Some(self.type_name(association.edge_type())),
            ),
            (None, None) => (py.None(), None, None),
        };
        Ok(Change { lsn: change.lsn, kind, id, target, r#type })
    }
}
