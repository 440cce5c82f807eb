//! Nearest vectors: recall and speed from a second process, growth, and searches beside it.

mod curve;
mod growth;
mod picture;

use std::time::Duration;

use anyhow::{Context, bail};
use sutra_reader::Reader;

use super::place::Place;
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::nearest::{NearestData, Part, Searched, Searcher};
use curve::{Point, System};

const SUITE: &str = "vectors";
/// The candidates of a curve's points.
const EFS: [usize; 13] = [10, 16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 400];
/// The candidates where it is not recall that is asked for.
const EF_DEFAULT: usize = 64;
/// How long building may take.
const INDEX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Runs the suite.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let settings = &place.settings;
    let wanted = &settings.nearest;
    let data = NearestData::new(wanted, settings.seed)?;
    let questions = place.path("questions");
    let store = wanted.vectors_store.clone().unwrap_or_else(|| place.path("vectors"));
    let is_made = store.join(sutra_reader::STORAGE_FILE).exists();
    Searcher::ask(&data, &questions)?;
    let coordinator = Coordinator::start_of_vectors(&store, &wanted.graph_arguments())?;
    let mut inserts = None;
    if is_made {
        eprintln!("searching the store that is there");
    } else {
        inserts = Some(growth::run(&coordinator, &data, &store, &questions, place, board)?);
    }
    let reader = Reader::open(&store)?;
    reader.wait_indexed(INDEX_TIMEOUT)?;
    let found = reader.snapshot()?.spaces()?.first().map_or(0, |space| space.count);
    if found != data.count() as u64 {
        bail!("{} has {found} vectors, not {}", store.display(), data.count());
    }
    let mut systems = Vec::new();
    if wanted.wants(Part::Search) {
        let mut searcher = Searcher::start(&store, &questions)?;
        let ours = search(&mut searcher, inserts, settings.millis, board)?;
        let usual = *ours.iter().find(|found| found.recall >= 0.95).unwrap_or(&ours[0]);
        for _ in 0..settings.rounds {
            let mut other = Searcher::start(&store, &questions)?;
            let opened = other.open()?;
            let name = "open to first search, new process";
            board.add(SUITE, name, Unit::Nanoseconds, OURS, opened as f64);
            board.add(SUITE, "open to first search", Unit::Nanoseconds, OURS, other.open()? as f64);
            together(&mut searcher, &mut other, usual.ef, settings.millis, board)?;
        }
        let curve = ours.iter().map(Point::from).collect();
        systems.push(System { system: OURS.to_owned(), inserts_per_cpu_second: inserts, curve });
    }
    add_bytes(&reader, board)?;
    coordinator.stop()?;
    let peers = match (&wanted.python, &wanted.data) {
        (Some(python), Some(data)) => {
            Some(curve::run_peers(python, data, place.path("peers.json"))?)
        }
        _ => wanted.peers.clone(),
    };
    if let Some(path) = peers {
        systems.extend(curve::peers(&path)?);
    }
    systems.iter().for_each(|system| curve::add(board, system));
    if let Some(path) = &wanted.svg {
        std::fs::write(path, picture::draw(&systems))?;
    }
    Ok(())
}

/// The curve, what a searching process keeps, and whether vectors find themselves.
fn search(
    searcher: &mut Searcher,
    inserts: Option<f64>,
    millis: u64,
    board: &mut Board,
) -> anyhow::Result<Vec<Searched>> {
    if inserts.is_none() {
        eprintln!("linking was not measured");
    }
    let mut curve: Vec<Searched> = Vec::new();
    for ef in EFS {
        searcher.begin(ef, millis)?;
        let found = searcher.found()?;
        eprintln!(
            "ef {ef:3}: recall {:.4}, {:.0}/s, p50 {:.1} us, p99 {:.1} us",
            found.recall,
            found.per_second,
            found.p50_ns as f64 / 1e3,
            found.p99_ns as f64 / 1e3
        );
        if ef == EF_DEFAULT {
            board.add(SUITE, "nearest p99", Unit::Nanoseconds, OURS, found.p99_ns as f64);
            let private = found.private_bytes as f64;
            board.add(SUITE, "private memory, searching", Unit::Bytes, OURS, private);
        }
        curve.push(found);
    }
    let found = searcher.find_themselves(EF_DEFAULT, false)?;
    let share = found.found as f64 / found.looked_for as f64;
    board.add(SUITE, "vectors that find themselves", Unit::Share, OURS, share);
    Ok(curve)
}

/// Two processes that search at once, over one.
fn together(
    searcher: &mut Searcher,
    other: &mut Searcher,
    ef: usize,
    millis: u64,
    board: &mut Board,
) -> anyhow::Result<()> {
    // A process that has touched what it searches, as the other one has.
    other.begin(ef, 0)?;
    other.found()?;
    searcher.begin(ef, millis)?;
    let alone = searcher.found()?.per_second;
    searcher.begin(ef, millis)?;
    other.begin(ef, millis)?;
    let both = searcher.found()?.per_second + other.found()?.per_second;
    board.add(SUITE, "2 processes over 1", Unit::Share, OURS, both / alone);
    Ok(())
}

/// Bytes of the graph, for each vector.
fn add_bytes(reader: &Reader, board: &mut Board) -> anyhow::Result<()> {
    let snapshot = reader.snapshot()?;
    let spaces = snapshot.spaces()?;
    let space = spaces.first().context("the store has no vectors")?;
    let node = snapshot.space(0)?.graph_shape().stride;
    // Upper lists are counted by the levels of the nodes.
    let m = snapshot.space(0)?.graph.m.into();
    let levels = (0..space.count as u32).map(|row| u64::from(sutra_vectors::level_of(row, m)));
    let upper = levels.sum::<u64>() * sutra_vectors::units_per_level(m) * 64;
    let bytes = node as f64 + upper as f64 / space.count as f64;
    board.add(SUITE, "graph's bytes a vector", Unit::Bytes, OURS, bytes);
    Ok(())
}
