//! The writable file: the only room that stores into it.
//!
//! Truth is stored above every watermark, in space reserved before; derived words and the header's
//! are stored as atomics, each with its protocol's ordering. Records and edges go in word by word,
//! because a reader whose index word ran ahead may load their `previous` while they are written.
#![expect(unsafe_code, reason = "the only room that stores bytes into the mapped file")]

mod growth;
mod sync;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sutra_layout::blob::{BlobHead, blob_space};
use sutra_layout::geometry::{
    DURABLE_SLOTS_OFFSET, HEARTBEAT_OFFSET, LIVE_ENDS_OFFSET, PAGE_SIZE, RUN_MARK_OFFSET, Region,
    SPACES_OFFSET, Shape,
};
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::space::{Space, SpaceEntry};
use sutra_layout::sys;
use sutra_layout::view::View;
use zerocopy::{Immutable, IntoBytes};

use crate::error::CoordinatorError;
pub use growth::Growth;

/// The coordinator's file. Clones share it; only one thread stores truth and derived words, and the
/// checkpoint thread stores durable slots and client tables.
#[derive(Clone, Debug)]
pub struct Image {
    view: Arc<View>,
    growth: Arc<Growth>,
    /// Access counts were stored since they were synced last.
    has_touches: Arc<AtomicBool>,
}

impl Image {
    /// The image behind `view`, whose directory was checked, going on from version `base`.
    pub fn new(view: View, base: &Slot) -> Result<Image, CoordinatorError> {
        let view = Arc::new(view);
        let growth = Arc::new(Growth::new(Arc::clone(&view), base)?);
        // Touches of the last coordinator may not be synced yet.
        let has_touches = Arc::new(AtomicBool::new(true));
        Ok(Image { view, growth, has_touches })
    }

    /// The file to read from.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What reserves space ahead.
    pub fn growth(&self) -> &Arc<Growth> {
        &self.growth
    }

    /// Sees to it that units below `end` can be stored to.
    #[inline]
    pub fn ensure(&self, region: Region, end: u64) -> Result<(), CoordinatorError> {
        self.growth.ensure(region, end)
    }

    /// The same for what must still go through when the disk is full to writers.
    pub fn ensure_from_reserve(&self, region: Region, end: u64) -> Result<(), CoordinatorError> {
        self.growth.ensure_from_reserve(region, end)
    }

    /// Stores the words of one unit.
    pub fn store_unit<T: IntoBytes + Immutable>(
        &self,
        region: Region,
        ordinal: u64,
        value: &T,
    ) -> Result<(), CoordinatorError> {
        let words = match region {
            Region::RECORDS => self.view.record_words(ordinal)?,
            Region::EDGES => self.view.edge_words(ordinal)?,
            other => self.view.words(other, ordinal, size_of::<T>() as u64 / 8)?,
        };
        store_words(words, value);
        Ok(())
    }

    /// Stores bytes of a truth region at unit `ordinal`, within one extent and reserved.
    pub fn store_bytes(
        &self,
        region: Region,
        shape: Shape,
        ordinal: u64,
        bytes: &[u8],
    ) -> Result<(), CoordinatorError> {
        let offset = self.view.locate(region, shape, ordinal)?;
        // SAFETY: appends go to units at or above the applied count of the region, and no published
        // count is greater; so no reader holds a reference to them.
        let stored = unsafe { self.view.map().store(offset, bytes) };
        stored.ok_or_else(|| reserved_too_little(region, offset))
    }

    /// Stores a blob at byte `at` of the content region.
    pub fn store_blob(&self, at: u64, bytes: &[u8]) -> Result<(), CoordinatorError> {
        let shape = Shape::new(1);
        let head = BlobHead::of(bytes);
        self.store_bytes(Region::CONTENT, shape, at, head.as_bytes())?;
        let head_size = head.as_bytes().len() as u64;
        if !bytes.is_empty() {
            self.store_bytes(Region::CONTENT, shape, at + head_size, bytes)?; // as of the padding below
        }
        let end = at + head_size + bytes.len() as u64;
        match at + blob_space(bytes.len()) - end {
            0 => Ok(()), // and `end` may be the end of the last extent
            padding => self.store_bytes(Region::CONTENT, shape, end, &[0; 4][..padding as usize]),
        }
    }

    /// How far a derived region was given out, or an index's depth: what a restart after a kill
    /// goes on from. Stored before the space is used.
    pub fn live_end(&self, region: Region) -> &AtomicU64 {
        self.view.header_word(LIVE_ENDS_OFFSET + region.index() as u64 * 8)
    }

    /// Gives out `count` units in a row of a derived region that were never given out before.
    pub fn take_units(&self, region: Region, count: u64) -> Result<u64, CoordinatorError> {
        let limited = || CoordinatorError::LimitReached {
            what: region.name(),
            limit: sutra_layout::U48::MAX,
        };
        let shape = Shape::fixed(region).ok_or_else(limited)?;
        let end = self.live_end(region);
        let unit = shape.fit(end.load(Ordering::Relaxed), count).ok_or_else(limited)?;
        self.ensure(region, unit + count)?;
        end.store(unit + count, Ordering::Release); // before the space is used: never twice
        Ok(unit)
    }

    /// The epoch of the coordinator that the file is written by: not this one's, once another has
    /// taken over.
    pub fn marked_epoch(&self) -> u64 {
        let offset = RUN_MARK_OFFSET + std::mem::offset_of!(RunMark, writer_epoch) as u64;
        self.view.header_word(offset).load(Ordering::Relaxed)
    }

    /// The log entry whose application was begun last. It is stored before anything derived is, so a
    /// log that ends before it has lost what this file shows.
    pub fn begun_lsn(&self) -> &AtomicU64 {
        // Truth has no live end: the counts of a slot say where it ends.
        self.live_end(Region::RECORDS)
    }

    /// Units of lists that were replaced by larger blocks, and are dead since.
    pub fn outgrown_units(&self) -> &AtomicU64 {
        self.live_end(Region::EDGES)
    }

    /// Stores the entry of a vector space and syncs its page: no extent of the space may reach the
    /// disk before it, or a loss of power would leave extents of unknown size.
    pub fn store_space(
        &self,
        index: usize,
        space: &Space,
        lsn: u64,
    ) -> Result<(), CoordinatorError> {
        let entry = SpaceEntry::new(index, space, lsn);
        let offset = SPACES_OFFSET + index as u64 * PAGE_SIZE;
        self.store_header(offset, &entry);
        self.sync_page(offset)
    }

    /// Stores the run mark and syncs its page.
    pub fn store_run_mark(&self, mark: RunMark) -> Result<(), CoordinatorError> {
        self.store_header(RUN_MARK_OFFSET, &mark.sealed());
        self.sync_page(RUN_MARK_OFFSET)
    }

    /// Stores durable slot `place` (0 for A) and syncs its page.
    pub fn store_durable_slot(&self, place: usize, slot: Slot) -> Result<(), CoordinatorError> {
        let offset = DURABLE_SLOTS_OFFSET + place as u64 * PAGE_SIZE;
        self.store_header(offset, &slot.sealed());
        self.sync_page(offset)
    }

    /// Says that this coordinator lives.
    pub fn beat(&self) {
        let pid = u64::from(std::process::id());
        self.view.header_word(HEARTBEAT_OFFSET + 8).store(pid, Ordering::Relaxed);
        let now = sys::clock::boottime_ns();
        self.view.header_word(HEARTBEAT_OFFSET).store(now, Ordering::Relaxed);
    }

    /// Says that no coordinator lives.
    pub fn stop_beating(&self) {
        self.view.header_word(HEARTBEAT_OFFSET).store(0, Ordering::Relaxed);
    }

    fn store_header<T: IntoBytes + Immutable>(&self, offset: u64, value: &T) {
        let words = self.view.map().words(offset, size_of::<T>().div_ceil(8) as u64);
        store_words(words.expect("the header is in the file"), value);
    }
}

fn store_words<T: IntoBytes + Immutable>(words: &[AtomicU64], value: &T) {
    let (bytes, rest) = value.as_bytes().as_chunks::<8>();
    for (word, bytes) in words.iter().zip(bytes) {
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        words[bytes.len()].store(u64::from_le_bytes(last), Ordering::Relaxed);
    }
}

#[cold]
fn reserved_too_little(region: Region, offset: u64) -> CoordinatorError {
    let source = std::io::Error::other(format!("byte {offset} was not reserved"));
    CoordinatorError::StorageFull { region: region.name(), source }
}

#[cfg(test)]
mod tests {
    use sutra_layout::geometry::{FIRST_EXTENT_SIZE, HEADER_SIZE};
    use sutra_layout::superblock::UncheckedSuperblock;

    use super::*;

    #[test]
    fn a_blob_may_end_where_the_last_extent_ends() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        sys::reserve(&file, 0, HEADER_SIZE).unwrap();
        let block = UncheckedSuperblock::new([1; 16], 1, 0, 7);
        file.write_all_at(block.as_bytes(), 0).unwrap();
        let image = Image::new(View::writable(file).unwrap(), &Slot::default()).unwrap();

        image.ensure(Region::CONTENT, FIRST_EXTENT_SIZE).unwrap();
        for bytes in [&[7; 120][..], &[7; 117], &[]] {
            let at = FIRST_EXTENT_SIZE - blob_space(bytes.len());
            image.store_blob(at, bytes).unwrap();
        }
        assert!(image.view().locate(Region::CONTENT, Shape::new(1), FIRST_EXTENT_SIZE).is_err());
    }
}
