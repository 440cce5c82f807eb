//! Space for the regions: placed in the file, reserved on disk, made present ahead of use.
//!
//! Reserving happens before a write is logged, so a full disk is an answer to the writing client
//! and never a signal in a reader. A background thread keeps some space ahead of the writer and
//! makes its pages present, because the first store to a reserved page costs microseconds. New
//! space of large truth extents is written with zeros, 2 MiB at a time: that makes large folios
//! where the system has them, for half the faults of the writer and of every reader.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sutra_layout::directory::{aligned_start, check_all, encode, word_offset};
use sutra_layout::geometry::{
    GROWTH_UNIT, HEADER_SIZE, LIVE_ENDS_OFFSET, PAGE_SIZE, Region, Shape,
};
use sutra_layout::index::INDEX;
use sutra_layout::limits::DISK_RESERVE_SIZE;
use sutra_layout::slot::Slot;
use sutra_layout::sys;
use sutra_layout::view::View;

use crate::error::CoordinatorError;
use crate::plant::Plant;

const REGIONS: usize = Region::KNOWN_END as usize;
/// The most that is kept ahead of a region's use.
const AHEAD_SIZE_MAX: u64 = 16 << 20;
/// Regions smaller than this grow when they must: a small store stays small.
const AHEAD_FROM_SIZE: u64 = 256 << 10;

/// Who reserves space. Shared by the writer and its background thread.
#[derive(Debug)]
pub struct Growth {
    view: Arc<View>,
    /// Units of each region that may be stored to.
    reserved: [AtomicU64; REGIONS],
    /// Units of each region that the writer said it used.
    used: [AtomicU64; REGIONS],
    /// Extents of each region that were there at the start. What lies in them above the used units
    /// may be looked at by readers: a version that is not published still leads to the one before.
    extents_before: [usize; REGIONS],
    placement: Mutex<Placement>,
    wanted: Mutex<bool>,
    wake: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug)]
struct Placement {
    /// The first byte that no extent has.
    next_free: u64,
}

impl Growth {
    /// Checks the directory, and goes on from version `base`.
    pub fn new(view: Arc<View>, base: &Slot) -> Result<Growth, CoordinatorError> {
        let word =
            |region, extent| view.header_word(word_offset(region, extent)).load(Ordering::Relaxed);
        let placed = check_all(word, |region| view.shape(region))?;
        let next_free =
            placed.iter().map(|extent| extent.offset + extent.size).max().unwrap_or(HEADER_SIZE);
        let mut extents_before = [0; REGIONS];
        for extent in &placed {
            if let Some(count) = extents_before.get_mut(extent.region.index()) {
                *count = extent.extent + 1;
            }
        }
        let used: [u64; REGIONS] =
            std::array::from_fn(|number| used_at_start(&view, Region(number as u8), base));
        Ok(Growth {
            view,
            reserved: used.map(AtomicU64::new),
            used: used.map(AtomicU64::new),
            extents_before,
            placement: Mutex::new(Placement { next_free }),
            wanted: Mutex::new(false),
            wake: Condvar::new(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Sees to it that units below `end` may be stored to.
    ///
    /// # Errors
    /// [`CoordinatorError::StorageFull`]; what was reserved before stays.
    #[inline]
    pub fn ensure(&self, region: Region, end: u64) -> Result<(), CoordinatorError> {
        if end <= self.reserved[region.index()].load(Ordering::Acquire) {
            return Ok(());
        }
        self.grow(region, end, DISK_RESERVE_SIZE).map(|_| ())
    }

    /// Likewise, down to the last byte of the disk: for what ends a fullness, or what ends in good
    /// order.
    pub fn ensure_from_reserve(&self, region: Region, end: u64) -> Result<(), CoordinatorError> {
        if end <= self.reserved[region.index()].load(Ordering::Acquire) {
            return Ok(());
        }
        self.grow(region, end, 0).map(|_| ())
    }

    /// Likewise, where nothing is known of what the file has of the region: after a loss of power it
    /// may end before what the extent directory says.
    pub fn ensure_anew(&self, region: Region, end: u64) -> Result<(), CoordinatorError> {
        self.reserved[region.index()].store(0, Ordering::Release);
        self.ensure(region, end)
    }

    /// Tells how many units of a region are in use, and asks for more where little is left.
    pub fn note_used(&self, region: Region, used: u64) {
        let at = region.index();
        self.used[at].store(used, Ordering::Relaxed);
        let Some(shape) = self.view.shape(region) else {
            return;
        };
        let left = self.reserved[at].load(Ordering::Relaxed).saturating_sub(used) * shape.stride;
        if left < ahead_size(used * shape.stride) / 2 {
            *lock(&self.wanted) = true;
            self.wake.notify_one();
        }
    }

    /// The background thread: grows whatever is short, until [`Growth::stop`].
    pub fn run_ahead(&self) {
        while !self.stopping.load(Ordering::Relaxed) {
            let wanted = lock(&self.wanted);
            let mut wanted = self
                .wake
                .wait_while(wanted, |wanted| !*wanted)
                .unwrap_or_else(PoisonError::into_inner);
            *wanted = false;
            drop(wanted);
            for number in 0..Region::KNOWN_END {
                let region = Region(number);
                let used = self.used[region.index()].load(Ordering::Relaxed);
                let Some(shape) = self.view.shape(region) else {
                    continue;
                };
                let ahead = ahead_size(used * shape.stride);
                if ahead > 0 && !self.stopping.load(Ordering::Relaxed) {
                    // A full disk is told to the writer, when it needs the space.
                    let _ = self.grow_ahead(region, used + ahead / shape.stride);
                }
            }
        }
    }

    /// Ends [`Growth::run_ahead`].
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        *lock(&self.wanted) = true;
        self.wake.notify_all();
    }

    fn grow_ahead(&self, region: Region, end: u64) -> Result<(), CoordinatorError> {
        let Some(shape) = self.view.shape(region) else { return Ok(()) };
        let step = GROWTH_UNIT / shape.stride;
        loop {
            // Step by step, as the writer may need the lock meanwhile.
            let reserved = self.reserved[region.index()].load(Ordering::Relaxed);
            if reserved >= end || self.stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            for (offset, size) in self.grow(region, end.min(reserved + step), DISK_RESERVE_SIZE)? {
                self.view.map().populate(offset, size);
            }
        }
    }

    /// Reserves, and returns the ranges of the file that are new. So many bytes stay free on the disk.
    #[cold]
    fn grow(
        &self,
        region: Region,
        end: u64,
        kept_size: u64,
    ) -> Result<Vec<(u64, u64)>, CoordinatorError> {
        let full = |source| CoordinatorError::StorageFull { region: region.name(), source };
        let shape = self
            .view
            .shape(region)
            .ok_or_else(|| full(std::io::Error::other("its vector space is not made")))?;
        let mut grown = Vec::new();
        let mut placement = lock(&self.placement);
        loop {
            let reserved = self.reserved[region.index()].load(Ordering::Relaxed);
            if reserved >= end {
                return Ok(grown);
            }
            let (extent, within) = shape
                .place(reserved)
                .ok_or_else(|| full(std::io::Error::other("the format's limit")))?;
            let size = shape.extent_size(extent);
            let word = self.view.header_word(word_offset(region, extent));
            let known =
                sutra_layout::directory::decode(region, extent, word.load(Ordering::Relaxed))?;
            let start = known.unwrap_or_else(|| aligned_start(region, size, placement.next_free));

            let wanted = (end - reserved).saturating_mul(shape.stride);
            let step = step_of(region, size);
            let from = within / PAGE_SIZE * PAGE_SIZE;
            let to = within.saturating_add(wanted).min(size).next_multiple_of(step).min(size);
            let file = self.view.map().file();
            if Plant::SparseSpace.is_planted() {
                file.set_len(self.view.map().size().max(start + to)).map_err(full)?;
            } else {
                sys::reserve_leaving(file, start + from, to - from, kept_size).map_err(full)?;
            }
            // What was filled before may be in use: units need not end where a step does.
            let unfilled = within.next_multiple_of(GROWTH_UNIT);
            if step == GROWTH_UNIT && extent >= self.extents_before[region.index()] {
                fill(file, start + unfilled, to.saturating_sub(unfilled)).map_err(full)?;
            }
            grown.push((start + from, to - from));
            self.view.map().extend().map_err(full)?;
            if known.is_none() {
                placement.next_free = start + size;
                word.store(encode(region, extent, start), Ordering::Release);
            }
            let units = if to == size { shape.extent_count(extent) } else { to / shape.stride };
            self.reserved[region.index()]
                .store(shape.extent_start(extent) + units, Ordering::Release);
        }
    }
}

/// Units of a region that are in use when a coordinator goes on from version `base`: of a derived
/// region, those that were given out. Of access counts none is told, and reserving them again
/// changes nothing.
fn used_at_start(view: &View, region: Region, base: &Slot) -> u64 {
    let live = || {
        let offset = LIVE_ENDS_OFFSET + region.index() as u64 * 8;
        view.header_word(offset).load(Ordering::Relaxed)
    };
    match region {
        Region::ID_SEGMENTS | Region::EDGE_SEGMENTS => live().saturating_mul(INDEX.segment_words()),
        Region::ADJACENCY | Region(24..=27) => live(),
        other => base.count_of(other),
    }
}

/// Writes zeros to space that is reserved and begins with a growth unit, one unit at a time.
fn fill(file: &File, offset: u64, size: u64) -> std::io::Result<()> {
    for at in (0..size).step_by(GROWTH_UNIT as usize) {
        let zeros = &ZEROS[..(size - at).min(GROWTH_UNIT) as usize];
        file.write_all_at(zeros, offset + at)?;
    }
    Ok(())
}

static ZEROS: [u8; GROWTH_UNIT as usize] = [0; GROWTH_UNIT as usize];

/// Bytes to keep ahead of a region that uses `used_size`.
fn ahead_size(used_size: u64) -> u64 {
    if used_size < AHEAD_FROM_SIZE { 0 } else { (used_size / 4).min(AHEAD_SIZE_MAX) }
}

/// Bytes by which an extent of `size` grows at least.
fn step_of(region: Region, size: u64) -> u64 {
    match region.is_truth() {
        true if size >= GROWTH_UNIT => GROWTH_UNIT,
        _ => Shape::new(1).extent_size(0),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
