//! `sutra associate`: make an association, or a new version of one.

use serde::Serialize;
use sutra_client::{Associate, Batch, TypeRef};
use sutra_layout::id::Id;

use super::learn::{WriteArgs, write};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};

/// Associate two concepts
///
/// The same source, target and type again is a new version of the association.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra associate knowledge wolf canine hypernym
  sutra associate knowledge smoke fire causal --confidence 0.9 --weight 2
  sutra associate knowledge wolf pack member --create-missing

Exit code 1: an end does not exist, and --create-missing was not given.")]
pub struct AssociateArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// Where it starts
    source: String,
    /// Where it leads
    target: String,
    /// Its type: semantic, causal, temporal, hierarchical, compositional, a name of your own, or a number
    #[arg(value_name = "TYPE")]
    kind: String,
    /// 0 to 1
    #[arg(long)]
    confidence: Option<f32>,
    /// Any finite number
    #[arg(long, allow_negative_numbers = true)]
    weight: Option<f32>,
    /// Make an empty concept of an end that does not exist
    #[arg(long)]
    create_missing: bool,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Associated<'a> {
    source: &'a str,
    target: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &AssociateArgs) -> Outcome {
    let associate = Associate {
        source: Id::from(&args.source),
        target: Id::from(&args.target),
        kind: args.kind.parse().map_or(TypeRef::Name(&args.kind), TypeRef::Number),
        confidence: args.confidence,
        weight: args.weight,
        create_missing: args.create_missing,
        ..Associate::default()
    };
    let mut batch = Batch::new();
    batch.associate(&associate).map_err(Failure::usage)?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    let AssociateArgs { source, target, kind, .. } = args;
    if args.output.json {
        output::json(&Associated { source, target, kind, lsn })?;
    } else {
        output::print(&output::plain(&format!("{source} -{kind}-> {target} at LSN {lsn}\n")))?;
    }
    Ok(Exit::Done)
}
