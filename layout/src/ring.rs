//! Publication: a sequence number and a ring of slots, which readers copy without a lock.
//!
//! The writer fills the slot after the current one and then stores the new sequence number. A
//! reader loads the sequence, copies that slot, and accepts the copy only if the sequence has since
//! moved by less than [`RingShape::margin`]: the writer fills slot `s + slots` while the sequence is
//! still `s + slots - 1`, so a move of `slots - 1` may already be a torn copy. There is no odd
//! state: a writer that dies anywhere leaves the last published slot untouched.

use crate::sync::{Fence, Fences, Word};

/// How many slots a ring has, how large they are, and how far the sequence may move meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct RingShape {
    /// Slots of the ring.
    pub slots: u64,
    /// Words of a slot.
    pub slot_words: usize,
    /// A copy is accepted if the sequence moved by less than this.
    pub margin: u64,
}

/// The ring of `storage.dat`: 8 slots of 512 bytes.
pub const RING: RingShape = RingShape { slots: 8, slot_words: 64, margin: 7 };

/// How often a capture is tried before the caller falls back on the snapshot it had.
pub const CAPTURE_ATTEMPTS: usize = 16;

/// A commit word and its ring, wherever they lie.
#[derive(Debug)]
pub struct Ring<'a, W, F> {
    shape: RingShape,
    commit_seq: &'a W,
    words: &'a [W],
    fences: F,
}

impl<'a, W: Word, F: Fences> Ring<'a, W, F> {
    /// The ring over `words`, which holds `slots * slot_words` of them.
    pub fn new(shape: RingShape, commit_seq: &'a W, words: &'a [W], fences: F) -> Self {
        assert_eq!(words.len() as u64, shape.slots * shape.slot_words as u64);
        Ring { shape, commit_seq, words, fences }
    }

    /// The number of publications so far.
    pub fn commit_seq(&self) -> u64 {
        self.commit_seq.load()
    }

    /// Publishes `slot` as number `commit_seq`, which must be one more than the last. Writer only.
    pub fn publish(&self, commit_seq: u64, slot: &[u64]) {
        let last = self.commit_seq.load(); // only the writer stores here
        assert_eq!(last + 1, commit_seq, "publications are numbered without gaps");
        self.fences.fence(Fence::PublishBeforeFill);
        for (word, value) in self.slot(commit_seq).iter().zip(slot) {
            word.store(*value);
        }
        self.commit_seq.publish(commit_seq); // pairs with CaptureAfterSequence
    }

    /// Takes the numbering up at `commit_seq`, which lies less than the ring's slots ahead of the
    /// last, or before any reader. `slot` is what readers see until the next publication.
    pub fn resume(&self, commit_seq: u64, slot: &[u64]) {
        self.fences.fence(Fence::PublishBeforeFill);
        for (word, value) in self.slot(commit_seq).iter().zip(slot) {
            word.store(*value);
        }
        self.commit_seq.publish(commit_seq);
    }

    /// Copies the newest slot into `copy` and returns its number; `None` if the writer overtook
    /// every attempt, or nothing was ever published.
    pub fn capture(&self, copy: &mut [u64]) -> Option<u64> {
        (0..CAPTURE_ATTEMPTS).find_map(|_| self.try_capture(copy))
    }

    fn try_capture(&self, copy: &mut [u64]) -> Option<u64> {
        let commit_seq = self.commit_seq.load();
        if commit_seq == 0 {
            return None;
        }
        self.fences.fence(Fence::CaptureAfterSequence); // pairs with the store in publish
        for (word, value) in self.slot(commit_seq).iter().zip(copy.iter_mut()) {
            *value = word.load();
        }
        self.fences.fence(Fence::CaptureAfterCopy); // pairs with PublishBeforeFill
        let now = self.commit_seq.load();
        (now.wrapping_sub(commit_seq) < self.shape.margin).then_some(commit_seq)
    }

    fn slot(&self, commit_seq: u64) -> &'a [W] {
        let start = (commit_seq % self.shape.slots) as usize * self.shape.slot_words;
        &self.words[start..start + self.shape.slot_words]
    }
}
