//! `sutra get`: one concept.

use serde::Serialize;

use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs, rfc3339};
use crate::store::{self, ReaderArgs};

/// Print a concept
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra get knowledge dog.n.01
  sutra get knowledge dog.n.01 --json --embedding | jq '.embedding | length'

Exit code 1: there is no such concept.")]
pub struct GetArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// The concept's id; 32 lower-case hexadecimal digits are its key
    id: String,
    /// Print its vector too
    #[arg(long)]
    embedding: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A concept, as `--json` gives it.
#[derive(Debug, Serialize)]
pub struct ConceptRow<'s> {
    id: String,
    content: &'s str,
    strength: f32,
    confidence: f32,
    created_at: String,
    updated_at: String,
    lsn: u64,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Option<&'s [f32]>>,
}

/// Runs the command.
pub fn run(args: &GetArgs) -> Outcome {
    let snapshot = args.reader.snapshot()?;
    let concept = store::concept(&snapshot, &args.reader.store, &args.id)?;
    let row = ConceptRow {
        id: concept.id()?.to_string(),
        content: concept.content()?,
        strength: concept.strength(),
        confidence: concept.confidence(),
        created_at: rfc3339(concept.created_at()),
        updated_at: rfc3339(concept.updated_at()),
        lsn: concept.lsn(),
        version: concept.version(),
        embedding: match args.embedding {
            true => Some(concept.embedding()?),
            false => None,
        },
    };
    if args.output.json {
        output::json(&row)?;
        return Ok(Exit::Done);
    }
    let mut pairs = vec![
        ("id", row.id),
        ("content", row.content.to_owned()),
        ("strength", row.strength.to_string()),
        ("confidence", row.confidence.to_string()),
        ("created_at", row.created_at),
        ("updated_at", row.updated_at),
        ("lsn", row.lsn.to_string()),
        ("version", row.version.to_string()),
    ];
    match row.embedding {
        Some(Some(embedding)) => pairs.push(("embedding", format!("{embedding:?}"))),
        Some(None) => pairs.push(("embedding", "none".to_owned())),
        None => {}
    }
    output::pairs(pairs)?;
    Ok(Exit::Done)
}
