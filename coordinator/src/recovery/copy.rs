//! Recovering a copy of `storage.dat` where the file itself may not be touched.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use sutra_layout::geometry::{COMMIT_SEQ_OFFSET, SUPERBLOCK_OFFSET, SUPERSEDED_BY_OFFSET};
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::sys;
use sutra_layout::view::View;
use zerocopy::IntoBytes;

use super::{Opened, State, recover};
use crate::direct;
use crate::error::CoordinatorError;
use crate::options::Options;
use crate::store_dir::StoreDir;

/// Recovers a copy of `storage.dat` as after a loss of power, and puts it in the file's place: what
/// is derived from entries that the log has no more cannot be taken back under the readers of the
/// file, who stay with it until they see that it was replaced.
///
/// The copy takes the place when it is whole and on disk, and a mark of a failed sync goes last; so
/// whatever ends this in between, it is begun again.
///
/// `state` is that of the file: of row D, the disk's word alone counts.
pub(super) fn recover_copy(
    dir: &StoreDir,
    options: &Options,
    state: State,
) -> Result<Opened, CoordinatorError> {
    let path = dir.storage_path();
    let copying =
        || CoordinatorError::io(format!("{} could not be replaced by a copy", path.display()));
    let viewing = |source| CoordinatorError::View { path: path.clone(), source };
    let gone = || copying()(io::ErrorKind::NotFound.into());
    let mut old = dir.open_storage().map_err(copying())?.ok_or_else(gone)?;
    let (mut storage, file) = dir.begin_next_storage().map_err(copying())?;
    let state = match state {
        State::SyncFailed => direct::copy(&old, &file).map(|()| state),
        _ => io::copy(&mut old, &mut &file).map(|_| State::PowerLost),
    }
    .map_err(copying())?;
    // The copy's own words count from here on.
    let copied = View::writable(file.try_clone().map_err(copying())?).map_err(viewing)?;
    let block = copied.superblock();
    let generation = block.generation + 1;
    let block =
        UncheckedSuperblock::new(block.store_id, generation, block.created_at, block.hash_seed);
    drop(copied);
    file.write_all_at(block.as_bytes(), SUPERBLOCK_OFFSET).map_err(copying())?;
    let opened = recover(dir, options, View::writable(file).map_err(viewing)?, state)?;

    let syncing = |source| CoordinatorError::Sync { what: "storage.dat", source };
    opened.writer.image.view().map().file().sync_all().map_err(syncing)?;
    storage.take_place().map_err(copying())?;
    storage.settle().map_err(syncing)?;
    // Its readers are told if it can still be told anything; else they see that its heartbeat ends.
    if let Ok(view) = View::writable(old) {
        view.header_word(SUPERSEDED_BY_OFFSET).store(generation, Ordering::Release);
        if let Some(word) = view.map().half_word(COMMIT_SEQ_OFFSET) {
            sys::wait::wake_all(word);
        }
    }
    storage.remove_old().map_err(copying())?;
    dir.clear_poisoned().map_err(copying())?;
    Ok(opened)
}
