//! `sutra forget`: end concepts.

use serde::Serialize;
use sutra_client::{Batch, Forget};
use sutra_layout::id::Id;

use crate::args::NamespaceArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};
use crate::write::{IfLsnArgs, WriteArgs, write_many};

/// Forget concepts, and with each of them its associations
///
/// Forgetting is a version too: what was known stays readable with --as-of and in `sutra history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra forget knowledge wolf
  sutra forget knowledge wolf --if-lsn 1204
  sutra forget knowledge note-1 note-2 --namespace alice --atomic

Exit codes: 1 there is no such concept; 5 --if-lsn did not hold.")]
pub struct ForgetArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// The concepts' ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    condition: IfLsnArgs,
    /// All of them or none, at one moment
    #[arg(long)]
    atomic: bool,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Forgotten<'a> {
    forgotten: Vec<&'a str>,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &ForgetArgs) -> Outcome {
    let mut batch = Batch::new();
    batch.namespace(&args.namespace.namespace).atomic(args.atomic);
    for id in &args.ids {
        let forget = Forget { id: Id::from(id), if_lsn: args.condition.if_lsn };
        batch.forget(&forget).map_err(Failure::usage)?;
    }
    let (lsn, errors) = write_many(&mut store::connect(&args.writer)?, &batch, args.write)?;
    let is_refused = |index: usize| errors.iter().any(|error| error.index as usize == index);
    let forgotten: Vec<&str> = args
        .ids
        .iter()
        .enumerate()
        .filter(|(index, _)| !is_refused(*index))
        .map(|(_, id)| id.as_str())
        .collect();
    if args.output.json && !forgotten.is_empty() {
        output::json(&Forgotten { forgotten, lsn })?;
    } else {
        for id in forgotten {
            output::print(&format!("forgot {} at LSN {lsn}\n", output::plain(id)))?;
        }
    }
    // All refusals are told, and the first one decides how the command ends.
    for error in errors.iter().skip(1) {
        eprintln!("sutra: {}", error.message);
    }
    match errors.into_iter().next() {
        Some(error) => Err(error.into()),
        None => Ok(Exit::Done),
    }
}
