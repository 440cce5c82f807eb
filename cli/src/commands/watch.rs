//! `sutra watch`: a line at each publication.

use std::time::Duration;

use serde::Serialize;
use sutra_reader::Snapshot;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs, rfc3339};
use crate::store::{self, ReaderArgs};

/// How long one wait may take; the next begins at once.
const WAIT: Duration = Duration::from_secs(3600);

/// Print a line now and at each publication, until interrupted
///
/// Sleeps between them: nothing is polled, and the coordinator is not asked. Several publications
/// at once give one line.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra watch knowledge
  sutra watch knowledge --count 2 > /dev/null && echo 'something was written'
  sutra watch knowledge --json | jq .published_lsn")]
pub struct WatchArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// End after so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A publication, as `--json` gives it.
#[derive(Serialize)]
struct Publication {
    commit_seq: u64,
    published_lsn: u64,
    published_at: String,
    concepts: u64,
    edges: u64,
}

/// Runs the command.
pub fn run(args: &WatchArgs) -> Outcome {
    let reader = store::open(&args.reader.store)?;
    let mut lines = 0;
    loop {
        let snapshot = reader.snapshot()?;
        print(&snapshot, args.output.json)?;
        lines += 1;
        if args.count.is_some_and(|count| lines >= count) {
            return Ok(Exit::Done);
        }
        while !reader.wait_for_update(snapshot.commit_seq(), WAIT)? {}
    }
}

fn print(snapshot: &Snapshot, as_json: bool) -> Result<(), Failure> {
    let publication = Publication {
        commit_seq: snapshot.commit_seq(),
        published_lsn: snapshot.published_lsn(),
        published_at: rfc3339(snapshot.published_at()),
        concepts: snapshot.concept_count(),
        edges: snapshot.association_count(),
    };
    if as_json {
        return output::json(&publication);
    }
    let Publication { commit_seq, published_lsn, published_at, concepts, edges } = publication;
    output::print(&format!(
        "{published_at}  commit {}  LSN {}  {} concepts, {} associations\n",
        output::count(commit_seq),
        output::count(published_lsn),
        output::count(concepts),
        output::count(edges),
    ))
}
