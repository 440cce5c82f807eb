//! The associations of a concept, newest first, in blocks of entries.
//!
//! A list of up to 128 entries is one block: a run of 1, 2, 4 … 32 units of 64 bytes with 4, 8, 16 …
//! 128 entries of 16 bytes and nothing else. When it is full, its entries are copied into a block
//! twice as large. A walk over an ordinary list so takes two misses, the column and the block; a
//! chain of ever larger blocks took one more for each block and half as many lists a second.
//!
//! A longer list is a chain of blocks of 64 units (4 KiB), newest first, each with a head of 16
//! bytes and 255 entries:
//!
//! | bits | head word 0 | head word 1 |
//! |------|-------------|-------------|
//! | 0–47 | the next older block: 1 + its unit, 0 for none | a much older block to skip to, likewise |
//! | 48–55 | log2 of the next block's units | log2 of that block's units |
//! | 56–63 | low bits of the block's depth | high bits of the block's depth |
//!
//! Entries stand oldest first:
//!
//! | bits | entry word 0 | entry word 1 |
//! |------|--------------|--------------|
//! | 0–31 | the other concept's ordinal | `ended`: 1 + the edge that replaced or ended this one; 0: none did |
//! | 32–47 | 1 + the edge (all of 32–63) | association type |
//! | 48–63 | | confidence in steps of 1/65535 |
//!
//! An entry is there if word 0 is not 0; word 1 is stored before it. Edges ascend along a block and
//! from older blocks to newer ones. Space is never used again within a file, so a stale reader
//! always walks the list it meant to. A block that was copied is not touched any more: whoever
//! found it did so under a snapshot of before, to which what is appended or ended since is too new.
//! Since a block is placed above all older ones, a walk ends.
//!
//! Derived; stored by the reconciler only, as atomics.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::error::Damage;
use crate::view::View;

/// Bytes of a unit.
pub const UNIT_SIZE: u64 = 64;
/// Words of a unit.
pub const UNIT_WORDS: u64 = 8;
/// A block has at most 2^6 units; those that have so many are the ones that form chains.
pub const UNITS_LOG2_MAX: u32 = 6;
/// Words of the head of a block in a chain.
const HEAD_WORDS: usize = 2;
const ORDINAL_MASK: u64 = (1 << 48) - 1;

/// A block: its first unit and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Its first unit in the adjacency region.
    pub unit: u64,
    /// log2 of its units.
    pub units_log2: u32,
}

impl BlockRef {
    /// As a column or head word holds it.
    pub fn encode(self) -> u64 {
        (self.unit + 1) | u64::from(self.units_log2) << 48
    }

    /// From the low 56 bits of a word; `None` for 0.
    pub fn decode(word: u64) -> Option<BlockRef> {
        let unit = (word & ORDINAL_MASK).checked_sub(1)?;
        Some(BlockRef { unit, units_log2: (word >> 48 & 0xff) as u32 })
    }

    /// How many entries it has if it is the newest of a list to which `entries` were appended.
    #[inline]
    pub fn count_of_list(self, entries: u32) -> usize {
        let places = (self.word_count() as usize - HEAD_WORDS) / 2;
        match self.is_chained() {
            true if entries > 0 => (entries as usize - 1) % places + 1,
            _ => entries as usize,
        }
    }

    /// Asks the processor for places `at` and the one before it.
    #[inline]
    pub fn prefetch_places(self, view: &View, at: usize) {
        let head = if self.is_chained() { HEAD_WORDS } else { 0 };
        let unit_of = |place: usize| self.unit + (head + 2 * place) as u64 / UNIT_WORDS;
        let first = unit_of(at.saturating_sub(1));
        view.prefetch_adjacency(first, unit_of(at) - first + 1);
    }

    /// Whether it has a head, and may have older blocks below it.
    #[inline]
    pub fn is_chained(self) -> bool {
        self.units_log2 == UNITS_LOG2_MAX
    }

    /// Its words, head included.
    pub fn word_count(self) -> u64 {
        UNIT_WORDS << self.units_log2
    }
}

/// One association as a list holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The other concept's ordinal.
    pub neighbor: u32,
    /// The edge.
    pub edge: u32,
    /// 1 + the edge that replaced or ended it; 0: none did.
    pub ended: u32,
    /// The association's type.
    pub edge_type: u16,
    /// Its confidence in steps of 1/65535.
    pub confidence: u16,
}

impl Entry {
    /// The two words of the entry.
    pub fn to_words(self) -> [u64; 2] {
        [
            u64::from(self.neighbor) | (u64::from(self.edge) + 1) << 32,
            u64::from(self.ended)
                | u64::from(self.edge_type) << 32
                | u64::from(self.confidence) << 48,
        ]
    }

    /// The entry of two words; `None` if it is not there.
    #[inline(always)]
    pub fn from_words(words: [u64; 2]) -> Option<Entry> {
        let edge = ((words[0] >> 32) as u32).checked_sub(1)?;
        Some(Entry {
            neighbor: words[0] as u32,
            edge,
            ended: words[1] as u32,
            edge_type: (words[1] >> 32) as u16,
            confidence: (words[1] >> 48) as u16,
        })
    }

    /// Which association a snapshot with so many edges sees: this function, and no other.
    #[inline(always)]
    pub fn lives_in(self, edge_count: u64) -> bool {
        u64::from(self.edge) < edge_count && (self.ended == 0 || u64::from(self.ended) > edge_count)
    }
}

/// A confidence in steps of 1/65535, rounded to nearest.
#[inline(always)]
pub fn quantize(confidence: f32) -> u16 {
    (confidence.clamp(0.0, 1.0) * 65535.0 + 0.5) as u16
}

/// A quantized confidence as a number again: of the numbers that it may stand for, the one of four
/// decimals if there is one, as what people write has no more; else exact to 1/65535.
#[inline(always)]
pub fn dequantize(confidence: u16) -> f32 {
    const DECIMALS: f32 = 10_000.0;
    let steps = f32::from(confidence);
    let decimal = (steps * (DECIMALS / 65535.0) + 0.5).floor() / DECIMALS;
    // A branch would be mispredicted for every other entry, and hold up the next list's loads.
    std::hint::select_unpredictable(quantize(decimal) == confidence, decimal, steps / 65535.0)
}

/// A block whose words are known to lie in the file.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Where it is.
    pub at: BlockRef,
    /// The head's words; none in a block that is the whole list.
    head: &'a [AtomicU64],
    /// Two words for each place.
    places: &'a [AtomicU64],
}

impl<'a> Block<'a> {
    /// The block at `at`. Its `next` and skip pointers must lead down from there.
    #[inline(always)]
    pub fn open(view: &'a View, at: BlockRef) -> Result<Block<'a>, Damage> {
        if at.units_log2 > UNITS_LOG2_MAX {
            return Err(too_large(at));
        }
        let words = view.adjacency_words(at.unit, at.word_count())?;
        fence(Ordering::Acquire); // pairs with the release store of the word that named the block
        let (head, places) = words.split_at(if at.is_chained() { HEAD_WORDS } else { 0 });
        Ok(Block { at, head, places })
    }

    /// The next older block.
    #[inline]
    pub fn next(&self) -> Result<Option<BlockRef>, Damage> {
        self.older(0)
    }

    /// The older block that a skip leads to.
    pub fn skip(&self) -> Result<Option<BlockRef>, Damage> {
        self.older(1)
    }

    #[inline]
    fn older(&self, word: usize) -> Result<Option<BlockRef>, Damage> {
        let Some(word) = self.head.get(word) else { return Ok(None) };
        let older = BlockRef::decode(word.load(Ordering::Relaxed));
        match older {
            Some(older) if older.unit >= self.at.unit => {
                let expected = format!("below {}", self.at.unit);
                Err(Damage::new(0, "an older adjacency block's unit", older.unit, expected))
            }
            older => Ok(older),
        }
    }

    /// How many blocks are older than this one.
    pub fn depth(&self) -> u32 {
        let bits = |word: &AtomicU64| (word.load(Ordering::Relaxed) >> 56) as u32;
        self.head.iter().rev().fold(0, |depth, word| depth << 8 | bits(word))
    }

    /// Places for entries.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.places.len() / 2
    }

    /// The entry at place `at`, if it is there.
    #[inline(always)]
    pub fn entry(&self, at: usize) -> Option<Entry> {
        let [first, second] = self.places.get(2 * at..)?.first_chunk()?;
        let first = first.load(Ordering::Relaxed);
        fence(Ordering::Acquire); // pairs with the release store of word 0
        Entry::from_words([first, second.load(Ordering::Relaxed)])
    }

    /// Whether place `at` is filled; places beyond the block are not.
    #[inline(always)]
    fn is_filled(&self, at: usize) -> bool {
        self.places.get(2 * at).is_some_and(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// How many entries there are: they fill a block from its first place on.
    pub fn count(&self) -> usize {
        let (mut low, mut high) = (0, self.capacity());
        while low < high {
            let middle = low.midpoint(high);
            if self.is_filled(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The same, at the price of a comparison if it is `hint`, as it mostly is.
    #[inline(always)]
    pub fn count_near(&self, hint: usize) -> usize {
        let is_it = hint <= self.capacity()
            && (hint == 0 || self.is_filled(hint - 1))
            && !self.is_filled(hint);
        if is_it { hint } else { self.count() }
    }

    /// How many of the first `count` entries name an edge below `edge_end`.
    #[inline]
    pub fn count_below(&self, count: usize, edge_end: u64) -> usize {
        let is_below =
            |at: usize| self.entry(at).is_some_and(|entry| u64::from(entry.edge) < edge_end);
        if count == 0 || is_below(count - 1) {
            return count;
        }
        let (mut low, mut high) = (0, count - 1);
        while low < high {
            let middle = low.midpoint(high);
            if is_below(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The two words of place `at`, for the writer.
    ///
    /// # Panics
    /// If the block has no such place.
    pub fn entry_words(&self, at: usize) -> [&'a AtomicU64; 2] {
        [&self.places[2 * at], &self.places[2 * at + 1]]
    }
}

#[cold]
fn too_large(at: BlockRef) -> Damage {
    Damage::new(0, "an adjacency block's log2 size", at.units_log2.into(), "at most 6")
}

/// log2 of the units of the block that a list needs when `full`, its newest one, has no place left.
pub fn units_log2_after(full: Option<BlockRef>) -> u32 {
    full.map_or(0, |full| (full.units_log2 + 1).min(UNITS_LOG2_MAX))
}

/// log2 of the units of the block in which a list of so many entries begins.
pub fn units_log2_for(count: u32) -> u32 {
    // A unit has room for four entries.
    count.div_ceil(4).max(1).next_power_of_two().ilog2().min(UNITS_LOG2_MAX)
}

/// Fills the block at `at`, which nobody knows yet and is zero, so that it takes the place of `full`
/// or lies on top of it, and adds `entry`. The caller then stores [`BlockRef::encode`] into the
/// column, with release ordering: who sees that sees the block.
pub fn fill_new_block(
    view: &View,
    at: BlockRef,
    full: Option<BlockRef>,
    entry: Entry,
) -> Result<(), Damage> {
    let block = Block::open(view, at)?;
    let full = full.map(|full| Block::open(view, full)).transpose()?;
    let mut count = 0;
    match full {
        Some(full) if full.at.is_chained() => {
            let (next, skip, depth) =
                (full.at, skip_on(view, &full)?, (full.depth() + 1).min(0xffff));
            let words = [(next, depth & 0xff), (skip, depth >> 8)];
            for (word, (older, bits)) in block.head.iter().zip(words) {
                word.store(older.encode() | u64::from(bits) << 56, Ordering::Relaxed);
            }
        }
        Some(full) => {
            count = full.capacity();
            for (to, from) in block.places.iter().zip(full.places) {
                to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        None => {}
    }
    for (word, value) in block.entry_words(count).into_iter().zip(entry.to_words()) {
        word.store(value, Ordering::Relaxed);
    }
    Ok(())
}

/// Where a block on top of `below` skips to: as for records, see [`crate::record::skip_of`].
fn skip_on(view: &View, below: &Block<'_>) -> Result<BlockRef, Damage> {
    let Some(jump) = below.skip()? else {
        return Ok(below.at);
    };
    let jump_block = Block::open(view, jump)?;
    let Some(further) = jump_block.skip()? else {
        return Ok(below.at);
    };
    let further_depth = Block::open(view, further)?.depth();
    let is_equal = below.depth().wrapping_sub(jump_block.depth())
        == jump_block.depth().wrapping_sub(further_depth);
    Ok(if is_equal { further } else { below.at })
}

/// The entries of one list, newest first, unfiltered.
#[derive(Debug)]
pub struct Entries<'a> {
    view: &'a View,
    block: Option<(Block<'a>, usize)>,
    next: Option<BlockRef>,
}

impl<'a> Entries<'a> {
    /// The list whose newest block a column word names. Load the word after the snapshot.
    #[inline]
    pub fn new(view: &'a View, head: u64) -> Entries<'a> {
        Entries { view, block: None, next: BlockRef::decode(head) }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, Damage>;

    #[inline]
    fn next(&mut self) -> Option<Result<Entry, Damage>> {
        loop {
            if let Some((block, left)) = &mut self.block
                && *left > 0
            {
                *left -= 1;
                // A place that was counted stays filled.
                if let Some(entry) = block.entry(*left) {
                    return Some(Ok(entry));
                }
                continue;
            }
            let at = self.next.take()?;
            let opened = Block::open(self.view, at).and_then(|block| Ok((block, block.next()?)));
            match opened {
                Ok((block, next)) => {
                    self.next = next;
                    self.block = Some((block, block.count()));
                }
                Err(damage) => {
                    self.block = None;
                    return Some(Err(damage));
                }
            }
        }
    }
}

/// The block of a list that holds `edge`, and the entry's place: at most a logarithm of blocks are
/// looked at. `None` if the list has no such entry.
pub fn find_entry<'a>(
    view: &'a View,
    head: u64,
    edge: u32,
) -> Result<Option<(Block<'a>, usize)>, Damage> {
    let mut next = BlockRef::decode(head);
    // Each step leads to a lower unit, so the walk ends.
    while let Some(at) = next {
        let block = Block::open(view, at)?;
        let oldest = block.entry(0).map(|entry| entry.edge);
        if oldest.is_some_and(|oldest| oldest <= edge) {
            let (mut low, mut high) = (0, block.count());
            while low < high {
                let middle = low.midpoint(high);
                match block.entry(middle) {
                    Some(entry) if entry.edge < edge => low = middle + 1,
                    _ => high = middle,
                }
            }
            let found =
                block.count() > low && block.entry(low).is_some_and(|entry| entry.edge == edge);
            return Ok(found.then_some((block, low)));
        }
        next = block.next()?;
        if let Some(skip) = block.skip()?
            && Block::open(view, skip)?.entry(0).is_some_and(|entry| entry.edge > edge)
        {
            next = Some(skip);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_words_and_a_block_its_word() {
        let entry = Entry {
            neighbor: u32::MAX - 1,
            edge: u32::MAX - 1,
            ended: 7,
            edge_type: 65535,
            confidence: 9,
        };
        assert_eq!(Entry::from_words(entry.to_words()), Some(entry));
        assert_eq!(Entry::from_words([0, 1]), None);
        let block = BlockRef { unit: 123_456_789_012, units_log2: 6 };
        assert_eq!(BlockRef::decode(block.encode()), Some(block));
        assert_eq!(BlockRef::decode(0), None);
    }

    #[test]
    fn a_snapshot_sees_an_entry_until_the_edge_that_ended_it() {
        let entry = Entry { neighbor: 1, edge: 4, ended: 0, edge_type: 0, confidence: 0 };
        assert!(!entry.lives_in(4));
        assert!(entry.lives_in(5));
        let ended = Entry { ended: 9 + 1, ..entry };
        assert!(ended.lives_in(9), "edge 9 ended it, and is not in a snapshot of 9 edges");
        assert!(!ended.lives_in(10));
    }

    #[test]
    fn quantizing_keeps_order_and_four_decimals() {
        for ten_thousandths in 0..=10_000u16 {
            let confidence = f32::from(ten_thousandths) / 10_000.0;
            assert_eq!(dequantize(quantize(confidence)), confidence);
        }
        for steps in 0..=u16::MAX {
            let confidence = dequantize(steps);
            assert_eq!(quantize(confidence), steps);
            assert!((confidence - f32::from(steps) / 65535.0).abs() <= 0.5 / 65535.0, "{steps}");
        }
        assert!(quantize(0.3) <= quantize(0.3001));
    }
}
