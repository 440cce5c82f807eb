//! `sutra disassociate`: end associations between two concepts.

use serde::Serialize;
use sutra_client::Disassociate;
use sutra_layout::id::Id;

use super::associate::type_ref;
use crate::args::NamespaceArgs;
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};
use crate::write::{IfLsnArgs, WriteArgs, batch, write};

/// End the associations from one concept to another
///
/// Without a type all of them end. They stay readable with --as-of.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra disassociate knowledge wolf canine hypernym
  sutra disassociate knowledge smoke fire
  sutra disassociate knowledge wolf pack member --namespace alice --json

Exit codes: 1 nothing associates them; 5 --if-lsn did not hold.")]
pub struct DisassociateArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// Where they start
    source: String,
    /// Where they lead
    target: String,
    /// Only the one of this type, by name or number
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
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
struct Disassociated<'a> {
    source: &'a str,
    target: &'a str,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &DisassociateArgs) -> Outcome {
    let disassociate = Disassociate {
        source: Id::from(&args.source),
        target: Id::from(&args.target),
        kind: args.kind.as_deref().map(type_ref),
        if_lsn: args.condition.if_lsn,
    };
    let batch = batch(&args.namespace.namespace, |batch| batch.disassociate(&disassociate))?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    let DisassociateArgs { source, target, kind, .. } = args;
    let kind = kind.as_deref();
    if args.output.json {
        output::json(&Disassociated { source, target, kind, lsn })?;
    } else {
        let kind = kind.unwrap_or("any type");
        let text = format!("ended {source} -{kind}-> {target} at LSN {lsn}\n");
        output::print(&output::plain(&text))?;
    }
    Ok(Exit::Done)
}
