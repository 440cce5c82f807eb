//! A reader process of the demo: answers one question a line until its standard input ends.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sutra_client::{Batch, Client, Learn, Level};
use sutra_layout::id::Id;
use sutra_reader::{Direction, NearestQuery, NeighborQuery, PathQuery, Reader};

use super::message::{Answer, Ask};
use crate::commands::nearest::HitRow;
use crate::commands::neighbors::NeighborRow;
use crate::commands::path::PathRow;
use crate::exit::{Exit, Failure, Outcome};
use crate::{output, store};

/// How long a process waits for a write before it says that something is wrong.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Lines printed of a longer answer.
const LINES_MAX: usize = 8;

/// A reader process of `sutra demo`
#[derive(Debug, clap::Args)]
pub struct DemoReaderArgs {
    /// The store's directory
    store: PathBuf,
}

/// Runs the command.
pub fn run(args: &DemoReaderArgs) -> Outcome {
    let mut process = Process { store: &args.store, reader: None, client: None };
    for line in stdin().lock().lines() {
        let line = line.map_err(Failure::usage)?;
        let ask: Ask = serde_json::from_str(&line).map_err(Failure::usage)?;
        let answer = process
            .answer(&ask)
            .unwrap_or_else(|failure| Answer::Failed { message: failure.to_string() });
        say(&answer)?;
    }
    Ok(Exit::Done)
}

fn say(answer: &Answer) -> Result<(), Failure> {
    let text = serde_json::to_string(answer).map_err(Failure::usage)?;
    let mut stdout = stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::usage)
}

struct Process<'a> {
    store: &'a Path,
    reader: Option<Reader>,
    client: Option<Client>,
}

impl Process<'_> {
    fn answer(&mut self, ask: &Ask) -> Result<Answer, Failure> {
        match ask {
            Ask::Open => {
                let started = Instant::now();
                let reader = store::open(self.store)?;
                reader.snapshot()?;
                let took_ns = nanoseconds(started.elapsed());
                self.reader = Some(reader);
                Ok(Answer::Opened { took_ns })
            }
            Ask::Get { id } => self.get(id),
            Ask::Neighbors { id } => self.neighbors(id),
            Ask::Path { from, to } => self.path(from, to),
            Ask::Nearest { id, k } => self.nearest(id, *k),
            Ask::Await { id } => self.wait_for(id),
            Ask::Write { prefix, count } => self.write(prefix, *count),
            Ask::Check { prefix, count } => self.check(prefix, *count),
            Ask::Count { up_to_lsn } => self.count(*up_to_lsn),
            Ask::Memory => Ok(Answer::Memory { private_size: private_memory()? }),
        }
    }

    fn reader(&self) -> Result<&Reader, Failure> {
        self.reader.as_ref().ok_or_else(|| Failure::usage("the store is not open yet"))
    }

    fn get(&self, id: &str) -> Result<Answer, Failure> {
        let started = Instant::now();
        let snapshot = self.reader()?.snapshot()?;
        let concept = store::concept(&snapshot, self.store, "", id)?;
        let content = concept.content()?;
        let took_ns = nanoseconds(started.elapsed());
        Ok(Answer::Found { lines: vec![format!("{id}  {content}")], took_ns })
    }

    fn neighbors(&self, id: &str) -> Result<Answer, Failure> {
        let started = Instant::now();
        let snapshot = self.reader()?.snapshot()?;
        let concept = store::concept(&snapshot, self.store, "", id)?;
        let query = NeighborQuery { direction: Direction::Out, ..NeighborQuery::default() };
        let neighbors = snapshot.neighbors(&concept, &query)?;
        let took_ns = nanoseconds(started.elapsed());
        let mut lines = Vec::new();
        let rows = neighbors
            .iter()
            .take(LINES_MAX)
            .filter_map(|neighbor| NeighborRow::new(&snapshot, neighbor).transpose());
        for row in rows {
            let row = row?;
            lines.push(format!("-{}-> {}", row.kind, row.id));
        }
        if neighbors.len() > LINES_MAX {
            lines.push(format!("… and {} more", neighbors.len() - LINES_MAX));
        }
        Ok(Answer::Found { lines, took_ns })
    }

    fn path(&self, from: &str, to: &str) -> Result<Answer, Failure> {
        let started = Instant::now();
        let snapshot = self.reader()?.snapshot()?;
        let from = store::concept(&snapshot, self.store, "", from)?;
        let to = store::concept(&snapshot, self.store, "", to)?;
        let path = snapshot.find_path(&from, &to, &PathQuery::default())?;
        let took_ns = nanoseconds(started.elapsed());
        let row = PathRow::new(&snapshot, path.as_ref())?;
        if !row.found {
            return Err(Failure::not_found("no path leads there"));
        }
        Ok(Answer::Found { lines: vec![row.describe()], took_ns })
    }

    fn nearest(&self, id: &str, k: usize) -> Result<Answer, Failure> {
        let started = Instant::now();
        let snapshot = self.reader()?.snapshot()?;
        let concept = store::concept(&snapshot, self.store, "", id)?;
        let vector = concept
            .embedding()?
            .ok_or_else(|| Failure::not_found(format!("{id} has no vector")))?;
        let query = NearestQuery { k, exclude: Some(concept.ordinal()), ..NearestQuery::default() };
        let hits = snapshot.nearest(vector, &query)?;
        let took_ns = nanoseconds(started.elapsed());
        let mut lines = Vec::new();
        for row in hits.iter().filter_map(|hit| HitRow::new(&snapshot, hit).transpose()) {
            let HitRow { id, score, content } = row?;
            lines.push(format!("{score:.3}  {id}  {}", output::short(content, 70)));
        }
        Ok(Answer::Found { lines, took_ns })
    }

    /// Sleeps on the word in the mapping that every publication changes; nobody sends a message.
    fn wait_for(&self, id: &str) -> Result<Answer, Failure> {
        let reader = self.reader()?;
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let mut snapshot = reader.snapshot()?;
        say(&Answer::Waiting)?;
        while !snapshot.contains(Id::from(id))? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::not_found(format!(
                    "{id} did not appear within {WAIT_TIMEOUT:?}"
                )));
            }
            reader.wait_for_update(snapshot.commit_seq(), left)?;
            snapshot = reader.snapshot()?;
        }
        Ok(Answer::Seen { seen_at: monotonic_ns() })
    }

    /// One connection for the life of the process: it outlives the coordinator's, and what was not
    /// acknowledged is sent again under the same sequence number.
    fn write(&mut self, prefix: &str, count: u32) -> Result<Answer, Failure> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(
                Client::builder(self.store)
                    .author("sutra demo")
                    .deadline(WAIT_TIMEOUT)
                    .connect()?,
            ),
        };
        let mut batch = Batch::new();
        let started_at = monotonic_ns();
        let (mut longest_ns, mut acknowledged_at) = (0, started_at);
        for number in 1..=count {
            let id = format!("{prefix} {number}");
            batch.clear();
            batch
                .learn(&Learn {
                    id: Id::from(&id),
                    content: Some("written by a reader process"),
                    ..Learn::default()
                })
                .map_err(Failure::usage)?;
            let receipt = client.write(&batch, Level::Durable)?;
            if let Some(error) = receipt.errors.into_iter().next() {
                return Err(error.into());
            }
            let now = monotonic_ns();
            longest_ns = longest_ns.max(now - acknowledged_at);
            acknowledged_at = now;
        }
        Ok(Answer::Written { started_at, acknowledged_at, longest_ns })
    }

    fn check(&self, prefix: &str, count: u32) -> Result<Answer, Failure> {
        let snapshot = self.reader()?.snapshot()?;
        let (mut found, mut applied_twice) = (0, 0);
        for number in 1..=count {
            let id = format!("{prefix} {number}");
            if let Some(concept) = snapshot.get(Id::from(&id))? {
                found += 1;
                applied_twice += u32::from(concept.version() > 1);
            }
        }
        Ok(Answer::Checked { found, applied_twice })
    }

    fn count(&self, up_to_lsn: Option<u64>) -> Result<Answer, Failure> {
        let snapshot = self.reader()?.snapshot()?;
        let stats = snapshot.stats();
        let lsn = snapshot.published_lsn();
        let up_to_lsn = up_to_lsn.unwrap_or(lsn);
        let mut digest = DefaultHasher::new();
        for concept in snapshot.concepts() {
            let concept = concept?;
            if concept.lsn() > up_to_lsn {
                continue;
            }
            (concept.key(), concept.content()?).hash(&mut digest);
            for element in concept.embedding()?.unwrap_or_default() {
                element.to_bits().hash(&mut digest);
            }
            for neighbor in snapshot.neighbors(&concept, &NeighborQuery::default())? {
                if snapshot.association(neighbor.edge)?.lsn() <= up_to_lsn {
                    (neighbor.ordinal, neighbor.edge_type, neighbor.edge).hash(&mut digest);
                }
            }
        }
        Ok(Answer::Counted {
            concepts: stats.concepts,
            edges: stats.edges,
            vectors: stats.vectors,
            lsn,
            digest: digest.finish(),
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// The clock that every process of this machine reads the same.
fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What this process alone holds in memory, its unwritten pages of code and file not counted.
fn private_memory() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").map_err(Failure::usage)?;
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("Private_Dirty:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| Failure::usage("/proc/self/smaps_rollup has no Private_Dirty"))
}
