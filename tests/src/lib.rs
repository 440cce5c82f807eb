//! What the stories across processes share: stores with a coordinator of their own that can be
//! killed, stopped and started again, and harnesses that know what must be true of them.
//!
//! A story lives in `tests/tests/stories/`, one scenario a file. It starts real processes: the program
//! `sutra-test-host` is the coordinator, the reader or whatever else a story needs, by its first
//! argument ([`roles`]). Only processes that a story started are ever signalled, by pid, and none
//! outlives the test that started it.
//!
//! Chance comes from [`random::Random`], which prints its seed; `SUTRA_SEED` sets it. No story
//! asserts on the wall clock: deadlines only keep a broken one from hanging.

pub mod agent;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod faults;
pub mod forge;
pub mod fuzz;
pub mod golden;
pub mod ledger;
pub mod log_cuts;
pub mod model;
pub mod mount;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod power;
pub mod process;
pub mod random;
pub mod raw;
pub mod replay;
pub mod roles;
pub mod searching;
pub mod sieve;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod steps;
pub mod store;
pub mod text;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod trace;
pub mod wait;
pub mod world;

pub use process::Process;
pub use random::Random;
pub use store::TestStore;
