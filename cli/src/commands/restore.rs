//! `sutra restore`: a store from its backup, as it was then or at a point after it.

use std::path::PathBuf;

use serde::Serialize;
use sutra_coordinator::backup::{self, Until};
use sutra_reader::verify::{self, DeepOptions};

use crate::args::Moment;
use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::progress::Progress;

/// Make a store from a backup
///
/// The backup's checksums are compared on the way, the log after it is applied up to the point asked
/// for, and the store that results is checked like by `sutra verify --deep`. It is then stopped:
/// `sutra serve` it, or just read it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra restore /backups/knowledge knowledge-again
  sutra restore /backups/knowledge before-the-mistake --to 2026-11-20T11:05:17Z
  sutra restore /backups/knowledge elsewhere --log /backups/knowledge-log --to 120000

Exit code 1: the backup, or the store made of it, is damaged.")]
pub struct RestoreArgs {
    /// The directory of the backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The directory of the store to make: empty, or not there yet
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// Where `sutra serve --keep-log` kept the log
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// The point to go to, at or after the backup: a log sequence number, a time such as
    /// 2026-11-20T11:05:17Z, or how long ago [default: as far as the log goes]
    #[arg(long, value_name = "LSN|TIME|AGO")]
    to: Option<Moment>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct RestoreRow<'a> {
    store_id: &'a str,
    lsn: u64,
    backup_lsn: u64,
    sound: bool,
}

/// Runs the command.
pub fn run(args: &RestoreArgs) -> Outcome {
    let mut progress = Progress::new(Some(0), !args.output.json);
    let until = match args.to {
        None => Until::End,
        Some(Moment::Lsn(lsn)) => Until::Lsn(lsn),
        Some(Moment::Time(time_us)) => Until::Time(time_us),
    };
    let restored = backup::restore(
        &args.backup,
        &args.store,
        args.log.as_deref(),
        until,
        &mut |done, total| {
            progress.update_part("bytes", done, total);
            true
        },
    )?;
    let report = verify::deep(&args.store, DeepOptions::default(), &mut |at| {
        progress.update_part(at.check, at.done, at.total);
    })?;
    progress.finish();
    let row = RestoreRow {
        store_id: &restored.manifest.store_id,
        lsn: restored.lsn,
        backup_lsn: restored.manifest.lsn,
        sound: report.is_sound(),
    };
    let store = args.store.display();
    if args.output.json {
        output::json(&row)?;
    } else {
        let lsn = output::count(row.lsn);
        let state = match row.sound {
            true => "and is sound".to_owned(),
            false => format!("and is DAMAGED: `sutra verify --deep {store}` lists what is"),
        };
        output::print(&output::plain(&format!("{store} is restored up to LSN {lsn}, {state}\n")))?;
    }
    Ok(if row.sound { Exit::Done } else { Exit::NotFound })
}
