//! `sutra verify`: whether a store's structure is sound.

use serde::Serialize;
use sutra_reader::verify;

use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::ReaderArgs;

/// Check a store's structure
///
/// Quick: the superblock, the published and the durable slots, the extent directory, the counts and
/// the index roots. Nothing is changed; a running coordinator is not disturbed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra verify knowledge
  sutra verify knowledge --json | jq '.checks[] | select(.problem)'

Exit code 1: damage was found.")]
pub struct VerifyArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct ReportRow<'a> {
    sound: bool,
    checks: Vec<CheckRow<'a>>,
}

#[derive(Serialize)]
struct CheckRow<'a> {
    name: &'a str,
    detail: &'a str,
    problem: Option<&'a str>,
}

/// Runs the command.
pub fn run(args: &VerifyArgs) -> Outcome {
    let report = verify::quick(&args.reader.store)?;
    let checks: Vec<CheckRow<'_>> = report
        .checks
        .iter()
        .map(|check| CheckRow {
            name: check.name,
            detail: &check.detail,
            problem: check.problem.as_deref(),
        })
        .collect();
    let problem_count = checks.iter().filter(|check| check.problem.is_some()).count();
    let row = ReportRow { sound: problem_count == 0, checks };
    if args.output.json {
        output::json(&row)?;
    } else {
        let mut text = String::new();
        for check in &row.checks {
            let mark = if check.problem.is_some() { "BAD" } else { "ok " };
            text += &format!("{mark}  {}: {}\n", check.name, check.detail);
            if let Some(problem) = check.problem {
                text += &format!("     {problem}\n");
            }
        }
        let store = args.reader.store.display();
        text += &match problem_count {
            0 => format!("{store} is sound: {} checks\n", row.checks.len()),
            _ => format!(
                "{store} is damaged: {problem_count} of {} checks failed\n",
                row.checks.len()
            ),
        };
        output::print(&output::plain(&text))?;
    }
    Ok(if row.sound { Exit::Done } else { Exit::NotFound })
}
