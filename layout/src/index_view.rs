//! Both indexes as they lie in the file.

use std::sync::atomic::AtomicU64;

use crate::error::Damage;
use crate::geometry::{Region, Shape};
use crate::index::{self, INDEX, IndexMemory};
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
        let at =
            segment.saturating_mul(INDEX.segment_words()).saturating_add(line * INDEX.line_words);
        self.view.words_of(self.segments, WORD_SHAPE, at, INDEX.line_words)
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
