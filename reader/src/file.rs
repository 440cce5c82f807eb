//! One file of a store: opened, checked, and accepted only if what it publishes may be believed.
//!
//! | run mark | newest durable slot | accepted |
//! |----------|---------------------|----------|
//! | of this boot, device and inode | any | the ring: the page cache holds all that was stored |
//! | any other | clean | ring or durable slot, whichever is newer: all of it was synced |
//! | any other | not clean, or none | no: `NeedsRecovery` |
//! | poisoned: a sync failed | any | no: `NeedsRecovery`; a coordinator makes it anew from the disk |

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use sutra_layout::Damage;
use sutra_layout::directory::{self, PlacedExtent};
use sutra_layout::geometry::{HEARTBEAT_OFFSET, RING_OFFSET, Region};
use sutra_layout::index::DEPTH_MAX;
use sutra_layout::limits::{RECORD_ORDINAL_MAX, VECTOR_SPACES_MAX};
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::sys::{clock, lock};
use sutra_layout::view::View;

use crate::error::{OpenError, ReadError};

/// A coordinator whose heartbeat is older is taken for dead or stopped.
pub(crate) const HEARTBEAT_STALE: Duration = Duration::from_secs(1);

/// What a poisoned run mark says.
const SYNC_FAILED: &str =
    "a sync failed while it was written, so nobody knows what of it is on the disk";

/// One opened file of a store.
#[derive(Debug)]
pub(crate) struct StoreFile {
    pub(crate) path: Arc<Path>,
    pub(crate) view: View,
    pub(crate) identity: Identity,
}

/// Who is believed to write the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// The coordinator alone, which changes nothing below what it has published: it is mapped.
    Coordinator,
    /// Anybody, at any moment: what is asked for is copied first.
    Anybody,
}

/// Which file it is: device and inode.
pub(crate) type Identity = (u64, u64);

/// Opens a file for reading, follows no link, and waits for nobody (a pipe would).
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// The device and inode that a path names now.
pub(crate) fn identity_of(path: &Path) -> io::Result<Identity> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl StoreFile {
    /// Opens the file and checks its superblock, and nothing else.
    pub(crate) fn open_unaccepted(path: PathBuf) -> Result<StoreFile, OpenError> {
        StoreFile::open_written_by(Writers::Coordinator, path)
    }

    fn open_written_by(writers: Writers, path: PathBuf) -> Result<StoreFile, OpenError> {
        let of_io = |error| OpenError::of_io(&path, error);
        let file = open_file(&path).map_err(of_io)?;
        let metadata = file.metadata().map_err(of_io)?;
        if !metadata.is_file() {
            let found = "it is no regular file".into();
            return Err(OpenError::NotAStore { path, found });
        }
        let identity = (metadata.dev(), metadata.ino());
        let view = match writers {
            Writers::Coordinator => View::read_only(file),
            Writers::Anybody => View::copying(file),
        };
        let view = view.map_err(|error| OpenError::of_view(&path, error))?;
        Ok(StoreFile { path: path.into(), view, identity })
    }

    /// Opens the file, checks its header, and gives the newest version that may be believed.
    pub(crate) fn open(path: PathBuf, writers: Writers) -> Result<(StoreFile, Slot), OpenError> {
        let file = StoreFile::open_written_by(writers, path)?;
        let of_damage = |damage| OpenError::of_damage(&file.path, &damage);
        file.check_directory().map_err(of_damage)?;
        let slot = file.accept().map_err(of_damage)?.map_err(|found| {
            let path = file.path.to_path_buf();
            let store = path.parent().unwrap_or(&path).display();
            let remedy = format!("start its coordinator once with `sutra serve {store}`");
            OpenError::NeedsRecovery { path, found, remedy }
        })?;
        // Only `sutra stats` looks at it: a file system without such locks loses no more than that.
        let _ = lock::announce_reader(file.view.map().file(), std::process::id());
        Ok((file, slot))
    }

    /// Checks every word of the extent directory.
    pub(crate) fn check_directory(&self) -> Result<Vec<PlacedExtent>, Damage> {
        let word = |region, extent| {
            let word = self.view.header_word(directory::word_offset(region, extent));
            let word = word.load(Ordering::Relaxed);
            fence(Ordering::Acquire); // a space is written before its first extent's word
            word
        };
        directory::check_all(word, |region| self.view.shape(region))
    }

    /// The newest version by the table above, or how it is told that there is none.
    fn accept(&self) -> Result<Result<Slot, &'static str>, Damage> {
        let mark = self.view.run_mark();
        let durable = self.view.durable_slots();
        let durable = Slot::newest(&durable).map(|(_, slot)| *slot);
        let is_poisoned = mark.is_whole() && mark.flags & RunMark::POISONED != 0;
        let of_this_boot = !is_poisoned && self.is_of_this_boot(&mark);
        let is_clean = durable.is_some_and(|slot| slot.flags & Slot::CLEAN != 0);
        if !of_this_boot && (is_poisoned || !is_clean) {
            return Ok(Err(if is_poisoned {
                SYNC_FAILED
            } else {
                "it is a copy, or the machine was restarted, without a clean stop before"
            }));
        }
        let ring = self.view.capture()?;
        let newest = ring.into_iter().chain(durable);
        let newest = newest.max_by_key(|slot| slot.commit_seq);
        Ok(Ok(newest.unwrap_or_default())) // without any, nothing was ever published
    }

    /// Whether what was published may be believed, and with it all that is derived.
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(self.accept(), Ok(Ok(_)))
    }

    /// Whether the page cache holds what the coordinator of `mark` stored.
    pub(crate) fn is_of_this_boot(&self, mark: &RunMark) -> bool {
        let (device, inode) = self.identity;
        clock::boot_id().is_ok_and(|boot_id| mark.is_of(boot_id, device, inode))
    }

    /// How old the coordinator's heartbeat is, if it ever beat in this boot.
    pub(crate) fn heartbeat_age(&self) -> Option<Duration> {
        let beat = self.view.header_word(HEARTBEAT_OFFSET);
        let beat = beat.load(Ordering::Relaxed);
        let now = clock::boottime_ns();
        let is_possible = beat != 0 && beat <= now.saturating_add(1_000_000_000);
        is_possible.then(|| Duration::from_nanos(now.saturating_sub(beat)))
    }

    /// The pid beside the heartbeat.
    pub(crate) fn heartbeat_pid(&self) -> u32 {
        let pid = self.view.header_word(HEARTBEAT_OFFSET + 8);
        pid.load(Ordering::Relaxed) as u32
    }

    /// Whether the heartbeat is stale: no coordinator writes this file at the moment.
    pub(crate) fn is_stale(&self) -> bool {
        self.heartbeat_age().is_none_or(|age| age > HEARTBEAT_STALE)
    }

    /// Checks that a slot's counts are possible, and that all they count lies in the file.
    pub(crate) fn check_counts(&self, slot: &Slot) -> Result<(), Damage> {
        check_slot(slot)?;
        let fixed = [
            (Region::RECORDS, slot.records),
            (Region::EDGES, slot.edges),
            (Region::CONTENT, slot.content_size),
            (Region::SYMBOLS, slot.symbols_size),
            (Region::COLUMNS, slot.concepts),
        ];
        for (region, count) in fixed {
            self.check_reach(region, count)?;
        }
        for (at, space) in slot.spaces[..slot.spaces_count as usize].iter().enumerate() {
            self.check_reach(Region::vectors(at), space.count)?;
            self.check_reach(Region::vector_columns(at), space.count)?;
        }
        Ok(())
    }

    fn check_reach(&self, region: Region, count: u64) -> Result<(), Damage> {
        let Some(last) = count.checked_sub(1) else {
            return Ok(());
        };
        let shape = self.view.shape(region).ok_or_else(|| {
            let (what, expected) = ("rows of a vector space", "none, as it is not made");
            Damage::new(RING_OFFSET, what, count, expected)
        })?;
        let start = self.view.locate(region, shape, last)?;
        let end = start + shape.stride;
        let map = self.view.map();
        if end <= map.size() || map.extend().is_ok_and(|size| end <= size) {
            return Ok(());
        }
        let (name, size) = (region.name(), map.size());
        let expected = format!("the last unit of {name} within the file's {size} bytes");
        Err(Damage::new(start, "the end of a region", end, expected))
    }

    /// `damage` as an error of this file.
    #[cold]
    pub(crate) fn damaged(&self, damage: Damage) -> ReadError {
        let path = Arc::clone(&self.path);
        ReadError::Damaged { path, damage }
    }
}

/// Checks that no number of a slot is beyond what its field can mean, so that arithmetic on them
/// is safe.
pub(crate) fn check_slot(slot: &Slot) -> Result<(), Damage> {
    let ordinals_max = u64::from(u32::MAX);
    let bytes_max = 1 << 48;
    let mut limits = vec![];
    let mut limit = |what, found: u64, max: u64| limits.push((what, found, max));
    limit("a slot's records", slot.records, RECORD_ORDINAL_MAX + 1);
    limit("a slot's concepts", slot.concepts, ordinals_max.min(slot.records));
    limit("a slot's live concepts", slot.concepts_live, slot.concepts);
    limit("a slot's edges", slot.edges, ordinals_max);
    limit("a slot's live edges", slot.edges_live, slot.edges);
    limit("a slot's content size", slot.content_size, bytes_max);
    limit("a slot's symbols size", slot.symbols_size, bytes_max);
    limit("a slot's id index depth", slot.id_index_depth, DEPTH_MAX.into());
    limit("a slot's edge index depth", slot.edge_index_depth, DEPTH_MAX.into());
    limit("a slot's spaces", slot.spaces_count, VECTOR_SPACES_MAX as u64);
    for (at, space) in slot.spaces.iter().enumerate() {
        let is_made = (at as u64) < slot.spaces_count;
        limit("a space's rows", space.count, if is_made { ordinals_max } else { 0 });
        limit("a space's indexed rows", space.indexed_count, space.count);
    }
    let above = limits.into_iter().find(|(_, found, max)| found > max);
    above.map_or(Ok(()), |(what, found, max)| {
        Err(Damage::new(RING_OFFSET, what, found, format!("at most {max}")))
    })
}
