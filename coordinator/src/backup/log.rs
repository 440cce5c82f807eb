//! The log beside a backup: what a restore can go on with.

use std::path::Path;

use super::error::BackupError;
use super::manifest::{LOG_NAME, Manifest};
use crate::wal::{self, History};

/// Copies what the store's log has above the backup, and removes what the backup holds itself.
/// Gives the last entry that follows from the backup without a gap.
pub(super) fn copy_log(
    store: &Path,
    directory: &Path,
    manifest: &Manifest,
) -> Result<u64, BackupError> {
    let (log, archive) = (store.join("wal"), directory.join(LOG_NAME));
    wal::make_archive(&archive)?;
    if log.exists() {
        wal::archive_log(&log, manifest.lsn, &archive)?;
    }
    for segment in wal::archived_segments(&archive)? {
        if segment.last_lsn <= manifest.lsn {
            std::fs::remove_file(&segment.path)
                .map_err(BackupError::io(&segment.path, "remove"))?;
        }
    }
    Ok(history(directory, manifest, None)?.last_lsn)
}

/// The log that goes on from a backup: that beside it, and that of another archive.
pub(super) fn history(
    directory: &Path,
    manifest: &Manifest,
    other: Option<&Path>,
) -> Result<History, BackupError> {
    let beside = directory.join(LOG_NAME);
    let mut segments = Vec::new();
    for archive in beside.exists().then_some(beside.as_path()).into_iter().chain(other) {
        segments.extend(wal::archived_segments(archive)?);
    }
    let store_id = store_id(directory, manifest)?;
    Ok(History::after(manifest.lsn, manifest.writer_epoch, store_id, segments)?)
}

/// The uuid of the store of a backup.
pub(super) fn store_id(directory: &Path, manifest: &Manifest) -> Result<[u8; 16], BackupError> {
    sutra_layout::id::parse_hex(manifest.store_id.as_bytes()).ok_or_else(|| BackupError::Damaged {
        path: directory.join("manifest.json"),
        offset: 0,
        what: "the store's uuid",
        found: manifest.store_id.clone(),
        expected: "32 hexadecimal digits".to_owned(),
    })
}
