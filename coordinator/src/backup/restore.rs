//! Bringing a backup back, as it is or with the log after it up to a point.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sutra_layout::client_entry::clients_region;
use sutra_layout::directory::{decode, word_offset};
use sutra_layout::geometry::{
    DURABLE_SLOTS_OFFSET, HEADER_SIZE, PAGE_SIZE, RUN_MARK_OFFSET, Region, Shape,
};
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use zerocopy::{FromBytes, IntoBytes};

use super::Progress;
use super::check::{read_pieces, require};
use super::copy::lock_existing;
use super::error::BackupError;
use super::log::{history, store_id};
use super::manifest::{Manifest, Part, part_path};
use crate::entry::Entry;
use crate::offline::Offline;
use crate::options::Options;
use crate::store_dir::StoreDir;
use crate::wal::{self, History, Wal};

const PROGRAM: &str = "sutra restore";

/// How far a restore goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To the last log entry that there is.
    End,
    /// To that log entry.
    Lsn(u64),
    /// To the last log entry before the first one after that time, in microseconds since the Unix
    /// epoch.
    Time(u64),
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backup.
    pub manifest: Manifest,
    /// The last log entry that the store holds now.
    pub lsn: u64,
}

/// Makes the store in directory `store` of the backup in `from`, with the log beside it and that
/// kept in `log`, up to a point; recovers it, and stops it cleanly.
///
/// # Errors
/// [`BackupError`]. Nothing is left in `store` then.
pub fn restore(
    from: &Path,
    store: &Path,
    log: Option<&Path>,
    until: Until,
    progress: Progress<'_>,
) -> Result<RestoreReport, BackupError> {
    let _lock = lock_existing(from)?;
    let manifest = require(from)?;
    let history = history(from, &manifest, log)?;
    let until_lsn = point(&manifest, &history, until)?;
    let was_there = refuse_occupied(store)?;
    let restored = fill_store(from, store, &manifest, &history, until_lsn, progress);
    if restored.is_err() {
        clear(store, was_there);
    }
    Ok(RestoreReport { lsn: restored?, manifest })
}

/// The last log entry to apply.
fn point(manifest: &Manifest, history: &History, until: Until) -> Result<u64, BackupError> {
    match until {
        Until::End => Ok(history.last_lsn),
        Until::Lsn(asked) if asked < manifest.lsn => Err(BackupError::BeforeBackup {
            asked: format!("entry {asked}"),
            backup: format!("entry {}", manifest.lsn),
        }),
        Until::Lsn(asked) if asked > history.last_lsn => {
            Err(BackupError::BeyondLog { asked, last_lsn: history.last_lsn })
        }
        Until::Lsn(asked) => Ok(asked),
        Until::Time(asked) if asked < manifest.published_at => {
            let time =
                |time_us: u64| format!("{}.{:06} s", time_us / 1_000_000, time_us % 1_000_000);
            Err(BackupError::BeforeBackup {
                asked: format!("{} after 1970", time(asked)),
                backup: format!("{} after 1970", time(manifest.published_at)),
            })
        }
        Until::Time(asked) => {
            let mut last_lsn = manifest.lsn;
            history.replay(|lsn, payload| {
                let is_in = Entry::decode(payload)?.head.time.get() <= asked;
                if is_in {
                    last_lsn = lsn;
                }
                Ok(is_in)
            })?;
            Ok(last_lsn)
        }
    }
}

/// Whether the directory is there; it must be empty then.
fn refuse_occupied(store: &Path) -> Result<bool, BackupError> {
    let entries = match std::fs::read_dir(store) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(BackupError::io(store, "look into")(error)),
    };
    for entry in entries {
        let name = entry.map_err(BackupError::io(store, "look into"))?.file_name();
        if name != "lost+found" {
            let found = name.to_string_lossy().into_owned();
            return Err(BackupError::NotEmpty { path: store.to_owned(), found });
        }
    }
    Ok(true)
}

/// Takes away what a restore that failed has made in a directory that was empty.
fn clear(store: &Path, was_there: bool) {
    for name in ["storage.dat", "storage.dat.tmp", "writer.lock"] {
        let _ = std::fs::remove_file(store.join(name));
    }
    let _ = std::fs::remove_dir_all(store.join("wal"));
    if !was_there {
        let _ = std::fs::remove_dir(store);
    }
}

fn fill_store(
    from: &Path,
    store: &Path,
    manifest: &Manifest,
    history: &History,
    until_lsn: u64,
    progress: Progress<'_>,
) -> Result<u64, BackupError> {
    let mut options = Options::new(store);
    options.program = PROGRAM.to_owned();
    {
        let dir = StoreDir::acquire(store, PROGRAM, &options.socket_path())
            .map_err(crate::error::CoordinatorError::from)?;
        // The log first: without storage.dat the directory is no store yet.
        put_log(&dir.wal_path(), store_id(from, manifest)?, manifest, history, until_lsn)?;
        let mut failure = None;
        let made = dir.create_storage(|file| {
            fill(from, manifest, history.writer_epoch, file, progress).map_err(|error| {
                failure = Some(error);
                io::Error::other("the backup")
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        made.map_err(BackupError::io(&dir.storage_path(), "write"))?;
    }
    Ok(Offline::open(&options)?.close()?)
}

/// Writes the log anew: the entries that go on from the backup, and none after the point.
fn put_log(
    path: &Path,
    store_id: [u8; 16],
    manifest: &Manifest,
    history: &History,
    until_lsn: u64,
) -> Result<(), BackupError> {
    let options = wal::Options::default();
    let mut log = Wal::open(path, store_id, options, manifest.lsn, 0, |_, _| Ok(()))?;
    let epoch = history.writer_epoch;
    history.replay(|lsn, payload| {
        if lsn > until_lsn {
            return Ok(false);
        }
        log.append(epoch, &[wal::Entry { lsn, head: &[], body: payload }])?;
        Ok(true)
    })?;
    log.syncer().sync()?;
    Ok(())
}

/// Fills a new `storage.dat`.
fn fill(
    from: &Path,
    manifest: &Manifest,
    writer_epoch: u64,
    file: &File,
    progress: Progress<'_>,
) -> Result<(), BackupError> {
    let truth = part_path(from, &manifest.truth)?;
    let failed = BackupError::io(&truth, "copy");
    file.set_len(manifest.storage_size).map_err(&failed)?;
    let whole = manifest.header.read(from)?;
    let Some((header, clients)) = whole.split_at_checked(HEADER_SIZE as usize) else {
        return Err(short(from, &manifest.header));
    };
    let mut header = header.to_vec();
    // Of no boot, so that what is derived is made anew; its epoch keeps later ones apart from all
    // that were ever given.
    let mark = RunMark { writer_epoch, ..RunMark::default() }.sealed();
    let at = RUN_MARK_OFFSET as usize;
    header[at..at + size_of::<RunMark>()].copy_from_slice(mark.as_bytes());
    file.write_all_at(&header, 0).map_err(&failed)?;
    read_pieces(from, manifest, progress, |piece, bytes| {
        file.write_all_at(bytes, piece.offset).map_err(&failed)
    })?;
    let place = (0..2).find(|place| {
        let at = (DURABLE_SLOTS_OFFSET + place * PAGE_SIZE) as usize;
        Slot::read_from_prefix(&header[at..]).is_ok_and(|(slot, _)| slot.commit_seq > 0)
    });
    let place = place.ok_or_else(|| short(from, &manifest.header))?;
    let region = clients_region(place as usize);
    write_units(file, &header, region, clients).map_err(&failed)?;
    if let Some(accesses) = &manifest.accesses {
        let bytes = accesses.read(from)?;
        write_units(file, &header, Region::ACCESS, &bytes).map_err(&failed)?;
    }
    Ok(())
}

fn short(from: &Path, part: &Part) -> BackupError {
    BackupError::Damaged {
        path: from.join(&part.name),
        offset: 0,
        what: "its contents",
        found: format!("{} bytes", part.size),
        expected: "a header with a durable slot".to_owned(),
    }
}

/// Writes the units of a region from the first on, where the header's directory has its extents.
fn write_units(file: &File, header: &[u8], region: Region, bytes: &[u8]) -> io::Result<()> {
    let beyond = || io::Error::other(format!("{} have no place in the header", region.name()));
    let shape = Shape::fixed(region).ok_or_else(beyond)?;
    for (extent, part) in (0..).zip(split(bytes, shape)) {
        if part.is_empty() {
            break;
        }
        let at = word_offset(region, extent) as usize;
        let word =
            header.get(at..at + 8).and_then(|word| word.try_into().ok()).ok_or_else(beyond)?;
        let start = decode(region, extent, u64::from_le_bytes(word));
        let start = start.ok().flatten().ok_or_else(beyond)?;
        file.write_all_at(part, start)?;
    }
    Ok(())
}

/// The part of a region's bytes that lies in each extent.
fn split(bytes: &[u8], shape: Shape) -> impl Iterator<Item = &[u8]> {
    let mut left = bytes;
    (0..sutra_layout::geometry::EXTENTS_MAX).map(move |extent| {
        let size = (shape.extent_count(extent) * shape.stride).min(left.len() as u64) as usize;
        let (part, rest) = left.split_at(size);
        left = rest;
        part
    })
}
