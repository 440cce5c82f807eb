//! What is to be reached, at a million concepts.

use crate::board::{Figure, OURS};

/// A bound on a figure of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The value itself, at least.
    Least(f64),
    /// The value itself, at most.
    Most(f64),
    /// So many times the named peer's, at most.
    MostTimes(&'static str, f64),
}

use Target::{Least, Most, MostTimes};

const US: f64 = 1e3;
const MS: f64 = 1e6;
const M: f64 = 1e6;

const TARGETS: &[(&str, &str, Target)] = &[
    ("reads", "get record", Least(4.5 * M)),
    ("reads", "get record p50", Most(0.5 * US)),
    ("reads", "get record p99", Most(0.8 * US)),
    ("reads", "get record, 256 ids a call", Least(12.0 * M)),
    ("reads", "get content", Least(3.5 * M)),
    ("reads", "get content p50", Most(0.65 * US)),
    ("reads", "get content p99", Most(1.1 * US)),
    ("reads", "get absent", Least(15.0 * M)),
    ("reads", "get record, 2 processes over 1", Least(1.9)),
    ("graph", "neighbors", Least(3.0 * M)),
    ("graph", "neighbors p50", Most(0.6 * US)),
    ("graph", "neighbors p99", Most(1.0 * US)),
    ("graph", "path of 3, forward p50", Most(40.0 * US)),
    ("graph", "path of 3, forward p99", Most(700.0 * US)),
    ("graph", "path of 3, both ends p50", Most(5.0 * US)),
    ("graph", "path of 3, both ends p99", Most(100.0 * US)),
    ("graph", "best path p50", MostTimes("petgraph", 3.0)),
    ("graph", "best path p99", MostTimes("petgraph", 3.0)),
    ("graph", "neighbors beside a writer over idle", Least(0.85)),
    ("graph", "path of 3, forward beside a writer over idle", Least(0.85)),
    ("graph", "path of 3, both ends beside a writer over idle", Least(0.85)),
    ("graph", "best path beside a writer over idle", Least(0.85)),
    ("writes", "bulk concepts", Least(0.8 * M)),
    ("writes", "bulk edges", Least(1.5 * M)),
    ("writes", "file size", Most(800.0 * M)),
    ("writes", "one write, not synced p50", Most(13.0 * US)),
    ("writes", "pipelined, not synced", Least(1.0 * M)),
    ("writes", "one write, durable p50", MostTimes("floor", 1.25)),
    ("writes", "one write, durable p99", Most(300.0 * US)),
    ("writes", "32 clients, durable", Least(50e3)),
    ("writes", "acknowledged to visible p50", Most(100.0 * US)),
    ("writes", "acknowledged to visible p99", Most(11.0 * MS)),
    ("steady", "writes of the stream", Least(49e3)),
    ("steady", "durable p99.9 beyond a sync's p99.9", Most(5.0 * MS)),
    ("pinned", "slower beside a stopped reader", Most(1.2)),
    ("pinned", "slower after a killed reader", Most(1.2)),
    ("pinned", "growth over data written, beside a stopped reader", Most(2.0)),
    ("pinned", "growth over data written, after a killed reader", Most(2.0)),
    ("open", "open + first get p50", Most(60.0 * US)),
    ("memory", "private memory, opened", Most(0.3 * M)),
    ("memory", "page tables, opened", Most(0.2 * M)),
    ("mixed", "get content beside a writer over idle", Least(0.85)),
    ("mixed", "get content p99 beside a writer over idle", Most(1.3)),
    ("mixed", "the writer's records", Least(300e3)),
    ("vectors", "nearest at recall 0.95", Least(20e3)),
    ("vectors", "nearest at recall 0.99", Least(8.5e3)),
    ("vectors", "inserts a CPU-second", Least(7e3)),
    ("vectors", "2 processes over 1", Least(1.9)),
    ("vectors", "vectors that find themselves", Least(0.999)),
    ("vectors", "vectors of the tail that find themselves", Least(1.0)),
    ("vectors", "open to first search, new process", Most(1.0 * MS)),
    ("vectors", "graph's bytes a vector", Most(640.0)),
    ("vectors", "nearest beside growth over idle", Least(0.85)),
    ("vectors", "nearest beside growth p99", Most(120.0 * US)),
    ("vectors", "private memory, searching", Most(8.0 * M)),
    ("recovery", "kill to serving p99", Most(50.0 * MS)),
];

/// The target of a figure, if it has one.
pub fn of(figure: &Figure) -> Option<Target> {
    let is_it =
        |(suite, name, _): &&(&str, &str, Target)| *suite == figure.suite && *name == figure.name;
    TARGETS.iter().find(is_it).map(|(_, _, target)| *target)
}

impl Target {
    /// Whether it holds; `None` if what it compares was not measured.
    pub fn holds(&self, figure: &Figure) -> Option<bool> {
        match *self {
            Least(bound) => Some(figure.median(OURS)? >= bound),
            Most(bound) => Some(figure.median(OURS)? <= bound),
            MostTimes(peer, bound) => Some(figure.ratio(peer)? <= bound),
        }
    }
}
