//! `sutra verify`: whether a store's structure is sound, and its log.

use std::path::Path;

use serde::Serialize;
use sutra_coordinator::log::inspect_log;
use sutra_coordinator::wal::{Inspection, WalError};
use sutra_reader::verify::{self, Check, DeepOptions, Finding, Report};
use sutra_reader::{OpenError, Reader, STORAGE_FILE};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::progress::Progress;
use crate::store::ReaderArgs;

/// Concepts whose nearest are looked for: each takes an exact search, 20 ms for 100,000 vectors.
const RECALL_SAMPLES: u64 = 200;

/// Looks at a log that a coordinator recycles meanwhile, before what is seen is believed.
const LOOKS: usize = 4;

/// Check a store's structure
///
/// Quick: the superblock, the published and the durable slots, the extent directory, the counts and
/// the index roots, and samples of what they name; then the whole log. With --deep, every record,
/// edge, blob, name and vector, and every index, column and list held against them. Nothing is
/// changed; a running coordinator is not disturbed, and none is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra verify knowledge
  sutra verify knowledge --deep
  sutra verify knowledge --recall
  sutra verify knowledge --deep --json | jq '.findings[] | {byte, region, ordinal, what}'

A torn end of the log is no damage: nothing in it was acknowledged as durable, and the next
coordinator cuts it. Exit code 1: damage was found; `sutra repair` mends what can be mended.")]
pub struct VerifyArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// Look at everything: takes about as long as reading the file
    #[arg(long)]
    deep: bool,
    /// Look for the nearest to some concepts, and hold what is found against every vector
    #[arg(long)]
    recall: bool,
    /// Damaged places to list at most; the rest is counted
    #[arg(long, value_name = "N", default_value_t = 100, requires = "deep")]
    limit: usize,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct ReportRow<'a> {
    sound: bool,
    checks: Vec<CheckRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<FindingRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings_left_off: Option<u64>,
}

#[derive(Serialize)]
struct CheckRow<'a> {
    name: &'a str,
    detail: &'a str,
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct FindingRow<'a> {
    check: &'a str,
    byte: Option<u64>,
    region: &'a str,
    ordinal: u64,
    last_ordinal: u64,
    what: &'a str,
    found: &'a str,
    expected: &'a str,
}

impl<'a> From<&'a Check> for CheckRow<'a> {
    fn from(check: &'a Check) -> CheckRow<'a> {
        CheckRow { name: check.name, detail: &check.detail, problem: check.problem.as_deref() }
    }
}

impl<'a> From<&'a Finding> for FindingRow<'a> {
    fn from(finding: &'a Finding) -> FindingRow<'a> {
        FindingRow {
            check: finding.check,
            byte: finding.offset,
            region: finding.region,
            ordinal: finding.ordinal,
            last_ordinal: finding.last_ordinal,
            what: &finding.what,
            found: &finding.found,
            expected: &finding.expected,
        }
    }
}

/// Runs the command.
pub fn run(args: &VerifyArgs) -> Outcome {
    let store = &args.reader.store;
    let mut report = if args.deep { deep(args)? } else { verify::quick(store)? };
    report.checks.push(log_check(store));
    if args.recall {
        report.checks.extend(recall(store)?);
    }
    let row = row(&report, args.deep);
    if args.output.json {
        output::json(&row)?;
    } else {
        output::print(&output::plain(&describe(store, &report)))?;
    }
    Ok(if row.sound { Exit::Done } else { Exit::NotFound })
}

fn deep(args: &VerifyArgs) -> Result<Report, OpenError> {
    let mut progress = Progress::new(Some(0), !args.output.json);
    let options = DeepOptions { findings_max: args.limit };
    let report = verify::deep(&args.reader.store, options, &mut |at| {
        progress.update_part(at.check, at.done, at.total);
    });
    progress.finish();
    report
}

/// What searches through the graph find, of each vector space: a figure, and no damage.
fn recall(store: &Path) -> Result<Vec<Check>, Failure> {
    let snapshot = Reader::open(store)?.snapshot()?;
    let mut checks = Vec::new();
    for space in snapshot.spaces()? {
        let detail = match snapshot.sample_recall(space.number, RECALL_SAMPLES)? {
            None => format!("space {} has no vectors", space.number),
            Some(found) => format!(
                "in space {}, {:.4} of the ten nearest to {} concepts at ef {}; {:.4} of these find \
                 themselves",
                space.number,
                found.recall,
                found.samples,
                space.graph.ef_search,
                found.found_themselves
            ),
        };
        checks.push(Check { name: "recall", detail, problem: None });
    }
    Ok(checks)
}

fn row(report: &Report, is_deep: bool) -> ReportRow<'_> {
    ReportRow {
        sound: report.is_sound(),
        checks: report.checks.iter().map(CheckRow::from).collect(),
        findings: is_deep.then(|| report.findings.iter().map(FindingRow::from).collect()),
        findings_left_off: is_deep.then_some(report.findings_left_off),
    }
}

fn describe(store: &Path, report: &Report) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let mark = if check.problem.is_some() { "BAD" } else { "ok " };
        text += &format!("{mark}  {}: {}\n", check.name, check.detail);
        if let Some(problem) = &check.problem {
            text += &format!("     {problem}\n");
        }
        for finding in report.findings.iter().filter(|finding| finding.check == check.name) {
            text += &format!("     {finding}\n");
        }
    }
    if report.findings_left_off > 0 {
        let count = output::count(report.findings_left_off);
        text += &format!("{count} more damaged places are not listed: give a larger --limit\n");
    }
    let (store, count) = (store.display(), report.checks.len());
    text + &match report.checks.iter().filter(|check| check.problem.is_some()).count() {
        0 => format!("{store} is sound: {count} checks\n"),
        failed => format!("{store} is damaged: {failed} of {count} checks failed\n"),
    }
}

/// The log beside the store, from its first entry to its last.
pub fn log_check(store: &Path) -> Check {
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
    let lsns = verify::lsns(store).ok().flatten();
    let path = store.join("wal");
    if !path.try_exists().unwrap_or(true) {
        return match lsns {
            Some((checkpoint, published)) if checkpoint < published => bad(
                "there is none".to_owned(),
                format!(
                    "the checkpoint holds entry {checkpoint}, and {published} was published: the \
                     entries between are only in the system's cache; start the coordinator, which \
                     keeps them"
                ),
            ),
            _ => ok(format!("there is none: {STORAGE_FILE} stands alone")),
        };
    }
    match inspect_log(&path, false) {
        Ok(found) => match problem(&found, lsns) {
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

fn problem(found: &Inspection, lsns: Option<(u64, u64)>) -> Option<String> {
    if let Some(damage) = &found.damage {
        return Some(damage.clone());
    }
    let (checkpoint_lsn, published_lsn) = lsns?;
    if found.last_lsn == 0 {
        return (checkpoint_lsn < published_lsn).then(|| {
            format!(
                "it is empty, the checkpoint holds entry {checkpoint_lsn}, and {published_lsn} was \
                 published: entries are missing; start the coordinator, which keeps what the file \
                 shows, or run `sutra repair`"
            )
        });
    }
    if found.last_lsn < published_lsn {
        return Some(format!(
            "it ends with entry {}, and the store holds {published_lsn}: entries are missing; the \
             store holds them, so stop the coordinator and keep a copy",
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
        assert_eq!(problem(&log_of(1, 90), Some((40, 80))), None);
        assert_eq!(problem(&log_of(41, 90), Some((40, 80))), None);
        assert_eq!(problem(&log_of(0, 0), Some((40, 40))), None, "all of it is in the checkpoint");
        assert!(problem(&log_of(0, 0), Some((40, 80))).unwrap().contains("it is empty"));
        assert!(problem(&log_of(42, 90), Some((40, 80))).unwrap().contains("between"));
        assert!(problem(&log_of(1, 79), Some((40, 80))).unwrap().contains("ends with entry 79"));
    }

    #[test]
    fn a_torn_end_is_a_note() {
        let torn = Inspection { torn: true, ..log_of(1, 7) };
        assert_eq!(problem(&torn, Some((3, 7))), None);
        assert!(detail(&torn).contains("torn"));
    }
}
