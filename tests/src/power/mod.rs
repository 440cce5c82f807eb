//! The power is cut, again and again, at every moment that matters in the life of a coordinator.
//!
//! A real coordinator serves a real client while each of its system calls is watched ([`trace`](crate::trace)).
//! What it stores, and what it has synced, goes into a model of the disk (`disk`), which gives
//! the images that a cut may leave at that moment: old and new blocks mixed at random. Each is
//! recovered in this process and held against the client's ledger (`check`). Now and then the
//! coordinator is killed, stopped, or goes on from such an image itself, so that its recovery is
//! cut too.
//!
//! Everything is in memory; no disk takes part.

mod check;
mod disk;
mod driver;
mod image;
mod recorder;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sutra_coordinator::Options;

use crate::process::host_program;
use crate::trace::{Ended, Traced};
use crate::{Random, roles};
use check::Job;
use disk::Disk;
use driver::Driver;
use recorder::Recorder;

/// A bug that is planted to show that it is found: the disk forgets what a program without the line
/// in question would not have told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A durable slot is synced before what it speaks of.
    SlotBeforeTruth,
    /// The oldest segment of the log is gone before the checkpoint that needs it no more.
    EarlyRecycling,
    /// Directories are not synced when names in them change.
    NoDirectorySync,
}

/// How long to go on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many images to check at least.
    pub images: u64,
    /// What chance begins with.
    pub seed: u64,
    /// Who checks.
    pub workers: usize,
    /// The planted bug.
    pub plant: Option<Plant>,
}

impl Settings {
    /// Longer than a coordinator is away or stands still. One that a planted bug keeps away for ever
    /// is not waited for as long.
    fn deadline(&self) -> Duration {
        Duration::from_secs(if self.plant.is_some() { 3 } else { 20 })
    }
}

/// What was done, and what was found.
#[derive(Debug)]
pub struct Summary {
    /// Images checked.
    pub images: u64,
    /// Lives of the coordinator: power cuts, kills, clean stops.
    pub lives: [u64; 3],
    /// Moments at which it was looked at.
    pub moments: u64,
    /// What did not hold; at most a few.
    pub failures: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { images, lives: [cuts, kills, stops], moments, .. } = self;
        let seconds = self.duration.as_secs_f32();
        let rate = *images as f32 / seconds;
        write!(
            f,
            "{images} images of {moments} moments, {cuts} cuts, {kills} kills and {stops} stops of \
             the coordinator, in {seconds:.1} s: {rate:.0} images/s"
        )
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    PowerCut,
    Killed,
    Stopped,
    /// Cleanly, when the client has all its answers.
    WithClient,
}

/// Failures after which it is enough.
const FAILURES_MAX: usize = 5;
/// Images that wait to be checked.
const JOBS_MAX: usize = 64;

struct Findings {
    images: AtomicU64,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Findings {
    fn fail(&self, problem: String, most: usize) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(problem);
        if failures.len() >= most {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// Cuts the power until enough images are checked, or something does not hold.
///
/// # Panics
/// If the system does not permit a program to trace its child.
pub fn run(settings: &Settings) -> Summary {
    let started_at = Instant::now();
    let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let root = root.expect("a directory in memory");
    let findings = Findings {
        images: AtomicU64::new(0),
        failures: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let mut random = Random::new(settings.seed);
    let mut history = History {
        settings,
        store: root.path().join("store"),
        lives: [0; 3],
        moments: 0,
        errors: root.path().join("errors"),
    };
    let (jobs, queue) = sync_channel(JOBS_MAX);
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        let (queue, findings) = (&queue, &findings);
        let workers: Vec<_> = (0..settings.workers)
            .map(|number| {
                let path = root.path().join(format!("image{number}"));
                scope.spawn(move || work(queue, findings, settings, &path))
            })
            .collect();
        if let Err(problem) = history.go_on(&mut random, &jobs, findings) {
            findings.fail(problem, 1);
        }
        drop(jobs);
        for worker in workers {
            worker.join().expect("a worker catches every panic");
        }
    });
    Summary {
        images: findings.images.into_inner(),
        lives: history.lives,
        moments: history.moments,
        failures: findings.failures.into_inner().unwrap_or_else(PoisonError::into_inner),
        duration: started_at.elapsed(),
    }
}

fn work(queue: &Mutex<Receiver<Job>>, findings: &Findings, settings: &Settings, path: &Path) {
    let options = small(path, &mut Random::new(settings.seed));
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if findings.is_over.load(Ordering::Relaxed) {
            continue;
        }
        let number = findings.images.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(problem) = job.check(path, &options) {
            let most = if settings.plant.is_some() { 1 } else { FAILURES_MAX };
            let kept = keep(&job, number).map_or(String::new(), |path| {
                format!(" (the image is kept in {})", path.display())
            });
            findings.fail(format!("image {number}: {problem}{kept}"), most);
        } else if number >= settings.images {
            findings.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// Keeps an image below the directory that `SUTRA_KEEP_IMAGES` names, for whoever looks into it.
fn keep(job: &Job, number: u64) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("SUTRA_KEEP_IMAGES")?).join(number.to_string());
    job.image.write(&path).ok()?;
    Some(path)
}

/// Small enough that checkpoints and recycled segments come often, and images are small.
pub(crate) fn small(store: &Path, random: &mut Random) -> Options {
    let mut options = Options::new(store);
    options.program = "sutra-test-host".to_owned();
    options.log_segment_size = 8192 << random.below(2);
    options.memory_threshold = 20 + random.below(100);
    options.checkpoint_log_size = 4096 << random.below(4);
    options
}

/// One store after another, each from its making over some lives of its coordinator to its end.
struct History<'a> {
    settings: &'a Settings,
    store: PathBuf,
    errors: PathBuf,
    lives: [u64; 3],
    moments: u64,
}

impl History<'_> {
    fn go_on(
        &mut self,
        random: &mut Random,
        jobs: &SyncSender<Job>,
        findings: &Findings,
    ) -> Result<(), String> {
        while !findings.is_over.load(Ordering::Relaxed) {
            let _ = std::fs::remove_dir_all(&self.store);
            std::fs::create_dir(&self.store).map_err(said)?;
            let mut disk = Disk::holding(&self.store).map_err(said)?;
            let driver = Driver::new(self.store.clone(), self.settings.deadline());
            let written = random.fork();
            std::thread::scope(|scope| {
                let client = scope.spawn(|| driver.write(written));
                let mut lived = Ok(());
                for _ in 0..2 + random.below(6) {
                    if findings.is_over.load(Ordering::Relaxed) || lived.is_err() {
                        break;
                    }
                    let ending = match random.below(6) {
                        0 => Ending::Stopped,
                        1 | 2 => Ending::Killed,
                        _ => Ending::PowerCut,
                    };
                    lived = self.live(&mut disk, random, &driver, jobs, ending);
                }
                driver.end();
                if lived.is_ok() {
                    lived = self.live(&mut disk, random, &driver, jobs, Ending::WithClient);
                }
                let wrote = client.join().unwrap_or_else(|_| Err("the client panicked".to_owned()));
                lived.and(wrote)
            })?;
        }
        Ok(())
    }

    /// One life of a coordinator.
    fn live(
        &mut self,
        disk: &mut Disk,
        random: &mut Random,
        driver: &Driver,
        jobs: &SyncSender<Job>,
        ending: Ending,
    ) -> Result<(), String> {
        let options = small(&self.store, random);
        let mut command = Command::new(host_program());
        command.args(roles::traced(&options));
        command.stderr(std::fs::File::create(&self.errors).map_err(said)?);
        let mut traced = Traced::start(&mut command)
            .map_err(|error| format!("this system does not permit tracing: {error}"))?;
        let mut recorder = Recorder {
            pid: traced.pid(),
            disk: &mut *disk,
            random: &mut *random,
            driver,
            jobs,
            plant: self.settings.plant,
            seed: self.settings.seed,
            moments_left: 0,
            ending,
            syncs: HashMap::new(),
            moments: self.moments,
        };
        recorder.moments_left = match ending {
            Ending::WithClient => u64::MAX,
            // Often in the midst of recovery, or of the making of the store.
            _ if recorder.random.one_in(3) => 1 + recorder.random.below(60),
            _ => 60 + recorder.random.below(600),
        };
        if ending == Ending::WithClient {
            driver.stop_with_client(traced.pid());
        }
        let ended = traced.run(&mut recorder).map_err(said)?;
        self.moments = recorder.moments;
        match (ending, ended) {
            (Ending::PowerCut, Ended::Killed(Signal::SIGKILL)) => {
                self.lives[0] += 1;
                disk.cut(random).write(&self.store).map_err(said)?;
                *disk = Disk::holding(&self.store).map_err(said)?;
            }
            (Ending::Killed, Ended::Killed(Signal::SIGKILL)) => self.lives[1] += 1,
            // Before it listened to signals.
            (Ending::Stopped | Ending::WithClient, Ended::Killed(Signal::SIGTERM)) => {
                self.lives[1] += 1;
            }
            (Ending::Stopped | Ending::WithClient, Ended::Exited(0)) => self.lives[2] += 1,
            _ => {
                let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
                return Err(format!("moment {}: {ended:?}: {errors}", self.moments));
            }
        }
        Ok(())
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
