//! Writing: in bulk here, one at a time and many at once in the rooms beside.

use std::time::Duration;

use super::place::Place;
use super::{durable, single, visible};
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::load;
use crate::peers::lmdb::Lmdb;
use crate::peers::{Contender, Writing};
use crate::workload::{Contents, Edge};

/// The suite's name in the table.
pub const SUITE: &str = "writes";

/// Bulk loads are long: so many rounds are enough.
const BULK_ROUNDS_MAX: u32 = 3;

/// Whom it measures.
pub const CONTENDERS: [Contender; 7] = Contender::STORES;
/// Those of them for which one write is not everything.
pub const SINGLE: [Contender; 5] =
    [Contender::Lmdb, Contender::Redb, Contender::Sqlite, Contender::Rocksdb, Contender::Redis];

/// Runs the suite.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let contents = Contents::new(&place.workload);
    let edges = place.workload.edges();
    let rounds = place.settings.rounds.min(BULK_ROUNDS_MAX);
    for round in 0..rounds {
        eprintln!("bulk: round {} of {rounds}", round + 1);
        bulk_sutra(place, &contents, &edges, board)?;
        for peer in place.choose_peers(SUITE, &CONTENDERS, board) {
            bulk_peer(place, &contents, &edges, peer, board)?;
            if peer == Contender::Lmdb {
                bulk_sorted(place, &contents, &edges, board)?;
            }
        }
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

fn bulk_peer(
    place: &Place,
    contents: &Contents,
    edges: &[Edge],
    contender: Contender,
    board: &mut Board,
) -> anyhow::Result<()> {
    let dir = place.path("bulk-peer");
    let mut peer = contender.open_to_write(&dir, false)?;
    let concepts = peer.load_concepts(&place.workload, contents)?;
    let took = [concepts, peer.load_edges(edges)?];
    add_bulk(place, edges, contender.name(), took, peer.file_size()?, board);
    drop(peer);
    Ok(std::fs::remove_dir_all(dir)?)
}

/// LMDB at its best: for users who have everything beforehand and can sort it.
fn bulk_sorted(
    place: &Place,
    contents: &Contents,
    edges: &[Edge],
    board: &mut Board,
) -> anyhow::Result<()> {
    let dir = place.path("bulk-sorted");
    std::fs::create_dir_all(&dir)?;
    let mut lmdb = Lmdb::open(&dir, false)?;
    let concepts = lmdb.load_concepts_sorted(&place.workload, contents)?;
    let took = [concepts, lmdb.load_edges_sorted(edges)?];
    add_bulk(place, edges, "lmdb, sorted", took, lmdb.file_size()?, board);
    drop(lmdb);
    Ok(std::fs::remove_dir_all(dir)?)
}

fn add_bulk(
    place: &Place,
    edges: &[Edge],
    name: &str,
    [concepts, links]: [Duration; 2],
    file_size: u64,
    board: &mut Board,
) {
    let mut add = |figure: &str, unit, value| board.add(SUITE, figure, unit, name, value);
    let concept_count = f64::from(place.workload.concepts);
    add("bulk concepts", Unit::PerSecond, concept_count / concepts.as_secs_f64());
    add("bulk edges", Unit::PerSecond, edges.len() as f64 / links.as_secs_f64());
    add("file size", Unit::Bytes, file_size as f64);
}
