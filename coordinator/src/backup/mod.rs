//! Copies of a store that can be brought back, as of the copy or of any log entry after it.
//!
//! | in the directory of a backup | what                                                     |
//! |------------------------------|----------------------------------------------------------|
//! | `manifest.json`              | what makes up the backup; written last, by rename         |
//! | `truth-G-N.dat`              | records, edges, content, names, vectors of generation G, where they lie in `storage.dat`; sparse elsewhere |
//! | `header-N.dat`               | the header with the durable slot of publication N, and its client table |
//! | `accesses-N.dat`             | access counts                                             |
//! | `log/`                       | the log after the backup, see [`crate::wal`]'s archive    |
//! | `progress`                   | pieces that a run which has not ended has copied          |
//!
//! A backup is what a durable slot names: truth below its counts, which is synced and final, so it
//! is consistent at that slot's LSN however long the copying takes, and whatever is written,
//! checkpointed or compacted meanwhile (the open file stays what it is). The next run adds what is
//! new above those counts to the same file; nothing that the manifest speaks of is changed before
//! the next manifest is in place. What is derived is not copied: recovery makes it anew, as after a
//! loss of power.

mod check;
mod copy;
mod error;
mod log;
mod manifest;
mod restore;
mod source;

pub use check::{CheckReport, check};
pub use copy::{BackupReport, backup};
pub use error::BackupError;
pub use manifest::Manifest;
pub use restore::{RestoreReport, Until, restore};

/// Called with the bytes done and those there are; false ends the run, to be gone on with later.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;
