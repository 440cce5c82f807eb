//! One harness for as long as told, and what came of it in one line: see `scripts/torture`.
//!
//! `sutra-torture HARNESS SECONDS [SEED]`; the last line is `RESULT checks=N failed=N WHAT`. A
//! harness that this system does not allow ends with 3, and a line that begins with `SKIPPED`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sutra_tests::fuzz::{Target, by_chance};
use sutra_tests::{Random, log_cuts};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use sutra_tests::{faults, power, steps};

const USAGE: &str =
    "sutra-torture power|faults|steps|log|fuzz-frames|fuzz-log|fuzz-file SECONDS [SEED]";

/// Harnesses that trace a program.
const TRACING: [&str; 3] = ["power", "faults", "steps"];

/// What a harness did.
#[derive(Default)]
struct Outcome {
    checks: u64,
    failures: Vec<String>,
    what: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (harness, seconds, seed) = match arguments.as_slice() {
        [harness, seconds] => (harness, seconds.parse().ok(), None),
        [harness, seconds, seed] => (harness, seconds.parse().ok(), seed.parse().ok()),
        _ => (&String::new(), None, None),
    };
    let Some(seconds) = seconds else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let seed = seed.unwrap_or_else(|| Random::from_env("torture").next());
    println!("seed {seed}");
    if TRACING.contains(&harness.as_str())
        && !cfg!(all(target_os = "linux", target_arch = "x86_64"))
    {
        println!("SKIPPED: {harness} traces system calls, which is written for x86-64 Linux");
        return ExitCode::from(3);
    }
    let Some(outcome) = run(harness, Duration::from_secs(seconds), seed) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Outcome { checks, failures, what } = outcome;
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    println!("RESULT checks={checks} failed={} {what}", failures.len());
    ExitCode::from(u8::from(!failures.is_empty()))
}

fn run(harness: &str, duration: Duration, seed: u64) -> Option<Outcome> {
    Some(match harness {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        "power" => cut_the_power(duration, seed),
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        "faults" => fail_calls(duration, seed),
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        "steps" => step(duration),
        "log" => harm_logs(duration, seed),
        "fuzz-frames" => fuzz(Target::Frames, duration, seed),
        "fuzz-log" => fuzz(Target::Log, duration, seed),
        "fuzz-file" => fuzz(Target::File, duration, seed),
        _ => return None,
    })
}

/// Runs something again and again, with another seed each time, until the time is over or it fails.
fn repeat(
    duration: Duration,
    seed: u64,
    mut once: impl FnMut(u64, &mut Outcome),
) -> (Outcome, u64) {
    let (started_at, mut random) = (Instant::now(), Random::new(seed));
    let (mut outcome, mut rounds) = (Outcome::default(), 0);
    while rounds == 0 || (started_at.elapsed() < duration && outcome.failures.is_empty()) {
        once(random.next(), &mut outcome);
        rounds += 1;
    }
    (outcome, rounds)
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn cut_the_power(duration: Duration, seed: u64) -> Outcome {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let (mut lives, mut moments) = ([0; 3], 0);
    let (mut outcome, _) = repeat(duration, seed, |seed, outcome| {
        let settings = power::Settings { images: 10_000, seed, workers, plant: None };
        let summary = power::run(&settings);
        outcome.checks += summary.images;
        outcome.failures.extend(summary.failures);
        moments += summary.moments;
        lives = std::array::from_fn(|at| lives[at] + summary.lives[at]);
    });
    let [cuts, kills, stops] = lives;
    outcome.what = format!(
        "images of {moments} moments recovered, over {cuts} cuts, {kills} kills and {stops} stops"
    );
    outcome
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn fail_calls(duration: Duration, seed: u64) -> Outcome {
    let [mut ended, mut refused, mut unmoved] = [0; 3];
    let (mut outcome, lives) = repeat(duration, seed, |seed, outcome| {
        let summary = faults::run(seed, 1, 1, |_| {});
        outcome.checks += summary.faults;
        ended += summary.ended;
        refused += summary.refused;
        unmoved += summary.unmoved;
        outcome.failures.extend(summary.failures);
    });
    outcome.what = format!(
        "system calls failed in {lives} lives: {ended} ended the coordinator, {refused} were \
         answered, {unmoved} did not matter"
    );
    outcome
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn step(duration: Duration) -> Outcome {
    let [mut steps, mut recovered, mut kills] = [0; 3];
    let (mut outcome, _) = repeat(duration, 0, |_, outcome| {
        let summary = steps::run(40, 1, |_, _| {});
        outcome.checks += summary.steps + summary.recovered + summary.kills;
        steps += summary.steps;
        recovered += summary.recovered;
        kills += summary.kills;
        outcome.failures.extend(summary.failures);
    });
    outcome.what = format!(
        "a reader after each of {steps} instructions of a write, a recovery of each of the \
         {recovered} states of the files between them, {kills} kills"
    );
    outcome
}

fn harm_logs(duration: Duration, seed: u64) -> Outcome {
    let mut refused = 0;
    let (mut outcome, logs) = repeat(duration, seed, |seed, outcome| {
        let summary = log_cuts::run(seed, 1);
        outcome.checks += summary.recovered + summary.refused + summary.failures.len() as u64;
        refused += summary.refused;
        outcome.failures.extend(summary.failures);
    });
    outcome.what = format!("harmed stores of {logs} logs recovered, or refused ({refused})");
    outcome
}

fn fuzz(target: Target, duration: Duration, seed: u64) -> Outcome {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut random = Random::new(seed);
    let counts = std::thread::scope(|scope| {
        let started = (0..threads).map(|_| {
            let mut random = random.fork();
            scope.spawn(move || by_chance(target, &mut random, duration, false))
        });
        let started: Vec<_> = started.collect();
        started.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut outcome =
        Outcome { what: format!("executions of {target:?} by chance"), ..Outcome::default() };
    for count in counts {
        match count {
            Ok(count) => outcome.checks += count,
            Err(_) => outcome.failures.push("a panic, told above".to_owned()),
        }
    }
    outcome
}
