//! `sutra tail`: what is written to a store, in the order of its log.

use std::time::Duration;

use serde::Serialize;
use sutra_reader::{Change, ChangeKind, Snapshot};

use super::follow::type_text;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs, rfc3339};
use crate::store::{self, ReaderArgs};

/// How long one wait may take; the next begins at once.
const WAIT: Duration = Duration::from_secs(3600);

/// As wide as a time.
const NO_TIME: &str = "-                          ";

/// Print what was written, in the order of the log
///
/// One line for each version of a concept or an association: its LSN, what happened, to what, and by
/// whom; also when, but for associations that were changed or ended. --since LSN goes on after that
/// log entry. With --follow it goes on with what is written from now on, or since then, until
/// interrupted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra tail knowledge | tail -n 20
  sutra tail knowledge --since 1204 --json
  sutra tail knowledge --follow --namespace alice

Changes: learnt, updated, forgotten (a concept); associated, reassociated, disassociated.")]
pub struct TailArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// Only what came after this log entry [default: 0, and with --follow the newest]
    #[arg(long, value_name = "LSN")]
    since: Option<u64>,
    /// Go on with what is written
    #[arg(long, short)]
    follow: bool,
    /// Only changes in this namespace [default: in all of them]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A change, as `--json` gives it: `id` of a concept, or `source`, `target` and `type`.
#[derive(Serialize)]
struct ChangeRow<'s> {
    lsn: u64,
    change: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    author: Option<&'s str>,
}

impl<'s> ChangeRow<'s> {
    fn new(snapshot: &'s Snapshot, change: &Change<'s>) -> Result<Option<ChangeRow<'s>>, Failure> {
        let name = match change.kind {
            ChangeKind::ConceptLearnt => "learnt",
            ChangeKind::ConceptUpdated => "updated",
            ChangeKind::ConceptForgotten => "forgotten",
            ChangeKind::Associated => "associated",
            ChangeKind::AssociationUpdated => "reassociated",
            ChangeKind::Disassociated => "disassociated",
        };
        let mut row = ChangeRow {
            lsn: change.lsn,
            change: name,
            namespace: "",
            id: None,
            version: None,
            source: None,
            target: None,
            kind: None,
            at: None,
            author: None,
        };
        if let Some(concept) = change.concept() {
            row.namespace = concept.namespace();
            row.id = Some(concept.id()?.to_string());
            row.version = Some(concept.version());
            row.at = Some(rfc3339(concept.updated_at()));
            row.author = concept.author();
        }
        if let Some(association) = change.association() {
            // An end may be forgotten by now; its name stays.
            let source = snapshot.last_version_of(association.source())?;
            let target = snapshot.last_version_of(association.target())?;
            let (Some(source), Some(target)) = (source, target) else {
                return Ok(None);
            };
            row.namespace = source.namespace();
            row.source = Some(source.id()?.to_string());
            row.target = Some(target.id()?.to_string());
            row.kind = Some(type_text(snapshot, association.edge_type()));
            // Of later versions only the LSN is kept.
            row.at =
                (change.kind == ChangeKind::Associated).then(|| rfc3339(association.created_at()));
            row.author = association.author();
        }
        Ok(Some(row))
    }

    fn describe(&self) -> String {
        let ChangeRow { lsn, change, namespace, .. } = self;
        let at = self.at.as_deref().unwrap_or(NO_TIME);
        let namespace = match *namespace {
            "" => String::new(),
            name => format!(" in {name}"),
        };
        let subject = match self {
            ChangeRow { id: Some(id), version: Some(version), .. } => {
                format!("{id} (version {version})")
            }
            ChangeRow { source: Some(source), target: Some(target), kind: Some(kind), .. } => {
                format!("{source} -{kind}-> {target}")
            }
            _ => String::new(),
        };
        let author = self.author.map(|author| format!(", by {author}")).unwrap_or_default();
        format!("{lsn}  {at}  {change} {subject}{namespace}{author}\n")
    }
}

/// Runs the command.
pub fn run(args: &TailArgs) -> Outcome {
    let reader = store::open(&args.reader.store)?;
    let mut snapshot = reader.snapshot()?;
    let newest = if args.follow { snapshot.published_lsn() } else { 0 };
    let mut since = args.since.unwrap_or(newest);
    let mut left = args.limit.unwrap_or(usize::MAX);
    loop {
        left = print(args, &snapshot, since, left)?;
        if !args.follow || left == 0 {
            return Ok(Exit::Done);
        }
        since = since.max(snapshot.published_lsn());
        while !reader.wait_for_update(snapshot.commit_seq(), WAIT)? {}
        snapshot = reader.snapshot()?;
    }
}

/// Prints the changes after an LSN, so many at most, and gives how many more may be printed.
fn print(
    args: &TailArgs,
    snapshot: &Snapshot,
    since: u64,
    mut left: usize,
) -> Result<usize, Failure> {
    let mut text = String::new();
    for change in snapshot.changes(since)? {
        let change = change?;
        let Some(row) = ChangeRow::new(snapshot, &change)? else {
            continue;
        };
        if args.namespace.as_deref().is_some_and(|name| name != row.namespace) {
            continue;
        }
        if left == 0 {
            break;
        }
        left -= 1;
        match args.output.json {
            true => text += &output::json_line(&row)?,
            false => text += &output::plain(&row.describe()),
        }
        if text.len() > 1 << 16 {
            output::print(&text)?;
            text.clear();
        }
    }
    output::print(&text)?;
    Ok(left)
}
