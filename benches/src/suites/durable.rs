//! Durable writes: one at a time against the disk's own sync and peers' commits, and from 32 clients
//! at once.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sutra_client::Level;

use super::place::Place;
use super::single::{commit_one, open_peers, write_one};
use super::writes::SUITE;
use super::{add_quantiles, repeat};
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::ipc::{Echo, RoundTrip};
use crate::load::NewConcepts;

/// Clients that write at once.
const CLIENTS: u64 = 32;
/// Bytes of a file that is filled with zeros before syncs are measured on it: what a log does that
/// wants its syncs short.
const FILE_SIZE: u64 = 16 << 20;
/// Bytes of one write to it.
const PAGE_SIZE: u64 = 4096;

/// Runs both.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let duration = place.settings.duration();
    let coordinator = Coordinator::start(&place.path("durable-sutra"))?;
    let mut client = coordinator.connect()?;
    let mut peers = open_peers(place, board, true)?;
    let mut echo = Echo::start(&place.path("echo.sock"))?;
    let mut disk = Disk::new(&place.path("disk"))?;
    let mut news = NewConcepts::new(place.workload, 1);
    for round in 0..place.settings.rounds {
        eprintln!("durable writes: round {} of {}", round + 1, place.settings.rounds);
        let name = "one write, durable";
        let mut nanos = repeat(duration, || write_one(&mut client, &mut news, Level::Durable))?;
        add_quantiles(board, SUITE, name, OURS, &mut nanos);
        // One after the other, as a write cannot have the one without the other.
        let mut nanos = repeat(duration, || Ok(disk.sync_page()? + echo.round_trip()?))?;
        add_quantiles(board, SUITE, name, "floor", &mut nanos);
        for (contender, peer) in &mut peers {
            let mut nanos = repeat(duration, || commit_one(&mut **peer, &mut news))?;
            add_quantiles(board, SUITE, name, contender.name(), &mut nanos);
        }
        let mut nanos = repeat(duration, || disk.sync_page())?;
        add_quantiles(board, SUITE, "one sync of a page", "disk", &mut nanos);

        let per_second = at_once(place, &coordinator, round, duration)?;
        let name = "32 clients, durable";
        board.add(SUITE, name, Unit::PerSecond, OURS, per_second);
    }
    coordinator.stop()
}

/// Writes of many clients, each waiting for its own; acknowledged ones a second.
fn at_once(
    place: &Place,
    coordinator: &Coordinator,
    round: u32,
    duration: Duration,
) -> anyhow::Result<f64> {
    let write = |purpose: u64| -> anyhow::Result<usize> {
        let mut client = coordinator.connect()?;
        let mut news = NewConcepts::new(place.workload, purpose);
        let nanos = repeat(duration, || write_one(&mut client, &mut news, Level::Durable))?;
        Ok(nanos.len())
    };
    let began = Instant::now();
    let counts: anyhow::Result<Vec<usize>> = std::thread::scope(|scope| {
        let first = 1000 + u64::from(round) * CLIENTS;
        let writers: Vec<_> =
            (first..first + CLIENTS).map(|purpose| scope.spawn(move || write(purpose))).collect();
        let join = |writer: std::thread::ScopedJoinHandle<'_, _>| match writer.join() {
            Ok(count) => count,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        writers.into_iter().map(join).collect()
    });
    let count: usize = counts?.into_iter().sum();
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// The disk alone: pages of a file that is there already.
struct Disk {
    file: File,
    offset: u64,
}

impl Disk {
    fn new(path: &Path) -> anyhow::Result<Disk> {
        let file = File::create(path)?;
        file.write_all_at(&vec![0; FILE_SIZE as usize], 0)?;
        file.sync_all()?;
        Ok(Disk { file, offset: 0 })
    }

    fn sync_page(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        self.file.write_all_at(&[7; PAGE_SIZE as usize], self.offset)?;
        self.file.sync_data()?;
        self.offset = (self.offset + PAGE_SIZE) % FILE_SIZE;
        Ok(began.elapsed())
    }
}
