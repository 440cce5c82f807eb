//! A process that opens a store as any program would, and does with its handle what it is told.
#![expect(unsafe_code, reason = "an agent can be told to fork")]

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::unistd::{ForkResult, fork};
use sutra_store::{Id, Learn, Mode, Options, Store, StoreError};

use crate::process::Process;

/// The arguments of an agent.
pub fn agent(store: &Path, mode: &str, deadline: Duration) -> Vec<OsString> {
    vec!["agent".into(), store.into(), mode.into(), deadline.as_millis().to_string().into()]
}

/// An agent in a process of its own.
#[derive(Debug)]
pub struct Agent(pub Process);

impl Agent {
    /// Starts one that opens the store in that mode, and waits until it has.
    ///
    /// # Panics
    /// If it cannot open it.
    pub fn open(store: &Path, mode: &str, errors: &Path) -> Agent {
        Agent::open_within(store, mode, Duration::from_secs(30), errors)
    }

    /// Likewise, and it gives up a silent coordinator after `deadline`.
    ///
    /// # Panics
    /// If it cannot open it.
    pub fn open_within(store: &Path, mode: &str, deadline: Duration, errors: &Path) -> Agent {
        Agent::ready(Process::start(&agent(store, mode, deadline), errors))
    }

    /// Likewise as another user, with a program copied to `folder`; only root may.
    ///
    /// # Panics
    /// If it cannot open it.
    pub fn open_as(uid: u32, store: &Path, mode: &str, folder: &Path, errors: &Path) -> Agent {
        let arguments = agent(store, mode, Duration::from_secs(5));
        Agent::ready(Process::start_as((uid, uid), folder, &arguments, errors))
    }

    fn ready(process: Process) -> Agent {
        let mut agent = Agent(process);
        let line = agent.0.line();
        assert_eq!(line, "ready", "{}", agent.0.errors());
        agent
    }

    /// What it answers to an order: `learn KEY`, `get KEY`, `host`, `fork` (a child that sleeps),
    /// `child KEY` (a child that learns and reads with the inherited handle), `bulk COUNT`, `close`.
    pub fn ask(&mut self, order: &str) -> String {
        self.0.tell(order);
        self.0.line()
    }

    /// Learns, and gives the LSN.
    ///
    /// # Panics
    /// If it is refused.
    pub fn learn(&mut self, key: &str) -> u64 {
        let answer = self.ask(&format!("learn {key}"));
        let lsn = answer.strip_prefix("ok ").and_then(|lsn| lsn.parse().ok());
        lsn.unwrap_or_else(|| panic!("{key}: {answer:?}; {}", self.0.errors()))
    }

    /// Whether it hosts the coordinator.
    pub fn is_host(&mut self) -> bool {
        self.ask("host") == "true"
    }

    /// Begins to learn `PREFIX-0`, `PREFIX-1` … one after the other; each acknowledgement is a line
    /// `KEY LSN MICROSECONDS`, the last being the time the call took.
    pub fn write_on(&mut self, prefix: &str) {
        self.0.tell(&format!("write {prefix}"));
    }
}

/// Plays an agent until its input ends.
///
/// # Errors
/// If the store cannot be opened, or an order makes no sense.
pub fn play(store: &str, mode: &str, deadline_ms: &str) -> Result<()> {
    let deadline = Duration::from_millis(deadline_ms.parse()?);
    let read_only = mode == "read";
    let mode = if read_only { Mode::Auto } else { Mode::parse(mode)? };
    let options = Options { mode: Some(mode), deadline, read_only, ..Options::default() };
    let mut store = Some(Store::open(store, options)?);
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let handle = store.as_ref().context("the store is closed")?;
        let answer = match line.split_once(' ').unwrap_or((&line, "")) {
            ("learn", key) => learn(handle, key),
            ("get", key) => get(handle, key),
            ("host", _) => handle.is_host().map(|is| is.to_string()),
            ("fork", _) => Ok(sleeping_child()?.to_string()),
            ("child", key) => Ok(child_with_handle(handle, key)?),
            ("bulk", count) => bulk(handle, count.parse()?),
            ("write", prefix) => return write_on(handle, prefix),
            ("close", _) => {
                store = None;
                Ok("closed".to_owned())
            }
            other => bail!("no agent knows {other:?}"),
        };
        say(&answer.unwrap_or_else(|error| format!("error {error:?}")))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn learn(store: &Store, key: &str) -> Result<String, StoreError> {
    let id = Id::from(key);
    let lsn = store.learn(&Learn { id, content: Some(key), ..Learn::default() })?;
    Ok(format!("ok {lsn}"))
}

fn bulk(store: &Store, count: usize) -> Result<String, StoreError> {
    let keys: Vec<String> = (0..count).map(|number| format!("bulk-{number}")).collect();
    let learns = keys.iter().map(|key| Learn {
        id: Id::from(key.as_str()),
        content: Some(key),
        ..Learn::default()
    });
    let receipt = store.learn_batch(learns)?;
    Ok(format!("ok {} {}", receipt.last_lsn, receipt.errors.len()))
}

fn get(store: &Store, key: &str) -> Result<String, StoreError> {
    match store.get(key)? {
        Some(held) => {
            let concept = held.concept()?;
            Ok(format!("{} {}", concept.content()?, concept.version()))
        }
        None => Ok("none".to_owned()),
    }
}

fn write_on(store: &Store, prefix: &str) -> Result<()> {
    for number in 0.. {
        let key = format!("{prefix}-{number}");
        let started_at = Instant::now();
        let id = Id::from(key.as_str());
        let lsn = store.learn(&Learn { id, content: Some(&key), ..Learn::default() })?;
        say(&format!("{key} {lsn} {}", started_at.elapsed().as_micros()))?;
    }
    Ok(())
}

/// A child that has a copy of everything and does nothing with it.
fn sleeping_child() -> Result<i32> {
    // SAFETY: the child makes system calls alone.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        ForkResult::Child => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
    }
}

/// What a child says that learns and reads through the handle that it has from its parent.
fn child_with_handle(store: &Store, key: &str) -> Result<String> {
    let (mut told, mut tells) = std::io::pipe()?;
    // SAFETY: glibc lets a child of a process with threads allocate; what the store's threads may
    // have locked is out of its reach, which is what is to be shown.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(tells);
            let mut said = String::new();
            std::io::Read::read_to_string(&mut told, &mut said)?;
            nix::sys::wait::waitpid(child, None)?;
            Ok(said)
        }
        ForkResult::Child => {
            let both = learn(store, key).and_then(|learnt| Ok((learnt, get(store, key)?)));
            let said = both.map_or_else(|e| format!("error {e:?}"), |(a, b)| format!("{a}, {b}"));
            let _ = tells.write_all(said.as_bytes());
            // Without a word to what the parent has registered for its exit.
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
            unreachable!("a killed process goes on");
        }
    }
}
