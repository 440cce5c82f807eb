//! How long a write waits while a checkpoint or a compaction goes on.
//!
//! `cargo run --release -p sutra-benches --bin stalls -- --concepts 1000000` fills a store, then has
//! one client write one concept after the other, durably, and measures each: alone; beside a client
//! that imports, without checkpoints and with them; and while the store is compacted.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use sutra_client::{Associate, Batch, Client, Horizon, Learn, Level, TypeRef};
use sutra_coordinator::{Host, Options};

/// Measures single writes beside checkpoints and compactions
#[derive(Debug, Parser)]
struct Args {
    /// Concepts of the store
    #[arg(long, default_value_t = 200_000)]
    concepts: u64,
    /// Associations of each
    #[arg(long, default_value_t = 5)]
    edges: u64,
    /// How long each measurement takes at least
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Where to put the store [default: the system's temporary folder]
    #[arg(long)]
    dir: Option<PathBuf>,
}

const FRAMES_IN_FLIGHT: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(600);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let folder = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    }?;
    let store = folder.path().join("store");
    let options = |has_checkpoints: bool| {
        let mut options = Options::new(&store);
        options.program = "stalls".to_owned();
        if !has_checkpoints {
            options.memory_threshold = u64::MAX;
            options.checkpoint_log_size = u64::MAX;
        }
        options
    };
    let host = Host::start(options(true))?;
    fill(&store, &args)?;
    let wanted = Duration::from_secs(args.seconds);
    println!("{:34} {:>8} {:>9} {:>9} {:>9} {:>9}", "", "writes", "p50 µs", "p99", "p99.9", "max");
    let rest = || std::thread::sleep(wanted);
    print("alone", probe(&store, rest)?);
    host.stop()?;
    let host = Host::start(options(false))?;
    print("beside an import, no checkpoints", probe(&store, || import(&store, wanted, 1))?);
    host.stop()?;
    let host = Host::start(options(true))?;
    print("beside an import, checkpoints", probe(&store, || import(&store, wanted, 2))?);
    let flushes = || {
        let began = Instant::now();
        let mut client = connect(&store).expect("it is served");
        while began.elapsed() < wanted {
            client.flush().expect("a checkpoint is made");
        }
    };
    print("one checkpoint after the other", probe(&store, flushes)?);
    let mut compacted = None;
    let compact = || {
        let mut client = connect(&store).expect("it is served");
        compacted = Some(client.compact(Horizon::Time(u64::MAX), &[], TIMEOUT));
    };
    print("compaction", probe(&store, compact)?);
    let done = compacted.context("it was compacted")??;
    println!(
        "{:34} {:.1} s, changing files took {} µs",
        "",
        done.took_us as f64 / 1e6,
        done.stalled_us
    );
    host.stop()?;
    Ok(())
}

fn connect(store: &Path) -> anyhow::Result<Client> {
    Ok(Client::builder(store).author("stalls").connect()?)
}

/// Single durable writes for as long as `beside` takes; the nanoseconds of each.
fn probe(store: &Path, beside: impl FnOnce() + Send) -> anyhow::Result<Vec<u64>> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_over = &is_over;
        let probing = scope.spawn(move || -> anyhow::Result<Vec<u64>> {
            let (mut client, mut batch, mut nanos) = (connect(store)?, Batch::new(), Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                batch.clear();
                let learn = Learn {
                    id: "the probe".into(),
                    content: Some("written once more"),
                    ..Learn::default()
                };
                batch.learn(&learn)?;
                let began = Instant::now();
                client.write(&batch, Level::Durable)?;
                nanos.push(began.elapsed().as_nanos() as u64);
                // So that every moment is met, and the others have the processor too.
                std::thread::sleep(Duration::from_micros(300));
            }
            Ok(nanos)
        });
        let began = Instant::now();
        beside();
        is_over.store(true, Ordering::Relaxed);
        let _ = began;
        probing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn print(name: &str, mut nanos: Vec<u64>) {
    nanos.sort_unstable();
    let at = |share: f64| {
        let place = ((nanos.len() as f64 * share) as usize).min(nanos.len().saturating_sub(1));
        nanos.get(place).copied().unwrap_or(0) / 1000
    };
    println!(
        "{name:34} {:8} {:9} {:9} {:9} {:9}",
        nanos.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// A client with frames in flight.
struct Sending {
    client: Client,
    batch: Batch,
}

impl Sending {
    fn send_if(&mut self, size: usize) -> anyhow::Result<()> {
        if self.batch.len() >= size {
            self.client.submit(&self.batch, Level::Accepted)?;
            self.batch.clear();
        }
        while self.client.in_flight() > FRAMES_IN_FLIGHT {
            self.client.next_receipt()?;
        }
        Ok(())
    }

    fn learn(&mut self, number: u64) -> anyhow::Result<()> {
        let content = format!("concept {number}, {}", "with words of its own; ".repeat(5));
        let learn = Learn { id: id(number).into(), content: Some(&content), ..Learn::default() };
        self.batch.learn(&learn)?;
        self.send_if(512)
    }
}

fn id(number: u64) -> [u8; 16] {
    (u128::from(number) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835 + 1).to_le_bytes()
}

fn fill(store: &Path, args: &Args) -> anyhow::Result<()> {
    let mut sending = Sending { client: connect(store)?, batch: Batch::new() };
    for number in 0..args.concepts {
        sending.learn(number)?;
    }
    for number in 0..args.concepts * args.edges {
        sending.batch.associate(&Associate {
            source: id(number % args.concepts).into(),
            target: id(number.wrapping_mul(2_654_435_761) % args.concepts).into(),
            kind: TypeRef::Number(1),
            ..Associate::default()
        })?;
        sending.send_if(512)?;
    }
    sending.send_if(1)?;
    sending.client.drain()?;
    sending.client.flush()?;
    Ok(())
}

/// New concepts, as fast as they are taken.
fn import(store: &Path, duration: Duration, part: u64) {
    let began = Instant::now();
    let mut sending =
        Sending { client: connect(store).expect("it is served"), batch: Batch::new() };
    let mut number = part << 40;
    while began.elapsed() < duration {
        sending.learn(number).expect("it is taken");
        number += 1;
    }
    sending.client.drain().expect("it is taken");
}
