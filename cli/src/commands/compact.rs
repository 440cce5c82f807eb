//! `sutra compact`: make the store's file anew, without what is dead in it.

use std::time::Duration;

use serde::Serialize;
use sutra_client::{Compacted, Horizon, PURGES_MAX};
use sutra_layout::id::Id;

use crate::args::{Moment, NamespaceArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};

/// How long a compaction may take before the command gives up on it; it goes on then.
const TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Make the file anew without what is dead in it, and drop history or purge concepts
///
/// The coordinator makes the next generation of storage.dat while writers and readers go on, and
/// puts it in the place of the old one. Without --history-before all history stays, unless the
/// coordinator is served with --history-keep: then only what no version needs is dropped. Without a
/// coordinator this command is one for as long as it takes.
///
/// With --history-before, the store can still be read as of that moment and later, and what has
/// expired is forgotten. With --purge, nothing of a concept is left, whenever it was written, but
/// that its key was forgotten; copies and backups that were made before still have it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra compact knowledge
  sutra compact knowledge --history-before 30d
  sutra compact knowledge --history-before 2026-11-01T00:00:00Z --json
  sutra compact knowledge --history-before 0s      # keep only what lives now
  sutra compact knowledge --purge alice-address --namespace alice

Exit codes: 1 there was never such a concept; 5 --history-before is still to come.")]
pub struct CompactArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// Drop history before that log sequence number, time such as 2026-11-20T11:05:17Z, or age such
    /// as 30d
    #[arg(long, value_name = "LSN|TIME|AGO")]
    history_before: Option<Moment>,
    /// Leave nothing of the concept with that id; may be given several times
    #[arg(long, value_name = "ID")]
    purge: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Row {
    generation: u64,
    history_floor_lsn: u64,
    size_before: u64,
    size_after: u64,
    records_before: u64,
    records_copied: u64,
    edges_before: u64,
    edges_copied: u64,
    expired: u64,
    purged: u64,
    took_ms: f64,
    stalled_ms: f64,
}

/// Runs the command.
pub fn run(args: &CompactArgs) -> Outcome {
    if args.purge.len() > PURGES_MAX {
        return Err(Failure::usage(format!("--purge is given more than {PURGES_MAX} times")));
    }
    let horizon = match args.history_before {
        None => Horizon::AsServed,
        Some(Moment::Lsn(lsn)) => Horizon::Lsn(lsn),
        Some(Moment::Time(time_us)) => Horizon::Time(time_us),
    };
    let namespace = args.namespace.namespace.as_str();
    let purges: Vec<(&str, Id<'_>)> =
        args.purge.iter().map(|id| (namespace, Id::from(id))).collect();
    let compacted = store::connect(&args.writer)?.compact(horizon, &purges, TIMEOUT)?;
    print(args, &compacted)
}

fn print(args: &CompactArgs, done: &Compacted) -> Outcome {
    if args.output.json {
        output::json(&Row {
            generation: done.generation,
            history_floor_lsn: done.history_floor_lsn,
            size_before: done.size_before,
            size_after: done.size_after,
            records_before: done.records_before,
            records_copied: done.records_copied,
            edges_before: done.edges_before,
            edges_copied: done.edges_copied,
            expired: done.expired,
            purged: done.purged,
            took_ms: done.took_us as f64 / 1000.0,
            stalled_ms: done.stalled_us as f64 / 1000.0,
        })?;
        return Ok(Exit::Done);
    }
    let count = output::count;
    output::pairs([
        (
            "compacted",
            format!("{} is generation {} now", args.writer.store.display(), done.generation),
        ),
        (
            "file",
            format!("{} -> {}", output::size(done.size_before), output::size(done.size_after)),
        ),
        ("versions", format!("{} -> {}", count(done.records_before), count(done.records_copied))),
        ("edges", format!("{} -> {}", count(done.edges_before), count(done.edges_copied))),
        ("forgotten", format!("{} expired, {} purged", count(done.expired), count(done.purged))),
        ("history", format!("from LSN {} on", count(done.history_floor_lsn))),
        (
            "took",
            format!(
                "{:.1} s; writers waited {:.1} ms",
                done.took_us as f64 / 1e6,
                done.stalled_us as f64 / 1000.0
            ),
        ),
    ])?;
    Ok(Exit::Done)
}
