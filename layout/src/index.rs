//! An index of 64-bit words that grows under its readers: extendible hashing.
//!
//! A word is 0 (empty), or a 16-bit tag of the hash and, below it, 48 bits: 1 + the value, or all
//! ones where a key was dropped. Eight words make a line, a cache line; 64 lines a segment. A
//! directory word is 1 + the segment's number in its upper 56 bits and the segment's depth in the
//! lower 8. Of a hash, the low bits choose the directory word, bits 42–47 the line where probing
//! begins, and bits 48–63 are the tag.
//!
//! **A reader** takes the directory word at the depth that its snapshot names, which may be an old
//! one; if the word's own depth is greater, it indexes again at that depth. Then it probes line
//! after line until the first empty word. **The writer** stores a new word into the first empty
//! place, or a newer value over the old one. When the key's line and the three after it are full,
//! it fills two new segments from the old one, which is never stored to again, and then redirects
//! the directory words from the highest to the lowest. A reader that still meets an old word finds
//! everything its snapshot holds in the old segment. The order matters to the next writer: where one
//! died in between, the lowest word still names the old segment, which [`repair`] splits again.

use crate::sync::{Fence, Fences, Word};

/// How large the parts of an index are.
#[derive(Clone, Copy, Debug)]
pub struct IndexShape {
    /// Words of a line.
    pub line_words: u64,
    /// Lines of a segment, a power of two.
    pub segment_lines: u64,
    /// A new key that finds so many lines full splits its segment.
    pub probe_lines: u64,
}

/// The shape of both indexes of `storage.dat`: segments of 4 KiB.
pub const INDEX: IndexShape = IndexShape { line_words: 8, segment_lines: 64, probe_lines: 4 };

impl IndexShape {
    /// Words of a segment.
    pub const fn segment_words(self) -> u64 {
        self.line_words * self.segment_lines
    }

    fn line_of(self, hash: u64) -> u64 {
        hash >> 42 & (self.segment_lines - 1)
    }
}

/// The greatest depth of a segment: the directory has then reached 2^40 words.
pub const DEPTH_MAX: u32 = 40;
const VALUE_MASK: u64 = (1 << 48) - 1;
/// The low 48 bits of a word whose key was dropped; the place is not used again.
pub const DROPPED: u64 = VALUE_MASK;

/// The word of `value` under `hash`.
pub fn encode(hash: u64, value: u64) -> u64 {
    assert!(value + 1 < DROPPED, "an index holds 48-bit values");
    hash >> 48 << 48 | (value + 1)
}

/// The value of a word; `None` if it is empty or dropped.
pub fn decode(word: u64) -> Option<u64> {
    let low = word & VALUE_MASK;
    (low != 0 && low != DROPPED).then(|| low - 1)
}

/// The directory word that names `segment` at `depth`.
pub fn encode_directory(segment: u64, depth: u32) -> u64 {
    (segment + 1) << 8 | u64::from(depth)
}

/// Where an index lies.
pub trait IndexMemory {
    /// Its words.
    type Word: Word;
    /// What a word out of place gives.
    type Error;
    /// Directory word `at`.
    fn directory_word(&self, at: u64) -> Result<&Self::Word, Self::Error>;
    /// The words of one line of a segment.
    fn line(&self, segment: u64, line: u64) -> Result<&[Self::Word], Self::Error>;
    /// The error for directory word `at` holding `word`, which names no segment.
    fn damaged_directory(&self, at: u64, word: u64) -> Self::Error;
}

/// What a writer's index needs besides.
pub trait IndexSpace: IndexMemory {
    /// Makes sure that the directory has `words` words, of zeros where new.
    fn ensure_directory(&self, words: u64) -> Result<(), Self::Error>;
    /// Makes sure that there are `segments` segments, of zeros where new.
    fn ensure_segments(&self, segments: u64) -> Result<(), Self::Error>;
    /// The error for more keys with one hash than a segment holds.
    fn full(&self) -> Self::Error;
}

/// The writer's side of an index: how deep it is, and which segment is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexRoot {
    /// Global depth: the directory has 2^depth words.
    pub depth: u32,
    /// Segments given out so far; 0: the index is not made yet.
    pub segments: u64,
}

fn mask(depth: u32) -> u64 {
    (1 << depth) - 1
}

/// The segment that holds `hash`, and its depth. `depth` is any global depth the index once had.
#[inline]
fn segment_of<M: IndexMemory>(
    memory: &M,
    fences: impl Fences,
    depth: u32,
    hash: u64,
) -> Result<(u64, u32), M::Error> {
    let mut used = depth.min(DEPTH_MAX);
    // Each round has a greater depth than the last, so there are at most 41.
    loop {
        let at = hash & mask(used);
        let word = memory.directory_word(at)?.load();
        fences.fence(Fence::IndexAfterDirectory); // pairs with publish in split
        let word_depth = (word & 0xff) as u32;
        if word >> 8 == 0 || word_depth > DEPTH_MAX {
            return Err(memory.damaged_directory(at, word));
        }
        if word_depth <= used {
            return Ok(((word >> 8) - 1, word_depth));
        }
        used = word_depth;
    }
}

/// Looks `hash` up. `accept` gets each value whose tag fits and says whether it is the one.
///
/// `depth` is the global depth in the reader's snapshot. The directory word must be loaded after
/// the snapshot was captured, every time.
#[inline]
pub fn find<M: IndexMemory, T>(
    shape: IndexShape,
    memory: &M,
    fences: impl Fences,
    depth: u32,
    hash: u64,
    mut accept: impl FnMut(u64) -> Result<Option<T>, M::Error>,
) -> Result<Option<T>, M::Error> {
    let (segment, _) = segment_of(memory, fences, depth, hash)?;
    let tag = hash >> 48;
    for step in 0..shape.segment_lines {
        let line = (shape.line_of(hash) + step) & (shape.segment_lines - 1);
        let words = memory.line(segment, line)?;
        let mut same = same_tags(words, tag);
        while same != 0 {
            let word = words[same.trailing_zeros() as usize].load();
            same &= same - 1;
            if let Some(value) = decode(word) {
                fences.fence(Fence::IndexAfterWord); // pairs with publish in upsert
                if let Some(found) = accept(value)? {
                    return Ok(Some(found));
                }
            }
        }
        // Words fill a line from its first place on.
        if words.last().is_some_and(|word| word.load() == 0) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The segment and line where a look-up of `hash` begins, to fetch it early by.
#[inline(always)]
pub fn first_line<M: IndexMemory>(
    shape: IndexShape,
    memory: &M,
    fences: impl Fences,
    depth: u32,
    hash: u64,
) -> Result<(u64, u64), M::Error> {
    let (segment, _) = segment_of(memory, fences, depth, hash)?;
    Ok((segment, shape.line_of(hash)))
}

/// The first value whose tag fits in the line where a look-up of `hash` begins: mostly the one that
/// [`find`] gives, so that what it names can be fetched early.
#[inline(always)]
pub fn guess<M: IndexMemory>(
    shape: IndexShape,
    memory: &M,
    fences: impl Fences,
    depth: u32,
    hash: u64,
) -> Result<Option<u64>, M::Error> {
    let (segment, line) = first_line(shape, memory, fences, depth, hash)?;
    let words = memory.line(segment, line)?;
    let same = same_tags(words, hash >> 48);
    Ok(words.get(same.trailing_zeros() as usize).and_then(|word| decode(word.load())))
}

/// One bit for each word of a line that has the tag. All words are looked at without a branch: where
/// in the line a key stands cannot be predicted, and a wrong guess would hold up the loads of the
/// look-ups that follow.
#[inline(always)]
fn same_tags(words: &[impl Word], tag: u64) -> u32 {
    let bit = |(at, word): (usize, &_)| u32::from(Word::load(word) >> 48 == tag) << at;
    words.iter().enumerate().map(bit).fold(0, |same, bit| same | bit)
}

/// Stores `value` under `hash`: over the value that `is_same` accepts, else as a new key.
/// `hash_of` gives the hash of a value already in the index.
pub fn upsert<M: IndexSpace>(
    shape: IndexShape,
    memory: &M,
    fences: impl Fences,
    root: &mut IndexRoot,
    (hash, value): (u64, u64),
    mut is_same: impl FnMut(u64) -> Result<bool, M::Error>,
    hash_of: impl Fn(u64) -> Result<u64, M::Error>,
) -> Result<(), M::Error> {
    if root.segments == 0 {
        memory.ensure_directory(1)?;
        memory.ensure_segments(1)?;
        memory.directory_word(0)?.publish(encode_directory(0, 0));
        *root = IndexRoot { depth: 0, segments: 1 };
    }
    let tag = hash >> 48;
    loop {
        let (segment, depth) = segment_of(memory, fences, root.depth, hash)?;
        // A key may lie beyond probe_lines (a split fills without that limit), so the search for
        // the same key goes on to the first empty word.
        for step in 0..shape.segment_lines {
            let line = (shape.line_of(hash) + step) & (shape.segment_lines - 1);
            for word in memory.line(segment, line)? {
                let old = word.load();
                if old == 0 {
                    if step >= shape.probe_lines {
                        break;
                    }
                    word.publish(encode(hash, value));
                    return Ok(());
                }
                if old >> 48 == tag
                    && let Some(old) = decode(old)
                    && is_same(old)?
                {
                    word.publish(encode(hash, value));
                    return Ok(());
                }
            }
            if step >= shape.probe_lines
                && memory.line(segment, line)?.iter().any(|word| word.load() == 0)
            {
                break;
            }
        }
        split(shape, memory, root, (segment, depth), hash, &hash_of)?;
    }
}

/// Splits the segment of `hash`, which has `depth`.
fn split<M: IndexSpace>(
    shape: IndexShape,
    memory: &M,
    root: &mut IndexRoot,
    (segment, depth): (u64, u32),
    hash: u64,
    hash_of: &impl Fn(u64) -> Result<u64, M::Error>,
) -> Result<(), M::Error> {
    if depth >= DEPTH_MAX {
        return Err(memory.full());
    }
    let halves = [root.segments, root.segments + 1];
    memory.ensure_segments(root.segments + 2)?;
    for line in 0..shape.segment_lines {
        for word in memory.line(segment, line)? {
            let word = word.load();
            if let Some(value) = decode(word) {
                let hash = hash_of(value)?;
                place(shape, memory, halves[(hash >> depth & 1) as usize], hash, word)?;
            }
        }
    }
    root.segments += 2;

    if depth == root.depth {
        memory.ensure_directory(2 << depth)?;
        for at in 0..1 << depth {
            let word = memory.directory_word(at)?.load();
            memory.directory_word(at + (1 << depth))?.publish(word);
        }
    }
    let global = root.depth.max(depth + 1);
    let pattern = hash & mask(depth);
    for upper in (0..1u64 << (global - depth)).rev() {
        let at = pattern | upper << depth;
        let word = encode_directory(halves[(upper & 1) as usize], depth + 1);
        memory.directory_word(at)?.publish(word); // pairs with IndexAfterDirectory
    }
    root.depth = global; // last: the next publication names it
    Ok(())
}

/// Makes an index whole whose writer died. `root` is as it was stored last: all segments ever given
/// out, and a depth that may lag.
///
/// A split that was interrupted left some directory words of a segment turned and others not. Since
/// nothing was stored into the new segments after, the old one still holds everything, and is
/// split again, into segments of its own.
pub fn repair<M: IndexSpace>(
    shape: IndexShape,
    memory: &M,
    root: &mut IndexRoot,
    hash_of: impl Fn(u64) -> Result<u64, M::Error>,
) -> Result<(), M::Error> {
    if root.segments == 0 {
        return Ok(());
    }
    if root.depth == 0 && memory.directory_word(0)?.load() == 0 {
        *root = IndexRoot::default(); // the writer died while it made the index
        return Ok(());
    }
    let segments = root.segments;
    let word_at = |at: u64| -> Result<(u64, u32), M::Error> {
        let word = memory.directory_word(at)?.load();
        let depth = (word & 0xff) as u32;
        if word >> 8 == 0 || depth > DEPTH_MAX || word >> 8 > segments {
            return Err(memory.damaged_directory(at, word));
        }
        Ok((word, depth))
    };
    // A doubling leaves a deeper word below the old end: of several, each leads to the next.
    let (mut depth, mut at) = (root.depth, 0);
    while at < 1 << depth {
        depth = depth.max(word_at(at)?.1);
        at += 1;
    }
    let mut torn = Vec::new();
    for at in 0..1 << depth {
        // Whoever has a depth has a sibling at least as deep; and the lowest word turns last.
        let (_, word_depth) = word_at(at)?;
        let lowest = at & mask(word_depth.saturating_sub(1));
        if word_at(lowest)?.1 < word_depth {
            torn.push(lowest);
        }
    }
    root.depth = depth;
    torn.sort_unstable();
    torn.dedup();
    for lowest in torn {
        let (word, depth) = word_at(lowest)?;
        split(shape, memory, root, ((word >> 8) - 1, depth), lowest, &hash_of)?;
    }
    Ok(())
}

/// Puts a word into a segment that no reader can reach yet.
fn place<M: IndexSpace>(
    shape: IndexShape,
    memory: &M,
    segment: u64,
    hash: u64,
    word: u64,
) -> Result<(), M::Error> {
    for step in 0..shape.segment_lines {
        let line = (shape.line_of(hash) + step) & (shape.segment_lines - 1);
        if let Some(empty) = memory.line(segment, line)?.iter().find(|word| word.load() == 0) {
            empty.store(word);
            return Ok(());
        }
    }
    Err(memory.full())
}
