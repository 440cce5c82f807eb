//! A write and its publication, instruction by instruction.
//!
//! A child writes one frame and publishes it, and is single-stepped on the way: between any two of
//! its instructions it could be killed. What the file then shows is what a reader looks at, here,
//! after each; what a recovery makes of it is looked at by recovering the files as they are
//! (`deaths`). At some instructions it really is killed, and the store recovered.

mod deaths;

use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use sutra_client::{Associate, Batch, Learn, Level};
use sutra_coordinator::{Offline, Options};
use sutra_reader::{NeighborQuery, Reader, Snapshot};

use crate::process::host_program;
use crate::text::{text_of, vector_of, version_of};
use deaths::Deaths;

const CLIENT_ID: [u8; 16] = [3; 16];
/// Elements of the vectors.
const DIMENSION: usize = 8;
/// On the way to a kill a reader looks after so many instructions.
const LOOK_INTERVAL: u64 = 64;
/// The two concepts that each frame writes, and the association between them.
const ENDS: [&str; 2] = ["source", "target"];

/// What was done.
#[derive(Debug, Default)]
pub struct Summary {
    /// Instructions after each of which a reader looked.
    pub steps: u64,
    /// States of the files between two instructions that were recovered.
    pub recovered: u64,
    /// Kills, each with a recovery.
    pub kills: u64,
    /// What did not hold.
    pub failures: Vec<String>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { steps, recovered, kills, failures } = self;
        write!(
            f,
            "a reader looked after each of {steps} instructions; {recovered} states between them \
             recovered; {kills} kills; {} failures",
            failures.len()
        )
    }
}

/// The child: opens the store in `path`, stops, writes version `version` and publishes it, stops.
///
/// # Errors
/// Whatever keeps it from that.
pub fn write_between_stops(path: &str, version: u32) -> anyhow::Result<()> {
    let mut store = Offline::open(&options(path))?;
    raise(Signal::SIGSTOP)?;
    write(&mut store, version)?;
    raise(Signal::SIGSTOP)?;
    Ok(())
}

/// With a log that is soon read.
fn options(store: impl AsRef<Path>) -> Options {
    let mut options = Options::new(store.as_ref());
    options.log_segment_size = 8192;
    options
}

fn write(store: &mut Offline, version: u32) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    frame_of(version).encode(1, version.into(), Level::Visible, &mut bytes);
    store.write(CLIENT_ID, "steps", &bytes)?;
    Ok(store.publish()?)
}

/// Both ends, with a text and a vector that say the version, and an association that weighs it.
fn frame_of(version: u32) -> Batch {
    let mut batch = Batch::new();
    batch.atomic(true);
    for name in ENDS {
        let (text, vector) = (text_of(name, version), vector_of(name, version, DIMENSION));
        let learn = Learn {
            id: name.into(),
            content: Some(&text),
            embedding: Some(&vector),
            ..Learn::default()
        };
        batch.learn(&learn).expect("it fits");
    }
    let associate = Associate {
        source: ENDS[0].into(),
        target: ENDS[1].into(),
        kind: "causal".into(),
        weight: Some(version as f32),
        ..Associate::default()
    };
    batch.associate(&associate).expect("it fits");
    batch
}

/// The version that a snapshot shows, of both ends and of what is between them.
fn version_in(snapshot: &Snapshot) -> Result<u32, String> {
    let mut versions = Vec::new();
    for name in ENDS {
        let concept = snapshot.get(name).map_err(said)?.ok_or_else(|| format!("{name} is gone"))?;
        let version = version_of(name, concept.content().map_err(said)?)?;
        let vector = concept.embedding().map_err(said)?;
        if vector != Some(&vector_of(name, version, DIMENSION)[..]) {
            return Err(format!("{name} has version {version} and the vector {vector:?}"));
        }
        versions.push((version, concept));
    }
    let (version, source) = &versions[0];
    let neighbors = snapshot.neighbors(source, &NeighborQuery::default()).map_err(said)?;
    let weight = |edge| snapshot.association(edge).map(|edge| edge.weight()).map_err(said);
    let weights = neighbors.iter().map(|neighbor| weight(neighbor.edge));
    let weights: Vec<f32> = weights.collect::<Result<_, _>>()?;
    match versions[1].0 == *version && weights == [*version as f32] {
        true => Ok(*version),
        false => Err(format!("versions {version} and {}, weights {weights:?}", versions[1].0)),
    }
}

/// Steps through one write; recovers what it leaves after every `interval`-th instruction, if that
/// is not what it left before; then kills at `kills` moments spread over it. `disturb` is told each
/// step, and may plant a bug.
///
/// # Panics
/// If the system does not permit a program to trace its child.
pub fn run(kills: u64, interval: u64, mut disturb: impl FnMut(&Path, u64)) -> Summary {
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let home = home.expect("a directory in memory");
    let path = home.path().join("store");
    let mut summary = Summary::default();
    let mut version = 1;
    let made = Offline::open(&options(&path));
    let made = made.map_err(anyhow::Error::from).and_then(|mut store| write(&mut store, version));
    if let Err(error) = made {
        summary.failures.push(error.to_string());
        return summary;
    }
    version += 1;
    let mut deaths = match Deaths::new(&path, home.path().join("copy")) {
        Ok(deaths) => deaths,
        Err(error) => {
            summary.failures.push(error.to_string());
            return summary;
        }
    };
    let mut look = |step: u64, seen: u32| {
        disturb(&path, step);
        if step.is_multiple_of(interval) { deaths.look(seen, version) } else { Ok(()) }
    };
    let steps = step_through(&path, version, u64::MAX, &mut look, &mut summary);
    summary.steps += steps;
    summary.recovered = deaths.recovered;
    for number in 0..kills {
        version = after(&path, &mut summary) + 1;
        // Spread evenly, and not at round numbers.
        let end = steps * (2 * number + 1) / (2 * kills);
        step_through(&path, version, end, &mut |_, _| Ok(()), &mut summary);
        summary.kills += 1;
        if !summary.failures.is_empty() {
            break;
        }
    }
    after(&path, &mut summary);
    summary
}

/// Recovers the store, and gives the version that it has.
fn after(path: &Path, summary: &mut Summary) -> u32 {
    let found = Offline::open(&options(path)).map_err(said).and_then(|_store| shown(path));
    found.unwrap_or_else(|problem| {
        summary.failures.push(format!("after a kill: {problem}"));
        0
    })
}

/// The version that a store shows to whoever opens it.
fn shown(path: &Path) -> Result<u32, String> {
    version_in(&Reader::open(path).map_err(said)?.snapshot().map_err(said)?)
}

/// Lets a child write `version`, kills it after so many instructions, and returns how many it made.
/// `look` is told each step, and the version that a reader saw last.
fn step_through(
    path: &Path,
    version: u32,
    steps_max: u64,
    look: &mut impl FnMut(u64, u32) -> Result<(), String>,
    summary: &mut Summary,
) -> u64 {
    let mut child = Command::new(host_program());
    child.arg("steps").arg(path).arg(version.to_string()).stdin(Stdio::null());
    let mut child = child.spawn().expect("the host starts");
    let pid = Pid::from_raw(child.id().cast_signed());
    let wait = || waitpid(pid, Some(WaitPidFlag::__WALL | WaitPidFlag::WUNTRACED));
    let Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)) = wait() else {
        summary.failures.push("the child does not come to its write".to_owned());
        let _ = child.kill();
        let _ = child.wait();
        return 0;
    };
    let reader = Reader::open(path).expect("the store was recovered");
    ptrace::attach(pid).expect("this system permits tracing");
    let mut steps = 0;
    let mut seen = version - 1;
    let mut is_written = false;
    let mut status = wait();
    let _ = kill(pid, Signal::SIGCONT);
    loop {
        match status {
            // Before the first step it is the attaching's own.
            Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)) => is_written = steps > 0,
            Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => {
                steps += 1;
                if let Err(problem) = look(steps, seen) {
                    summary.failures.push(format!("killed after step {steps}: {problem}"));
                }
                if steps_max < u64::MAX && steps % LOOK_INTERVAL != 0 {
                    status = step(pid).and_then(|()| wait());
                    if steps < steps_max {
                        continue;
                    }
                    break;
                }
                let shown = reader.snapshot().map_err(said).and_then(|s| version_in(&s));
                match shown {
                    Ok(shown) if shown == seen || shown == version => seen = shown,
                    Ok(shown) => summary.failures.push(format!("step {steps}: it shows {shown}")),
                    Err(problem) => summary.failures.push(format!("step {steps}: {problem}")),
                }
            }
            Ok(WaitStatus::Stopped(..)) => {}
            _ => break,
        }
        if is_written || steps >= steps_max || summary.failures.len() > 5 {
            break;
        }
        status = step(pid).and_then(|()| wait());
    }
    if steps_max == u64::MAX && seen != version && summary.failures.is_empty() {
        summary.failures.push(format!("after {steps} steps it still shows version {seen}"));
    }
    let _ = child.kill();
    let _ = child.wait();
    steps
}

/// One instruction; a child that is gone already is told by waiting for it.
fn step(pid: Pid) -> nix::Result<()> {
    match ptrace::step(pid, None) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => panic!("a child cannot be stepped: {errno}"),
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
