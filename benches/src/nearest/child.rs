//! A process that opens a store and searches it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use sutra_reader::{Hit, NearestQuery, Reader};

use super::data::K;
use crate::memory;

/// What the hidden subcommand takes.
#[derive(Args, Clone, Debug)]
pub struct NearestArgs {
    store: PathBuf,
    /// Queries and what is nearest to each, see [`Questions`]
    questions: PathBuf,
}

/// What a searching process is asked about.
#[derive(Debug, Serialize, Deserialize)]
struct Questions {
    dimension: usize,
    queries: Vec<f32>,
    truth: Vec<u32>,
}

/// What a searching process is to do: a line of JSON, answered by another.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Task {
    /// Search for all queries again and again, for so long.
    Search { ef: usize, millis: u64 },
    /// Look for vectors of the store by themselves: of the rows that are linked, or of the tail.
    FindThemselves { ef: usize, is_of_tail: bool },
    /// Open the store and search once.
    Open,
}

/// What it found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Searched {
    pub ef: usize,
    pub recall: f64,
    pub per_second: f64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub private_bytes: u64,
}

/// How many vectors of a sample were the nearest to themselves.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FoundThemselves {
    pub looked_for: u64,
    pub found: u64,
}

/// Vectors of a sample, at most.
const SAMPLE: u64 = 2_000;
/// Scores that differ by less count as equal.
const EQUAL_SCORE: f32 = 1e-6;

/// The child's side.
pub fn run(args: &NearestArgs) -> anyhow::Result<()> {
    let questions: Questions = serde_json::from_slice(&std::fs::read(&args.questions)?)?;
    let mut open = None;
    for line in std::io::stdin().lines() {
        let task: Task = serde_json::from_str(&line?)?;
        if let Task::Open = task {
            drop(open.take());
            let (nanos, reader) = open_and_search(&args.store, &questions)?;
            open = Some(reader);
            println!("{nanos}");
            continue;
        }
        let reader = match &open {
            Some(reader) => reader,
            None => open.insert(Reader::open(&args.store)?),
        };
        match task {
            Task::Search { ef, millis } => {
                println!("{}", serde_json::to_string(&search(reader, &questions, ef, millis)?)?);
            }
            Task::FindThemselves { ef, is_of_tail } => {
                let found = find_themselves(reader, ef, is_of_tail)?;
                println!("{}", serde_json::to_string(&found)?);
            }
            Task::Open => {}
        }
    }
    Ok(())
}

fn open_and_search(store: &Path, questions: &Questions) -> anyhow::Result<(u64, Reader)> {
    let vector = &questions.queries[..questions.dimension];
    let query = NearestQuery { k: K, ..NearestQuery::default() };
    let began = Instant::now();
    let reader = Reader::open(store)?;
    let hits = reader.snapshot()?.nearest(vector, &query)?;
    let nanos = began.elapsed().as_nanos() as u64;
    if hits.is_empty() {
        bail!("a search found nothing");
    }
    Ok((nanos, reader))
}

fn find_themselves(
    reader: &Reader,
    ef: usize,
    is_of_tail: bool,
) -> anyhow::Result<FoundThemselves> {
    let snapshot = reader.snapshot()?;
    let spaces = snapshot.spaces()?;
    let space = spaces.first().context("the store has no vectors")?;
    let rows = if is_of_tail { space.indexed..space.count } else { 0..space.indexed };
    let step = ((rows.end - rows.start) / SAMPLE).max(1) as usize;
    let query = NearestQuery { k: 1, ef: Some(ef), ..NearestQuery::default() };
    let mut hits = Vec::new();
    let mut result = FoundThemselves { looked_for: 0, found: 0 };
    for row in rows.step_by(step) {
        // Each concept was learnt once with its vector, so that row and concept have one number.
        let ordinal = row as u32;
        let concept = snapshot.concept(ordinal)?.context("a concept is missing")?;
        let vector = concept.embedding()?.context("a concept without a vector")?;
        snapshot.nearest_into(vector, &query, &mut hits)?;
        let own = vector.iter().map(|x| x * x).sum::<f32>(); // of unit length
        result.looked_for += 1;
        let is_it = |hit: &Hit| hit.ordinal == ordinal || hit.score >= own - EQUAL_SCORE;
        result.found += u64::from(hits.first().is_some_and(is_it));
    }
    Ok(result)
}

fn search(
    reader: &Reader,
    questions: &Questions,
    ef: usize,
    millis: u64,
) -> anyhow::Result<Searched> {
    let query = NearestQuery { k: K, ef: Some(ef), ..NearestQuery::default() };
    let mut hits = Vec::new();
    let mut nanos = Vec::new();
    let mut found = 0;
    let (began, duration) = (Instant::now(), Duration::from_millis(millis));
    // The first round is not timed: it touches what the file has.
    let mut round = 0;
    let mut searching = Duration::ZERO;
    while round < 2 || began.elapsed() < duration {
        let all = questions.queries.chunks_exact(questions.dimension);
        for (vector, truth) in all.zip(questions.truth.chunks_exact(K)) {
            let before = Instant::now();
            let snapshot = reader.snapshot()?;
            hits.clear();
            snapshot.nearest_into(vector, &query, &mut hits)?;
            let took = before.elapsed();
            if round == 0 {
                found += hits.iter().filter(|hit| truth.contains(&hit.ordinal)).count();
            } else {
                nanos.push(took.as_nanos() as u64);
                searching += took;
            }
        }
        round += 1;
    }
    nanos.sort_unstable();
    Ok(Searched {
        ef,
        recall: found as f64 / questions.truth.len() as f64,
        per_second: nanos.len() as f64 / searching.as_secs_f64(),
        p50_ns: nanos[nanos.len() / 2],
        p99_ns: nanos[nanos.len() * 99 / 100],
        private_bytes: memory::of_this_process()?.private_bytes,
    })
}

/// A searching process, as the one that started it sees it. It ends when this is dropped.
#[derive(Debug)]
pub struct Searcher {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Searcher {
    /// Writes down what searchers are asked about.
    pub fn ask(data: &super::NearestData, path: &Path) -> anyhow::Result<()> {
        let questions = Questions {
            dimension: data.dimension,
            queries: data.queries.clone(),
            truth: data.truth.clone(),
        };
        Ok(std::fs::write(path, serde_json::to_vec(&questions)?)?)
    }

    /// Starts one.
    pub fn start(store: &Path, questions: &Path) -> anyhow::Result<Searcher> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("nearest")
            .args([store, questions])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a searching process could not be started")?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("a searcher without a pipe")?;
        Ok(Searcher { child, input, output: BufReader::new(output) })
    }

    /// Has it search for so long.
    pub fn begin(&mut self, ef: usize, millis: u64) -> anyhow::Result<()> {
        self.ask_for(Task::Search { ef, millis })
    }

    /// What it found.
    pub fn found(&mut self) -> anyhow::Result<Searched> {
        self.answer()
    }

    /// Looks for vectors of the store by themselves.
    pub fn find_themselves(
        &mut self,
        ef: usize,
        is_of_tail: bool,
    ) -> anyhow::Result<FoundThemselves> {
        self.ask_for(Task::FindThemselves { ef, is_of_tail })?;
        self.answer()
    }

    /// Nanoseconds from opening the store to the first result.
    pub fn open(&mut self) -> anyhow::Result<u64> {
        self.ask_for(Task::Open)?;
        self.answer()
    }

    fn ask_for(&mut self, task: Task) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("the searcher has ended")?;
        Ok(writeln!(input, "{}", serde_json::to_string(&task)?)?)
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("a searcher ended with {}", self.child.wait()?);
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Searcher {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
