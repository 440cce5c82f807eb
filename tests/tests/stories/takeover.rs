//! The host is killed again and again while others write: each time one of them takes over, no
//! acknowledged write is lost, and none is applied twice.
//!
//! `SUTRA_TAKEOVERS` sets how often (10); what was measured is printed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sutra_reader::Reader;
use sutra_tests::agent::Agent;
use sutra_tests::wait;

const WRITERS: usize = 4;

struct Acknowledged {
    writer: u32,
    key: String,
    at: Instant,
}

struct Writers {
    store: PathBuf,
    root: PathBuf,
    started: u32,
    /// By pid; each ends when its process does.
    threads: HashMap<u32, JoinHandle<()>>,
    sender: Sender<Acknowledged>,
    heard: Receiver<Acknowledged>,
    kept: Vec<String>,
}

impl Writers {
    fn new(root: &Path) -> Writers {
        let (sender, heard) = channel();
        let (store, root) = (root.join("store"), root.to_owned());
        Writers {
            store,
            root,
            started: 0,
            threads: HashMap::new(),
            sender,
            heard,
            kept: Vec::new(),
        }
    }

    fn add(&mut self) {
        let name = format!("w{}", self.started);
        self.started += 1;
        let errors = self.root.join(format!("errors-{name}"));
        let mut agent = Agent::open(&self.store, "auto", &errors);
        let (writer, sender) = (agent.0.pid(), self.sender.clone());
        let listen = move || {
            agent.write_on(&name);
            loop {
                let line = agent.0.line();
                let Some((key, _)) = line.split_once(' ') else {
                    let said = agent.0.errors();
                    assert!(said.is_empty(), "{name}: {said}");
                    return;
                };
                let key = key.to_owned();
                let _ = sender.send(Acknowledged { writer, key, at: Instant::now() });
            }
        };
        self.threads.insert(writer, std::thread::spawn(listen));
    }

    /// The next acknowledgement of any writer but one.
    fn next_of_others(&mut self, gone: u32) -> Instant {
        loop {
            let heard = self.heard.recv_timeout(wait::DEADLINE);
            let heard = heard.expect("somebody takes over");
            self.kept.push(heard.key);
            if heard.writer != gone {
                return heard.at;
            }
        }
    }

    fn kill(&mut self, pid: u32) {
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        let thread = self.threads.remove(&pid).expect("the host is one of the writers");
        assert!(thread.join().is_ok(), "a writer was told of an error");
    }
}

#[test]
fn nothing_is_lost_or_applied_twice_when_hosts_are_killed_while_others_write() {
    let rounds = std::env::var("SUTRA_TAKEOVERS").ok().map_or(10, |n| n.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let mut writers = Writers::new(root.path());
    (0..WRITERS).for_each(|_| writers.add());
    let reader = Reader::open(&writers.store).unwrap();
    let mut takeovers: Vec<Duration> = Vec::new();
    for _ in 0..rounds {
        let host = wait::until("a host that is a writer", || {
            let pid = reader.snapshot().map(|_| reader.writer().pid).ok()?;
            writers.threads.contains_key(&pid).then_some(pid)
        });
        // What it had acknowledged before is not an answer of its successor.
        while let Ok(heard) = writers.heard.try_recv() {
            writers.kept.push(heard.key);
        }
        let killed_at = Instant::now();
        writers.kill(host);
        let first = loop {
            let at = writers.next_of_others(host);
            let now = reader.writer().pid;
            if now != host && at > killed_at {
                break at;
            }
        };
        takeovers.push(first - killed_at);
        writers.add();
    }
    let pids: Vec<u32> = writers.threads.keys().copied().collect();
    pids.into_iter().for_each(|pid| writers.kill(pid));
    drop(std::mem::replace(&mut writers.sender, channel().0));
    let kept: Vec<String> =
        writers.kept.drain(..).chain(writers.heard.iter().map(|heard| heard.key)).collect();

    // All writers are dead: whoever opens next recovers.
    let mut last = Agent::open(&writers.store, "auto", &root.path().join("errors-last"));
    last.learn("last");
    let snapshot = Reader::open(&writers.store).unwrap().snapshot().unwrap();
    let version = |key: &str| snapshot.get(key).unwrap().map(|concept| concept.version());
    let lost = kept.iter().filter(|key| version(key).is_none()).count();
    let all = snapshot.concepts().map(|concept| concept.unwrap().version());
    let twice = all.filter(|version| *version != 1).count();
    takeovers.sort();
    let at = |percent: usize| takeovers[(takeovers.len() - 1) * percent / 100];
    println!(
        "{rounds} hosts killed, {} writes acknowledged: lost {lost}, applied twice {twice}; \
         takeover p50 {:?}, p99 {:?}, longest {:?}",
        kept.len(),
        at(50),
        at(99),
        at(100)
    );
    assert_eq!((lost, twice), (0, 0));
    assert!(kept.len() > rounds);
}
