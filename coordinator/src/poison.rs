//! The mark that a sync failed: neither the file nor the system's cache of it may be trusted.
//!
//! | where | survives | when it is stored |
//! |---|---|---|
//! | the run mark's flag, in the page cache | a kill, in the same boot | first, so that even a kill right behind the failed sync finds it |
//! | `wal/poisoned`, synced | everything | next |
//! | the run mark's flag, synced | everything | if `wal/poisoned` cannot be stored |
//!
//! If the disk takes none of them, the page stays dirty and goes out with whatever the disk takes
//! next; and a disk that takes nothing ends the next start at its first sync. After another boot
//! there is no cache left that could be wrong: row C.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use sutra_layout::geometry::RUN_MARK_OFFSET;
use sutra_layout::run_mark::RunMark;
use sutra_layout::sys::clock;
use zerocopy::{FromBytes, IntoBytes};

use crate::error::CoordinatorError;
use crate::store_dir::StoreDir;

/// Why a file whose run mark is flagged is not trusted.
const FLAGGED: &str = "its run mark says so";

/// Leaves the mark if `error` asks for it. What keeps it from being left is logged: there is nobody
/// else to tell.
pub fn mark(dir: &StoreDir, error: &CoordinatorError) {
    if !error.is_poisonous() {
        return;
    }
    let file = dir.open_storage();
    let flagged = || match &file {
        Ok(Some(file)) => flag(file),
        Ok(None) => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    };
    let sync = || match &file {
        Ok(Some(file)) => file.sync_data(),
        _ => Ok(()),
    };
    let in_cache = flagged();
    let Err(unmarked) = dir.mark_poisoned(&error.to_string()) else { return };
    tracing::error!(%unmarked, %error, "wal/poisoned could not be stored");
    // What the system could not write it calls clean: stored again, the page is dirty again.
    if let Err(error) = in_cache.and_then(|()| sync()).or_else(|error| flagged().and(Err(error))) {
        tracing::error!(%error, "nor could the run mark say so on the disk");
    }
}

/// Why the store is not trusted, if it is not.
pub fn reason(dir: &StoreDir, file: &File) -> Option<String> {
    dir.poisoned().or_else(|| is_flagged(file).then(|| FLAGGED.to_owned()))
}

/// Whether a sync of this file failed in this boot. After another boot the page cache is gone, and
/// what there is of the file is what the disk has: row C.
fn is_flagged(file: &File) -> bool {
    let (Ok(mark), Ok(boot), Ok(stat)) = (read(file), clock::boot_id(), file.metadata()) else {
        return false; // whoever opens the file next says what is wrong with it
    };
    mark.is_of(boot, stat.dev(), stat.ino()) && mark.flags & RunMark::POISONED != 0
}

/// Flags the run mark, as one of this boot: recovery may fail before it has written its own.
fn flag(file: &File) -> io::Result<()> {
    let (mark, stat) = (read(file)?, file.metadata()?);
    let mark = RunMark {
        boot_id: clock::boot_id()?,
        device: stat.dev(),
        inode: stat.ino(),
        flags: mark.flags | RunMark::POISONED,
        ..if mark.is_whole() { mark } else { RunMark::default() }
    };
    file.write_all_at(mark.sealed().as_bytes(), RUN_MARK_OFFSET)
}

fn read(file: &File) -> io::Result<RunMark> {
    let mut bytes = [0; size_of::<RunMark>()];
    file.read_exact_at(&mut bytes, RUN_MARK_OFFSET)?;
    RunMark::read_from_bytes(&bytes).map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Rig;

    #[test]
    fn where_the_mark_cannot_be_made_the_run_mark_says_it_in_the_same_boot() {
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join("store");
        drop(Rig::open(&store));
        let dir = StoreDir::acquire(&store, "test", &store.join("socket")).unwrap();
        let open = || dir.open_storage().unwrap().unwrap();
        assert_eq!(reason(&dir, &open()), None);
        let harmless = CoordinatorError::Stopped;
        mark(&dir, &harmless);
        assert_eq!(reason(&dir, &open()), None, "{harmless} is no failed sync");

        let in_the_way = store.join("wal/poisoned");
        std::fs::create_dir(&in_the_way).unwrap();
        let failed = CoordinatorError::Sync { what: "it", source: io::ErrorKind::Other.into() };
        mark(&dir, &failed);
        std::fs::remove_dir(&in_the_way).unwrap();
        assert_eq!(reason(&dir, &open()).as_deref(), Some(FLAGGED));
        // In another boot the cache is gone, and with it what was wrong with it.
        let file = open();
        let other = RunMark { boot_id: [9; 16], ..read(&file).unwrap() };
        file.write_all_at(other.sealed().as_bytes(), RUN_MARK_OFFSET).unwrap();
        assert_eq!(reason(&dir, &file), None);

        mark(&dir, &failed);
        assert!(reason(&dir, &file).unwrap().contains("it could not be synced"));
    }
}
