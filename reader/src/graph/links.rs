//! A walk over one list of a concept, newest association first, as a snapshot sees it.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use sutra_layout::Damage;
use sutra_layout::adjacency::{Block, BlockRef, Entry};
use sutra_layout::column;
use sutra_layout::slot::Slot;
use sutra_layout::view::View;

use super::Direction;
use crate::snapshot::Snapshot;

/// One of the two lists of a concept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Out,
    In,
}

impl List {
    /// Which way its associations lead from the concept.
    #[inline]
    pub(crate) fn direction(self) -> Direction {
        match self {
            List::Out => Direction::Out,
            List::In => Direction::In,
        }
    }
}

/// What a concept's column says of one of its lists. It is loaded after the snapshot was captured,
/// so the list is at least as new.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    /// The newest block.
    block: u64,
    /// Entries ever appended, or one fewer.
    entries: u32,
}

impl Head {
    /// The head of a list of concept `ordinal`; empty if the snapshot has no such concept.
    #[inline(always)]
    pub(crate) fn load(snapshot: &Snapshot, ordinal: u32, list: List) -> Result<Head, Damage> {
        if u64::from(ordinal) >= snapshot.slot().concepts {
            return Ok(Head::default());
        }
        let columns = snapshot.view().columns(ordinal)?;
        let entries = columns[column::ENTRIES].load(Ordering::Relaxed);
        let (word, entries) = match list {
            List::Out => (column::OUT_HEAD, entries as u32),
            List::In => (column::IN_HEAD, (entries >> 32) as u32),
        };
        Ok(Head { block: columns[word].load(Ordering::Relaxed), entries })
    }

    /// Entries ever appended, as far as the column knows: ended ones too.
    #[inline(always)]
    pub(crate) fn entries(self) -> u64 {
        self.entries.into()
    }

    /// Asks the processor for the entries that a walk meets first.
    #[inline(always)]
    pub(crate) fn prefetch(self, view: &View) {
        let Some(at) = BlockRef::decode(self.block) else { return };
        if at.is_chained() {
            view.prefetch_adjacency(at.unit, 1);
            let last = newest_count(self.entries) as u64 / 4;
            view.prefetch_adjacency(at.unit + last.saturating_sub(2), 3);
        } else {
            view.prefetch_adjacency(at.unit, u64::from(self.entries).div_ceil(4).clamp(1, 8));
        }
    }
}

/// Places that are filled in the newest of a chain's blocks of 255, if the count is right.
#[inline]
fn newest_count(entries: u32) -> usize {
    (entries.saturating_sub(1) % 255) as usize + 1
}

/// The walk.
pub(crate) struct Links<'s> {
    view: &'s View,
    slot: &'s Slot,
    block: Option<Block<'s>>,
    /// Entries of the block still to come.
    left: usize,
    /// Edges come in descending order; the next is below it.
    edge_end: u64,
}

impl<'s> Links<'s> {
    /// The associations before edge `edge_end` of the list that `head` names.
    #[inline(always)]
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        head: Head,
        edge_end: u64,
    ) -> Result<Links<'s>, Damage> {
        let (view, slot) = (snapshot.view(), snapshot.slot());
        let edge_end = edge_end.min(slot.edges);
        let mut links = Links { view, slot, block: None, left: 0, edge_end };
        if let Some(at) = BlockRef::decode(head.block) {
            if at.is_chained() {
                links.open_chain(at, newest_count(head.entries))?;
            } else {
                links.open(at, head.entries as usize)?;
            }
        }
        Ok(links)
    }

    /// Goes to the block at `at`, in which about `hint` places are filled. Those that are too new are
    /// stepped over in a logarithm of their number.
    #[inline(always)]
    fn open(&mut self, at: BlockRef, hint: usize) -> Result<(), Damage> {
        let block = Block::open(self.view, at)?;
        let count = block.count_near(hint);
        self.left = block.count_below(count, self.edge_end);
        self.block = Some(block);
        Ok(())
    }

    /// Goes to the newest block of a chain from `newest` on that holds an edge to walk to.
    #[inline(never)]
    fn open_chain(&mut self, newest: BlockRef, hint: usize) -> Result<(), Damage> {
        let Some(at) = chain_below(self.view, newest, self.edge_end)? else { return Ok(()) };
        let hint = if at == newest { hint } else { 255 };
        self.open(at, hint)?;
        if let Some(next) = self.block.map(|block| block.next()).transpose()?.flatten() {
            // Its newest entries come next, and they are at its end.
            self.view.prefetch_adjacency(next.unit, 1);
            self.view.prefetch_adjacency(next.unit + 60, 4);
        }
        Ok(())
    }

    /// Goes to the next older block, if there is one.
    #[inline(always)]
    fn open_next(&mut self) -> Result<bool, Damage> {
        let Some(block) = self.block.take_if(|block| block.at.is_chained()) else {
            return Ok(false);
        };
        let Some(next) = block.next()? else { return Ok(false) };
        self.open_chain(next, 255)?;
        Ok(self.block.is_some())
    }

    /// The entry at a place of the block, if it lives in the snapshot. Its time limit is not looked
    /// at yet.
    #[inline(always)]
    fn read(&mut self, block: &Block<'s>, place: usize) -> Result<Option<Entry>, Damage> {
        let Some(entry) = block.entry(place) else { return Ok(None) };
        let edge = u64::from(entry.edge);
        // It ends every walk, however the blocks of a damaged file hang together.
        if edge >= self.edge_end {
            return Err(out_of_order(edge, self.edge_end));
        }
        self.edge_end = edge;
        if !entry.lives_in(self.slot.edges) {
            return Ok(None);
        }
        if u64::from(entry.neighbor) >= self.slot.concepts {
            return Err(no_such_neighbor(entry.neighbor, self.slot.concepts));
        }
        Ok(Some(entry))
    }

    /// The next entry that lives in the snapshot.
    #[inline]
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, Damage> {
        loop {
            let Some(block) = self.block else { return Ok(None) };
            while self.left > 0 {
                self.left -= 1;
                if let Some(entry) = self.read(&block, self.left)? {
                    return Ok(Some(entry));
                }
            }
            if !self.open_next()? {
                return Ok(None);
            }
        }
    }

    /// Gives every entry that lives in the snapshot to `visit`, until that breaks off.
    #[inline(always)]
    pub(crate) fn each<E: From<Damage>>(
        mut self,
        mut visit: impl FnMut(Entry) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        loop {
            let Some(block) = self.block else { return Ok(ControlFlow::Continue(())) };
            for place in (0..self.left).rev() {
                if let Some(entry) = self.read(&block, place)?
                    && visit(entry)?.is_break()
                {
                    return Ok(ControlFlow::Break(()));
                }
            }
            self.left = 0;
            if !self.open_next()? {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }
}

#[cold]
fn out_of_order(edge: u64, edge_end: u64) -> Damage {
    Damage::new(0, "an edge in a list", edge, format!("below {edge_end}"))
}

#[cold]
fn no_such_neighbor(found: u32, concepts: u64) -> Damage {
    Damage::new(0, "a neighbor's ordinal", found.into(), format!("below {concepts}"))
}

/// The newest block of a chain that holds an edge below `edge_end`: a store as it was, an old
/// snapshot, or a later page need not walk past all that came since. A logarithm of blocks is
/// looked at.
fn chain_below(view: &View, newest: BlockRef, edge_end: u64) -> Result<Option<BlockRef>, Damage> {
    let is_above =
        |block: &Block<'_>| block.entry(0).is_none_or(|oldest| u64::from(oldest.edge) >= edge_end);
    let mut next = Some(newest);
    // Each step leads to a lower unit, so the walk ends.
    while let Some(at) = next {
        let block = Block::open(view, at)?;
        if !is_above(&block) {
            return Ok(Some(at));
        }
        next = block.next()?;
        if let Some(skip) = block.skip()?
            && is_above(&Block::open(view, skip)?)
        {
            next = Some(skip);
        }
    }
    Ok(None)
}
