//! A reader process: it opens a store, and answers what it is asked until its input ends.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sutra_reader::Id;

use super::measure::{Bench, each};
use super::message::{Answer, Ask, Measured};
use super::{Source, View};
use crate::clock::{Stopwatch, shared_ns};
use crate::memory;
use crate::peers::Contender;
use crate::peers::lmdb::Lmdb;
use crate::peers::petgraph::Petgraph;
use crate::peers::sutra::Sutra;
use crate::workload::Workload;

/// How long a watcher waits for the next version.
const WATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// What the hidden subcommand takes, beside the workload.
#[derive(Args, Clone, Debug)]
pub struct ReaderArgs {
    contender: Contender,
    store: PathBuf,
    /// Tells processes that read the same things at once apart
    #[arg(long, default_value_t = 0)]
    number: u64,
}

/// Answers until the input ends: the child's side.
pub fn run(args: &ReaderArgs, workload: Workload) -> anyhow::Result<()> {
    match args.contender {
        Contender::Sutra => answer_all(args, workload, || Sutra::open(&args.store)),
        Contender::Petgraph => answer_all(args, workload, || Petgraph::new(&workload)),
        Contender::Lmdb => answer_all(args, workload, || Lmdb::open_to_read(&args.store)),
        #[cfg(feature = "peers")]
        Contender::Redb => {
            answer_all(args, workload, || crate::peers::redb::Reader::open(&args.store))
        }
        #[cfg(feature = "peers")]
        Contender::Sqlite => {
            answer_all(args, workload, || crate::peers::sqlite::Reader::open(&args.store))
        }
        #[cfg(feature = "rocksdb")]
        Contender::Rocksdb => {
            answer_all(args, workload, || crate::peers::rocksdb::Rocksdb::open_to_read(&args.store))
        }
        #[cfg(feature = "peers")]
        Contender::MmapSync => {
            answer_all(args, workload, || crate::peers::mmap_sync::Reader::open(&args.store))
        }
        #[cfg(feature = "peers")]
        Contender::Redis => {
            answer_all(args, workload, || crate::peers::redis::Reader::open(&args.store))
        }

        #[allow(unreachable_patterns, reason = "a build with all features has all")]
        other => anyhow::bail!("{} cannot be read by this build of the benches", other.name()),
    }
}

fn answer_all<S: Source>(
    args: &ReaderArgs,
    workload: Workload,
    open: impl Fn() -> anyhow::Result<S>,
) -> anyhow::Result<()> {
    // Made when first needed: what it takes is not to be counted as the store's.
    let (mut source, mut bench) = (None, None);
    say(&Answer::Ready)?;
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let answer = match ask {
            Ask::Memory => Answer::Memory(memory::of_this_process()?),
            Ask::Open(count) => {
                source = None;
                Answer::Measured(open_again(&open, &workload, count)?)
            }
            Ask::OpenAndHold => {
                let opened = open()?;
                get_first(&opened, &workload)?;
                source = Some(opened);
                Answer::Ready
            }
            Ask::Watch(lsn) => Answer::Seen(watch(args, lsn)?),
            Ask::Read(task, mode, millis) => {
                let source = held(&mut source, &open)?;
                let bench = bench.get_or_insert_with(|| Bench::new(workload, args.number));
                Answer::Measured(bench.read(source, task, mode, Duration::from_millis(millis))?)
            }
            Ask::Check(task) => {
                let source = held(&mut source, &open)?;
                let bench = bench.get_or_insert_with(|| Bench::new(workload, args.number));
                Answer::Digest(bench.check(source, task))
            }
        };
        say(&answer)?;
    }
    Ok(())
}

fn held<S>(source: &mut Option<S>, open: impl Fn() -> anyhow::Result<S>) -> anyhow::Result<&S> {
    if source.is_none() {
        *source = Some(open()?);
    }
    source.as_ref().context("it was just opened")
}

/// Opens the store so many times anew, with one get each.
fn open_again<S: Source>(
    open: impl Fn() -> anyhow::Result<S>,
    workload: &Workload,
    count: u32,
) -> anyhow::Result<Measured> {
    let mut failed = Ok(());
    let measured = each(&Stopwatch::new(), count, || {
        let got = open().and_then(|source| get_first(&source, workload));
        if got.is_err() {
            failed = got;
        }
    });
    failed?;
    measured
}

fn get_first(source: &impl Source, workload: &Workload) -> anyhow::Result<()> {
    let found = source.view().content(&workload.id(0));
    found.map(drop).context("the first concept is missing")
}

/// Notes when each version was first seen here, until one at or above `lsn`.
fn watch(args: &ReaderArgs, lsn: u64) -> anyhow::Result<Vec<(u64, u64)>> {
    let Sutra(reader) = Sutra::open(&args.store)?;
    let mut seen = Vec::new();
    let mut snapshot = reader.snapshot()?;
    say(&Answer::Ready)?;
    while snapshot.published_lsn() < lsn {
        if !reader.wait_for_update(snapshot.commit_seq(), WATCH_TIMEOUT)? {
            anyhow::bail!("nothing was published for {WATCH_TIMEOUT:?}");
        }
        snapshot = reader.snapshot()?;
        seen.push((snapshot.published_lsn(), shared_ns()));
    }
    // A reader that saw the version sees what is in it.
    snapshot.get(Id::Raw([0; 16]))?;
    Ok(seen)
}

fn say(answer: &Answer) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, answer)?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}
