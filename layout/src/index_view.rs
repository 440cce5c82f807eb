//! Both indexes as they lie in the file.

use std::sync::atomic::AtomicU64;

use crate::error::Damage;
use crate::geometry::{Region, Shape};
use crate::index::{self, INDEX, IndexMemory};
use crate::sync::AllFences;
use crate::view::View;

const WORD_SHAPE: Shape = Shape::new(8);

/// An index as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub struct IndexView<'a> {
    view: &'a View,
    segments: Region,
    directory: Region,
}

impl<'a> IndexView<'a> {
    /// The index whose segments and directory lie in these regions.
    pub(crate) fn new(view: &'a View, segments: Region, directory: Region) -> IndexView<'a> {
        IndexView { view, segments, directory }
    }

    /// Asks the processor for the line where a look-up of `hash` begins.
    #[inline(always)]
    pub fn prefetch(&self, depth: u32, hash: u64) {
        // What is wrong with the directory, the look-up itself will say.
        if let Ok((segment, line)) = index::first_line(INDEX, self, AllFences, depth, hash) {
            self.view.prefetch(self.segments, WORD_SHAPE, first_word(segment, line), 1);
        }
    }
}

/// The first word of a line, counted from the region's start.
#[inline(always)]
fn first_word(segment: u64, line: u64) -> u64 {
    segment.saturating_mul(INDEX.segment_words()).saturating_add(line * INDEX.line_words)
}

impl IndexMemory for IndexView<'_> {
    type Word = AtomicU64;
    type Error = Damage;

    #[inline(always)]
    fn directory_word(&self, at: u64) -> Result<&AtomicU64, Damage> {
        Ok(&self.view.words_of(self.directory, WORD_SHAPE, at, 1)?[0])
    }

    #[inline(always)]
    fn line(&self, segment: u64, line: u64) -> Result<&[AtomicU64], Damage> {
        self.view.words_of(self.segments, WORD_SHAPE, first_word(segment, line), INDEX.line_words)
    }

    fn damaged_directory(&self, at: u64, word: u64) -> Damage {
        let offset = self.view.locate(self.directory, WORD_SHAPE, at).unwrap_or(0);
        Damage::new(
            offset,
            "an index directory word",
            word,
            format!("a segment at a depth of at most {}", index::DEPTH_MAX),
        )
    }
}
