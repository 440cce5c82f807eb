//! The log, as far as it can be applied to what was saved.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sutra_layout::geometry::{DURABLE_SLOTS_OFFSET, HEADER_SIZE};
use sutra_layout::slot::Slot;
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::sys;
use zerocopy::IntoBytes;

use super::loss::Losses;
use super::{Log, RepairReport, follows, making, store_id_of};
use crate::apply::Writer;
use crate::entry::{Entry, EntryHead};
use crate::error::CoordinatorError;
use crate::offline::Offline;
use crate::options::Options;
use crate::reconciler::settle;
use crate::store_dir::StoreDir;
use crate::wal::{self, Wal};

const ENTRY: &str = "a log entry";

/// Applies the entries above `lsn`, as far as they can be read. Whether the log may stay.
pub(super) fn apply(
    writer: &mut Writer,
    dir: &StoreDir,
    log: &Log,
    lsn: u64,
    losses: &mut Losses,
) -> Result<bool, CoordinatorError> {
    let Log { found: log, is_poisoned } = log;
    let mut is_whole = log.damage.is_none();
    if !follows(log, lsn) {
        let why = "the log begins after it".to_owned();
        losses.add_range(ENTRY, lsn + 1, log.first_lsn - 1, why);
        losses.note(format!(
            "entries {} to {} are in the log and do not follow from what was saved: they are kept \
             beside, and not applied",
            log.first_lsn, log.last_lsn
        ));
        return Ok(false);
    }
    let mut problem: Option<CoordinatorError> = None;
    let mut step = |at: u64, payload: &[u8]| -> Result<(), CoordinatorError> {
        let bad = |what| CoordinatorError::BadEntry { lsn: at, what };
        let entry = Entry::decode(payload).map_err(bad)?;
        if at > lsn {
            return writer.apply(at, &entry, &[]);
        }
        if entry.head.kind != EntryHead::SETTLING {
            writer.clients.note(entry.head.client_id, at, entry.outcome());
        }
        Ok(())
    };
    wal::inspect_with(&dir.wal_path(), *is_poisoned, &mut |at, payload| {
        match step(at, payload) {
            Ok(()) => {}
            // What it rests on was lost before, or it says what this version does not know.
            Err(CoordinatorError::BadEntry { what, .. }) => {
                losses.add_range(ENTRY, at, at, what);
            }
            Err(CoordinatorError::Damaged { damage, .. }) => losses.add(ENTRY, at, &damage),
            Err(other) => problem = Some(problem.take().unwrap_or(other)),
        }
        Ok(())
    })?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    if let Some(damage) = &log.damage {
        let first = log.last_lsn.max(lsn) + 1;
        losses.add_range("log entries from there on", first, first, damage.clone());
    }
    // An entry that could not be applied counts as done: those behind it were applied.
    let last_lsn = log.last_lsn.max(lsn);
    is_whole &= log.last_lsn == 0 || log.last_lsn >= lsn;
    writer.now.published_lsn = writer.now.published_lsn.max(last_lsn);
    Ok(is_whole)
}

/// Gives what was reinforced its version, by an entry behind the last one, as recovery does.
pub(super) fn settle_log(
    writer: &mut Writer,
    dir: &StoreDir,
    log: &Log,
    writer_epoch: u64,
) -> Result<(), CoordinatorError> {
    if writer.gathered.is_empty() {
        return Ok(());
    }
    let (store_id, lsn) = (writer.image.view().superblock().store_id, writer.applied_lsn());
    let path = dir.wal_path();
    let options = wal::Options { distrust_page_cache: log.is_poisoned, ..wal::Options::default() };
    let mut log = Wal::open(&path, store_id, options, lsn, lsn, |_, _| Ok(()))?;
    let writer_epoch = writer_epoch.max(log.writer_epoch());
    settle(writer, &mut log, writer_epoch)?;
    log.syncer().sync()?;
    Ok(())
}

/// Makes `storage.dat` of the log alone, which must begin with the first entry.
pub(super) fn make_of_log(
    dir: StoreDir,
    options: &Options,
    log: &Log,
    problem: &str,
    is_dry_run: bool,
) -> Result<RepairReport, CoordinatorError> {
    let log = &log.found;
    let store = dir.path().to_owned();
    let refused = |what: String| CoordinatorError::Unrepairable { store: store.clone(), what };
    if log.first_lsn != 1 {
        let first = match log.last_lsn {
            0 => "there is no log".to_owned(),
            _ => format!("the log begins with entry {}", log.first_lsn),
        };
        return Err(refused(format!(
            "{problem}, and {first}, so it cannot be made anew; restore a backup"
        )));
    }
    if let Some(damage) = &log.damage {
        return Err(refused(format!(
            "{problem}, and the log from which it could be made is damaged too ({damage}); restore a \
             backup"
        )));
    }
    let store_id = store_id_of(&dir)?.ok_or_else(|| {
        refused(format!("{problem}, and no segment of the log says which store it is of"))
    })?;
    let mut losses = Losses::default();
    losses.note(format!("{problem}: it is made anew of the log, which begins with entry 1"));
    losses.note(
        "access counts before the log, and a vector space that was given to `sutra serve` \
                 and not by a vector, are not in the log",
    );
    let mut report = RepairReport { lsn: log.last_lsn, ..losses.report() };
    if is_dry_run {
        return Ok(report);
    }
    let file = super::temporary(&dir)?;
    fill(&file, store_id).map_err(making(&dir))?;
    report.kept.extend(dir.put_storage(&file).map_err(making(&dir))?);
    dir.clear_poisoned().map_err(making(&dir))?;
    drop(dir);
    report.lsn = Offline::open(options)?.close()?;
    Ok(report)
}

/// A file with nothing in it yet, of that store.
fn fill(file: &File, store_id: [u8; 16]) -> std::io::Result<()> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
    let seed = u64::from_le_bytes(seed);
    let block = UncheckedSuperblock::new(store_id, 1, sys::clock::now_us(), seed);
    sys::reserve(file, 0, HEADER_SIZE)?;
    file.write_all_at(block.as_bytes(), 0)?;
    let published_at = block.created_at;
    let slot = Slot { commit_seq: 1, published_at, flags: Slot::CLEAN, ..Slot::default() };
    file.write_all_at(slot.sealed().as_bytes(), DURABLE_SLOTS_OFFSET)
}
