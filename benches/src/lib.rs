//! What all binaries of the benches make their stores from.

pub mod workload;
