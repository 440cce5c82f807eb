//! `sutra list`: the concepts of a store.

use serde::Serialize;
use sutra_reader::ConceptQuery;

use super::get::ConceptRow;
use crate::args::{AsOfArgs, FilterArgs, ScopeArgs};
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::ReaderArgs;

/// Print the concepts of a store, oldest first
///
/// With --json one concept a line, each with the keys of `sutra get`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra list knowledge --limit 20
  sutra list knowledge --filter 'kind = note and updated_at >= 2026-11-01T00:00:00Z'
  sutra list knowledge --namespace alice --json | jq -r .id
  sutra list knowledge --filter 'meta.pos = n' --count")]
pub struct ListArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    /// Print so many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print only how many there are
    #[arg(long, conflicts_with = "limit")]
    count: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Count {
    count: u64,
}

/// Runs the command.
pub fn run(args: &ListArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let query = ConceptQuery { filter: filter.as_ref(), namespaces: args.scope.namespaces() };
    let concepts = snapshot.concepts_where(&query);
    if args.count {
        let mut count = 0;
        for concept in concepts {
            concept?;
            count += 1;
        }
        match args.output.json {
            true => output::json(&Count { count })?,
            false => output::print(&format!("{}\n", output::count(count)))?,
        }
        return Ok(Exit::Done);
    }
    for concept in concepts.take(args.limit.unwrap_or(usize::MAX)) {
        let row = ConceptRow::new(&concept?)?;
        match args.output.json {
            true => output::json(&row)?,
            false => {
                let content = output::short(row.content, 100);
                output::print(&output::plain(&format!("{}  {content}\n", row.id)))?;
            }
        }
    }
    Ok(Exit::Done)
}
