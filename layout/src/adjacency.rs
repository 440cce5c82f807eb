//! The associations of a concept, newest first, in blocks of entries.
//!
//! A block is a run of 64-byte units: 1 unit for a concept's first block, twice as many for each
//! further one, up to 64 (4 KiB). Its first 16 bytes are the head:
//!
//! | bits | head word 0 | head word 1 |
//! |------|-------------|-------------|
//! | 0–47 | the next older block: 1 + its unit, 0 for none | a much older block to skip to, likewise |
//! | 48–55 | log2 of the next block's units | log2 of that block's units |
//! | 56–63 | low bits of the block's depth | high bits of the block's depth |
//!
//! then entries of 16 bytes, oldest first:
//!
//! | bits | entry word 0 | entry word 1 |
//! |------|--------------|--------------|
//! | 0–31 | the other concept's ordinal | `ended`: 1 + the edge that replaced or ended this one; 0: none did |
//! | 32–47 | 1 + the edge (all of 32–63) | association type |
//! | 48–63 | | confidence in steps of 1/65535 |
//!
//! An entry is there if word 0 is not 0; word 1 is stored before it. Edges ascend along a block and
//! from older blocks to newer ones. Space is never used again within a file, so a stale reader
//! always walks the list it meant to; and since a block is placed above all older ones, a walk ends.
//!
//! Derived; stored by the reconciler only, as atomics.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::error::Damage;
use crate::geometry::Region;
use crate::view::View;

/// Bytes of a unit.
pub const UNIT_SIZE: u64 = 64;
/// Words of a unit.
pub const UNIT_WORDS: u64 = 8;
/// A block has at most 2^6 units.
pub const UNITS_LOG2_MAX: u32 = 6;
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
pub fn quantize(confidence: f32) -> u16 {
    (confidence.clamp(0.0, 1.0) * 65535.0).round() as u16
}

/// A quantized confidence as a number again; exact to 1/131070.
pub fn dequantize(confidence: u16) -> f32 {
    f32::from(confidence) / 65535.0
}

/// A block whose words are known to lie in the file.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Where it is.
    pub at: BlockRef,
    words: &'a [AtomicU64],
}

impl<'a> Block<'a> {
    /// The block at `at`. Its `next` and skip pointers must lead down from there.
    #[inline]
    pub fn open(view: &'a View, at: BlockRef) -> Result<Block<'a>, Damage> {
        if at.units_log2 > UNITS_LOG2_MAX {
            return Err(Damage::new(
                0,
                "an adjacency block's log2 size",
                at.units_log2.into(),
                "at most 6",
            ));
        }
        let words = view.words(Region::ADJACENCY, at.unit, at.word_count())?;
        fence(Ordering::Acquire); // pairs with the release store of the word that named the block
        Ok(Block { at, words })
    }

    /// The next older block.
    pub fn next(&self) -> Result<Option<BlockRef>, Damage> {
        self.older(0)
    }

    /// The older block that a skip leads to.
    pub fn skip(&self) -> Result<Option<BlockRef>, Damage> {
        self.older(1)
    }

    fn older(&self, word: usize) -> Result<Option<BlockRef>, Damage> {
        let older = BlockRef::decode(self.words[word].load(Ordering::Relaxed));
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
        let [low, high] =
            [0, 1].map(|word| (self.words[word].load(Ordering::Relaxed) >> 56) as u32);
        low | high << 8
    }

    /// The head words of a new block on top of `next`, which has `depth`.
    pub fn head_words(next: Option<(BlockRef, u32)>, skip: Option<BlockRef>) -> [u64; 2] {
        let depth = next.map_or(0, |(_, depth)| (depth + 1).min(0xffff));
        let word = |block: Option<BlockRef>, bits: u32| {
            block.map_or(0, BlockRef::encode) | u64::from(bits & 0xff) << 56
        };
        [word(next.map(|(block, _)| block), depth), word(skip, depth >> 8)]
    }

    /// Places for entries.
    pub fn capacity(&self) -> usize {
        self.words.len() / 2 - 1
    }

    /// The entry at place `at`, if it is there.
    #[inline(always)]
    pub fn entry(&self, at: usize) -> Option<Entry> {
        let first = self.words[2 * at + 2].load(Ordering::Relaxed);
        fence(Ordering::Acquire); // pairs with the release store of word 0
        Entry::from_words([first, self.words[2 * at + 3].load(Ordering::Relaxed)])
    }

    /// How many entries there are: they fill a block from its first place on.
    pub fn count(&self) -> usize {
        let (mut low, mut high) = (0, self.capacity());
        while low < high {
            let middle = low.midpoint(high);
            if self.words[2 * middle + 2].load(Ordering::Relaxed) == 0 {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The two words of place `at`, for the writer.
    pub fn entry_words(&self, at: usize) -> [&'a AtomicU64; 2] {
        [&self.words[2 * at + 2], &self.words[2 * at + 3]]
    }

    /// The head words, for the writer.
    pub fn head(&self) -> [&'a AtomicU64; 2] {
        [&self.words[0], &self.words[1]]
    }
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
    fn quantizing_keeps_order_and_is_exact_at_the_ends() {
        assert_eq!((quantize(0.0), quantize(1.0)), (0, 65535));
        assert_eq!((dequantize(0), dequantize(65535)), (0.0, 1.0));
        assert!(quantize(0.3) <= quantize(0.3001));
    }
}
