//! What history and changes list.

use pyo3::prelude::*;

/// One version of a concept, as `history` lists them, newest first.
#[pyclass(frozen, get_all, module = "sutra_storage")]
pub struct Version {
    /// Which version, from 1.
    pub version: u32,
    /// The log entry that wrote it.
    pub lsn: u64,
    /// When, in seconds since the Unix epoch.
    pub updated_at: f64,
    /// Its text; `None` if this version says that the concept was forgotten.
    pub content: Option<String>,
    /// 0 to 1.
    pub strength: f32,
    /// 0 to 1.
    pub confidence: f32,
    /// Who wrote it.
    pub author: Option<String>,
    /// Whether it says that the concept was forgotten.
    pub is_forgotten: bool,
}

#[pymethods]
impl Version {
    fn __repr__(&self) -> String {
        format!("Version(version={}, lsn={})", self.version, self.lsn)
    }
}

/// Something that was written, as `changes` lists it.
#[pyclass(frozen, get_all, module = "sutra_storage")]
pub struct Change {
    /// The log entry that made it.
    pub lsn: u64,
    /// `"learnt"`, `"updated"`, `"forgotten"`, `"associated"`, `"association_updated"` or
    /// `"disassociated"`.
    pub kind: &'static str,
    /// The concept, or where the association starts.
    pub id: Py<PyAny>,
    /// Where the association leads; `None` for a concept's change.
    pub target: Option<Py<PyAny>>,
    /// The association's type; `None` for a concept's change.
    pub r#type: Option<String>,
}

#[pymethods]
impl Change {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let id = self.id.bind(py).repr()?;
        Ok(format!("Change(lsn={}, kind={:?}, id={id})", self.lsn, self.kind))
    }
}
