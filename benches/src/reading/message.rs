//! What a reader process is asked and what it answers: a line of JSON each.

use serde::{Deserialize, Serialize};

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Records by random id.
    Record,
    /// The same, many ids in one call.
    RecordsOfMany,
    /// Records and contents by random id.
    Content,
    /// The same, in a view renewed every 1,024 reads.
    FreshContent,
    /// Ids that are not there.
    Absent,
    /// Neighbors out of random concepts found before.
    Neighbors,
    /// The same, many concepts in one call.
    NeighborsOfMany,
    /// The length of a path between two concepts at most three edges apart, searched forward.
    PathForward,
    /// The same, searched from both ends.
    PathBoth,
    /// The best path between two such concepts, by the product of confidences.
    BestPath,
    /// Taking a view while nothing is written.
    View,
}

impl Task {
    /// Whether one call asks for many; then no single one has a latency.
    pub fn is_of_many(self) -> bool {
        matches!(self, Task::NeighborsOfMany | Task::RecordsOfMany)
    }
}

/// How it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// As many as possible, without looking at each.
    Throughput,
    /// Each by itself.
    Latency,
}

/// What a reader process is asked to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Reads for so many milliseconds.
    Read(Task, Mode, u64),
    /// Reads the same things in every process, for a comparison.
    Check(Task),
    /// Opens the store anew so many times, with a get each.
    Open(u32),
    /// Opens the store with a get, and keeps it open.
    OpenAndHold,
    /// Tells how much memory the process has.
    Memory,
    /// Watches versions come, until one at or above this LSN.
    Watch(u64),
}

/// What a reader process answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is open.
    Ready,
    /// To a read or an opening.
    Measured(Measured),
    /// To a check.
    Digest(u64),
    /// To a question for memory.
    Memory(Memory),
    /// To a watch: LSN and time on the shared clock of each version seen.
    Seen(Vec<(u64, u64)>),
}

/// Figures of one measurement.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Operations a second; 0 if each was timed by itself.
    pub per_second: f64,
    /// Operations a second of processor time.
    pub per_cpu_second: f64,
    /// The median of single operations in nanoseconds; 0 if they were not timed.
    pub p50_ns: f64,
    /// The slowest but one in a hundred.
    pub p99_ns: f64,
}

impl Measured {
    /// The figures of what one operation was made of, if it was made of so many.
    pub fn times(self, count: usize) -> Measured {
        let count = count as f64;
        Measured {
            per_second: self.per_second * count,
            per_cpu_second: self.per_cpu_second * count,
            ..self
        }
    }
}

/// What a process takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes of its own: memory that is no file's.
    pub private_bytes: u64,
    /// Bytes of its page tables.
    pub page_table_bytes: u64,
}
