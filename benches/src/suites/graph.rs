//! Graph questions beside LMDB and beside petgraph with the graph in its own memory: neighbors,
//! shortest paths and best paths, on a store at rest and while a writer appends edges.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use sutra_client::{Associate, Batch, Level, TypeRef};
use sutra_reader::Id;

use super::place::Stores;
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::peers::Contender;
use crate::reading::{Measured, Mode, ReaderProcess, Task};
use crate::workload::Workload;

const SUITE: &str = "graph";

/// What is asked, by its name in the table.
const TASKS: [(Task, &str); 5] = [
    (Task::Neighbors, "neighbors"),
    (Task::NeighborsOfMany, "neighbors, 256 concepts a call"),
    (Task::PathForward, "path of 3, forward"),
    (Task::PathBoth, "path of 3, both ends"),
    (Task::BestPath, "best path"),
];
/// Whom it measures.
pub const CONTENDERS: [Contender; 8] = [
    Contender::Sutra,
    Contender::Petgraph,
    Contender::Lmdb,
    Contender::Redb,
    Contender::Sqlite,
    Contender::Rocksdb,
    Contender::MmapSync,
    Contender::Redis,
];

/// Edges that the writer appends: a batch each so often makes 100,000 a second.
const EDGES_PER_BATCH: usize = 1000;
const BATCH_INTERVAL: Duration = Duration::from_millis(10);

/// Whether a contender has an answer of its own.
fn is_asked(contender: Contender, task: Task) -> bool {
    matches!(contender, Contender::Sutra | Contender::Petgraph) || task != Task::BestPath
}

/// Runs the suite.
pub fn run(
    stores: &mut Stores<'_>,
    contenders: &[Contender],
    board: &mut Board,
) -> anyhow::Result<()> {
    let settings = &stores.place.settings;
    let mut readers = Vec::new();
    for &contender in contenders {
        readers.push((contender, stores.reader(contender, 0)?));
    }
    check(&mut readers)?;
    stores.touch(Contender::Sutra)?;
    for round in 0..settings.rounds {
        eprintln!("graph: round {} of {}", round + 1, settings.rounds);
        readers.rotate_left(1); // everyone is first in turn
        let mut idle = Vec::new();
        for (task, name) in TASKS {
            for (contender, reader) in &mut readers {
                if !is_asked(*contender, task) {
                    continue;
                }
                let measured = read(reader, task, settings.millis)?;
                let mut add = |name: String, unit, value| {
                    board.add(SUITE, &name, unit, contender.name(), value);
                };
                add(name.to_owned(), Unit::PerSecond, measured.per_second);
                if !task.is_of_many() {
                    add(format!("{name} p50"), Unit::Nanoseconds, measured.p50_ns);
                    add(format!("{name} p99"), Unit::Nanoseconds, measured.p99_ns);
                }
                if *contender == Contender::Sutra {
                    idle.push((task, name, measured));
                }
            }
        }
        let ours = readers.iter_mut().find(|(contender, _)| *contender == Contender::Sutra);
        let Some((_, reader)) = ours else { continue };
        let edges_per_second = beside_writer(stores, u64::from(round), || {
            for (task, name, idle) in &idle {
                let beside = read(reader, *task, settings.millis)?;
                let mut add = |what: &str, unit, value| {
                    board.add(
                        SUITE,
                        &format!("{name}{what} beside a writer over idle"),
                        unit,
                        OURS,
                        value,
                    );
                };
                add("", Unit::Share, beside.per_second / idle.per_second);
                add(
                    ", by processor time,",
                    Unit::Share,
                    beside.per_cpu_second / idle.per_cpu_second,
                );
                if !task.is_of_many() {
                    add(" p50", Unit::Times, beside.p50_ns / idle.p50_ns);
                    add(" p99", Unit::Times, beside.p99_ns / idle.p99_ns);
                }
            }
            Ok(())
        })?;
        board.add(SUITE, "the writer's edges", Unit::PerSecond, OURS, edges_per_second);
    }
    Ok(())
}

/// Throughput and single operations, in one.
fn read(reader: &mut ReaderProcess, task: Task, millis: u64) -> anyhow::Result<Measured> {
    let throughput = reader.read(task, Mode::Throughput, millis)?;
    if task.is_of_many() {
        return Ok(throughput);
    }
    let latency = reader.read(task, Mode::Latency, millis)?;
    Ok(Measured { p50_ns: latency.p50_ns, p99_ns: latency.p99_ns, ..throughput })
}

/// All give the same answers, or the figures mean nothing. petgraph has one edge where the others
/// have several of different types, so its neighbors are others.
fn check(readers: &mut [(Contender, ReaderProcess)]) -> anyhow::Result<()> {
    for (task, name) in TASKS {
        let mut first = None;
        for (contender, reader) in &mut *readers {
            let is_comparable = *contender != Contender::Petgraph
                || !matches!(task, Task::Neighbors | Task::NeighborsOfMany);
            if is_comparable && is_asked(*contender, task) {
                let digest = reader.check(task)?;
                let expected = *first.get_or_insert(digest);
                let who = contender.name();
                ensure!(digest == expected, "{name} of {who} is {digest}, of sutra {expected}");
            }
        }
    }
    Ok(())
}

/// Measures while a writer appends edges; gives how many a second it wrote.
fn beside_writer(
    stores: &Stores<'_>,
    round: u64,
    measure: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let is_over = AtomicBool::new(false);
    let (coordinator, workload) = (&stores.coordinator, stores.place.workload);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(coordinator, workload, round, &is_over));
        let measured = measure();
        is_over.store(true, Ordering::Relaxed);
        let edges_per_second = match writer.join() {
            Ok(written) => written?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        measured.map(|()| edges_per_second)
    })
}

fn write(
    coordinator: &Coordinator,
    workload: Workload,
    round: u64,
    is_over: &AtomicBool,
) -> anyhow::Result<f64> {
    let mut random = workload.random(50 + round);
    let mut client = coordinator.connect()?;
    let (began, mut count) = (Instant::now(), 0);
    while !is_over.load(Ordering::Relaxed) {
        let mut batch = Batch::new();
        for _ in 0..EDGES_PER_BATCH {
            let mut id = || workload.id(random.below(workload.concepts.into()) as u32);
            batch.associate(&Associate {
                source: Id::Raw(id()),
                target: Id::Raw(id()),
                kind: TypeRef::Number(4),
                confidence: Some(0.5),
                ..Associate::default()
            })?;
        }
        client.submit(&batch, Level::Accepted)?;
        count += 1;
        if count % 16 == 0 {
            let receipts = client.drain()?;
            ensure!(receipts.iter().all(|r| r.errors.is_empty()), "a write was refused");
        }
        std::thread::sleep(
            (began + count * BATCH_INTERVAL).saturating_duration_since(Instant::now()),
        );
    }
    client.drain()?;
    Ok(f64::from(count) * EDGES_PER_BATCH as f64 / began.elapsed().as_secs_f64())
}
