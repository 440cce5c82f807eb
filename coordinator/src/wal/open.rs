//! Creating a log, and opening one after whatever has happened to it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::Options;
use super::append::{Closed, Current, Wal};
use super::directory::{Directory, PREPARE_NAME, segment_name, spare_name};
use super::error::{Proof, VisitError, WalError};
use super::format::GROUPS_OFFSET;
use super::gather::Gather;
use super::prepare::Preparer;
use super::replay::{Missing, Reading, Start, Walk, walk};
use super::segment::{Segment, write_zeros};
use super::sync::{Shared, Unsynced};
use super::workshop::{Retired, Workshop};

/// At least this much behind the last entry is zeroed.
const CUT_SIZE_MIN: u64 = 4096;

/// What opening a log has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Entries given to the visitor.
    pub entry_count: u64,
    /// Bytes that they take in the log.
    pub entries_size: u64,
    /// A torn tail was cut: entries from [`Place::lsn`] on were never acknowledged as
    /// durable, and their numbers will be given again.
    pub cut: Option<Place>,
    /// Entries that the store holds already cannot be read any more. Nothing is lost
    /// while the store is sound, but a checkpoint should be made at once.
    pub unneeded: Option<Place>,
}

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment file.
    pub path: std::path::PathBuf,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The first entry that cannot be read there.
    pub lsn: u64,
}

impl Wal {
    /// Makes a new log in the directory `path`, which is made too if it is not there.
    /// Everything is on disk when this returns. The first entry will be 1.
    ///
    /// # Errors
    ///
    /// [`WalError::Exists`] if there is a segment already, [`WalError::StorageFull`].
    pub fn create(path: &Path, store_id: [u8; 16], options: Options) -> Result<Wal, WalError> {
        let directory = Arc::new(Directory::open_or_create(path)?);
        if !directory.list()?.segments.is_empty() {
            return Err(WalError::Exists { path: path.to_owned() });
        }
        Wal::open(path, store_id, options, 0, 0, |_, _| Ok(()))
    }

    /// Opens a log: calls `visit` for each entry above `start_after_lsn`, cuts the tail
    /// if it is torn, and syncs what was read. A log without a segment, or without a
    /// directory, is an empty one, so a store that was stopped cleanly opens without it.
    ///
    /// `start_after_lsn` is what the store holds: entries up to there are neither visited
    /// nor missed. `proof_lsn` is the highest LSN known to have been synced (the
    /// checkpoint) or, after the death of the process alone, published: no entry up to
    /// there can be torn. If the entries visited so far are followed by an error, the
    /// log is as it was.
    ///
    /// # Errors
    ///
    /// [`WalError::Damaged`] if an entry that was once synced cannot be read;
    /// [`WalError::Foreign`], [`WalError::Newer`], [`WalError::NotPlain`],
    /// [`WalError::Visit`], [`WalError::StorageFull`], [`WalError::Io`].
    pub fn open(
        path: &Path,
        store_id: [u8; 16],
        options: Options,
        start_after_lsn: u64,
        proof_lsn: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<Wal, WalError> {
        let directory = Arc::new(Directory::open_or_create(path)?);
        directory.sync()?; // names as we find them now stay, whoever made them
        let found = directory.list()?;
        let reading = Reading {
            past_cache: options.distrust_page_cache,
            acknowledged_lsn: options.acknowledged_lsn,
        };
        let start = Start::Above(start_after_lsn);
        let walk = walk(&directory, Some(store_id), start, reading, &mut visit)?;
        if let Some(proof) = walk.proof.clone() {
            return Err(walk.damage(&directory, proof));
        }
        if proof_lsn >= walk.missing_lsn {
            return Err(walk.damage(&directory, Proof::Store { lsn: proof_lsn }));
        }

        // From here on the log is changed.
        let recovery = recovery(&walk, &directory);
        directory.remove(PREPARE_NAME)?;
        let mut workshop = Workshop {
            directory: Arc::clone(&directory),
            store_id,
            options,
            spares: spares(&directory, &found.spares)?,
        };
        let shared = Arc::new(Shared::new(walk.missing_lsn - 1));
        let (current, closed) = cut(&walk, &mut workshop)?;
        shared.begin_file(Unsynced {
            file: Arc::clone(&current.segment.file),
            path: directory.path_of(&current.segment.name()),
        });
        let spares = workshop.spares;
        let preparer = Preparer::start(
            Arc::clone(&directory),
            store_id,
            options,
            spares,
            Arc::clone(&shared),
        )?;
        Ok(Wal {
            archiver: None,
            directory,
            shared,
            preparer,
            current,
            closed,
            writer_epoch: walk.writer_epoch,
            appended_size: 0,
            recovery,
            gather: Gather::default(),
        })
    }
}

/// Ends the log where the walk did, on disk: segments behind the end are retired, what
/// is left of torn groups is zeroed, and everything kept is synced. Only then may new
/// entries be written, or old ones with the same LSNs could come back between them.
fn cut(walk: &Walk, workshop: &mut Workshop) -> Result<(Current, VecDeque<Closed>), WalError> {
    let keep = walk.end.and_then(|end| end.keep);
    let keep_count = keep.map_or(0, |(index, _)| index + 1);
    let (kept, behind) = walk.segments.split_at(keep_count);
    let retired: Vec<Retired> = behind
        .iter()
        .map(|segment| Retired { sequence: segment.sequence, size: segment.size })
        .collect();
    workshop.keep_or_remove(&retired)?;

    let mut current = None;
    let mut closed = VecDeque::new();
    let mut last_lsn = 0;
    for (index, seen) in kept.iter().enumerate() {
        let name = segment_name(seen.sequence);
        let file = Arc::new(workshop.directory.open_file(&name, true)?);
        let path = || workshop.directory.path_of(&name);
        last_lsn = seen.last_lsn.max(last_lsn);
        match (keep, seen.header) {
            (Some((keep_index, offset)), Ok(id)) if keep_index == index => {
                let end = match workshop.options.distrust_page_cache {
                    // The cache may show entries there that the disk has not.
                    true => seen.size,
                    false => seen.stale_end_offset.max(offset + CUT_SIZE_MIN).min(seen.size),
                };
                write_zeros(&file, offset, end, || true).map_err(|source| WalError::Write {
                    path: path(),
                    offset,
                    source,
                })?;
                let segment = Segment { file: Arc::clone(&file), id, size: seen.size };
                current = Some(Current {
                    segment,
                    offset,
                    // The group's header stays and counts entries that are gone, so the
                    // log goes on in a new segment: case A of the replay table.
                    sealed: walk.end.is_some_and(|end| end.within_group)
                        || workshop.options.distrust_page_cache,
                });
            }
            _ => {
                closed.push_back(Closed {
                    file: Retired { sequence: seen.sequence, size: seen.size },
                    last_lsn,
                    used_size: seen.end_offset,
                });
            }
        }
        file.sync_data().map_err(|source| WalError::Sync { path: path(), source })?;
    }
    let current = match current {
        Some(current) => current,
        None => {
            // No number is given twice while a file of that number may still be about.
            let sequence = walk.segments.last().map_or(1, |segment| segment.sequence + 1);
            let segment = workshop.make_first(sequence)?;
            Current { segment, offset: GROUPS_OFFSET, sealed: false }
        }
    };
    Ok((current, closed))
}

fn recovery(walk: &Walk, directory: &Directory) -> Recovery {
    let place = |Missing { sequence, offset, lsn }| Place {
        path: directory.path_of(&segment_name(sequence)),
        offset,
        lsn,
    };
    let cut = walk.torn.then(|| walk.missing()).flatten().map(place);
    if let Some(Place { path, offset, lsn }) = &cut {
        tracing::info!(
            "{} was torn at byte {offset}: cut there, before log entry {lsn}",
            path.display()
        );
    }
    let unneeded = walk.unneeded.clone().map(place);
    if let Some(Place { path, offset, lsn }) = &unneeded {
        tracing::warn!(
            "{} is damaged at byte {offset}: log entry {lsn} is lost, but the store holds it",
            path.display()
        );
    }
    let (entry_count, entries_size) = (walk.visited_count, walk.visited_size);
    Recovery { entry_count, entries_size, cut, unneeded }
}

impl Walk {
    /// Where the log ends, and what is missing there.
    pub(super) fn missing(&self) -> Option<Missing> {
        let (index, offset) = self.end?.place;
        let sequence = self.segments[index].sequence;
        Some(Missing { sequence, offset, lsn: self.missing_lsn })
    }

    /// The error for an end that `proof` does not allow.
    pub(super) fn damage(&self, directory: &Directory, proof: Proof) -> WalError {
        let lsn = self.missing_lsn;
        match self.missing() {
            Some(Missing { sequence, offset, .. }) => {
                let path = directory.path_of(&segment_name(sequence));
                WalError::Damaged { path, offset, lsn, proof }
            }
            None => WalError::Damaged {
                path: directory.path_of(&segment_name(1)),
                offset: 0,
                lsn,
                proof,
            },
        }
    }
}

fn spares(directory: &Directory, sequences: &[u64]) -> Result<Vec<Retired>, WalError> {
    let mut spares = Vec::new();
    for &sequence in sequences {
        let name = spare_name(sequence);
        let metadata = directory.open_file(&name, false)?.metadata();
        let size = metadata
            .map_err(|source| WalError::io(&directory.path_of(&name), "look at", source))?
            .len();
        spares.push(Retired { sequence, size });
    }
    Ok(spares)
}
