//! Bugs that a test plants, to show that its harness finds them.
//!
//! Without the feature `planted-bugs` there is none, and nothing is left of the questions. With it,
//! the one that the environment names is there.

/// The variable that names the bug.
#[cfg(feature = "planted-bugs")]
pub const PLANTED: &str = "SUTRA_PLANTED";

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The file is made longer, and its space is not reserved.
    SparseSpace,
    /// A sync that fails is taken for one that did not.
    ForgivenSync,
    /// There is room for as many bytes as a header announces, before they come.
    BelievedSize,
}

impl Plant {
    /// Whether it is planted.
    #[inline]
    pub fn is_planted(self) -> bool {
        #[cfg(feature = "planted-bugs")]
        return std::env::var(PLANTED).is_ok_and(|name| name == format!("{self:?}"));
        #[cfg(not(feature = "planted-bugs"))]
        false
    }

    /// The outcome of a sync, unless such an outcome is forgiven.
    pub fn outcome(synced: std::io::Result<()>) -> std::io::Result<()> {
        if Plant::ForgivenSync.is_planted() { Ok(()) } else { synced }
    }
}
