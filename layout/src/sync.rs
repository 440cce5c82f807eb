//! The few memory operations that publication and the index rest on.
//!
//! Readers map the file read-only, and on read-only pages Rust promises relaxed loads of at most
//! eight bytes and nothing else; so a reader loads relaxed and then fences. The protocols are
//! generic over [`Word`] and [`Fences`] so that the loom models run the very code that ships, with
//! one fence at a time taken away.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// One 64-bit word that several processes see.
pub trait Word {
    /// A relaxed load.
    fn load(&self) -> u64;
    /// A relaxed store. Only the coordinator stores.
    fn store(&self, value: u64);
    /// A store with release ordering: whoever acquires it sees all that was stored before.
    fn publish(&self, value: u64);
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn load(&self) -> u64 {
        AtomicU64::load(self, Ordering::Relaxed)
    }
    #[inline(always)]
    fn store(&self, value: u64) {
        AtomicU64::store(self, value, Ordering::Relaxed);
    }
    #[inline(always)]
    fn publish(&self, value: u64) {
        AtomicU64::store(self, value, Ordering::Release);
    }
}

/// Every fence of the file's protocols, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Release, before the writer fills a slot: who sees the new words sees the older sequence.
    PublishBeforeFill,
    /// Acquire, after the reader loaded the sequence: it sees the slot that sequence published.
    CaptureAfterSequence,
    /// Acquire, after the reader copied a slot: the sequence it loads next is as new as the words.
    CaptureAfterCopy,
    /// Acquire, after a directory word: the segment it names is seen filled.
    IndexAfterDirectory,
    /// Acquire, after an index or column word: the record it names is seen written.
    IndexAfterWord,
}

impl Fence {
    /// The ordering of the fence at that place.
    #[inline(always)]
    pub const fn ordering(self) -> Ordering {
        match self {
            Fence::PublishBeforeFill => Ordering::Release,
            Fence::CaptureAfterSequence
            | Fence::CaptureAfterCopy
            | Fence::IndexAfterDirectory
            | Fence::IndexAfterWord => Ordering::Acquire,
        }
    }
}

/// Executes fences. The one real implementation is [`AllFences`].
pub trait Fences: Copy {
    /// Executes the fence of that place.
    fn fence(self, place: Fence);
}

/// The real fences.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllFences;

impl Fences for AllFences {
    #[inline(always)]
    fn fence(self, place: Fence) {
        fence(place.ordering());
    }
}
