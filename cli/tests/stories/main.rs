//! The command as people use it: programs that are started, and what they say.

mod backup;
mod demo;
mod doctor;
mod exits;
mod export;
mod filters;
mod graph;
mod history;
mod import;
mod json;
mod separate;
mod support;
mod upkeep;
