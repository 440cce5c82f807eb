//! `sutra search`: the concepts whose content has certain words.

use serde::Serialize;
use sutra_reader::SearchQuery;

use crate::args::{AsOfArgs, FilterArgs, ScopeArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::ReaderArgs;

/// Print the concepts whose content has all these words
///
/// A word matches the beginning of a word of the content, whatever its case: `hunt` finds
/// `Hunting`. What has more of them as whole words comes first, then what has them more often, then
/// what has them earlier, then what is shorter.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra search knowledge 'wild dog'
  sutra search knowledge wolf --limit 3 --json
  sutra search knowledge hunt --filter 'meta.pos = v' --namespace alice")]
pub struct SearchArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// The words
    #[arg(value_name = "TEXT")]
    text: String,
    /// Print so many at most
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A concept found, as `--json` gives it.
#[derive(Serialize)]
struct FoundRow<'s> {
    id: String,
    whole_words: u32,
    occurrences: u32,
    content: &'s str,
}

/// Runs the command.
pub fn run(args: &SearchArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let query = SearchQuery {
        limit: args.limit,
        namespaces: args.scope.namespaces(),
        filter: filter.as_ref(),
    };
    let found = snapshot.search(&args.text, &query)?;
    let rows = found
        .iter()
        .filter_map(|found| {
            let concept = snapshot.concept(found.ordinal).transpose()?;
            Some(concept.map_err(Failure::from).and_then(|concept| {
                Ok(FoundRow {
                    id: concept.id()?.to_string(),
                    whole_words: found.whole_words,
                    occurrences: found.occurrences,
                    content: concept.content()?,
                })
            }))
        })
        .collect::<Result<Vec<FoundRow<'_>>, Failure>>()?;
    if args.output.json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        output::print("nothing has all these words\n")?;
    } else {
        let rows = rows.into_iter().map(|row| [row.id, output::short(row.content, 100)]);
        output::table(["id", "content"], rows)?;
    }
    Ok(Exit::Done)
}
