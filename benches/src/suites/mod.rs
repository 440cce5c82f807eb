//! The suites: each makes what it needs, and writes its figures on the board.

mod durable;
mod graph;
mod hostile;
mod mixed;
mod open;
mod place;
mod reads;
mod recovery;
mod single;
mod visible;
mod writes;

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::ValueEnum;

use crate::board::{Board, Unit};
use crate::settings::Settings;
use place::Place;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Get, neighbors, paths and snapshots, in one process and in two
    Reads,
    /// Neighbors, shortest and best paths, at rest and beside a writer, with petgraph too
    Graph,
    /// Bulk import; single, durable, pipelined and concurrent writes; when they become visible
    Writes,
    /// Opening, and what an open store takes of a process
    Open,
    /// A reader beside a saturating writer
    Mixed,
    /// Serving again after kill -9
    Recovery,
    /// A good client's writes beside bad clients of each kind
    Hostile,
    /// All of them
    All,
}

/// Runs a suite.
pub fn run(suite: Suite, settings: &Settings, board: &mut Board) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        bail!("figures of a debug build mean nothing; use cargo run --release");
    }
    let is_wanted = |which| suite == which || suite == Suite::All;
    let place = Place::new(settings)?;
    if is_wanted(Suite::Writes) {
        writes::run(&place, board)?;
    }
    if is_wanted(Suite::Hostile) {
        hostile::run(&place, board)?;
    }
    if [Suite::Reads, Suite::Graph, Suite::Open, Suite::Mixed, Suite::Recovery]
        .into_iter()
        .any(is_wanted)
    {
        let mut stores = place.load()?;
        if is_wanted(Suite::Reads) {
            reads::run(&stores, board)?;
        }
        if is_wanted(Suite::Graph) {
            graph::run(&stores, board)?;
        }
        if is_wanted(Suite::Open) {
            open::run(&stores, board)?;
        }
        if is_wanted(Suite::Mixed) {
            mixed::run(&stores, board)?;
        }
        if is_wanted(Suite::Recovery) {
            recovery::run(&mut stores, board)?;
        }
        stores.stop()?;
    }
    place.leave();
    Ok(())
}

/// Does it again and again for `duration`; gives the nanoseconds of each.
fn repeat(
    duration: Duration,
    mut once: impl FnMut() -> anyhow::Result<Duration>,
) -> anyhow::Result<Vec<u64>> {
    let began = Instant::now();
    let mut nanos = Vec::new();
    while began.elapsed() < duration || nanos.is_empty() {
        nanos.push(once()?.as_nanos() as u64);
    }
    Ok(nanos)
}

/// Writes the median and the slowest but one in a hundred on the board.
fn add_quantiles(
    board: &mut Board,
    suite: &'static str,
    name: &str,
    contender: &str,
    nanos: &mut [u64],
) {
    nanos.sort_unstable();
    for (label, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let at = (nanos.len() as f64 * quantile) as usize;
        if let Some(value) = nanos.get(at.min(nanos.len().saturating_sub(1))) {
            let name = format!("{name} {label}");
            board.add(suite, &name, Unit::Nanoseconds, contender, *value as f64);
        }
    }
}
