//! Stories of the vector graph, in files that hold one space and nothing else.

mod exact;
mod filters;
mod growth;
mod support;
