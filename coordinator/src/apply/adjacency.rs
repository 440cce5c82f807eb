//! Appending to the lists of a concept's associations, and ending what is in them.

use std::sync::atomic::Ordering;

use sutra_layout::Damage;
use sutra_layout::adjacency::{
    Block, BlockRef, Entry, fill_new_block, find_entry, units_log2_after, units_log2_for,
};
use sutra_layout::column::{ENTRIES, OUT_HEAD};
use sutra_layout::geometry::Region;
use sutra_layout::view::View;

use super::Writer;
use crate::error::CoordinatorError;

/// The newest block of a list, and how many entries it has unless the last writer died before it
/// could count one.
#[inline]
fn newest_block(
    view: &View,
    concept: u32,
    head: usize,
) -> Result<Option<(BlockRef, usize)>, Damage> {
    let columns = view.columns(concept)?;
    let Some(at) = BlockRef::decode(columns[head].load(Ordering::Relaxed)) else {
        return Ok(None);
    };
    let entries = columns[ENTRIES].load(Ordering::Relaxed);
    let entries = if head == OUT_HEAD { entries as u32 } else { (entries >> 32) as u32 };
    Ok(Some((at, at.count_of_list(entries))))
}

impl Writer {
    /// Appends `entry` to the list that column word `head` of `concept` names, unless the list
    /// already ends with it or a later one: then a first application got so far before it was cut.
    pub(super) fn append_entry(
        &mut self,
        concept: u32,
        head: usize,
        entry: Entry,
    ) -> Result<(), CoordinatorError> {
        self.image.ensure(Region::COLUMNS, u64::from(concept) + 1)?;
        let view = self.image.view();
        let Some((at, likely_count)) = newest_block(view, concept, head)? else {
            return self.push_block(concept, head, None, entry);
        };
        let block = Block::open(view, at)?;
        let count = block.count_near(likely_count);
        if count > 0 && block.entry(count - 1).is_some_and(|last| last.edge >= entry.edge) {
            return Ok(());
        }
        if count == block.capacity() {
            return self.push_block(concept, head, Some(at), entry);
        }
        let words = entry.to_words();
        let places = block.entry_words(count);
        places[1].store(words[1], Ordering::Relaxed);
        places[0].store(words[0], Ordering::Release); // pairs with the fence in Block::entry
        self.count_entry(concept, head)
    }

    /// Asks the processor for where the next entry of a list goes. Its column should be there.
    pub(super) fn warm_list(&self, concept: u32, head: usize) {
        let view = self.image.view();
        if let Ok(Some((at, likely_count))) = newest_block(view, concept, head) {
            at.prefetch_places(view, likely_count);
        }
    }

    /// Puts a new block with `entry` in place of the block at `full`, or on top of it.
    fn push_block(
        &mut self,
        concept: u32,
        head: usize,
        full: Option<BlockRef>,
        entry: Entry,
    ) -> Result<(), CoordinatorError> {
        let units_log2 = units_log2_after(full);
        let at = BlockRef {
            unit: self.image.take_units(Region::ADJACENCY, 1 << units_log2)?,
            units_log2,
        };
        let view = self.image.view();
        fill_new_block(view, at, full, entry)?;
        // Pairs with the fence in Block::open: who sees the head sees the block.
        view.columns(concept)?[head].store(at.encode(), Ordering::Release);
        if let Some(full) = full.filter(|full| !full.is_chained()) {
            let outgrown = self.image.outgrown_units();
            let units = outgrown.load(Ordering::Relaxed) + (1 << full.units_log2);
            outgrown.store(units, Ordering::Relaxed);
        }
        self.count_entry(concept, head)
    }

    /// Gives a list that is empty a block for `count` entries, so that it does not outgrow others on
    /// the way.
    pub(crate) fn place_list(
        &mut self,
        concept: u32,
        head: usize,
        count: u32,
    ) -> Result<(), CoordinatorError> {
        let units_log2 = units_log2_for(count);
        let unit = self.image.take_units(Region::ADJACENCY, 1 << units_log2)?;
        let word = &self.image.view().columns(concept)?[head];
        word.store(BlockRef { unit, units_log2 }.encode(), Ordering::Release);
        Ok(())
    }

    fn count_entry(&self, concept: u32, head: usize) -> Result<(), CoordinatorError> {
        let word = &self.image.view().columns(concept)?[ENTRIES];
        let one = if head == OUT_HEAD { 1 } else { 1 << 32 };
        word.store(word.load(Ordering::Relaxed).wrapping_add(one), Ordering::Relaxed);
        Ok(())
    }

    /// Says that edge `by` replaced or ended edge `edge`, in the list of one of its ends.
    pub(crate) fn end_entry(
        &mut self,
        concept: u32,
        head: usize,
        edge: u32,
        by: u32,
    ) -> Result<(), CoordinatorError> {
        let view = self.image.view();
        let list = view.columns(concept)?[head].load(Ordering::Relaxed);
        if let Some((block, at)) = find_entry(view, list, edge)?
            && let Some(entry) = block.entry(at)
        {
            let ended = Entry { ended: by + 1, ..entry };
            block.entry_words(at)[1].store(ended.to_words()[1], Ordering::Release);
        }
        Ok(())
    }
}
