//! `sutra history`: the versions of a concept.

use serde::Serialize;
use sutra_layout::id::Id;
use sutra_reader::Concept;

use crate::args::NamespaceArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs, rfc3339};
use crate::store::ReaderArgs;

/// Print the versions of a concept, newest first
///
/// Each with the log entry that wrote it, when, and by whom. Forgetting is a version too, and a
/// concept that is forgotten still has its history.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra history knowledge wolf
  sutra history knowledge todo-7 --namespace alice --limit 3
  sutra get knowledge wolf --as-of $(sutra history knowledge wolf --json | jq '.[1].lsn')

Exit code 1: there never was such a concept.")]
pub struct HistoryArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// The concept's id
    id: String,
    /// Print so many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A version, as `--json` gives it.
#[derive(Serialize)]
struct VersionRow<'s> {
    version: u32,
    lsn: u64,
    updated_at: String,
    author: Option<&'s str>,
    forgotten: bool,
    strength: f32,
    confidence: f32,
    content: &'s str,
}

impl<'s> VersionRow<'s> {
    fn new(version: &Concept<'s>) -> Result<VersionRow<'s>, Failure> {
        Ok(VersionRow {
            version: version.version(),
            lsn: version.lsn(),
            updated_at: rfc3339(version.updated_at()),
            author: version.author(),
            forgotten: version.is_forgotten(),
            strength: version.strength(),
            confidence: version.confidence(),
            content: version.content()?,
        })
    }
}

/// Runs the command.
pub fn run(args: &HistoryArgs) -> Outcome {
    let snapshot = args.reader.snapshot()?;
    let namespace = &args.namespace.namespace;
    let found = snapshot.last_version(namespace, Id::from(&args.id))?;
    let concept = found.ok_or_else(|| {
        Failure::not_found(format!(
            "{} never had a concept {:?} in {}; ids are case-sensitive and exact",
            args.reader.store.display(),
            args.id,
            output::namespace(namespace)
        ))
    })?;
    let rows = snapshot
        .history(&concept)
        .take(args.limit.unwrap_or(usize::MAX))
        .map(|version| VersionRow::new(&version?))
        .collect::<Result<Vec<VersionRow<'_>>, Failure>>()?;
    if args.output.json {
        output::json(&rows)?;
        return Ok(Exit::Done);
    }
    output::table(
        ["version", "lsn", "updated_at", "author", "strength", "confidence", "content"],
        rows.into_iter().map(|row| {
            [
                row.version.to_string(),
                row.lsn.to_string(),
                row.updated_at,
                row.author.unwrap_or("-").to_owned(),
                row.strength.to_string(),
                row.confidence.to_string(),
                if row.forgotten {
                    "(forgotten)".to_owned()
                } else {
                    output::short(row.content, 60)
                },
            ]
        }),
    )?;
    Ok(Exit::Done)
}
