//! A reader beside a saturating writer: what is left of its idle speed, and what the writer does.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::ensure;
use sutra_client::{Batch, Level};

use super::place::Stores;
use crate::board::{Board, Unit};
use crate::host::Coordinator;
use crate::load::{self, OPERATIONS_PER_FRAME};
use crate::peers::{Concept, Contender};
use crate::reading::{Measured, Mode, ReaderProcess, Task};

const SUITE: &str = "mixed";

/// Whom it measures: those that another process can read while one writes.
pub const CONTENDERS: [Contender; 5] =
    [Contender::Sutra, Contender::Lmdb, Contender::Sqlite, Contender::Rocksdb, Contender::Redis];

/// Frames that are made once and written again and again, to save the writer's time.
const FRAMES: usize = 64;
/// Frames between two looks at their answers.
const FRAMES_UNCHECKED: u64 = 256;

/// Runs the suite.
pub fn run(
    stores: &mut Stores<'_>,
    contenders: &[Contender],
    board: &mut Board,
) -> anyhow::Result<()> {
    board.leave_out(SUITE, Contender::Redb.name(), "a process that writes locks out all others");
    board.leave_out(SUITE, Contender::MmapSync.name(), "any change writes everything anew");
    let settings = &stores.place.settings;
    let frames = Frames::new(stores);
    for round in 0..settings.rounds {
        eprintln!("mixed: round {} of {}", round + 1, settings.rounds);
        for &contender in contenders {
            stores.touch(contender)?;
            let mut reader = stores.reader(contender, 0)?;
            let idle = read(&mut reader, settings.millis)?;
            let (beside, records_per_second) =
                beside_writer(stores, contender, &frames, || read(&mut reader, settings.millis))?;
            let mut add = |name: &str, unit, value| {
                board.add(SUITE, name, unit, contender.name(), value);
            };
            let name = "get content";
            add(&format!("{name}, idle"), Unit::PerSecond, idle.per_second);
            let over_idle = format!("{name} beside a writer over idle");
            let share = beside.per_second / idle.per_second;
            add(&over_idle, Unit::Share, share);
            let by_cpu = format!("{over_idle}, by processor time");
            let share = beside.per_cpu_second / idle.per_cpu_second;
            add(&by_cpu, Unit::Share, share);
            add(&format!("{name} p50, idle"), Unit::Nanoseconds, idle.p50_ns);
            let times = beside.p50_ns / idle.p50_ns;
            add(&format!("{name} p50 beside a writer over idle"), Unit::Times, times);
            add(&format!("{name} p99, idle"), Unit::Nanoseconds, idle.p99_ns);
            let times = beside.p99_ns / idle.p99_ns;
            add(&format!("{name} p99 beside a writer over idle"), Unit::Times, times);
            add("the writer's records", Unit::PerSecond, records_per_second);
        }
    }
    Ok(())
}

/// Throughput and single operations, in one.
fn read(reader: &mut ReaderProcess, millis: u64) -> anyhow::Result<Measured> {
    let throughput = reader.read(Task::FreshContent, Mode::Throughput, millis)?;
    let latency = reader.read(Task::FreshContent, Mode::Latency, millis)?;
    Ok(Measured { p50_ns: latency.p50_ns, p99_ns: latency.p99_ns, ..throughput })
}

/// What the writer writes: new versions of random concepts.
struct Frames(Vec<Vec<([u8; 16], u32, String)>>);

impl Frames {
    fn new(stores: &Stores<'_>) -> Frames {
        let workload = stores.place.workload;
        let mut random = workload.random(3);
        let mut frame = |revision| {
            let mut concept = || {
                let ordinal = random.below(workload.concepts.into()) as u32;
                let mut content = String::new();
                workload.content(ordinal, revision, &mut content);
                (workload.id(ordinal), ordinal, content)
            };
            (0..OPERATIONS_PER_FRAME).map(|_| concept()).collect()
        };
        Frames((0..FRAMES as u64).map(|n| frame(n + 10)).collect())
    }
}

/// Measures while a writer writes as fast as it can; also gives its records a second.
fn beside_writer(
    stores: &Stores<'_>,
    contender: Contender,
    frames: &Frames,
    measure: impl FnOnce() -> anyhow::Result<Measured>,
) -> anyhow::Result<(Measured, f64)> {
    let is_over = AtomicBool::new(false);
    let (coordinator, path) = (&stores.coordinator, stores.path(contender));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| match contender {
            Contender::Sutra => write_sutra(coordinator, frames, &is_over),
            peer => write_peer(&path, peer, frames, &is_over),
        });
        let measured = measure();
        is_over.store(true, Ordering::Relaxed);
        let records_per_second = match writer.join() {
            Ok(written) => written?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok((measured?, records_per_second))
    })
}

fn write_sutra(
    coordinator: &Coordinator,
    frames: &Frames,
    is_over: &AtomicBool,
) -> anyhow::Result<f64> {
    let mut client = coordinator.connect()?;
    let mut batches = Vec::new();
    for frame in &frames.0 {
        let mut batch = Batch::new();
        for (id, _, content) in frame {
            load::learn(&mut batch, *id, content)?;
        }
        batches.push(batch);
    }
    let (began, mut count) = (Instant::now(), 0);
    for batch in batches.iter().cycle() {
        client.submit(batch, Level::Accepted)?;
        count += 1;
        if count % FRAMES_UNCHECKED == 0 {
            let receipts = client.drain()?;
            ensure!(receipts.iter().all(|r| r.errors.is_empty()), "a write was refused");
        }
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    client.drain()?;
    Ok(records(count, began))
}

fn write_peer(
    path: &Path,
    contender: Contender,
    frames: &Frames,
    is_over: &AtomicBool,
) -> anyhow::Result<f64> {
    let mut peer = contender.open_to_write(path, false)?;
    let transactions: Vec<Vec<Concept<'_>>> = frames
        .0
        .iter()
        .map(|frame| {
            let concepts = frame.iter();
            concepts
                .map(|(id, ordinal, content)| Concept { id: *id, ordinal: *ordinal, content })
                .collect()
        })
        .collect();
    let (began, mut count) = (Instant::now(), 0);
    for transaction in transactions.iter().cycle() {
        peer.write(transaction)?;
        count += 1;
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(records(count, began))
}

fn records(frames: u64, began: Instant) -> f64 {
    (frames * OPERATIONS_PER_FRAME as u64) as f64 / began.elapsed().as_secs_f64()
}
