//! `sutra associate`: make an association, or a new version of one.

use serde::Serialize;
use sutra_client::{Associate, TypeRef};
use sutra_layout::id::Id;

use crate::args::{NamespaceArgs, duration_us, now_us, object};
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};
use crate::write::{ConditionArgs, WriteArgs, batch, write};

/// Associate two concepts
///
/// The same source, target and type again is a new version of the association.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra associate knowledge wolf canine hypernym
  sutra associate knowledge smoke fire causal --confidence 0.9 --weight 2
  sutra associate knowledge wolf pack member --create-missing
  sutra associate knowledge ann acme works-at --properties '{\"since\": 2021}' --valid-for 365d
  sutra associate knowledge a b causal --namespace alice --if-absent

Both ends are in the same namespace. Exit codes: 1 an end does not exist, and --create-missing was
not given; 5 --if-lsn or --if-absent did not hold.")]
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
    /// A JSON object for your own use, at most 64 KiB, kept as it is
    #[arg(long, value_name = "JSON", value_parser = object)]
    properties: Option<String>,
    /// How long until it does not hold any more, such as 12h or 30d
    #[arg(long, value_name = "DURATION", value_parser = duration_us)]
    valid_for: Option<u64>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    condition: ConditionArgs,
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
        kind: type_ref(&args.kind),
        confidence: args.confidence,
        weight: args.weight,
        create_missing: args.create_missing,
        properties: args.properties.as_deref(),
        valid_until: args.valid_for.filter(|time| *time != 0).map(|time| now_us() + time),
        if_lsn: args.condition.lsn.if_lsn,
        if_absent: args.condition.if_absent,
        ..Associate::default()
    };
    let batch = batch(&args.namespace.namespace, |batch| batch.associate(&associate))?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    let AssociateArgs { source, target, kind, .. } = args;
    if args.output.json {
        output::json(&Associated { source, target, kind, lsn })?;
    } else {
        output::print(&output::plain(&format!("{source} -{kind}-> {target} at LSN {lsn}\n")))?;
    }
    Ok(Exit::Done)
}

/// An association's type, as it is typed: a number, or a name.
pub fn type_ref(text: &str) -> TypeRef<'_> {
    text.parse().map_or(TypeRef::Name(text), TypeRef::Number)
}
