//! Segments that are kept: copied to another directory before they are used again, so that a
//! backup can be brought to any log entry after it.
//!
//! | name                                  | what                                            |
//! |---------------------------------------|-------------------------------------------------|
//! | `FIRST-LAST-EPOCH-SEQUENCE-SALT.wal`  | the part of a segment that holds entries FIRST to LAST, the last one of writer epoch EPOCH |
//! | `archive.tmp`                         | one that is being copied                        |
//!
//! LSNs have 20 digits, so names sort by them. A segment copied before it was full is replaced by
//! the longer copy. Where a store was restored to a point and written on, two segments may hold
//! entries of the same numbers: the higher writer epoch is of the later history, see [`History`].

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::directory::{Directory, segment_name};
use super::error::{VisitError, WalError};
use super::format::{
    EntryHeader, GROUPS_OFFSET, Group, HeaderProblem, SEGMENT_VERSION, SegmentId, entry_seed,
    entry_size,
};
use super::segment::{Content, Window};

const TEMPORARY_NAME: &str = "archive.tmp";

/// What is done with each entry: its LSN, its writer's epoch, its payload.
type VisitArchived<'a> = &'a mut dyn FnMut(u64, u64, &[u8]) -> Result<(), VisitError>;

/// A segment, or the first part of one, in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedSegment {
    /// The file.
    pub path: PathBuf,
    /// LSN of its first entry.
    pub first_lsn: u64,
    /// LSN of its last entry.
    pub last_lsn: u64,
    writer_epoch: u64,
    sequence: u64,
    salt: u64,
}

/// Entries of one writer, one behind the other, in one archived segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    segment: usize,
    writer_epoch: u64,
    first_lsn: u64,
    last_lsn: u64,
}

/// The one history in an archive that goes on from a version of a store.
#[derive(Debug)]
pub struct History {
    segments: Vec<ArchivedSegment>,
    runs: Vec<Run>,
    store_id: [u8; 16],
    /// The last entry that follows without a gap; that of the version itself if none does.
    pub last_lsn: u64,
    /// The highest writer epoch in the archive: whoever writes on must be above it.
    pub writer_epoch: u64,
}

impl ArchivedSegment {
    fn name(&self) -> String {
        let ArchivedSegment { first_lsn, last_lsn, writer_epoch, sequence, salt, .. } = self;
        format!("{first_lsn:020}-{last_lsn:020}-{writer_epoch:06}-{sequence:012}-{salt:016x}.wal")
    }

    fn of_name(path: PathBuf) -> Option<ArchivedSegment> {
        let name = path.file_name()?.to_str()?.to_owned();
        let parts: Vec<&str> = name.strip_suffix(".wal")?.split('-').collect();
        let [first, last, epoch, sequence, salt] = parts[..] else { return None };
        let segment = ArchivedSegment {
            path,
            first_lsn: first.parse().ok()?,
            last_lsn: last.parse().ok()?,
            writer_epoch: epoch.parse().ok()?,
            sequence: sequence.parse().ok()?,
            salt: u64::from_str_radix(salt, 16).ok()?,
        };
        (segment.name() == name).then_some(segment)
    }

    fn is_longer_copy_of(&self, other: &ArchivedSegment) -> bool {
        let start = |segment: &ArchivedSegment| (segment.first_lsn, segment.sequence, segment.salt);
        start(self) == start(other) && self.last_lsn > other.last_lsn
    }

    /// Gives every entry to `visit` with its writer's epoch, and fails if the file does not hold
    /// what its name says.
    ///
    /// # Errors
    /// [`WalError::ArchiveDamaged`], [`WalError::Foreign`], [`WalError::Newer`], [`WalError::Io`],
    /// and [`WalError::Visit`].
    pub fn read(
        &self,
        store_id: [u8; 16],
        mut visit: impl FnMut(u64, u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<(), WalError> {
        let bytes =
            std::fs::read(&self.path).map_err(|source| WalError::io(&self.path, "read", source))?;
        let contents = entries(&self.path, &bytes, self.sequence, &mut visit)?;
        let found = contents.id.map(|id| u128::from_be_bytes(id.store_id));
        let expected = u128::from_be_bytes(store_id);
        if let Some(found) = found.filter(|found| *found != expected) {
            return Err(WalError::Foreign { path: self.path.clone(), found, expected });
        }
        if contents.id.is_none_or(|id| id.salt != self.salt)
            || (contents.first_lsn, contents.last_lsn) != (self.first_lsn, self.last_lsn)
            || contents.writer_epoch != self.writer_epoch
        {
            return Err(WalError::ArchiveDamaged {
                path: self.path.clone(),
                offset: contents.end_offset,
                lsn: contents.last_lsn + u64::from(contents.last_lsn != 0),
                last_lsn: self.last_lsn,
            });
        }
        Ok(())
    }
}

/// What is in a segment up to the first byte that does not belong to it.
struct Contents {
    id: Option<SegmentId>,
    /// 0 if it has no entry.
    first_lsn: u64,
    last_lsn: u64,
    /// Of the last entry.
    writer_epoch: u64,
    end_offset: u64,
}

fn entries(
    path: &Path,
    bytes: &[u8],
    sequence: u64,
    visit: VisitArchived<'_>,
) -> Result<Contents, WalError> {
    let (id, end_offset) = (None, GROUPS_OFFSET);
    let mut contents = Contents { id, first_lsn: 0, last_lsn: 0, writer_epoch: 0, end_offset };
    let id = match SegmentId::check(bytes, sequence) {
        Ok(id) => id,
        Err(HeaderProblem::Newer(found)) => {
            let known = SEGMENT_VERSION;
            return Err(WalError::Newer { path: path.to_owned(), found, known });
        }
        Err(_) => return Ok(contents),
    };
    contents.id = Some(id);
    let seed = entry_seed(id.salt);
    while let Some(group) = Group::check(bytes, contents.end_offset, sequence, Some(id.salt)) {
        if contents.last_lsn != 0 && group.first_lsn != contents.last_lsn + 1 {
            break;
        }
        let body_end = group.end_offset().min(bytes.len() as u64) as usize;
        let mut offset = (group.body_offset() as usize).min(body_end);
        for lsn in group.first_lsn..=group.last_lsn() {
            let Some(payload) = EntryHeader::check(&bytes[offset..body_end], seed, lsn) else {
                return Ok(contents);
            };
            visit(lsn, group.writer_epoch, payload)
                .map_err(|source| WalError::Visit { lsn, source })?;
            offset = (offset + entry_size(payload.len()) as usize).min(body_end);
            if contents.first_lsn == 0 {
                contents.first_lsn = lsn;
            }
            (contents.last_lsn, contents.writer_epoch) = (lsn, group.writer_epoch);
            contents.end_offset = offset as u64;
        }
    }
    Ok(contents)
}

/// Copies segment `sequence` of a log to an archive, as far as it is written; whole, synced, and
/// under its name only then. `None` if it has no entry, or is not there any more.
pub(crate) fn archive(
    log: &Directory,
    sequence: u64,
    archive: &Path,
) -> Result<Option<ArchivedSegment>, WalError> {
    let name = segment_name(sequence);
    let file = match log.open_file(&name, false) {
        Err(WalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        file => file?,
    };
    let mut window = Window::default();
    let mut content = Content::of(log, (&name, &file), &mut window, false)?;
    let bytes = content.whole()?;
    let contents = entries(&log.path_of(&name), bytes, sequence, &mut |_, _, _| Ok(()))?;
    let Some(id) = contents.id.filter(|_| contents.last_lsn != 0) else { return Ok(None) };
    let mut segment = ArchivedSegment {
        path: PathBuf::new(),
        first_lsn: contents.first_lsn,
        last_lsn: contents.last_lsn,
        writer_epoch: contents.writer_epoch,
        sequence,
        salt: id.salt,
    };
    segment.path = archive.join(segment.name());
    put(archive, &segment, &bytes[..contents.end_offset as usize])?;
    Ok(Some(segment))
}

fn put(archive: &Path, segment: &ArchivedSegment, bytes: &[u8]) -> Result<(), WalError> {
    let temporary = archive.join(TEMPORARY_NAME);
    let failed = |source| WalError::io(&segment.path, "write", source);
    if segment.path.try_exists().map_err(failed)? {
        return Ok(()); // the same segment up to the same entry
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, &segment.path).map_err(failed)?;
    for shorter in archived_segments(archive)? {
        if segment.is_longer_copy_of(&shorter) {
            let _ = std::fs::remove_file(&shorter.path); // one too many does no harm
        }
    }
    let synced = File::open(archive).and_then(|directory| directory.sync_all());
    synced.map_err(|source| WalError::io(archive, "sync", source))
}

/// Makes the directory of an archive, unless it is there.
///
/// # Errors
/// [`WalError::Io`].
pub fn make_archive(path: &Path) -> Result<(), WalError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| WalError::io(path, "create", source))
}

/// The segments of an archive, by their first entry.
///
/// # Errors
/// [`WalError::Io`].
pub fn archived_segments(path: &Path) -> Result<Vec<ArchivedSegment>, WalError> {
    let failed = |source| WalError::io(path, "list", source);
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        segments.extend(ArchivedSegment::of_name(entry.map_err(failed)?.path()));
    }
    segments.sort_unstable_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
    Ok(segments)
}

/// Copies all segments of the log in directory `log` that have entries above `after_lsn` to an
/// archive. A coordinator may write on meanwhile.
///
/// # Errors
/// [`WalError::Io`].
pub fn archive_log(log: &Path, after_lsn: u64, archive: &Path) -> Result<(), WalError> {
    make_archive(archive)?;
    let directory = Directory::open(log)?;
    for sequence in directory.list()?.segments {
        if let Some(segment) = self::archive(&directory, sequence, archive)?
            && segment.last_lsn <= after_lsn
        {
            let removed = std::fs::remove_file(&segment.path);
            removed.map_err(|source| WalError::io(&segment.path, "remove", source))?;
        }
    }
    Ok(())
}

impl History {
    /// The entries above `after_lsn` in these segments that go on from a version of store
    /// `store_id`, which was published in `writer_epoch`.
    ///
    /// A higher epoch replaces what a lower one wrote under the same numbers: the store was
    /// restored to the entry before. Where it did so at or below `after_lsn`, the version itself is
    /// of the older history, and what came later does not follow from it.
    ///
    /// # Errors
    /// Those of [`ArchivedSegment::read`].
    pub fn after(
        after_lsn: u64,
        writer_epoch: u64,
        store_id: [u8; 16],
        segments: Vec<ArchivedSegment>,
    ) -> Result<History, WalError> {
        let mut runs: Vec<Run> = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            if segment.last_lsn <= after_lsn && segment.writer_epoch <= writer_epoch {
                continue;
            }
            segment.read(store_id, |lsn, epoch, _| {
                match runs.last_mut().filter(|run| run.segment == index) {
                    Some(run) if run.writer_epoch == epoch => run.last_lsn = lsn,
                    _ => runs.push(Run {
                        segment: index,
                        writer_epoch: epoch,
                        first_lsn: lsn,
                        last_lsn: lsn,
                    }),
                }
                Ok(())
            })?;
        }
        let highest = runs.iter().map(|run| run.writer_epoch).max();
        runs.sort_unstable_by_key(|run| (run.writer_epoch, run.first_lsn, run.last_lsn));
        let other = runs
            .iter()
            .find(|run| run.writer_epoch > writer_epoch && run.first_lsn <= after_lsn)
            .map(|run| run.writer_epoch);
        // Epochs do not go back along a history.
        runs.retain(|run| run.writer_epoch >= writer_epoch);
        let mut chain: Vec<Run> = Vec::new();
        let mut last_lsn = after_lsn;
        for run in runs {
            if other.is_some_and(|other| run.writer_epoch >= other) || run.first_lsn > last_lsn + 1
            {
                continue;
            }
            let is_later = chain.last().is_some_and(|last| last.writer_epoch < run.writer_epoch);
            if is_later && run.first_lsn <= last_lsn {
                chain.retain(|older| older.first_lsn < run.first_lsn);
                if let Some(older) = chain.last_mut() {
                    older.last_lsn = older.last_lsn.min(run.first_lsn - 1);
                }
                last_lsn = after_lsn.max(run.first_lsn - 1);
            }
            if run.last_lsn > last_lsn {
                chain.push(Run { first_lsn: run.first_lsn.max(last_lsn + 1), ..run });
                last_lsn = run.last_lsn;
            }
        }
        let writer_epoch = highest.unwrap_or(0).max(writer_epoch);
        Ok(History { segments, runs: chain, store_id, last_lsn, writer_epoch })
    }

    /// Gives each entry to `visit`, in order, until it says that it has enough.
    ///
    /// # Errors
    /// Those of [`ArchivedSegment::read`].
    pub fn replay(
        &self,
        mut visit: impl FnMut(u64, &[u8]) -> Result<bool, VisitError>,
    ) -> Result<(), WalError> {
        let mut goes_on = true;
        for run in &self.runs {
            self.segments[run.segment].read(self.store_id, |lsn, epoch, payload| {
                let is_in =
                    epoch == run.writer_epoch && (run.first_lsn..=run.last_lsn).contains(&lsn);
                if goes_on && is_in {
                    goes_on = visit(lsn, payload)?;
                }
                Ok(())
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }
}
