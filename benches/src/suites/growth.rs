//! The same figures at ten times the size, and again: nothing that a write does may grow with what is
//! there already. What grows is what goes to memory instead of the caches.

use std::time::Duration;

use sutra_client::Level;

use super::place::{Place, Stores};
use super::repeat;
use super::single::{commit_one, write_one};
use crate::board::{Board, Unit};
use crate::load::NewConcepts;
use crate::peers::Contender;
use crate::reading::{Mode, Task};
use crate::settings::Settings;

const SUITE: &str = "growth";

/// Concepts of the smallest store; each further one has ten times as many.
const FIRST: u32 = 10_000;
const CONTENDERS: [Contender; 2] = [Contender::Sutra, Contender::Lmdb];
const READS: [(Task, &str); 3] = [
    (Task::Content, "get content"),
    (Task::Neighbors, "neighbors"),
    (Task::PathBoth, "path of 3, both ends"),
];
const WRITES: [(Level, &str); 3] = [
    (Level::Accepted, "one write, accepted"),
    (Level::Durable, "one write, durable"),
    (Level::Visible, "one write, visible"),
];
/// Kills of a size.
const KILLS: u32 = 7;
/// What the coordinator has of new log when it is killed.
const WRITES_BEFORE_KILL: u32 = 2_000;

/// Runs the suite.
pub fn run(settings: &Settings, board: &mut Board) -> anyhow::Result<()> {
    let sizes = std::iter::successors(Some(FIRST), |size| size.checked_mul(10));
    for concepts in sizes.take_while(|size| *size <= settings.up_to) {
        let place = Place::new(&Settings { concepts, ..settings.clone() })?;
        let mut stores = place.stores(&CONTENDERS)?;
        eprintln!("growth: {concepts} concepts");
        measure(&mut stores, &mut Sized { board, concepts })?;
        stores.stop()?;
    }
    Ok(())
}

/// A board whose figures have the size in their names.
struct Sized<'b> {
    board: &'b mut Board,
    concepts: u32,
}

impl Sized<'_> {
    fn add(&mut self, name: &str, unit: Unit, contender: Contender, value: f64) {
        let name = format!("{name} at {}", self.concepts);
        self.board.add(SUITE, &name, unit, contender.name(), value);
    }

    fn add_quantiles(&mut self, name: &str, contender: Contender, mut nanos: Vec<u64>) {
        nanos.sort_unstable();
        for (label, permille) in [("p50", 500), ("p99", 990)] {
            let nanos = nanos[(nanos.len() * permille / 1000).min(nanos.len() - 1)];
            self.add(&format!("{name} {label}"), Unit::Nanoseconds, contender, nanos as f64);
        }
    }
}

fn measure(stores: &mut Stores<'_>, board: &mut Sized<'_>) -> anyhow::Result<()> {
    let settings = stores.place.settings.clone();
    let duration = settings.duration();
    read(stores, &settings, board)?;
    for contender in CONTENDERS {
        stores.touch(contender)?;
    }
    let mut client = stores.coordinator.connect()?;
    client.flush()?;
    let size = client.stats()?.storage_size as f64;
    let concepts = f64::from(settings.concepts);
    board.add("bytes a concept with its edges", Unit::Bytes, Contender::Sutra, size / concepts);
    let mut lmdb = Contender::Lmdb.open_to_write(&stores.path(Contender::Lmdb), false)?;
    let size = lmdb.file_size()? as f64;
    board.add("bytes a concept with its edges", Unit::Bytes, Contender::Lmdb, size / concepts);
    let mut news = NewConcepts::new(stores.place.workload, 5);
    for _ in 0..settings.rounds {
        for (level, name) in WRITES {
            let cpu_ns = stores.coordinator.cpu_ns()?;
            let faults = stores.coordinator.page_faults()?;
            let nanos = repeat(duration, || write_one(&mut client, &mut news, level))?;
            let cpu_ns = (stores.coordinator.cpu_ns()? - cpu_ns) as f64 / nanos.len() as f64;
            let of_cpu = format!("{name}: coordinator's time");
            board.add(&of_cpu, Unit::Nanoseconds, Contender::Sutra, cpu_ns);
            let faults = (stores.coordinator.page_faults()? - faults) as f64 / nanos.len() as f64;
            let of_faults = format!("{name}: coordinator's page faults");
            board.add(&of_faults, Unit::Times, Contender::Sutra, faults);
            board.add_quantiles(name, Contender::Sutra, nanos);
        }
    }
    let mut serving = Vec::new();
    for _ in 0..KILLS {
        for _ in 0..WRITES_BEFORE_KILL {
            write_one(&mut client, &mut news, Level::Accepted)?;
        }
        let restart = stores.coordinator.kill_and_restart()?;
        serving.push(restart.serving);
        client = stores.coordinator.connect()?;
    }
    let nanos = serving.iter().map(Duration::as_nanos).map(|nanos| nanos as u64).collect();
    board.add_quantiles("kill to serving", Contender::Sutra, nanos);
    // Last, since what it leaves to the kernel to write back would slow our syncs.
    for _ in 0..settings.rounds {
        let nanos = repeat(duration, || commit_one(&mut *lmdb, &mut news))?;
        board.add_quantiles(WRITES[0].1, Contender::Lmdb, nanos);
    }
    Ok(())
}

fn read(stores: &Stores<'_>, settings: &Settings, board: &mut Sized<'_>) -> anyhow::Result<()> {
    let mut readers = Vec::new();
    for contender in CONTENDERS {
        readers.push((contender, stores.reader(contender, 0)?));
    }
    for _ in 0..settings.rounds {
        readers.reverse(); // whoever was second is first
        for (task, name) in READS {
            for (contender, reader) in &mut readers {
                let measured = reader.read(task, Mode::Latency, settings.millis)?;
                board.add(&format!("{name} p50"), Unit::Nanoseconds, *contender, measured.p50_ns);
                board.add(&format!("{name} p99"), Unit::Nanoseconds, *contender, measured.p99_ns);
            }
        }
    }
    Ok(())
}
