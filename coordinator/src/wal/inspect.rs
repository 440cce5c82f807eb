//! Looking at a log without changing it, for `sutra verify`.

use std::path::{Path, PathBuf};

use super::directory::{Directory, segment_name, spare_name};
use super::error::WalError;
use super::format::HeaderProblem;
use super::replay::{Reading, Start, Visit, walk};

/// What is in a log's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The segments in order.
    pub segments: Vec<SegmentReport>,
    /// Files kept for reuse; nothing in them counts.
    pub spares: Vec<PathBuf>,
    /// LSN of the first entry that can be read, 0 if there is none.
    pub first_lsn: u64,
    /// LSN of the last entry that can be read in one row from the first; 0 if none.
    pub last_lsn: u64,
    /// Highest writer epoch of those entries.
    pub writer_epoch: u64,
    /// Why a writer would refuse this log, if the log alone says so. A checkpoint above
    /// `last_lsn` is damage too, which only the store can tell.
    pub damage: Option<String>,
    /// The log ends in a torn group, which the next writer cuts.
    pub torn: bool,
}

/// What is in one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Its number.
    pub sequence: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes up to the end of the last entry that can be read.
    pub used_size: u64,
    /// Groups that can be read whole.
    pub group_count: u64,
    /// Entries that can be read.
    pub entry_count: u64,
    /// LSN of the first of them, 0 if none.
    pub first_lsn: u64,
    /// LSN of the last of them, 0 if none.
    pub last_lsn: u64,
    /// What is wrong with the segment's header, if anything.
    pub problem: Option<String>,
}

/// Reads a whole log and says what is there. Opens nothing for writing, takes no lock;
/// beside a running writer the end of the log is wherever it was seen.
///
/// # Errors
///
/// [`WalError::Io`], [`WalError::NotPlain`], [`WalError::Newer`].
pub fn inspect(path: &Path) -> Result<Inspection, WalError> {
    inspect_with(path, false, &mut |_, _| Ok(()))
}

/// The same, with each entry given to `visit`, in order; past the system's cache if that is not to be
/// trusted.
///
/// # Errors
///
/// Those of [`inspect`], and [`WalError::Visit`].
pub fn inspect_with(
    path: &Path,
    past_cache: bool,
    visit: Visit<'_>,
) -> Result<Inspection, WalError> {
    let directory = Directory::open(path)?;
    let spares = directory.list()?.spares;
    let walk =
        walk(&directory, None, Start::First, Reading { past_cache, ..Reading::default() }, visit)?;
    let damage = walk.proof.clone().map(|proof| walk.damage(&directory, proof).to_string());
    let counted = || walk.segments.iter().filter(|segment| segment.entry_count > 0);
    Ok(Inspection {
        first_lsn: counted().next().map_or(0, |segment| segment.first_lsn),
        last_lsn: counted().next_back().map_or(0, |segment| segment.last_lsn),
        writer_epoch: walk.writer_epoch,
        damage,
        torn: walk.torn,
        spares: spares.iter().map(|&sequence| directory.path_of(&spare_name(sequence))).collect(),
        segments: walk
            .segments
            .iter()
            .map(|segment| SegmentReport {
                path: directory.path_of(&segment_name(segment.sequence)),
                sequence: segment.sequence,
                size: segment.size,
                used_size: segment.end_offset.min(segment.size),
                group_count: segment.group_count,
                entry_count: segment.entry_count,
                first_lsn: segment.first_lsn,
                last_lsn: segment.last_lsn,
                problem: segment.header.err().map(describe),
            })
            .collect(),
    })
}

/// The store that a log is of, by the first segment that says so.
///
/// # Errors
///
/// Those of [`inspect`].
pub fn store_id(path: &Path) -> Result<Option<[u8; 16]>, WalError> {
    let directory = Directory::open(path)?;
    let walk = walk(&directory, None, Start::First, Reading::default(), &mut |_, _| Ok(()))?;
    Ok(walk.segments.iter().find_map(|segment| Some(segment.header.ok()?.store_id)))
}

fn describe(problem: HeaderProblem) -> String {
    match problem {
        HeaderProblem::Invalid => "its header has no valid checksum".into(),
        HeaderProblem::Newer(version) => format!("its header is of version {version}"),
        HeaderProblem::Misnamed(sequence) => format!("its header says it is segment {sequence}"),
    }
}
