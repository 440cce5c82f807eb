//! `sutra repair`: a sound store of a damaged one.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sutra_coordinator::CoordinatorError;
use sutra_coordinator::repair::{self, Lost, RepairReport};
use sutra_reader::verify::{self, DeepOptions};

use super::verify::log_check;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};

/// Make a sound store of a damaged one
///
/// What is whole is copied into a new file, indexes and lists are made anew, the log is applied as
/// far as it can be read, and what could not be saved is listed. Nothing is changed in place: the
/// damaged file stays beside the new one as storage.dat.damaged-N, until you remove it. A store in
/// which nothing is damaged is left as it is. The coordinator must be stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra repair knowledge --dry-run
  sutra repair knowledge
  sutra repair knowledge --json | jq '.lost[] | {what, first, last, why}'

It needs as much free space as the store takes. Where you have a backup, compare: a restored store
with its log has everything, a repaired one has what was left. Exit code 1: something was lost.")]
pub struct RepairArgs {
    /// The store's directory
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// Say what would be lost, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct RepairRow<'a> {
    repaired: bool,
    damaged: bool,
    lsn: u64,
    records: Counts,
    edges: Counts,
    lost: Vec<LostRow<'a>>,
    notes: &'a [String],
    kept: &'a [PathBuf],
}

#[derive(Serialize)]
struct Counts {
    found: u64,
    saved: u64,
}

#[derive(Serialize)]
struct LostRow<'a> {
    what: &'a str,
    first: u64,
    last: u64,
    why: &'a str,
}

impl<'a> From<&'a Lost> for LostRow<'a> {
    fn from(lost: &'a Lost) -> LostRow<'a> {
        let Lost { what, first, last, why } = lost;
        LostRow { what, first: *first, last: *last, why }
    }
}

/// Runs the command.
pub fn run(args: &RepairArgs) -> Outcome {
    if is_sound(&args.store) {
        let report = RepairReport::default();
        return print(args, &report, false);
    }
    let report = repair::repair(&args.store, args.dry_run)?;
    print(args, &report, true)
}

/// Whether there is nothing to repair. A store that only needs recovery is left to its coordinator.
fn is_sound(store: &Path) -> bool {
    let file = verify::deep(store, DeepOptions { findings_max: 1 }, &mut |_| {});
    let is_poisoned = store.join("wal/poisoned").exists();
    file.is_ok_and(|report| report.is_sound()) && log_check(store).problem.is_none() && !is_poisoned
}

fn print(args: &RepairArgs, report: &RepairReport, is_damaged: bool) -> Outcome {
    let is_repaired = is_damaged && !args.dry_run;
    if is_repaired {
        let after = verify::deep(&args.store, DeepOptions::default(), &mut |_| {})?;
        if let Some(check) = after.checks.iter().find(|check| check.problem.is_some()) {
            return Err(Failure::store(format!(
                "{} is still damaged after its repair ({}); restore a backup",
                args.store.display(),
                check.name
            )));
        }
    }
    if args.output.json {
        output::json(&RepairRow {
            repaired: is_repaired,
            damaged: is_damaged,
            lsn: report.lsn,
            records: Counts { found: report.records.0, saved: report.records.1 },
            edges: Counts { found: report.edges.0, saved: report.edges.1 },
            lost: report.lost.iter().map(LostRow::from).collect(),
            notes: &report.notes,
            kept: &report.kept,
        })?;
    } else {
        output::print(&output::plain(&describe(args, report, is_damaged)))?;
    }
    Ok(if report.lost.is_empty() { Exit::Done } else { Exit::NotFound })
}

fn describe(args: &RepairArgs, report: &RepairReport, is_damaged: bool) -> String {
    let store = args.store.display();
    if !is_damaged {
        return format!("{store} is sound: there is nothing to repair\n");
    }
    let mut text = String::new();
    for Lost { what, first, last, why } in &report.lost {
        let range = if first == last { format!("{first}") } else { format!("{first} to {last}") };
        text += &format!("LOST  {what}, {range}: {why}\n");
    }
    for note in &report.notes {
        text += &format!("note  {note}\n");
    }
    let counts = |(found, saved): (u64, u64)| {
        format!("{} of {}", output::count(saved), output::count(found))
    };
    let done = if args.dry_run { "would be repaired" } else { "is repaired" };
    text += &format!(
        "{store} {done}: {} versions of concepts, {} of associations, up to LSN {}\n",
        counts(report.records),
        counts(report.edges),
        output::count(report.lsn)
    );
    for kept in &report.kept {
        text +=
            &format!("{} is what was there before; remove it when you are done\n", kept.display());
    }
    text
}

impl From<CoordinatorError> for Failure {
    fn from(error: CoordinatorError) -> Failure {
        Failure::store(error)
    }
}
