//! `sutra backup`: a copy of a store that can be brought back.

use std::path::PathBuf;

use serde::Serialize;
use sutra_coordinator::backup::{self, BackupError, BackupReport, CheckReport};
use sutra_coordinator::wal::WalError;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::progress::Progress;

/// Copy a store, live, so that it can be brought back
///
/// The copy is of one moment, whatever is written meanwhile. Run again onto the same DEST, it copies
/// only what is new, and a run that was interrupted goes on where it was; until it is done, the
/// backup before is whole. The log after the backup is copied beside it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra backup knowledge /backups/knowledge
  sutra backup --check /backups/knowledge
  sutra restore /backups/knowledge knowledge-again

See docs/BACKUP.md for schedules, and for restoring to a point in time. Exit code 1: with --check,
the backup is damaged.")]
pub struct BackupArgs {
    /// The store's directory; with --check, that of the backup
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// The directory of the backup: empty, not there yet, or with an earlier backup of this store
    #[arg(value_name = "DEST", required_unless_present = "check", conflicts_with = "check")]
    dest: Option<PathBuf>,
    /// Compare every checksum of a backup, and change nothing
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct BackupRow<'a> {
    store_id: &'a str,
    generation: u64,
    lsn: u64,
    time: String,
    size: u64,
    log_lsn: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flushed: Option<bool>,
}

impl<'a> BackupRow<'a> {
    fn new(manifest: &'a backup::Manifest, log_lsn: u64, made: Option<&BackupReport>) -> Self {
        BackupRow {
            store_id: &manifest.store_id,
            generation: manifest.generation,
            lsn: manifest.lsn,
            time: output::rfc3339(manifest.published_at),
            size: manifest.truth_size(),
            log_lsn,
            copied: made.map(|made| made.copied_size),
            flushed: made.map(|made| made.was_flushed),
        }
    }
}

/// Runs the command.
pub fn run(args: &BackupArgs) -> Outcome {
    let mut progress = Progress::new(Some(0), !args.output.json);
    let mut on_progress = |done, total| {
        progress.update_part("bytes", done, total);
        true
    };
    let Some(dest) = &args.dest else {
        let CheckReport { manifest, log_last_lsn } = backup::check(&args.store, &mut on_progress)?;
        progress.finish();
        let row = BackupRow::new(&manifest, log_last_lsn, None);
        return print(args, &row, "is sound");
    };
    let made = backup::backup(&args.store, dest, &mut on_progress)?;
    progress.finish();
    let row = BackupRow::new(&made.manifest, made.log_last_lsn, Some(&made));
    print(args, &row, "is made")
}

fn print(args: &BackupArgs, row: &BackupRow<'_>, what: &str) -> Outcome {
    if args.output.json {
        output::json(row)?;
        return Ok(Exit::Done);
    }
    let place = args.dest.as_ref().unwrap_or(&args.store).display();
    let (size, lsn) = (output::size(row.size), output::count(row.lsn));
    let mut text = format!("{place} {what}: LSN {lsn} of {}, {size}", row.time);
    if let Some(copied) = row.copied {
        text += &format!(", {} of it new", output::size(copied));
    }
    if row.log_lsn > row.lsn {
        text += &format!("; with its log, up to LSN {}", output::count(row.log_lsn));
    }
    if row.flushed == Some(false) {
        text += "\nno coordinator made a checkpoint for it, so it is of the last one";
    }
    output::print(&output::plain(&(text + "\n")))?;
    Ok(Exit::Done)
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Failure {
        match error {
            BackupError::Damaged { .. } | BackupError::Wal(WalError::ArchiveDamaged { .. }) => {
                Failure::not_found(error)
            }
            BackupError::NotABackup { .. }
            | BackupError::NotEmpty { .. }
            | BackupError::OtherStore { .. }
            | BackupError::BeforeBackup { .. }
            | BackupError::BeyondLog { .. } => Failure::usage(error),
            _ => Failure::store(error),
        }
    }
}
