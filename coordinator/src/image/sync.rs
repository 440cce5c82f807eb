//! Making what is stored durable: truth range by range, or the whole file.
//!
//! A checkpoint syncs the truth that came since the last one. Syncing the whole file instead would
//! write back every page of the indexes and lists, most of which were touched, and write-protect
//! them, so that the writer's next store to each takes a fault: at a million concepts that took
//! writers a third of their throughput.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sutra_layout::directory::{decode, word_offset};
use sutra_layout::geometry::{
    DIRECTORY_OFFSET, EXTENTS_MAX, HEADER_SIZE, PAGE_SIZE, Region, Shape,
};
use sutra_layout::slot::Slot;

use super::Image;
use crate::error::CoordinatorError;
use crate::plant::Plant;

/// Bytes of one part of a gentle sync.
const GENTLE_STEP_SIZE: u64 = 4 << 20;
/// The longest rest after one.
const GENTLE_REST_MAX: Duration = Duration::from_millis(50);

impl Image {
    /// Makes durable all truth of version `to`, where that of version `from` is, with the extent
    /// directory that says where it lies. Vector spaces were synced when they were made.
    ///
    /// Access counts go with it. They are not truth, for they change where they are, and cannot be
    /// made anew: the log that is recycled after a checkpoint is all that they could be taken from.
    pub fn sync_truth(&self, from: &Slot, to: &Slot) -> Result<(), CoordinatorError> {
        for region in (0..Region::KNOWN_END).map(Region).filter(|region| region.is_truth()) {
            self.sync_units(region, from.count_of(region), to.count_of(region))?;
        }
        // Taken back before the sync: what is stored meanwhile is the next one's.
        if self.has_touches.swap(false, Ordering::Acquire) {
            self.sync_extents(Region::ACCESS)?;
        }
        self.sync_range(DIRECTORY_OFFSET, HEADER_SIZE - DIRECTORY_OFFSET)
    }

    /// Says that access counts were stored.
    pub fn note_touches(&self) {
        self.has_touches.store(true, Ordering::Release);
    }

    /// Makes units `from..to` of a region durable, extent by extent.
    pub fn sync_units(&self, region: Region, from: u64, to: u64) -> Result<(), CoordinatorError> {
        let Some(shape) = self.view.shape(region) else {
            return Ok(()); // a vector space that is not made
        };
        let mut at = from;
        while at < to {
            let (extent, _) = shape.place(at).ok_or(CoordinatorError::LimitReached {
                what: region.name(),
                limit: shape.extent_start(EXTENTS_MAX),
            })?;
            let end = shape.extent_start(extent + 1).min(to);
            let start = self.view.locate(region, shape, at)? / PAGE_SIZE * PAGE_SIZE;
            let stop = self.view.locate(region, shape, end - 1)? + shape.stride;
            self.sync_range(start, stop - start)?;
            at = end;
        }
        Ok(())
    }

    /// Makes all there is of a region durable.
    fn sync_extents(&self, region: Region) -> Result<(), CoordinatorError> {
        let Some(shape) = Shape::fixed(region) else { return Ok(()) };
        let file_size = self.view.map().size();
        for extent in 0..EXTENTS_MAX {
            let word = self.view.header_word(word_offset(region, extent)).load(Ordering::Relaxed);
            let Some(start) = decode(region, extent, word)? else { continue };
            let end = (start + shape.extent_size(extent)).min(file_size);
            self.sync_range(start, end.saturating_sub(start))?;
        }
        Ok(())
    }

    /// Writes every dirty page of the file to disk.
    pub fn sync_all(&self) -> Result<(), CoordinatorError> {
        Plant::outcome(self.view.map().file().sync_data()).map_err(failed)
    }

    /// The same, a part at a time, with as long a rest after each as it took: the log's syncs, which
    /// writers wait for, are not to queue behind hundreds of megabytes. `check` is asked in between.
    pub fn sync_all_gently(
        &self,
        check: &dyn Fn() -> Result<(), CoordinatorError>,
    ) -> Result<(), CoordinatorError> {
        let size = self.view.map().size();
        for offset in (0..size).step_by(GENTLE_STEP_SIZE as usize) {
            let began = Instant::now();
            self.sync_range(offset, GENTLE_STEP_SIZE.min(size - offset))?;
            std::thread::sleep(began.elapsed().min(GENTLE_REST_MAX));
            check()?;
        }
        self.sync_all()
    }

    /// Makes the header durable as it stands.
    pub fn sync_header(&self) -> Result<(), CoordinatorError> {
        self.sync_range(0, HEADER_SIZE)
    }

    /// Makes one page durable.
    pub(super) fn sync_page(&self, offset: u64) -> Result<(), CoordinatorError> {
        self.sync_range(offset, PAGE_SIZE)
    }

    fn sync_range(&self, offset: u64, size: u64) -> Result<(), CoordinatorError> {
        Plant::outcome(self.view.map().sync_range(offset, size)).map_err(failed)
    }
}

fn failed(source: std::io::Error) -> CoordinatorError {
    CoordinatorError::Sync { what: "storage.dat", source }
}
