//! `sutra wait`: return once something is visible, or indexed.

use std::time::Duration;

use serde::Serialize;

use crate::args;
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, ReaderArgs};

/// Wait until the graph holds every vector, or a log entry is visible
///
/// A vector is found as soon as its concept is visible, in the graph or not; searches are faster
/// once it is. Vectors that come while this waits are not waited for. Sleeps until then: nothing is
/// polled.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra import knowledge concepts.ndjson && sutra wait knowledge --indexed
  sutra wait knowledge --lsn 4711 --timeout 5s

Exit code 3: not in time.")]
pub struct WaitArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    what: What,
    /// How long at most, such as 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = args::duration_us)]
    timeout: u64,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Until every vector that is visible now is in its graph
    #[arg(long)]
    indexed: bool,
    /// Until this log entry is visible
    #[arg(long, value_name = "LSN")]
    lsn: Option<u64>,
}

#[derive(Serialize)]
struct Waited {
    published_lsn: u64,
    vectors: u64,
    indexed_vectors: u64,
}

/// Runs the command.
pub fn run(args: &WaitArgs) -> Outcome {
    let reader = store::open(&args.reader.store)?;
    let timeout = Duration::from_micros(if args.timeout == 0 { u64::MAX } else { args.timeout });
    let snapshot = match args.what.lsn {
        Some(lsn) => reader.wait_for_lsn(lsn, timeout)?,
        None => reader.wait_indexed(timeout)?,
    };
    let stats = snapshot.stats();
    if args.output.json {
        let (published_lsn, vectors) = (stats.published_lsn, stats.vectors);
        let indexed_vectors = stats.indexed_vectors;
        output::json(&Waited { published_lsn, vectors, indexed_vectors })?;
    } else {
        let count = output::count;
        output::print(&format!(
            "LSN {} is visible, {} of {} vectors are indexed\n",
            stats.published_lsn,
            count(stats.indexed_vectors),
            count(stats.vectors)
        ))?;
    }
    Ok(Exit::Done)
}
