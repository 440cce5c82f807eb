//! What of a store's file is copied: the newest durable slot, and what it names.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use sutra_client::{Client, ClientError};
use sutra_layout::access::{self, ACCESS_WORDS, STATE};
use sutra_layout::client_entry::{ClientEntry, read_clients};
use sutra_layout::directory::{PlacedExtent, check_all, word_offset};
use sutra_layout::geometry::{
    DIRECTORY_OFFSET, DURABLE_SLOTS_OFFSET, EXTENTS_MAX, HEADER_SIZE, PAGE_SIZE, Region,
    SPACES_OFFSET, SUPERBLOCK_OFFSET,
};
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::view::View;
use zerocopy::IntoBytes;

use super::error::BackupError;

/// Bytes of truth that have one checksum.
const PIECE_SIZE: u64 = 16 << 20;
/// Looks at the newest durable slot while checkpoints replace it.
const LOOKS: usize = 16;
/// A coordinator that answers nothing for so long is not waited for.
const FLUSH_DEADLINE: Duration = Duration::from_secs(60);

/// A run of truth in `storage.dat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) region: Region,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// A store's file, and one durable version of it.
pub(super) struct Source {
    path: PathBuf,
    view: View,
    pub(super) slot: Slot,
    clients: Vec<ClientEntry>,
    place: usize,
    extents: Vec<PlacedExtent>,
}

/// Asks a coordinator, if one serves the store, for a checkpoint of all that was written. Whether
/// one did.
pub(super) fn flush(store: &Path) -> Result<bool, BackupError> {
    let client = Client::builder(store).author("backup").deadline(FLUSH_DEADLINE).connect();
    match client.and_then(|mut client| client.flush()) {
        Ok(_) => Ok(true),
        Err(ClientError::NotRunning { .. }) => Ok(false),
        Err(error) => {
            tracing::warn!("the coordinator made no checkpoint for the backup: {error}");
            Ok(false)
        }
    }
}

impl Source {
    /// Opens the file of a store, at its newest checkpoint.
    pub(super) fn open(store: &Path) -> Result<Source, BackupError> {
        let path = store.join("storage.dat");
        let failed = |what: String| BackupError::Source { path: path.clone(), what };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(&path, flags, Mode::empty());
        let file = file.map_err(|errno| BackupError::io(&path, "open")(errno.into()))?;
        let view = View::read_only(File::from(file)).map_err(|error| failed(error.to_string()))?;
        let poisoned = store.join("wal/poisoned").exists();
        let mark = view.run_mark();
        if poisoned || (mark.is_whole() && mark.flags & RunMark::POISONED != 0) {
            let what = "a sync of it failed, so nobody knows what of it is on the disk; check the \
                        disk, have the store made anew from what is there, and back that up";
            return Err(failed(what.to_owned()));
        }
        let (place, slot, clients) = durable(&view).map_err(|what| failed(what.to_owned()))?;
        // A slot that is still on its way to the disk may be gone after a loss of power, and other
        // truth stand where its truth stood: what is copied must stay.
        view.map()
            .sync_range(DURABLE_SLOTS_OFFSET + place as u64 * PAGE_SIZE, PAGE_SIZE)
            .map_err(BackupError::io(&path, "sync"))?;
        let word =
            |region, extent| view.header_word(word_offset(region, extent)).load(Ordering::Acquire);
        let extents = check_all(word, |region| view.shape(region));
        let extents = extents.map_err(|damage| failed(damage.to_string()))?;
        Ok(Source { path, view, slot, clients, place, extents })
    }

    pub(super) fn store_id(&self) -> [u8; 16] {
        self.view.superblock().store_id
    }

    pub(super) fn generation(&self) -> u64 {
        self.view.superblock().generation
    }

    /// Bytes that the file has.
    pub(super) fn size(&self) -> u64 {
        self.view.map().size()
    }

    /// The header as the copy has it: what is static, the extents, and one durable slot. It has no
    /// run mark, ring or live ends, so that whoever opens it makes the rest anew. Behind it, the
    /// client table.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut header = vec![0; HEADER_SIZE as usize];
        let parts = [
            (SUPERBLOCK_OFFSET, PAGE_SIZE),
            (SPACES_OFFSET, self.slot.spaces_count * PAGE_SIZE),
            (DIRECTORY_OFFSET, HEADER_SIZE - DIRECTORY_OFFSET),
        ];
        for (offset, size) in parts {
            let words = self.view.map().words(offset, size / 8).unwrap_or_default();
            for (at, word) in words.iter().enumerate() {
                let at = offset as usize + at * 8;
                header[at..at + 8].copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            }
        }
        // A space that was made since has extents already, and is none of this version.
        for space in self.slot.spaces_count as usize..VECTOR_SPACES_MAX {
            for region in [
                Region::vectors(space),
                Region::vector_columns(space),
                Region::graph(space),
                Region::graph_levels(space),
            ] {
                let row = word_offset(region, 0) as usize;
                header[row..row + EXTENTS_MAX * 8].fill(0);
            }
        }
        // A clean flag would promise what is not copied.
        let slot = Slot { flags: 0, ..self.slot }.sealed();
        let at = (DURABLE_SLOTS_OFFSET + self.place as u64 * PAGE_SIZE) as usize;
        header[at..at + size_of::<Slot>()].copy_from_slice(slot.as_bytes());
        header.extend_from_slice(self.clients.as_bytes());
        header
    }

    /// Access counts as of the slot, or of an entry shortly before; `None` if there are none.
    pub(super) fn accesses(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for concept in 0..self.slot.concepts {
            let Ok(words) = self.view.words(Region::ACCESS, concept, ACCESS_WORDS) else { break };
            let mut entry: [u64; ACCESS_WORDS as usize] =
                std::array::from_fn(|at| words[at].load(Ordering::Relaxed));
            if access::lsn_of(entry[STATE]) > self.slot.published_lsn {
                // Counted since: the count before is still there.
                let before = entry[STATE] & 1 ^ 1;
                entry[STATE] = self.slot.published_lsn << 1 | before;
            }
            bytes.extend_from_slice(entry.as_bytes());
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    /// All truth of the version, in pieces, ascending by offset.
    pub(super) fn ranges(&self) -> Vec<Range> {
        let mut ranges = Vec::new();
        for extent in &self.extents {
            let Some(count) = self.count(extent.region) else { continue };
            let Some(shape) = self.view.shape(extent.region) else { continue };
            let start = shape.extent_start(extent.extent);
            let used = count.saturating_sub(start).min(shape.extent_count(extent.extent));
            let (mut offset, mut left) = (extent.offset, used * shape.stride);
            while left > 0 {
                let size = left.min(PIECE_SIZE);
                ranges.push(Range { region: extent.region, offset, size });
                (offset, left) = (offset + size, left - size);
            }
        }
        ranges
    }

    /// Units of a region of truth; client tables stand with the header.
    fn count(&self, region: Region) -> Option<u64> {
        let slot = &self.slot;
        match region {
            Region::RECORDS => Some(slot.records),
            Region::EDGES => Some(slot.edges),
            Region::CONTENT => Some(slot.content_size),
            Region::SYMBOLS => Some(slot.symbols_size),
            Region(number @ 12..=15) => Some(slot.spaces[usize::from(number) - 12].count),
            Region(number @ 16..=19) => Some(slot.spaces[usize::from(number) - 16].count),
            _ => None,
        }
    }

    /// The first `size` bytes of a range.
    pub(super) fn read(&self, range: Range, bytes: &mut Vec<u8>) -> Result<(), BackupError> {
        use std::os::unix::fs::FileExt;
        bytes.resize(range.size as usize, 0);
        let read = self.view.map().file().read_exact_at(bytes, range.offset);
        read.map_err(BackupError::io(&self.path, "read"))
    }
}

/// The newest durable slot with its place and its client table, of one moment.
fn durable(view: &View) -> Result<(usize, Slot, Vec<ClientEntry>), String> {
    let mut problem = String::new();
    for _ in 0..LOOKS {
        let slots = view.durable_slots();
        let Some((place, slot)) = Slot::newest(&slots) else {
            return Err(
                "both its durable slots are damaged; `sutra repair` saves what is whole".to_owned()
            );
        };
        match read_clients(view, place, slot) {
            Ok(clients) => return Ok((place, *slot, clients)),
            // The table of a slot is written over by the checkpoint after the next one.
            Err(damage) => problem = damage.to_string(),
        }
    }
    Err(problem)
}
