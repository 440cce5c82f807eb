//! A steady stream of writes while everything grows: whether any of them is ever held up.
//!
//! Clients write small frames at fixed times, each late or not, so a stall counts for every write
//! that it holds up. What is measured is from the time when a frame was due until it was
//! acknowledged as durable. The same bytes, appended to a plain file and synced again and again, say
//! what the disk alone does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sutra_client::{Associate, Batch, Level, TypeRef};
use sutra_reader::Id;

use super::place::Place;
use super::{at_quantile, repeat};
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::load::{self, NewConcepts};
use crate::workload::{Contents, Random, Workload};

const SUITE: &str = "steady";

/// Operations a second, of all clients together.
const OPERATIONS_PER_SECOND: u64 = 50_000;
const CLIENTS: u64 = 10;
/// Operations of a frame: new concepts and as many associations between old ones.
const OPERATIONS_PER_FRAME: u64 = 10;
/// Time between two frames of a client.
const INTERVAL: Duration =
    Duration::from_micros(1_000_000 * CLIENTS * OPERATIONS_PER_FRAME / OPERATIONS_PER_SECOND);
/// Bytes of log that an operation takes, about.
const LOG_SIZE_PER_OPERATION: u64 = 160;
/// The stream is as long as so many measurements of other suites.
const DURATION_FACTOR: u32 = 10;

/// Runs it.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let store = place.path("steady-sutra");
    let coordinator = Coordinator::start(&store)?;
    eprintln!("steady: loading {} concepts", place.workload.concepts);
    let contents = Contents::new(&place.workload);
    load::concepts(&mut coordinator.connect()?, &place.workload, &contents)?;
    drop(contents);
    let duration = DURATION_FACTOR * place.settings.duration();
    for round in 0..place.settings.rounds {
        eprintln!("steady: round {} of {}", round + 1, place.settings.rounds);
        let began = Instant::now();
        let mut nanos = stream(place, &coordinator, round, duration)?;
        let writes = nanos.len() as u64 * OPERATIONS_PER_FRAME;
        let per_second = writes as f64 / began.elapsed().as_secs_f64();
        board.add(SUITE, "writes of the stream", Unit::PerSecond, OURS, per_second);
        let ours = add_tail(board, OURS, &mut nanos);
        let mut nanos = syncs(&place.path("steady-disk"), duration / 2)?;
        let disk = add_tail(board, "disk", &mut nanos);
        let name = "durable p99.9 beyond a sync's p99.9";
        board.add(SUITE, name, Unit::Nanoseconds, OURS, (ours - disk).max(0.0));
    }
    coordinator.stop()?;
    Ok(std::fs::remove_dir_all(store)?)
}

/// Writes the tail of a distribution on the board; gives the slowest but one in a thousand.
fn add_tail(board: &mut Board, contender: &str, nanos: &mut [u64]) -> f64 {
    nanos.sort_unstable();
    let tail = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("slowest", 1.0)];
    for (label, quantile) in tail {
        let name = format!("durable {label}");
        let value = at_quantile(nanos, quantile) as f64;
        board.add(SUITE, &name, Unit::Nanoseconds, contender, value);
    }
    at_quantile(nanos, 0.999) as f64
}

/// What each frame took from when it was due.
fn stream(
    place: &Place,
    coordinator: &Coordinator,
    round: u32,
    duration: Duration,
) -> anyhow::Result<Vec<u64>> {
    let start = Instant::now() + Duration::from_millis(10);
    let write = |number: u64| -> anyhow::Result<Vec<u64>> {
        let purpose = 5000 + u64::from(round) * CLIENTS + number;
        let mut client = coordinator.connect()?;
        let mut source = Source::new(place.workload, purpose);
        let mut due = start + INTERVAL * number as u32 / CLIENTS as u32;
        let mut nanos = Vec::new();
        while due < start + duration {
            source.fill()?;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let receipt = client.write(&source.batch, Level::Durable)?;
            anyhow::ensure!(receipt.errors.is_empty(), "a write was refused");
            nanos.push(due.elapsed().as_nanos() as u64);
            due += INTERVAL;
        }
        Ok(nanos)
    };
    let all: anyhow::Result<Vec<Vec<u64>>> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || write(number))).collect();
        let join = |client: std::thread::ScopedJoinHandle<'_, _>| match client.join() {
            Ok(nanos) => nanos,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        clients.into_iter().map(join).collect()
    });
    Ok(all?.concat())
}

/// Frames that make every region grow.
struct Source {
    news: NewConcepts,
    random: Random,
    workload: Workload,
    batch: Batch,
}

impl Source {
    fn new(workload: Workload, purpose: u64) -> Source {
        let news = NewConcepts::new(workload, purpose);
        Source { news, random: workload.random(purpose), workload, batch: Batch::new() }
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        self.batch.clear();
        for _ in 0..OPERATIONS_PER_FRAME / 2 {
            let (id, content) = self.news.next();
            load::learn(&mut self.batch, id, content)?;
            let mut end = || {
                let ordinal = self.random.below(self.workload.concepts.into());
                Id::Raw(self.workload.id(ordinal as u32))
            };
            let (source, target) = (end(), end());
            let kind = TypeRef::Number(0);
            self.batch.associate(&Associate { source, target, kind, ..Associate::default() })?;
        }
        Ok(())
    }
}

/// What each sync takes of a file to which as many bytes come as to the log.
fn syncs(path: &Path, duration: Duration) -> anyhow::Result<Vec<u64>> {
    const SIZE: u64 = 64 << 20;
    let file = File::create(path)?;
    file.write_all_at(&vec![0; SIZE as usize], 0)?;
    file.sync_all()?;
    let (began, mut written) = (Instant::now(), 0);
    let nanos = repeat(duration, || {
        let micros = began.elapsed().as_micros() as u64;
        let due = micros * OPERATIONS_PER_SECOND * LOG_SIZE_PER_OPERATION / 1_000_000;
        let size = (due - written).clamp(1, 1 << 20);
        file.write_all_at(&vec![7; size as usize], written % (SIZE - (1 << 20)))?;
        written += size;
        let began = Instant::now();
        file.sync_data()?;
        Ok(began.elapsed())
    })?;
    std::fs::remove_file(path)?;
    Ok(nanos)
}
