//! The single writer of a Sutra store: ingest, log, apply, publish, recover.
//!
//! [`run`] serves a store until it is told to stop; a [`Host`] does so on threads of its own, beside
//! whatever else the process does. One thread does all that changes the store:
//! it reads frames, decides them, writes them to the log, applies them and publishes; beside it one
//! thread syncs the log, one makes checkpoints, one reserves space ahead, and one prepares the log's
//! next segment.

mod ahead;
mod apply;
pub mod args;
pub mod backup;
mod checkpoint;
mod clients;
mod decide;
mod direct;
mod entry;
mod error;
mod generation;
mod host;
mod image;
mod index;
mod kill_point;
pub mod log;
mod offline;
mod options;
mod plant;
mod poison;
mod publish;
mod rebuild;
mod reconciler;
mod recovery;
pub mod repair;
mod server;
mod signals;
pub mod store_dir;
mod symbols;
mod systemd;
#[cfg(test)]
mod tests;
pub mod wal;

pub use error::CoordinatorError;
pub use host::Host;
#[cfg(feature = "kill-points")]
pub use kill_point::{KILL_AT, KillPoint};
pub use offline::Offline;
pub use options::{Options, SyncMode};
#[cfg(feature = "planted-bugs")]
pub use plant::{PLANTED, Plant};
pub use recovery::State;
pub use server::{Allowed, run};
