//! A good client beside bad ones: what each kind costs it, against the same writes without any.
//!
//! Each round measures the good client's durable writes alone and then beside each kind, so that a
//! ratio compares neighbours in time.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use sutra_client::protocol::frame::write_frame;
use sutra_client::protocol::{FrameKind, Hello};
use sutra_client::{Batch, Client, Learn, Level, socket};
use sutra_reader::Reader;

use super::place::Place;
use super::single::write_one;
use super::{add_quantiles, repeat};
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::load::NewConcepts;
use crate::workload::Random;

const SUITE: &str = "hostile";
/// Connections that only connect.
const IDLE_COUNT: usize = 1000;
/// Concepts in the store that is read without trust, the gets of a snapshot, and the snapshots.
const TRUST_CONCEPTS: usize = 20_000;
const TRUST_GETS: usize = 500;
const TRUST_SNAPSHOTS: usize = 200;
/// What a bad client does before the good one is measured beside it.
const HEAD_START: Duration = Duration::from_millis(50);

/// A kind of bad client: its name, and what it does until it is told to stop.
type Kind = (&'static str, fn(&Path, &AtomicBool));

const KINDS: [Kind; 9] = [
    ("slow, a byte at a time", slow),
    ("garbage", garbage),
    ("flooding, one operation a frame", |store, stop| flood(store, stop, 1, 100)),
    ("flooding, 1,024 operations a frame", |store, stop| flood(store, stop, 1024, 100)),
    ("flooding, as many operations as fit", |store, stop| flood(store, stop, usize::MAX, 1)),
    ("flooding, frames of 16 MiB", |store, stop| flood(store, stop, 16, 1_000_000)),
    ("1,000 idle connects", idle),
    ("leaving after each byte", leave),
    ("never reading", deaf),
];

/// Runs it.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let settings = &place.settings;
    let mut news = NewConcepts::new(place.workload, 0);
    for round in 0..settings.rounds {
        for (kind, behave) in KINDS {
            eprintln!("hostile clients: round {} of {}: {kind}", round + 1, settings.rounds);
            let store = place.path("hostile-sutra");
            let coordinator = Coordinator::start(&store)?;
            let mut good = coordinator.connect()?;
            let mut measure =
                || repeat(settings.duration(), || write_one(&mut good, &mut news, Level::Durable));
            let mut alone = measure()?;
            let stop = AtomicBool::new(false);
            let mut beside = std::thread::scope(|scope| {
                scope.spawn(|| behave(&store, &stop));
                std::thread::sleep(HEAD_START);
                let measured = measure();
                stop.store(true, Ordering::Relaxed);
                measured
            })?;
            let name = format!("a write beside: {kind},");
            add_quantiles(board, SUITE, &name, OURS, &mut beside);
            add_quantiles(board, SUITE, &name, "alone", &mut alone);
            let memory_size = coordinator.memory_size()? as f64;
            board.add(SUITE, &format!("most memory: {kind}"), Unit::Bytes, OURS, memory_size);
            drop((good, coordinator));
            std::fs::remove_dir_all(&store)?;
        }
    }
    trust(place, board)
}

/// What a get, content and all, costs a reader that trusts nobody, beside one that trusts the
/// coordinator: the first of a concept in a snapshot, and once more.
fn trust(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let store = place.path("hostile-trust");
    let coordinator = Coordinator::start(&store)?;
    let mut client = coordinator.connect()?;
    let (mut batch, content) = (Batch::new(), "w".repeat(100));
    let names: Vec<String> = (0..TRUST_CONCEPTS).map(|number| format!("c{number}")).collect();
    for names in names.chunks(1000) {
        batch.clear();
        for name in names {
            let id = name.as_str().into();
            batch.learn(&Learn { id, content: Some(&content), ..Learn::default() })?;
        }
        client.write(&batch, Level::Visible)?;
    }
    let readers = [(OURS, Reader::open_untrusted(&store)?), ("open", Reader::open(&store)?)];
    let mut random = Random::new(2);
    for round in 0..place.settings.rounds {
        eprintln!("hostile files: round {} of {}", round + 1, place.settings.rounds);
        for (contender, reader) in &readers {
            let mut spent = [Duration::ZERO; 2];
            for _ in 0..TRUST_SNAPSHOTS {
                let snapshot = reader.snapshot()?;
                let mut pick = || names[random.next() as usize % names.len()].as_str();
                let picked: Vec<&str> = (0..TRUST_GETS).map(|_| pick()).collect();
                for spent in &mut spent {
                    let began = Instant::now();
                    for name in &picked {
                        let concept = snapshot.get(*name)?.context("a concept is not there")?;
                        anyhow::ensure!(concept.content()?.len() == content.len());
                    }
                    *spent += began.elapsed();
                }
            }
            let gets = (TRUST_SNAPSHOTS * TRUST_GETS) as f64;
            for (name, spent) in ["the first time", "once more"].iter().zip(spent) {
                let name = format!("a get from a file that is not trusted, {name}");
                board.add(
                    SUITE,
                    &name,
                    Unit::Nanoseconds,
                    contender,
                    spent.as_nanos() as f64 / gets,
                );
            }
        }
    }
    drop((readers, client, coordinator));
    Ok(std::fs::remove_dir_all(&store)?)
}

/// Connects and says hello, under an id of its own.
fn greeted(store: &Path) -> std::io::Result<UnixStream> {
    let mut stream = socket::connect(socket::path_in(store))?;
    stream.write_all(&hello())?;
    stream.read_exact(&mut [0; 16 + 54])?;
    Ok(stream)
}

fn hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    Hello::new([0x77; 16], "bad").encode(1, &mut bytes);
    bytes
}

/// A frame that learns one concept.
fn learn(sequence: u64) -> Vec<u8> {
    let mut batch = Batch::new();
    let learn = Learn { id: "bad".into(), content: Some("words"), ..Learn::default() };
    batch.learn(&learn).expect("it fits");
    let mut bytes = Vec::new();
    batch.encode(sequence, sequence, Level::Accepted, &mut bytes);
    bytes
}

fn until(stop: &AtomicBool, mut once: impl FnMut()) {
    while !stop.load(Ordering::Relaxed) {
        once();
    }
}

fn slow(store: &Path, stop: &AtomicBool) {
    let mut stream = None;
    let frame = learn(1);
    until(stop, || {
        let stream = stream.get_or_insert_with(|| greeted(store).expect("it is served"));
        for byte in &frame {
            let _ = stream.write_all(std::slice::from_ref(byte));
            std::thread::sleep(Duration::from_micros(20));
        }
    });
}

fn garbage(store: &Path, stop: &AtomicBool) {
    let mut random = Random::new(1);
    until(stop, || {
        let bytes: Vec<u8> = (0..400).map(|_| random.next() as u8 | 8).collect();
        if let Ok(mut stream) = socket::connect(socket::path_in(store)) {
            let _ = stream.write_all(&bytes);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
}

/// Writes as fast as it is let.
fn flood(store: &Path, stop: &AtomicBool, operations: usize, content_size: usize) {
    let mut client = Client::builder(store).author("flood").connect().expect("it is served");
    let content = "w".repeat(content_size);
    let mut batch = Batch::new();
    for number in 0..operations {
        let id = format!("flood-{number}");
        let learn = Learn { id: id.as_str().into(), content: Some(&content), ..Learn::default() };
        if batch.learn(&learn).is_err() {
            break; // it is full
        }
    }
    let mut count = 0;
    until(stop, || {
        let _ = client.submit(&batch, Level::Accepted);
        count += 1;
        if count % 256 == 0 {
            let _ = client.drain();
        }
    });
}

fn idle(store: &Path, stop: &AtomicBool) {
    let mut idle: Vec<UnixStream> = Vec::new();
    let mut began = Instant::now();
    until(stop, || {
        if began.elapsed() > Duration::from_secs(2) {
            idle.clear(); // they were told to go
            began = Instant::now();
        }
        match idle.len() < IDLE_COUNT {
            true => idle.extend(socket::connect(socket::path_in(store))),
            false => std::thread::sleep(Duration::from_millis(1)),
        }
    });
}

fn leave(store: &Path, stop: &AtomicBool) {
    let session = [hello(), learn(1)].concat();
    let mut size = 0;
    until(stop, || {
        if let Ok(mut stream) = socket::connect(socket::path_in(store)) {
            let _ = stream.write_all(&session[..size]);
        }
        size = (size + 1) % (session.len() + 1);
    });
}

fn deaf(store: &Path, stop: &AtomicBool) {
    let mut questions = Vec::new();
    for number in 0..1000 {
        write_frame(&mut questions, FrameKind::Stats, number, |_| {});
    }
    let mut stream = greeted(store).expect("it is served");
    stream.set_nonblocking(true).expect("a socket can be made so");
    until(stop, || {
        if stream.write(&questions).is_err() {
            std::thread::sleep(Duration::from_micros(100));
        }
    });
}

impl Coordinator {
    /// The most memory that it has had.
    fn memory_size(&self) -> anyhow::Result<u64> {
        let status: PathBuf = format!("/proc/{}/status", self.pid()).into();
        let status = std::fs::read_to_string(status)?;
        let anonymous = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kilobytes = anonymous.and_then(|line| line.split_whitespace().nth(1));
        Ok(kilobytes.context("no size of a process")?.parse::<u64>()? * 1024)
    }
}
