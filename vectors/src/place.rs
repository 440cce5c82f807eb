//! Where the units of a region lie in memory, checked once and then found by a leading-zero count,
//! one addition and one comparison.
#![expect(unsafe_code, reason = "the room where a node's place becomes references")]

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use sutra_layout::geometry::{EXTENTS_MAX, Region, Shape};
use sutra_layout::{Damage, View, directory};

/// The units of one region that are in the file, as of when they were captured.
#[derive(Debug)]
pub(crate) struct Table<'v> {
    /// Where unit number 0 of an extent would be, if its units were numbered from
    /// `ordinal + first_count`: an address to count from, not one to load.
    bases: [*const u8; EXTENTS_MAX],
    first_count: u64,
    first_count_log2: u32,
    stride: usize,
    /// Units below it are in the file.
    end: u64,
    view: PhantomData<&'v View>,
}

impl<'v> Table<'v> {
    /// The table of a region whose first `needed` units must be there.
    pub(crate) fn capture(
        view: &'v View,
        region: Region,
        shape: Shape,
        needed: u64,
    ) -> Result<Table<'v>, Damage> {
        let mut table = Table {
            bases: [std::ptr::null(); EXTENTS_MAX],
            first_count: shape.extent_count(0),
            first_count_log2: shape.first_count_log2,
            stride: shape.stride as usize,
            end: 0,
            view: PhantomData,
        };
        for extent in 0..EXTENTS_MAX {
            let word = view.header_word(directory::word_offset(region, extent));
            if word.load(Ordering::Relaxed) == 0 {
                break;
            }
            let (first, count) = (shape.extent_start(extent), shape.extent_count(extent));
            let offset = view.locate(region, shape, first)?;
            // Asking for what is needed lets the map notice that the file has grown.
            let needed_here = needed.saturating_sub(first).min(count);
            if needed_here > 0 && view.map().words(offset, needed_here * shape.stride / 8).is_none()
            {
                break;
            }
            let in_file = view.map().size().saturating_sub(offset) / shape.stride;
            let there = in_file.min(count);
            let Some(words) = view.map().words(offset, there * shape.stride / 8) else { break };
            let start = words.as_ptr().cast::<u8>();
            table.bases[extent] = start.wrapping_sub(count as usize * table.stride);
            table.end = first + there;
            if there < count {
                break;
            }
        }
        if table.end < needed {
            let expected = format!("all {needed} units of {}", region.name());
            return Err(Damage::new(0, "the units in a file", table.end, expected));
        }
        Ok(table)
    }

    /// Units below it are there.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Where a unit begins; `None` if it is not there.
    #[inline(always)]
    pub(crate) fn place(&self, ordinal: u64) -> Option<Place<'v>> {
        (ordinal < self.end).then(|| Place { start: self.address(ordinal), view: PhantomData })
    }

    /// Where a unit would begin: to prefetch, which may be told any address.
    #[inline(always)]
    fn address(&self, ordinal: u64) -> *const u8 {
        // Extents double, so that the highest bit of this number is the extent, and the number
        // itself, less that bit, the place in it.
        let number = ordinal.wrapping_add(self.first_count);
        let extent = 63u32.wrapping_sub(number.leading_zeros()).wrapping_sub(self.first_count_log2);
        let base = self.bases[extent as usize % EXTENTS_MAX];
        base.wrapping_add((number as usize).wrapping_mul(self.stride))
    }

    /// Asks for the lines of a unit from byte `first` to byte `end`.
    #[inline(always)]
    pub(crate) fn prefetch(&self, ordinal: u64, first: usize, end: usize) {
        let start = self.address(ordinal);
        let mut at = first;
        while at < end {
            prefetch(start.wrapping_add(at));
            at += 64;
        }
    }
}

#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which loads nothing and faults at no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Where a unit begins that is there: mapped, in the file, aligned to eight bytes at least, and as
/// long as its region's stride.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'v> {
    start: *const u8,
    view: PhantomData<&'v View>,
}

impl<'v> Place<'v> {
    /// The eight words that a node begins with.
    #[inline(always)]
    pub(crate) fn head(self) -> &'v [AtomicU64; 8] {
        // SAFETY: a unit is there for as long as the view, aligned, and no shorter than a cache line
        // in the regions of a graph, whose units are multiples of one; the words are atomics.
        unsafe { &*self.start.cast() }
    }

    /// Words of 32 bits from byte `offset` on.
    ///
    /// # Safety
    /// `offset` is a multiple of 4, and the words lie within the unit.
    #[inline(always)]
    pub(crate) unsafe fn halves(self, offset: usize, count: usize) -> &'v [AtomicU32] {
        // SAFETY: in the unit and aligned, as the caller promises; they are only ever accessed as
        // atomics of this size.
        unsafe { std::slice::from_raw_parts(self.start.add(offset).cast(), count) }
    }

    /// Bytes from `offset` on.
    ///
    /// # Safety
    /// They lie within the unit, and whoever named the unit did so after they were stored for good.
    #[inline(always)]
    pub(crate) unsafe fn bytes(self, offset: usize, count: usize) -> &'v [i8] {
        // SAFETY: in the unit and final, as the caller promises.
        unsafe { std::slice::from_raw_parts(self.start.add(offset).cast(), count) }
    }

    /// The unit's first floats.
    ///
    /// # Safety
    /// As for [`Place::bytes`].
    #[inline(always)]
    pub(crate) unsafe fn floats(self, count: usize) -> &'v [f32] {
        // SAFETY: in the unit and final, as the caller promises; aligned to eight.
        unsafe { std::slice::from_raw_parts(self.start.cast(), count) }
    }
}
