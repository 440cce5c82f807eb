//! A store that is reinforced, forgotten and learnt again for as long as one likes, while it is read.
//!
//! `cargo run --release -p sutra-benches --bin endurance -- --concepts 100000` reinforces each
//! concept 100 times and forgets and learns again each ten times, as the store compacts itself, and
//! reads it all the while. At the end the store holds what a fresh import holds: the compacted file
//! must be no more than one and a half times as large, and no read may have failed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use sutra_client::{Associate, Batch, Client, Forget, Horizon, Learn, Level, Reinforce};
use sutra_coordinator::{Host, Options};
use sutra_reader::{NeighborQuery, Reader};

/// Wears a store out, and compares it with a fresh one
#[derive(Debug, Parser)]
struct Args {
    /// Concepts of the store
    #[arg(long, default_value_t = 10_000)]
    concepts: u64,
    /// How often each is reinforced
    #[arg(long, default_value_t = 100)]
    reinforcements: u64,
    /// How often each is forgotten and learnt again
    #[arg(long, default_value_t = 10)]
    forgets: u64,
    /// Where to put the stores [default: the system's temporary folder]
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Associations that start at each concept.
const EDGES: u64 = 3;
/// Operations of a frame.
const OPERATIONS: usize = 1024;
/// Frames that are sent and not acknowledged.
const FRAMES_IN_FLIGHT: usize = 16;
/// The compacted file may be so much larger than a fresh one.
const SIZE_RATIO_MAX: f64 = 1.5;
const TIMEOUT: Duration = Duration::from_secs(600);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let folder = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    }?;
    let (fresh, worn) = (folder.path().join("fresh"), folder.path().join("worn"));
    let host = Host::start(options(&fresh))?;
    Writing::to(&fresh)?.import(&args)?;
    host.stop()?;
    let fresh_size = size_of(&fresh)?;

    let host = Host::start(options(&worn))?;
    let mut writing = Writing::to(&worn)?;
    writing.import(&args)?;
    let is_over = AtomicBool::new(false);
    let (read, took) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_until(&is_over, &worn, args.concepts));
        let began = Instant::now();
        let wrote = wear_out(&mut writing, &args);
        is_over.store(true, Ordering::Relaxed);
        let read = match reading.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        wrote.and(read).map(|read| (read, began.elapsed()))
    })?;
    let grown_size = size_of(&worn)?;
    let compactions = writing.client.stats()?.compactions;
    let done = writing.client.compact(Horizon::Time(u64::MAX), &[], TIMEOUT)?;
    check(&worn, &args)?;
    drop(writing);
    host.stop()?;
    let worn_size = size_of(&worn)?;

    let ratio = worn_size as f64 / fresh_size as f64;
    let mib = |size: u64| size as f64 / f64::from(1 << 20);
    println!(
        "{} concepts, {} reinforcements, {} forgotten and learnt again: {:.1} s",
        args.concepts,
        args.concepts * args.reinforcements,
        args.concepts * args.forgets,
        took.as_secs_f64()
    );
    println!(
        "compactions: {compactions} by itself, then one asked for: {:.1} s, writes waited {} µs",
        done.took_us as f64 / 1e6,
        done.stalled_us
    );
    println!(
        "file: fresh {:.1} MiB, before the last compaction {:.1}, after it {:.1}: {ratio:.2} times",
        mib(fresh_size),
        mib(grown_size),
        mib(worn_size)
    );
    println!(
        "reader: {} rounds under {} generations, slowest {:.1} ms, none failed",
        read.rounds,
        read.generations,
        read.slowest.as_secs_f64() * 1e3
    );
    ensure!(ratio <= SIZE_RATIO_MAX, "the compacted file is {ratio:.2} times a fresh one");
    Ok(())
}

fn options(store: &Path) -> Options {
    let mut options = Options::new(store);
    options.program = "endurance".to_owned();
    options.history_keep = Some(Duration::ZERO);
    options
}

fn size_of(store: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(store.join("storage.dat"))?.blocks() * 512)
}

fn id(concept: u64) -> String {
    format!("concept-{concept}")
}

fn content(concept: u64) -> String {
    format!("concept {concept} is known by a text of its own, {}", "of some length; ".repeat(8))
}

fn target(concept: u64, edge: u64, concepts: u64) -> u64 {
    (concept * (2 * edge + 3) + edge + 1) % concepts
}

/// A client, and the frame that is being filled.
struct Writing {
    client: Client,
    batch: Batch,
}

impl Writing {
    fn to(store: &Path) -> anyhow::Result<Writing> {
        let client = Client::builder(store).author("endurance").connect()?;
        Ok(Writing { client, batch: Batch::new() })
    }

    fn send_if_full(&mut self) -> anyhow::Result<()> {
        if self.batch.len() >= OPERATIONS {
            self.client.submit(&self.batch, Level::Accepted)?;
            self.batch.clear();
        }
        while self.client.in_flight() > FRAMES_IN_FLIGHT {
            let receipt = self.client.next_receipt()?.context("a frame is unanswered")?;
            ensure!(receipt.errors.is_empty(), "refused: {:?}", receipt.errors[0]);
        }
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        if !self.batch.is_empty() {
            self.client.submit(&self.batch, Level::Accepted)?;
            self.batch.clear();
        }
        for receipt in self.client.drain()? {
            ensure!(receipt.errors.is_empty(), "refused: {:?}", receipt.errors[0]);
        }
        self.client.wait(self.client.last_lsn(), Level::Visible, TIMEOUT)?;
        Ok(())
    }

    fn import(&mut self, args: &Args) -> anyhow::Result<()> {
        for concept in 0..args.concepts {
            self.learn(concept)?;
        }
        for concept in 0..args.concepts {
            self.associate(concept, args.concepts)?;
        }
        self.finish()
    }

    fn learn(&mut self, concept: u64) -> anyhow::Result<()> {
        let (id, content) = (id(concept), content(concept));
        let learn = Learn {
            id: id.as_str().into(),
            content: Some(&content),
            strength: Some(0.5),
            ..Learn::default()
        };
        self.batch.learn(&learn)?;
        self.send_if_full()
    }

    fn associate(&mut self, concept: u64, concepts: u64) -> anyhow::Result<()> {
        let source = id(concept);
        for edge in 0..EDGES {
            let target = id(target(concept, edge, concepts));
            self.batch.associate(&Associate {
                source: source.as_str().into(),
                target: target.as_str().into(),
                kind: "near".into(),
                ..Associate::default()
            })?;
        }
        self.send_if_full()
    }
}

/// Rounds of reinforcing all and forgetting a part, until each had its share of both.
fn wear_out(writing: &mut Writing, args: &Args) -> anyhow::Result<()> {
    let concepts = args.concepts;
    let mut forgotten = 0;
    for round in 0..args.reinforcements.max(args.forgets) {
        if round < args.reinforcements {
            for concept in 0..concepts {
                let id = id(concept);
                writing.batch.reinforce(&Reinforce {
                    id: id.as_str().into(),
                    strength: Some(if round % 2 == 0 { 0.01 } else { -0.01 }),
                    confidence: None,
                    if_lsn: None,
                })?;
                writing.send_if_full()?;
            }
        }
        let rounds = args.reinforcements.max(args.forgets);
        let until = concepts * args.forgets * (round + 1) / rounds;
        while forgotten < until {
            let concept = forgotten * 7919 % concepts;
            let id = id(concept);
            writing.batch.forget(&Forget { id: id.as_str().into(), if_lsn: None })?;
            writing.learn(concept)?;
            forgotten += 1;
        }
    }
    // Forgetting ended associations; in the end all are there as after an import.
    for concept in 0..concepts {
        writing.associate(concept, concepts)?;
    }
    writing.finish()
}

struct Read {
    rounds: u64,
    generations: u64,
    slowest: Duration,
}

/// Reads over and over: what is there must be whole, and no read may fail.
fn read_until(is_over: &AtomicBool, store: &Path, concepts: u64) -> anyhow::Result<Read> {
    let reader = Reader::open(store)?;
    let (mut rounds, mut slowest, mut last) = (0, Duration::ZERO, 0);
    let mut generations = 0;
    while !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let snapshot = reader.snapshot()?;
        let concept = rounds * 104_729 % concepts;
        // Between two publications it may be forgotten.
        if let Some(found) = snapshot.get(&id(concept))? {
            if found.content()? != content(concept) {
                bail!("concept {concept} has another content");
            }
            for neighbor in snapshot.neighbors(&found, &NeighborQuery::default())?.iter() {
                snapshot.concept(neighbor.ordinal)?.context("a neighbor is not there")?;
            }
        }
        let generation = snapshot.stats().generation;
        generations += u64::from(generation != last);
        last = generation;
        slowest = slowest.max(began.elapsed());
        rounds += 1;
    }
    Ok(Read { rounds, generations, slowest })
}

/// The store holds what an import gives.
fn check(store: &Path, args: &Args) -> anyhow::Result<()> {
    let snapshot = Reader::open(store)?.snapshot()?;
    ensure!(snapshot.concept_count() == args.concepts, "{} concepts", snapshot.concept_count());
    for concept in 0..args.concepts {
        let found = snapshot.get(&id(concept))?.context("a concept is lost")?;
        ensure!(found.content()? == content(concept), "concept {concept} has another content");
        let neighbors = snapshot.neighbors(&found, &NeighborQuery::default())?;
        for edge in 0..EDGES {
            let target = snapshot.get(&id(target(concept, edge, args.concepts)))?;
            let target = target.context("a concept is lost")?.ordinal();
            ensure!(neighbors.iter().any(|n| n.ordinal == target), "an association is lost");
        }
    }
    Ok(())
}
