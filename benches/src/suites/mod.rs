//! The suites: each makes what it needs, and writes its figures on the board.

mod durable;
mod graph;
mod growth;
mod hostile;
mod ipc;
mod memory;
mod mixed;
mod open;
mod pinned;
mod place;
mod reads;
mod recovery;
mod single;
mod steady;
mod vectors;
mod visible;
mod writes;

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::ValueEnum;

use crate::board::{Board, Unit};
use crate::peers::Contender;
use crate::settings::Settings;
use place::{Place, Stores};

/// A suite that reads stores with the workload in them, of these contenders.
type RunOfFilled = fn(&mut Stores<'_>, &[Contender], &mut Board) -> anyhow::Result<()>;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Get, neighbors, paths and snapshots, in one process and in two
    Reads,
    /// Neighbors, shortest and best paths, at rest and beside a writer, with petgraph too
    Graph,
    /// Bulk import; single, durable, pipelined and concurrent writes; when they become visible
    Writes,
    /// Opening and a first get
    Open,
    /// What an open store takes of a process, and of the disk
    Memory,
    /// Round trips between processes, each way
    Ipc,
    /// The same figures at ten times the size, and again, up to --up-to
    Growth,
    /// A reader beside a saturating writer
    Mixed,
    /// A steady stream of writes while every region grows
    Steady,
    /// A saturating writer beside a stopped reader and after a killed one
    Pinned,
    /// Serving again after kill -9
    Recovery,
    /// Nearest vectors from a second process, and their graph's growth; see also --data
    Vectors,
    /// A good client's writes beside bad clients of each kind
    Hostile,
    /// Fills the stores that other suites read, in the folder of --stores
    Load,
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
    if is_wanted(Suite::Steady) {
        steady::run(&place, board)?;
    }
    if is_wanted(Suite::Pinned) {
        pinned::run(&place, board)?;
    }
    if is_wanted(Suite::Vectors) {
        vectors::run(&place, board)?;
    }
    if is_wanted(Suite::Hostile) {
        hostile::run(&place, board)?;
    }
    if suite == Suite::Load {
        ensure!(
            settings.stores.is_some(),
            "say by --stores DIR where filled stores are to be kept"
        );
        let contenders = place.choose("load", &Contender::STORES, board);
        return place.stores(&contenders)?.stop();
    }
    if is_wanted(Suite::Ipc) {
        ipc::run(&place, board)?;
    }
    if is_wanted(Suite::Growth) {
        growth::run(settings, board)?;
    }
    let of_filled: [(Suite, RunOfFilled, &[Contender]); 6] = [
        (Suite::Reads, reads::run, &reads::CONTENDERS),
        (Suite::Graph, graph::run, &graph::CONTENDERS),
        (Suite::Open, open::run, &open::CONTENDERS),
        (Suite::Memory, memory::run, &memory::CONTENDERS),
        (Suite::Mixed, mixed::run, &mixed::CONTENDERS),
        (Suite::Recovery, recovery::run, &[Contender::Sutra]),
    ];
    for (which, run, contenders) in of_filled {
        if is_wanted(which) {
            let name = which.to_possible_value().expect("every suite has a name");
            let contenders = place.choose(name.get_name().to_owned().leak(), contenders, board);
            let mut stores = place.stores(&contenders)?;
            run(&mut stores, &contenders, board)?;
            stores.stop()?;
        }
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
        if !nanos.is_empty() {
            let (name, value) = (format!("{name} {label}"), at_quantile(nanos, quantile));
            board.add(suite, &name, Unit::Nanoseconds, contender, value as f64);
        }
    }
}

/// The value below which that share of `sorted` lies; 0 if there is none.
fn at_quantile(sorted: &[u64], quantile: f64) -> u64 {
    let at = (sorted.len() as f64 * quantile) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}
