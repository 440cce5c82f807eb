//! What the demo asks its reader processes, and what they answer: one line of JSON each.

use serde::{Deserialize, Serialize};

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Open the store.
    Open,
    /// One concept.
    Get {
        /// Its id.
        id: String,
    },
    /// What a concept is associated with.
    Neighbors {
        /// Its id.
        id: String,
    },
    /// A shortest path.
    Path {
        /// Where it begins.
        from: String,
        /// Where it ends.
        to: String,
    },
    /// The concepts nearest to one.
    Nearest {
        /// Its id.
        id: String,
        /// How many.
        k: usize,
    },
    /// Wait for a concept to appear: [`Answer::Waiting`] at once, [`Answer::Seen`] when it does.
    Await {
        /// Its id.
        id: String,
    },
    /// Write `count` concepts `{prefix} 1`, `{prefix} 2`, … one by one, each durable before the next.
    Write {
        /// What their ids begin with.
        prefix: String,
        /// How many.
        count: u32,
    },
    /// Look for the concepts of an [`Ask::Write`].
    Check {
        /// What their ids begin with.
        prefix: String,
        /// How many.
        count: u32,
    },
    /// How many of everything, and a digest of what was written up to an LSN.
    Count {
        /// Concepts and associations of later log entries are not in the digest; none: all are.
        up_to_lsn: Option<u64>,
    },
    /// The private memory of the process.
    Memory,
}

/// An answer. Times are nanoseconds; `_at` are on the monotonic clock that all processes share.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Ask::Open`].
    Opened {
        /// Opening and the first snapshot.
        took_ns: u64,
    },
    /// Lines to print, to [`Ask::Get`], [`Ask::Neighbors`], [`Ask::Path`] and [`Ask::Nearest`].
    Found {
        /// What was found.
        lines: Vec<String>,
        /// The look-up alone.
        took_ns: u64,
    },
    /// To [`Ask::Await`]: the process is about to wait.
    Waiting,
    /// To [`Ask::Await`]: the concept is there.
    Seen {
        /// When it was.
        seen_at: u64,
    },
    /// To [`Ask::Write`].
    Written {
        /// When the first write began.
        started_at: u64,
        /// When the last one was acknowledged.
        acknowledged_at: u64,
        /// The longest wait for one acknowledgement.
        longest_ns: u64,
    },
    /// To [`Ask::Check`].
    Checked {
        /// How many exist.
        found: u32,
        /// How many have more than one version, and so were applied twice.
        applied_twice: u32,
    },
    /// To [`Ask::Count`].
    Counted {
        /// Live concepts.
        concepts: u64,
        /// Live associations.
        edges: u64,
        /// Vectors.
        vectors: u64,
        /// The newest log entry in it.
        lsn: u64,
        /// Of ids, contents, vectors and associations, in the order of the file.
        digest: u64,
    },
    /// To [`Ask::Memory`].
    Memory {
        /// Bytes that no other process shares.
        private_size: u64,
    },
    /// The question could not be answered.
    Failed {
        /// Why.
        message: String,
    },
}
