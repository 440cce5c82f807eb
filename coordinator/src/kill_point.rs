//! Places where a test has the process killed, as if from outside.
//!
//! Without the feature `kill-points` they are nothing at all. With it, the process kills itself by
//! SIGKILL at the point that the environment names, the first time that it gets there.

/// The variable that names the point.
#[cfg(feature = "kill-points")]
pub const KILL_AT: &str = "SUTRA_KILL_AT";

/// Where the process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillPoint {
    /// The next generation is built, and not synced.
    CompactionBuilt,
    /// It is synced and marked, and has not taken its place.
    CompactionSynced,
    /// It is caught up with the log.
    CompactionCaughtUp,
    /// It has its name, and readers of the old file are not told.
    CompactionExchanged,
    /// They are told, and the exchange is not on disk.
    CompactionSuperseded,
    /// The exchange is on disk, and the old file is still there.
    CompactionSettled,
    /// The old file is removed.
    CompactionDone,
}

impl KillPoint {
    #[cfg(feature = "kill-points")]
    /// All of them, in the order in which a compaction meets them.
    pub const ALL: [KillPoint; 7] = [
        KillPoint::CompactionBuilt,
        KillPoint::CompactionSynced,
        KillPoint::CompactionCaughtUp,
        KillPoint::CompactionExchanged,
        KillPoint::CompactionSuperseded,
        KillPoint::CompactionSettled,
        KillPoint::CompactionDone,
    ];

    /// The process is here.
    pub fn reach(self) {
        #[cfg(feature = "kill-points")]
        if std::env::var(KILL_AT).is_ok_and(|name| name == format!("{self:?}")) {
            let _ = nix::sys::signal::kill(nix::unistd::getpid(), nix::sys::signal::SIGKILL);
            std::thread::sleep(std::time::Duration::from_secs(60)); // it comes
        }
    }
}
