//! `sutra reinforce`: make a concept stronger or weaker.

use serde::Serialize;
use sutra_client::Reinforce;
use sutra_layout::id::Id;

use crate::args::NamespaceArgs;
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};
use crate::write::{IfLsnArgs, WriteArgs, batch, write};

/// Make a concept stronger or weaker, or more or less certain
///
/// What is given is added; both stay within 0 and 1. The content is not written again, and many
/// reinforcements of one concept within a publication become one version.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra reinforce knowledge wolf --strength 0.1
  sutra reinforce knowledge rumour --confidence -0.25 --namespace alice

Exit codes: 1 there is no such concept; 5 --if-lsn did not hold.")]
pub struct ReinforceArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// The concept's id
    id: String,
    /// Added to its strength, -1 to 1
    #[arg(
        long,
        value_name = "STEP",
        allow_negative_numbers = true,
        required_unless_present = "confidence"
    )]
    strength: Option<f32>,
    /// Added to its confidence, -1 to 1
    #[arg(long, value_name = "STEP", allow_negative_numbers = true)]
    confidence: Option<f32>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    condition: IfLsnArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Reinforced<'a> {
    id: &'a str,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &ReinforceArgs) -> Outcome {
    let ReinforceArgs { id, strength, confidence, condition, .. } = args;
    let reinforce = Reinforce {
        id: Id::from(id),
        strength: *strength,
        confidence: *confidence,
        if_lsn: condition.if_lsn,
    };
    let batch = batch(&args.namespace.namespace, |batch| batch.reinforce(&reinforce))?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    if args.output.json {
        output::json(&Reinforced { id, lsn })?;
    } else {
        output::print(&format!("reinforced {} at LSN {lsn}\n", output::plain(id)))?;
    }
    Ok(Exit::Done)
}
