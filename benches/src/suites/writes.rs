//! Writing: in bulk here, one at a time and many at once in the rooms beside.

use super::place::Place;
use super::{durable, single, visible};
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::lmdb::{Lmdb, Order};
use crate::load;
use crate::workload::{Contents, Edge};

/// The suite's name in the table.
pub const SUITE: &str = "writes";

/// Bulk loads are long: so many rounds are enough.
const BULK_ROUNDS_MAX: u32 = 3;

/// Runs the suite.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let contents = Contents::new(&place.workload);
    let edges = place.workload.edges();
    let rounds = place.settings.rounds.min(BULK_ROUNDS_MAX);
    for round in 0..rounds {
        eprintln!("bulk: round {} of {rounds}", round + 1);
        bulk_sutra(place, &contents, &edges, board)?;
        bulk_lmdb(place, &contents, &edges, Order::Random, board)?;
        bulk_lmdb(place, &contents, &edges, Order::Sorted, board)?;
    }
    drop((contents, edges));
    single::run(place, board)?;
    durable::run(place, board)?;
    visible::run(place, board)
}

fn bulk_sutra(
    place: &Place,
    contents: &Contents,
    edges: &[Edge],
    board: &mut Board,
) -> anyhow::Result<()> {
    let mut add = |name: &str, unit, value| board.add(SUITE, name, unit, OURS, value);
    let store = place.path("bulk-sutra");
    let coordinator = Coordinator::start(&store)?;
    let mut client = coordinator.connect()?;
    let concept_count = f64::from(place.workload.concepts);
    let edge_count = edges.len() as f64;

    let cpu_ns = coordinator.cpu_ns()?;
    let took = load::concepts(&mut client, &place.workload, contents)?;
    let per_concept = (coordinator.cpu_ns()? - cpu_ns) as f64 / concept_count;
    add("bulk concepts", Unit::PerSecond, concept_count / took.as_secs_f64());

    let cpu_ns = coordinator.cpu_ns()?;
    let took = load::edges(&mut client, &place.workload, edges)?;
    let per_edge = (coordinator.cpu_ns()? - cpu_ns) as f64 / edge_count;
    add("bulk edges", Unit::PerSecond, edge_count / took.as_secs_f64());
    add("coordinator's time a concept", Unit::Nanoseconds, per_concept);
    add("coordinator's time an edge", Unit::Nanoseconds, per_edge);

    client.flush()?;
    add("file size", Unit::Bytes, client.stats()?.storage_size as f64);
    coordinator.stop()?;
    Ok(std::fs::remove_dir_all(store)?)
}

fn bulk_lmdb(
    place: &Place,
    contents: &Contents,
    edges: &[Edge],
    order: Order,
    board: &mut Board,
) -> anyhow::Result<()> {
    let name = match order {
        Order::Random => "lmdb",
        Order::Sorted => "lmdb, sorted",
    };
    let mut add = |figure: &str, unit, value| board.add(SUITE, figure, unit, name, value);
    let dir = place.path("bulk-lmdb");
    let lmdb = Lmdb::open(&dir, false)?;
    let took = lmdb.load_concepts(&place.workload, contents, order)?;
    let concepts = f64::from(place.workload.concepts);
    add("bulk concepts", Unit::PerSecond, concepts / took.as_secs_f64());
    let took = lmdb.load_edges(edges, order)?;
    add("bulk edges", Unit::PerSecond, edges.len() as f64 / took.as_secs_f64());
    add("file size", Unit::Bytes, lmdb.file_size()? as f64);
    drop(lmdb);
    Ok(std::fs::remove_dir_all(dir)?)
}
