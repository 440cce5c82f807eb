//! `Snapshot`: the store as it was at one publication.

use pyo3::prelude::*;

use crate::readable::Readable;
use crate::reading::Reading;
use crate::results::Concept;

/// One published version of the store: whatever is written later, it stays as it is.
///
/// It costs the writer nothing, and keeps its file mapped as long as it is referred to.
#[pyclass(frozen, extends = Readable, module = "sutra_storage")]
pub struct Snapshot {
    reading: Reading,
}

impl Snapshot {
    pub fn of(py: Python<'_>, reading: Reading) -> PyResult<Bound<'_, Snapshot>> {
        let base = PyClassInitializer::from(Readable::fixed(reading.clone()));
        Bound::new(py, base.add_subclass(Snapshot { reading }))
    }
}

#[pymethods]
impl Snapshot {
    /// Every log entry up to it is in this snapshot.
    #[getter]
    fn lsn(&self) -> u64 {
        self.reading.snapshot.published_lsn()
    }

    /// The concept with that number, as `nearest_arrays` gives it.
    fn concept_at(&self, py: Python<'_>, ordinal: u32) -> PyResult<Option<Concept>> {
        self.reading.concept_at(py, ordinal)
    }

    fn __repr__(&self) -> String {
        format!("Snapshot(lsn={})", self.lsn())
    }
}
