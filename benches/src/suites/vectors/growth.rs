//! Loading and linking vectors, and searches beside that.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use sutra_client::{Batch, Client, Learn, Level};
use sutra_reader::{Id, Reader};

use super::super::place::Place;
use super::{EF_DEFAULT, INDEX_TIMEOUT, SUITE};
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::nearest::{NearestData, Part, Searcher};

/// Vectors of one frame of a bulk load.
const VECTORS_PER_FRAME: usize = 256;
/// Of so many vectors one is left for searches beside linking.
const LEFT_SHARE: usize = 8;
/// Vectors that wait to be linked while searches are measured, at most: what is not linked is
/// looked at one by one.
const WAITING_MAX: u64 = 128;

/// Loads all vectors but some and has them linked; loads the others while a second process searches.
/// Returns how many were linked a second of processor time.
pub(super) fn run(
    coordinator: &Coordinator,
    data: &NearestData,
    store: &Path,
    questions: &Path,
    place: &Place,
    board: &mut Board,
) -> anyhow::Result<f64> {
    let settings = &place.settings;
    let is_measured = settings.nearest.wants(Part::Build);
    let mut client = coordinator.connect()?;
    let first = if is_measured { data.count() - data.count() / LEFT_SHARE } else { data.count() };
    eprintln!("loading {first} vectors of {} elements", data.dimension);
    // They are all there first, so that the thread behind has the processor.
    send(&mut client, data, 0..first, VECTORS_PER_FRAME)?;
    let reader = Reader::open(store)?;
    let mut searcher = Searcher::start(store, questions)?;
    if is_measured {
        let found = searcher.find_themselves(EF_DEFAULT, true)?;
        let share = found.found as f64 / found.looked_for as f64;
        board.add(SUITE, "vectors of the tail that find themselves", Unit::Share, OURS, share);
    }
    let before = (indexed(&reader)?, coordinator.cpu_ns()?, Instant::now());
    reader.wait_indexed(INDEX_TIMEOUT)?;
    let linked = (first as u64 - before.0) as f64;
    let cpu_seconds = (coordinator.cpu_ns()? - before.1) as f64 / 1e9;
    eprintln!("linked {linked} in {:.1} s", before.2.elapsed().as_secs_f64());
    if is_measured {
        let rounds = settings.rounds as usize;
        let left = data.count() - first;
        for round in 0..rounds {
            let rows = first + left * round / rounds..first + left * (round + 1) / rounds;
            beside(&mut client, data, rows, &reader, &mut searcher, settings.millis, board)?;
        }
    }
    Ok(linked / cpu_seconds)
}

/// Searches where nobody writes, and while vectors are linked as fast as they can be.
fn beside(
    client: &mut Client,
    data: &NearestData,
    rows: std::ops::Range<usize>,
    reader: &Reader,
    searcher: &mut Searcher,
    millis: u64,
    board: &mut Board,
) -> anyhow::Result<()> {
    searcher.begin(EF_DEFAULT, millis)?;
    let idle = searcher.found()?;
    let is_over = AtomicBool::new(false);
    let (busy, linked) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let feeder = scope.spawn(|| feed(client, data, rows, reader, &is_over));
        searcher.begin(EF_DEFAULT, millis)?;
        let busy = searcher.found();
        is_over.store(true, Ordering::Relaxed);
        let linked = feeder.join().expect("it does not panic")?;
        Ok((busy?, linked))
    })?;
    let share = busy.per_second / idle.per_second;
    board.add(SUITE, "nearest beside growth over idle", Unit::Share, OURS, share);
    board.add(SUITE, "nearest beside growth p99", Unit::Nanoseconds, OURS, busy.p99_ns as f64);
    board.add(SUITE, "linked a second beside searches", Unit::PerSecond, OURS, linked);
    reader.wait_indexed(INDEX_TIMEOUT)?;
    Ok(())
}

/// Sends rows so that there is always one to link, and hardly more, until it is over; then the rest.
/// Returns how many were linked a second until then.
fn feed(
    client: &mut Client,
    data: &NearestData,
    rows: std::ops::Range<usize>,
    reader: &Reader,
    is_over: &AtomicBool,
) -> anyhow::Result<f64> {
    let before = indexed(reader)?;
    let began = Instant::now();
    let mut next = rows.start;
    while !is_over.load(Ordering::Relaxed) {
        if next == rows.end {
            bail!("all vectors were linked before the searches ended; shorten --millis");
        }
        if next as u64 - indexed(reader)? >= WAITING_MAX {
            std::thread::sleep(Duration::from_micros(500));
            continue;
        }
        let end = rows.end.min(next + WAITING_MAX as usize);
        send(client, data, next..end, WAITING_MAX as usize)?;
        next = end;
    }
    let linked = (indexed(reader)? - before) as f64 / began.elapsed().as_secs_f64();
    send(client, data, next..rows.end, VECTORS_PER_FRAME)?;
    Ok(linked)
}

fn indexed(reader: &Reader) -> anyhow::Result<u64> {
    Ok(reader.snapshot()?.spaces()?.first().map_or(0, |space| space.indexed))
}

/// Sends vectors, each under its row's number, and waits until they are visible.
fn send(
    client: &mut Client,
    data: &NearestData,
    rows: std::ops::Range<usize>,
    per_frame: usize,
) -> anyhow::Result<()> {
    let mut batch = Batch::new();
    let end = rows.end;
    for row in rows {
        batch.learn(&Learn {
            id: Id::Raw((row as u128 + 1).to_be_bytes()),
            embedding: Some(data.vector(row)),
            ..Learn::default()
        })?;
        if batch.len() == per_frame || row + 1 == end {
            client.submit(&batch, Level::Accepted)?;
            batch.clear();
        }
    }
    for receipt in client.drain()? {
        if let Some(error) = receipt.errors.first() {
            bail!("a vector was refused: {error:?}");
        }
    }
    let lsn = client.last_lsn();
    client.wait(lsn, Level::Visible, INDEX_TIMEOUT)?;
    Ok(())
}
