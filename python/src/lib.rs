//! `sutra_storage._native`: the store as Python sees it.
//!
//! Results are light objects that keep their snapshot, and with it the mapping: text is made a
//! `str` when it is asked for, and vectors are views of the mapped file. The interpreter is released
//! around every search, wait and write, and kept for a `get`, which takes less time than that.

mod batch;
mod errors;
mod inputs;
mod opened;
mod readable;
mod reading;
mod remote;
mod results;
mod snapshot;
mod store;
mod view;

/// The native part of `sutra_storage`; import that instead.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::readable::Readable;
    #[pymodule_export]
    use crate::remote::Remote;
    #[pymodule_export]
    use crate::results::{
        Association, Change, Concept, Expanded, Expansion, Hit, Neighbor, Path, Version,
    };
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::store::Store;
}
