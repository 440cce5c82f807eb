//! `sutra touch`: count accesses to a concept.

use serde::Serialize;
use sutra_client::Touch;
use sutra_layout::id::Id;

use crate::args::{self, NamespaceArgs};
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};
use crate::write::{WriteArgs, batch, write};

/// Count accesses to a concept
///
/// Reading counts nothing by itself. Accesses make no version; `sutra get` shows how many there
/// were and when the last one was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra touch knowledge wolf
  sutra touch knowledge wolf --count 3 --at 2026-11-20T11:05:17Z

Exit code 1: there is no such concept.")]
pub struct TouchArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// The concept's id
    id: String,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// When the last one was [default: now]
    #[arg(long, value_name = "TIME", value_parser = args::time)]
    at: Option<u64>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Touched<'a> {
    id: &'a str,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &TouchArgs) -> Outcome {
    let TouchArgs { id, count, at, .. } = args;
    let touch = Touch { id: Id::from(id), count: *count, at: *at };
    let batch = batch(&args.namespace.namespace, |batch| batch.touch(&touch))?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    if args.output.json {
        output::json(&Touched { id, lsn })?;
    } else {
        output::print(&format!("touched {} at LSN {lsn}\n", output::plain(id)))?;
    }
    Ok(Exit::Done)
}
