//! Making a sound store of a damaged one: what is whole is copied into a new generation, what is not
//! is listed, and the old file is kept beside.
//!
//! | what is damaged | what happens |
//! |---|---|
//! | indexes, columns, lists, graphs, live ends | made anew |
//! | a record, edge, blob, row | left out and listed; the version before is the newest again |
//! | names | those that can be read stay; the others get a name that says so |
//! | both durable slots | the newest version in the ring counts, or what is found by counting |
//! | a word of the extent directory | the extent is looked for between the others |
//! | the log, in the middle | what precedes is applied; the log is put aside |
//! | storage.dat is missing, or its superblock damaged | made of the log, if that begins with entry 1 |
//!
//! Nothing is changed in place. The new file takes the name of the old one when it is complete and
//! synced; until then the store is as it was.

mod directory;
mod find;
mod loss;
mod tail;

use std::fs::File;
use std::path::{Path, PathBuf};

use sutra_layout::client_entry::read_clients;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::view::View;

use crate::checkpoint::Checkpointer;
use crate::clients::Clients;
use crate::direct;
use crate::error::CoordinatorError;
use crate::generation::build;
use crate::generation::plan::Plan;
use crate::options::Options;
use crate::poison;
use crate::store_dir::StoreDir;
use crate::wal::{self, Inspection};

use loss::Losses;
pub use loss::Lost;

const PROGRAM: &str = "sutra repair";

/// What a repair did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// What could not be saved, by kind and range.
    pub lost: Vec<Lost>,
    /// What the person should know besides, in sentences.
    pub notes: Vec<String>,
    /// Records and edges of the damaged file, and how many of them are in the new one; with those
    /// that the log added.
    pub records: (u64, u64),
    /// Likewise.
    pub edges: (u64, u64),
    /// The last log entry that the store holds.
    pub lsn: u64,
    /// Where the damaged file is kept.
    pub kept: Vec<PathBuf>,
}

/// Repairs the store in directory `store`, which nobody may write meanwhile. A dry run does all but
/// putting the new file in place, and needs as much space.
///
/// # Errors
/// [`CoordinatorError::Unrepairable`] if nothing can be made of it, with the reason; those of the
/// locks, the disk and the system. The store is then as it was.
pub fn repair(store: &Path, is_dry_run: bool) -> Result<RepairReport, CoordinatorError> {
    let mut options = Options::new(store);
    options.program = PROGRAM.to_owned();
    if !store.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(CoordinatorError::io(format!("{} is no store", store.display()))(source));
    }
    let dir = StoreDir::acquire(store, PROGRAM, &options.socket_path())?;
    let path = dir.storage_path();
    let opened = dir.open_storage().map_err(CoordinatorError::io(format!("{}", path.display())))?;
    let is_poisoned = match &opened {
        Some(file) => poison::reason(&dir, file).is_some(),
        None => dir.poisoned().is_some(),
    };
    let log = Log { found: crate::log::inspect_log(&dir.wal_path(), is_poisoned)?, is_poisoned };
    let problem = match opened {
        None => "storage.dat is missing".to_owned(),
        Some(file) => match View::read_only(settled(&dir, file, is_poisoned)?) {
            Ok(view) => return salvage(&dir, view, &log, is_dry_run),
            Err(error) => format!("storage.dat cannot be read: {error}"),
        },
    };
    tail::make_of_log(dir, &options, &log, &problem, is_dry_run)
}

/// The log of a store to be repaired.
struct Log {
    found: Inspection,
    /// A sync failed: it is read past the system's cache.
    is_poisoned: bool,
}

/// What there is to save. After a failed sync the system may show, as clean, what the disk does not
/// hold: then it is a copy of what the disk gives.
fn settled(dir: &StoreDir, file: File, is_poisoned: bool) -> Result<File, CoordinatorError> {
    if !is_poisoned {
        return Ok(file);
    }
    let copy = temporary(dir)?;
    direct::copy(&file, &copy).map_err(making(dir))?;
    Ok(copy)
}

/// Copies what is whole into a new generation, and applies the log to it.
fn salvage(
    dir: &StoreDir,
    view: View,
    log: &Log,
    is_dry_run: bool,
) -> Result<RepairReport, CoordinatorError> {
    let mut losses = Losses::default();
    let found = find::version(&view, &mut losses);
    let view = directory::mended(dir, view, &found, &mut losses)?;
    let slot = found.slot;
    let clients = match found.place.map(|(place, durable)| read_clients(&view, place, &durable)) {
        Some(Ok(clients)) => Clients::new(&clients),
        _ => {
            losses.note(
                "what clients had written last is not known any more: a frame that one of \
                         them sends again is applied again",
            );
            Clients::default()
        }
    };
    let file = temporary(dir)?;
    let plan = Plan::default();
    let built = build(
        &view,
        &slot,
        &plan,
        clients,
        file.try_clone().map_err(making(dir))?,
        &mut |loss| {
            losses.add(loss.what, loss.ordinal, &loss.damage);
            Ok(())
        },
        &mut || Ok(()),
    );
    let mut writer = built.map_err(|error| match error {
        CoordinatorError::Damaged { damage, .. } => CoordinatorError::Unrepairable {
            store: dir.path().to_owned(),
            what: format!("what everything else rests on is damaged: {}", said(&damage)),
        },
        other => other,
    })?;
    losses.name_lost_symbols(&mut writer)?;
    let kept_counts = (writer.now.records, writer.now.edges);
    let is_log_whole = tail::apply(&mut writer, dir, log, slot.published_lsn, &mut losses)?;
    let mut report = RepairReport {
        records: (slot.records, kept_counts.0),
        edges: (slot.edges, kept_counts.1),
        ..losses.report()
    };
    report.lsn = writer.applied_lsn();
    if is_dry_run {
        return Ok(report);
    }

    let mark = view.run_mark();
    let mark_epoch = if mark.is_whole() { mark.writer_epoch } else { 0 };
    let writer_epoch = 1 + mark_epoch.max(slot.writer_epoch).max(log.found.writer_epoch);
    if !is_log_whole {
        report.kept.extend(dir.put_log_aside().map_err(making(dir))?);
    }
    tail::settle_log(&mut writer, dir, log, writer_epoch)?;
    report.lsn = writer.applied_lsn();
    // Of another boot, so that later epochs are above it.
    writer.image.store_run_mark(RunMark { writer_epoch, ..RunMark::default() })?;
    let now = Slot {
        commit_seq: found.highest_seq + 1,
        durable_lsn: writer.now.published_lsn,
        writer_epoch,
        ..writer.now
    };
    let clients = writer.clients.table();
    Checkpointer::new(writer.image.clone(), 1, Slot::default()).write(&now, &clients, true)?;
    report.kept.extend(dir.put_storage(&file).map_err(making(dir))?);
    dir.clear_poisoned().map_err(making(dir))?;
    Ok(report)
}

/// Damage without the advice to run `sutra verify`.
fn said(damage: &sutra_layout::Damage) -> String {
    let detail = damage.detail();
    format!("{} is {}, expected {}", detail.what, detail.found, detail.expected)
}

/// An unnamed file beside the store's.
fn temporary(dir: &StoreDir) -> Result<File, CoordinatorError> {
    dir.unnamed_file().map_err(making(dir))
}

fn making(dir: &StoreDir) -> impl Fn(std::io::Error) -> CoordinatorError + use<> {
    let what = format!("a new {} could not be made", dir.storage_path().display());
    move |source| CoordinatorError::Io { what: what.clone(), source }
}

/// Whether the log of a store holds all that a checkpoint of it does not.
fn follows(log: &Inspection, lsn: u64) -> bool {
    log.last_lsn == 0 || log.first_lsn <= lsn + 1
}

/// The uuid in the log, for a store whose own file does not say it.
fn store_id_of(dir: &StoreDir) -> Result<Option<[u8; 16]>, CoordinatorError> {
    Ok(wal::store_id(&dir.wal_path())?)
}
