//! Why a coordinator does not start, or stops.

use std::io;
use std::path::PathBuf;

use sutra_client::ErrorCode;
use sutra_layout::Damage;
use sutra_layout::view::ViewError;

use crate::store_dir::StoreDirError;
use crate::wal::WalError;

/// Why a coordinator does not start, or stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoordinatorError {
    /// The directory cannot be used, or somebody else writes it.
    #[error(transparent)]
    StoreDir(#[from] StoreDirError),
    /// `storage.dat` is not one that this version can write.
    #[error("{}: {source}", path.display())]
    View {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ViewError,
    },
    /// `storage.dat` needs features that this version does not know how to write.
    #[error(
        "{} was written by a newer version and may only be read by this one; use a newer Sutra to write",
        path.display()
    )]
    ReadOnlyFormat {
        /// The file.
        path: PathBuf,
    },
    /// A part of `storage.dat` is not what it must be. Nothing was written.
    #[error("{} is {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        damage: Damage,
    },
    /// There is a log and no `storage.dat`.
    #[error(
        "{} has a log of {log_size} bytes but no storage.dat; put storage.dat back from a copy, let \
         `sutra repair` make it of the log if that is whole, or move the directory away to begin anew",
        store.display()
    )]
    StorageMissing {
        /// The store.
        store: PathBuf,
        /// Bytes of its log.
        log_size: u64,
    },
    /// Nothing can be made of what is there.
    #[error("{} cannot be repaired: {what}", store.display())]
    Unrepairable {
        /// The store.
        store: PathBuf,
        /// Why, and what can be done.
        what: String,
    },
    /// Another coordinator took over: this one was stopped for too long.
    #[error(
        "another coordinator (epoch {found}) took over from this one (epoch {own}); it writes no more"
    )]
    Deposed {
        /// The epoch in the file.
        found: u64,
        /// This coordinator's.
        own: u64,
    },
    /// No room for what was already logged.
    #[error("no space left for {region} of storage.dat: {source}; free some space and try again")]
    StorageFull {
        /// The region that could not grow.
        region: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A limit of the format is reached.
    #[error("{what} is at the format's limit of {limit}")]
    LimitReached {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A log entry that does not say what it must, though its checksum holds.
    #[error("log entry {lsn} cannot be read: {what}; run `sutra verify` to list the damage")]
    BadEntry {
        /// Its number.
        lsn: u64,
        /// What is wrong.
        what: String,
    },
    /// The file could not be synced. Final: what the system then holds of it cannot be trusted.
    #[error("{what} could not be synced: {source}; nothing more is acknowledged")]
    Sync {
        /// What was to be synced.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The store's vectors have another dimension than was asked for.
    #[error("the vectors of {} have {found} elements, not {asked}; leave the dimension out", store.display())]
    OtherDimension {
        /// The store.
        store: PathBuf,
        /// Its vectors' dimension.
        found: usize,
        /// What was asked for.
        asked: u32,
    },
    /// A dimension that no store has.
    #[error(
        "a vector cannot have {asked} elements; give 1 to {}",
        sutra_layout::limits::VECTOR_DIMENSION_MAX
    )]
    BadDimension {
        /// What was asked for.
        asked: u32,
    },
    /// The log ends before what is applied of it, though no power was lost.
    #[error(
        "the log ends with entry {written_lsn}, and entry {begun_lsn} was applied to storage.dat"
    )]
    LogCut {
        /// The last entry of the log.
        written_lsn: u64,
        /// The last one that was applied.
        begun_lsn: u64,
    },
    /// What is to be purged was never there.
    #[error("there is no concept {id} to purge; ids are case-sensitive and exact")]
    NothingToPurge {
        /// Its id.
        id: String,
    },
    /// History cannot be dropped before an entry that is still to come.
    #[error(
        "history cannot be dropped before log entry {asked}: the last one published is {published}"
    )]
    FutureHorizon {
        /// What was asked for.
        asked: u64,
        /// The last entry that readers see.
        published: u64,
    },
    /// The log grew faster than the next generation could follow it.
    #[error(
        "the writers were faster than the compaction could follow; compact when they are slower"
    )]
    Overtaken,
    /// The coordinator ends, and what it was doing beside its work with it.
    #[error("the coordinator is stopping; compact again when it is back")]
    Stopped,
    /// The log refused.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl CoordinatorError {
    /// Whether neither the file nor the system's cache of it may be trusted after this.
    pub fn is_poisonous(&self) -> bool {
        match self {
            CoordinatorError::Sync { .. } => true,
            CoordinatorError::Wal(error) => {
                matches!(
                    error,
                    WalError::Write { .. } | WalError::Sync { .. } | WalError::Poisoned { .. }
                )
            }
            _ => false,
        }
    }

    /// What a client is told that it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            error if error.is_poisonous() => ErrorCode::Poisoned,
            CoordinatorError::StorageFull { .. }
            | CoordinatorError::Wal(WalError::StorageFull { .. }) => ErrorCode::StorageFull,
            CoordinatorError::LimitReached { .. } => ErrorCode::LimitReached,
            CoordinatorError::NothingToPurge { .. } => ErrorCode::UnknownConcept,
            CoordinatorError::FutureHorizon { .. } => ErrorCode::Conflict,
            CoordinatorError::Stopped | CoordinatorError::Deposed { .. } => ErrorCode::Stopping,
            _ => ErrorCode::Internal,
        }
    }

    /// An [`CoordinatorError::Io`] while doing `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> CoordinatorError {
        let what = what.into();
        move |source| CoordinatorError::Io { what, source }
    }
}

/// Damage met while applying, before it is known in which file.
impl From<Damage> for CoordinatorError {
    fn from(damage: Damage) -> CoordinatorError {
        CoordinatorError::Damaged { path: PathBuf::from("storage.dat"), damage }
    }
}
