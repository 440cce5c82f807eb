//! Whether a backup is what its manifest says.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Progress;
use super::copy::lock_existing;
use super::error::BackupError;
use super::log::history;
use super::manifest::{Manifest, Piece, checksum, part_path};

/// A backup that is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The backup.
    pub manifest: Manifest,
    /// The last log entry that it can be brought to, with the log beside it.
    pub log_last_lsn: u64,
}

/// Reads all of a backup and compares each checksum.
///
/// # Errors
/// [`BackupError::Damaged`] and those of the log for the first part that does not hold.
pub fn check(directory: &Path, progress: Progress<'_>) -> Result<CheckReport, BackupError> {
    let _lock = lock_existing(directory)?;
    let manifest = require(directory)?;
    manifest.header.read(directory)?;
    if let Some(accesses) = &manifest.accesses {
        accesses.read(directory)?;
    }
    read_pieces(directory, &manifest, progress, |_, _| Ok(()))?;
    let log_last_lsn = history(directory, &manifest, None)?.last_lsn;
    Ok(CheckReport { manifest, log_last_lsn })
}

/// The manifest of a directory that must have one.
pub(super) fn require(directory: &Path) -> Result<Manifest, BackupError> {
    Manifest::read(directory)?.ok_or_else(|| BackupError::NotABackup {
        path: directory.to_owned(),
        found: "no manifest.json: the first backup did not come to its end".to_owned(),
    })
}

/// Gives every piece of truth to `visit`, checked.
pub(super) fn read_pieces(
    directory: &Path,
    manifest: &Manifest,
    progress: Progress<'_>,
    mut visit: impl FnMut(&Piece, &[u8]) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let path = part_path(directory, &manifest.truth)?;
    let file = File::open(&path).map_err(BackupError::io(&path, "open"))?;
    let size = file.metadata().map_err(BackupError::io(&path, "look at"))?.len();
    let (mut done, total, mut bytes) = (0, manifest.truth_size(), Vec::new());
    for piece in &manifest.pieces {
        if !progress(done, total) {
            return Err(BackupError::Stopped);
        }
        done += piece.size;
        let damaged = |what, found: String, expected: String| BackupError::Damaged {
            path: path.clone(),
            offset: piece.offset,
            what,
            found,
            expected,
        };
        let end = piece.offset.saturating_add(piece.size);
        if end > size {
            return Err(damaged("its size", size.to_string(), format!("at least {end}")));
        }
        bytes.resize(piece.size as usize, 0);
        file.read_exact_at(&mut bytes, piece.offset).map_err(BackupError::io(&path, "read"))?;
        let found = checksum(&bytes);
        if found != piece.checksum {
            return Err(damaged("the checksum of a piece", found, piece.checksum.clone()));
        }
        visit(piece, &bytes)?;
    }
    progress(total, total);
    Ok(())
}
