//! `sutra ttl`: how long the concepts of a namespace live.

use std::time::Duration;

use serde::Serialize;
use sutra_client::TimeToLive;

use crate::args;
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};
use crate::write::{WriteArgs, batch, write};

/// Set how long the concepts of a namespace live
///
/// It holds for what is learnt from now on without an end of its own (`sutra learn --expires-in`).
/// What has expired is not found any more, and its space is taken back by a compaction.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra ttl knowledge alice 30d
  sutra ttl knowledge alice never
  sutra ttl knowledge '' 12h --json          # the namespace without a name")]
pub struct TtlArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// Which; '' is the one without a name
    namespace: String,
    /// How long, such as 90s, 12h or 30d; `never` ends it
    #[arg(value_parser = args::duration_us)]
    duration: u64,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct TtlSet<'a> {
    namespace: &'a str,
    time_to_live: Option<String>,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &TtlArgs) -> Outcome {
    let TtlArgs { namespace, duration: time_us, .. } = args;
    let time_to_live = TimeToLive { namespace, time_us: *time_us };
    let batch = batch("", |batch| batch.time_to_live(&time_to_live))?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    let time_to_live = (*time_us != 0).then(|| output::duration(Duration::from_micros(*time_us)));
    if args.output.json {
        output::json(&TtlSet { namespace, time_to_live, lsn })?;
    } else {
        let time = time_to_live.map_or("for ever".to_owned(), |time| format!("for {time}"));
        let name = output::namespace(namespace);
        output::print(&output::plain(&format!(
            "concepts of {name} live {time}, from LSN {lsn}\n"
        )))?;
    }
    Ok(Exit::Done)
}
