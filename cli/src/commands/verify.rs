//! `sutra verify`: whether a store's structure is sound, and its log.

use std::path::Path;

use serde::Serialize;
use sutra_coordinator::wal::{self, Inspection, WalError};
use sutra_reader::verify::{self, Check};
use sutra_reader::{Reader, STORAGE_FILE};

use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::ReaderArgs;

/// Looks at a log that a coordinator recycles meanwhile, before what is seen is believed.
const LOOKS: usize = 4;

/// Check a store's structure
///
/// Quick: the superblock, the published and the durable slots, the extent directory, the counts and
/// the index roots; then the whole log. Nothing is changed; a running coordinator is not disturbed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra verify knowledge
  sutra verify knowledge --json | jq '.checks[] | select(.problem)'

A torn end of the log is no damage: nothing in it was acknowledged as durable, and the next
coordinator cuts it. Exit code 1: damage was found.")]
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
    let store = &args.reader.store;
    let mut checks = verify::quick(store)?.checks;
    checks.push(log(store));
    let checks: Vec<CheckRow<'_>> = checks
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
        output::print(&output::plain(&describe(store, &row, problem_count)))?;
    }
    Ok(if row.sound { Exit::Done } else { Exit::NotFound })
}

fn describe(store: &Path, row: &ReportRow<'_>, problem_count: usize) -> String {
    let mut text = String::new();
    for check in &row.checks {
        let mark = if check.problem.is_some() { "BAD" } else { "ok " };
        text += &format!("{mark}  {}: {}\n", check.name, check.detail);
        if let Some(problem) = check.problem {
            text += &format!("     {problem}\n");
        }
    }
    let (store, count) = (store.display(), row.checks.len());
    text + &match problem_count {
        0 => format!("{store} is sound: {count} checks\n"),
        _ => format!("{store} is damaged: {problem_count} of {count} checks failed\n"),
    }
}

/// The log beside the store, from its first entry to its last.
fn log(store: &Path) -> Check {
    let mut look = log_once(store);
    // A coordinator may recycle a segment between two reads of one look; what is damaged stays so.
    for _ in 1..LOOKS {
        if look.problem.is_none() || !is_written(store) {
            break;
        }
        look = log_once(store);
    }
    look
}

fn is_written(store: &Path) -> bool {
    Reader::open(store).is_ok_and(|reader| reader.writer().alive)
}

fn log_once(store: &Path) -> Check {
    const NAME: &str = "log";
    let ok = |detail: String| Check { name: NAME, detail, problem: None };
    let bad = |detail: String, problem| Check { name: NAME, detail, problem: Some(problem) };
    // Before the log is read: a checkpoint made meanwhile may rest on entries not seen here.
    let checkpoint_lsn = checkpoint_lsn(store);
    let path = store.join("wal");
    if !path.try_exists().unwrap_or(true) {
        let storage = STORAGE_FILE;
        return ok(format!("there is none: {storage} stands alone"));
    }
    match wal::inspect(&path) {
        Ok(found) => match problem(&found, checkpoint_lsn) {
            Some(problem) => bad(detail(&found), problem),
            None => ok(detail(&found)),
        },
        Err(WalError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            ok("this user may not read it; run this as its owner".to_owned())
        }
        Err(error) => bad("it cannot be read".to_owned(), error.to_string()),
    }
}

fn checkpoint_lsn(store: &Path) -> Option<u64> {
    let snapshot = Reader::open(store).ok()?.snapshot().ok()?;
    Some(snapshot.stats().checkpoint_lsn)
}

fn detail(found: &Inspection) -> String {
    let segments = found.segments.len();
    let entries = match found.last_lsn {
        0 => "no entries".to_owned(),
        last => format!("entries {} to {}", output::count(found.first_lsn), output::count(last)),
    };
    let size = output::size(found.segments.iter().map(|segment| segment.used_size).sum());
    let torn = match found.torn {
        true => "; its end is torn, and the next coordinator cuts it there",
        false => "",
    };
    format!("{entries} in {segments} segments, {size}{torn}")
}

fn problem(found: &Inspection, checkpoint_lsn: Option<u64>) -> Option<String> {
    if let Some(damage) = &found.damage {
        return Some(damage.clone());
    }
    let checkpoint_lsn = checkpoint_lsn.filter(|_| found.last_lsn != 0)?;
    if found.last_lsn < checkpoint_lsn {
        return Some(format!(
            "it ends with entry {}, and the checkpoint holds {checkpoint_lsn}: entries are missing; \
             the store holds them, so stop the coordinator and keep a copy",
            found.last_lsn
        ));
    }
    (found.first_lsn > checkpoint_lsn + 1).then(|| {
        format!(
            "it begins with entry {}, and the checkpoint holds {checkpoint_lsn}: the entries \
             between are missing; restore the log from a copy",
            found.first_lsn
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of(first_lsn: u64, last_lsn: u64) -> Inspection {
        Inspection {
            segments: Vec::new(),
            spares: Vec::new(),
            first_lsn,
            last_lsn,
            writer_epoch: 1,
            damage: None,
            torn: false,
        }
    }

    #[test]
    fn a_log_continues_its_checkpoint_or_is_damaged() {
        assert_eq!(problem(&log_of(1, 90), Some(40)), None);
        assert_eq!(problem(&log_of(41, 90), Some(40)), None);
        assert_eq!(problem(&log_of(0, 0), Some(40)), None, "all of it is in the checkpoint");
        assert!(problem(&log_of(42, 90), Some(40)).unwrap().contains("between"));
        assert!(problem(&log_of(1, 39), Some(40)).unwrap().contains("ends with entry 39"));
    }

    #[test]
    fn a_torn_end_is_a_note() {
        let torn = Inspection { torn: true, ..log_of(1, 7) };
        assert_eq!(problem(&torn, Some(3)), None);
        assert!(detail(&torn).contains("torn"));
    }
}
