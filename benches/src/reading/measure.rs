//! The loops that are timed: one for throughput, one for single operations, the same for everyone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::message::{Measured, Mode, Task};
use super::search::Scratch;
use super::{Source, View};
use crate::clock::{Stopwatch, thread_cpu_ns};
use crate::workload::{Random, Workload, mix};

/// Operations between two looks at the time.
const CHUNK: u64 = 1024;
/// Operations of a check, and of one of paths or of calls that ask for many.
const CHECKED: u64 = 2000;
const LONG_CHECKED: u64 = 100;
/// How long things may take that are done a number of times.
const EACH_MAX: Duration = Duration::from_millis(500);
/// Pairs of concepts that a path task goes round.
const PAIRS: usize = 4096;
/// Concepts that are asked for in one call, where it takes many.
const MANY: usize = 256;
/// How far apart the ends of a path are, at most.
const DEPTH: u64 = 3;

/// What a process measures with, and what it keeps between measurements.
#[derive(Debug)]
pub struct Bench {
    workload: Workload,
    stopwatch: Stopwatch,
    random: Random,
    scratch: Scratch,
    pairs: Vec<(u32, u32)>,
}

impl Bench {
    /// For one workload. `number` tells processes that read the same things at once apart.
    pub fn new(workload: Workload, number: u64) -> Bench {
        Bench {
            workload,
            stopwatch: Stopwatch::new(),
            random: workload.random(100 + number),
            scratch: Scratch::new(workload.concepts),
            pairs: Vec::new(),
        }
    }

    /// Reads for `duration`.
    pub fn read(
        &mut self,
        source: &impl Source,
        task: Task,
        mode: Mode,
        duration: Duration,
    ) -> anyhow::Result<Measured> {
        match (task, mode) {
            (Task::View, Mode::Throughput) => {
                Ok(throughput(duration, CHUNK, |_| drop(black_box(source.view()))))
            }
            (Task::View, Mode::Latency) => {
                latency(&self.stopwatch, duration, |_| drop(black_box(source.view())))
            }
            (Task::FreshContent, _) => self.read_fresh(source, mode, duration),
            _ => {
                let view = source.view();
                let mut run = self.prepare(&view, task);
                match mode {
                    Mode::Throughput => {
                        let measured = throughput(duration, run.chunk(), |_| {
                            black_box(run.next());
                        });
                        Ok(measured.times(if task.is_of_many() { MANY } else { 1 }))
                    }
                    Mode::Latency => {
                        let stopwatch = run.bench.stopwatch;
                        latency(&stopwatch, duration, |_| {
                            black_box(run.next());
                        })
                    }
                }
            }
        }
    }

    /// Contents, in a view that is renewed every chunk.
    fn read_fresh(
        &mut self,
        source: &impl Source,
        mode: Mode,
        duration: Duration,
    ) -> anyhow::Result<Measured> {
        let (workload, random, mut view) = (self.workload, &mut self.random, None);
        let mut read = |operation: u64| {
            if operation.is_multiple_of(CHUNK) {
                view = None; // one of LMDB's must end before the next begins
                view = Some(source.view());
            }
            let id = random_id(&workload, random);
            black_box(view.as_ref().and_then(|view| view.content(&id)));
        };
        match mode {
            Mode::Throughput => Ok(throughput(duration, CHUNK, &mut read)),
            Mode::Latency => latency(&self.stopwatch, duration, &mut read),
        }
    }

    /// The sum over some operations that are the same for everyone.
    pub fn check(&mut self, source: &impl Source, task: Task) -> u64 {
        self.random = self.workload.random(99);
        let view = source.view();
        let mut run = self.prepare(&view, task);
        let is_path = matches!(task, Task::PathForward | Task::PathBoth | Task::BestPath);
        let count = if is_path || task.is_of_many() { LONG_CHECKED } else { CHECKED };
        (0..count).fold(0, |sum: u64, _| sum.wrapping_add(run.next().unwrap_or(u64::MAX)))
    }

    fn prepare<'r, V: View>(&'r mut self, view: &'r V, task: Task) -> Run<'r, V> {
        let concepts = u64::from(self.workload.concepts);
        let mut held = Vec::new();
        match task {
            Task::Neighbors | Task::NeighborsOfMany => {
                let mut ordinals: Vec<u32> = (0..self.workload.concepts).collect();
                self.random.shuffle(&mut ordinals);
                held = ordinals.iter().map(|at| view.hold(*at)).collect();
            }
            Task::PathForward | Task::PathBoth | Task::BestPath if self.pairs.is_empty() => {
                let mut random = self.workload.random(98);
                while self.pairs.len() < PAIRS {
                    let from = random.below(concepts) as u32;
                    let to = walk(view, from, random.next());
                    self.pairs.extend(to.map(|to| (from, to)));
                }
            }
            _ => {}
        }
        Run { bench: self, view, task, held, at: 0 }
    }
}

/// Where a walk of three edges ends; `None` if it leads nowhere. Of several neighbors it takes the
/// one that comes first in an order of `salt`, so that it is the same in every store.
fn walk(view: &impl View, from: u32, salt: u64) -> Option<u32> {
    (0..DEPTH).try_fold(from, |at, _| {
        let mut next: Option<(u64, u32)> = None;
        view.visit(at, true, |neighbor| {
            let ranked = (mix(u64::from(neighbor) ^ salt), neighbor);
            next = Some(next.map_or(ranked, |first| first.min(ranked)));
        });
        next.map(|(_, neighbor)| neighbor)
    })
}

#[inline]
fn random_id(workload: &Workload, random: &mut Random) -> [u8; 16] {
    workload.id(random.below(workload.concepts.into()) as u32)
}

/// One task in one view.
struct Run<'r, V: View + 'r> {
    bench: &'r mut Bench,
    view: &'r V,
    task: Task,
    held: Vec<V::Held<'r>>,
    at: usize,
}

impl<V: View> Run<'_, V> {
    /// The next operation.
    #[inline(always)]
    fn next(&mut self) -> Option<u64> {
        let Bench { workload, random, .. } = &mut *self.bench;
        match self.task {
            Task::Record => self.view.record(&random_id(workload, random)),
            Task::RecordsOfMany => {
                let ids: [_; MANY] = std::array::from_fn(|_| random_id(workload, random));
                Some(self.view.records_of(&ids))
            }
            Task::Content | Task::FreshContent => self.view.content(&random_id(workload, random)),
            Task::Absent => self.view.record(&workload.absent_id(random.next())),
            Task::Neighbors => {
                self.at = (self.at + 1) % self.held.len();
                Some(self.view.neighbors(self.held[self.at]))
            }
            Task::NeighborsOfMany => {
                // The last few are left out where they do not fill a call.
                let calls = (self.held.len() / MANY).max(1);
                self.at = (self.at + 1) % calls;
                let many = self.held.chunks(MANY).nth(self.at).unwrap_or_default();
                Some(self.view.neighbors_of(many))
            }
            Task::PathForward => {
                let (from, to) = self.next_pair();
                self.view.path_forward(from, to, &mut self.bench.scratch)
            }
            Task::PathBoth => {
                let (from, to) = self.next_pair();
                self.view.path(from, to, &mut self.bench.scratch)
            }
            Task::BestPath => {
                let (from, to) = self.next_pair();
                // Products of the same factors may differ in their last digits.
                self.view.best_path(from, to).map(|product| (product * 1e9 + 0.5) as u64)
            }
            Task::View => None,
        }
    }

    fn next_pair(&mut self) -> (u32, u32) {
        self.at = (self.at + 1) % self.bench.pairs.len();
        self.bench.pairs[self.at]
    }

    fn chunk(&self) -> u64 {
        match self.task {
            Task::PathForward | Task::PathBoth => 16,
            task if task.is_of_many() => 4,
            Task::BestPath => 1,
            _ => CHUNK,
        }
    }
}

/// As many as go into `duration`; looks at the time after each `chunk`.
fn throughput(duration: Duration, chunk: u64, mut operation: impl FnMut(u64)) -> Measured {
    let (began, cpu_began) = (Instant::now(), thread_cpu_ns());
    let mut count = 0;
    let elapsed = loop {
        for _ in 0..chunk {
            operation(count);
            count += 1;
        }
        let elapsed = began.elapsed();
        if elapsed >= duration {
            break elapsed;
        }
    };
    let cpu_ns = thread_cpu_ns() - cpu_began;
    Measured {
        per_second: count as f64 / elapsed.as_secs_f64(),
        per_cpu_second: count as f64 / (cpu_ns as f64 / 1e9),
        p50_ns: 0.0,
        p99_ns: 0.0,
    }
}

/// Each by itself, as long as `duration`.
fn latency(
    stopwatch: &Stopwatch,
    duration: Duration,
    mut operation: impl FnMut(u64),
) -> anyhow::Result<Measured> {
    let mut ticks = Histogram::<u64>::new(3)?;
    let began = stopwatch.ticks();
    let mut count = 0;
    loop {
        let before = stopwatch.ticks();
        operation(count);
        let after = stopwatch.ticks();
        ticks.record(after - before)?;
        count += 1;
        if stopwatch.ns(after - began) >= duration.as_nanos() as f64 {
            return Ok(quantiles(stopwatch, &ticks));
        }
    }
}

/// Each by itself, `count` times or as often as goes into [`EACH_MAX`].
pub fn each(
    stopwatch: &Stopwatch,
    count: u32,
    mut operation: impl FnMut(),
) -> anyhow::Result<Measured> {
    let mut ticks = Histogram::<u64>::new(3)?;
    let began = Instant::now();
    for _ in 0..count {
        let before = stopwatch.ticks();
        operation();
        ticks.record(stopwatch.ticks() - before)?;
        if began.elapsed() > EACH_MAX {
            break;
        }
    }
    Ok(quantiles(stopwatch, &ticks))
}

fn quantiles(stopwatch: &Stopwatch, ticks: &Histogram<u64>) -> Measured {
    let at = |quantile| stopwatch.ns(ticks.value_at_quantile(quantile));
    Measured { per_second: 0.0, per_cpu_second: 0.0, p50_ns: at(0.5), p99_ns: at(0.99) }
}
