//! The lists of associations: both directions hold exactly the edges that they should.

use std::sync::atomic::{Ordering, fence};

use sutra_layout::adjacency::{Block, BlockRef, Entry, UNIT_SIZE, quantize};
use sutra_layout::column::{IN_HEAD, OUT_HEAD};
use sutra_layout::geometry::Region;

use super::{Bits, Deep};

/// What was seen while the lists were walked.
struct Walked {
    /// By edge: it stands in the list of its source, and in that of its target.
    edges: [Bits; 2],
    /// By concept: its list leads astray, which was told, so no edge is missed in it.
    lost: [Bits; 2],
    /// Units that belong to some block.
    units: Bits,
    /// Behind the last of them.
    units_end: u64,
    entries: u64,
}

/// One list: of which concept, and which of its two.
#[derive(Clone, Copy)]
struct List {
    concept: u32,
    head: usize,
}

impl List {
    /// 0 for associations from the concept, 1 for those to it.
    fn side(self) -> usize {
        usize::from(self.head != OUT_HEAD)
    }

    fn name(self) -> &'static str {
        if self.head == OUT_HEAD {
            "the list of associations from"
        } else {
            "the list of associations to"
        }
    }
}

impl Deep<'_> {
    pub(super) fn lists(&mut self) -> String {
        let slot = self.slot;
        // What was given out is in the file, whatever the word says.
        let units_max = self.view().map().size() / UNIT_SIZE;
        let mut walked = Walked {
            edges: [Bits::new(slot.edges), Bits::new(slot.edges)],
            lost: [Bits::new(slot.concepts), Bits::new(slot.concepts)],
            units: Bits::new(self.live_end(Region::ADJACENCY).min(units_max)),
            units_end: 0,
            entries: 0,
        };
        for concept in 0..slot.concepts as u32 {
            self.advance(concept.into(), slot.concepts);
            for head in [OUT_HEAD, IN_HEAD] {
                let list = List { concept, head };
                if self.list(list, &mut walked).is_none() {
                    walked.lost[list.side()].set(concept.into());
                }
            }
        }
        self.given_out(Region::ADJACENCY, walked.units_end);
        for ordinal in 0..slot.edges {
            if !self.edges.broken.get(ordinal) {
                self.edge_is_listed(ordinal, &walked);
            }
        }
        format!("{} entries", walked.entries)
    }

    fn edge_is_listed(&mut self, ordinal: u64, walked: &Walked) {
        let Ok(edge) = self.view().edge(ordinal, &self.slot) else { return };
        if edge.is_tombstone() {
            return; // it ended an entry and has none
        }
        for (at, (end, head)) in
            [(edge.source, OUT_HEAD), (edge.target, IN_HEAD)].iter().enumerate()
        {
            if !walked.edges[at].get(ordinal) && !walked.lost[at].get((*end).into()) {
                let list = List { concept: *end, head: *head };
                let what = format!("{} concept {end}", list.name());
                self.found((Region::EDGES, ordinal), what, "without it", "one with it");
            }
        }
    }

    /// Walks one list to its end; `None` if it leads astray.
    fn list(&mut self, list: List, walked: &mut Walked) -> Option<()> {
        let view = self.view();
        let place = (Region::COLUMNS, list.concept.into());
        let head = match view.columns(list.concept) {
            Ok(words) => words[list.head].load(Ordering::Relaxed),
            Err(_) => return None, // told with the columns
        };
        fence(Ordering::Acquire); // pairs with the release store of the column word
        let mut blocks: Vec<(BlockRef, Option<BlockRef>, u32)> = Vec::new();
        let mut next = BlockRef::decode(head);
        if head != next.map_or(0, BlockRef::encode) {
            let expected = "a block and its size, or 0";
            self.found(place, format!("the head of {}", list.name()), head, expected);
            return None;
        }
        let mut newer = None;
        while let Some(at) = next {
            let opened = Block::open(view, at).and_then(|block| {
                let older = (block.next()?, block.skip()?);
                Ok((block, older))
            });
            let (block, (older, skip)) = match opened {
                Ok(opened) => opened,
                Err(damage) => {
                    self.damaged(place, &damage);
                    return None;
                }
            };
            self.block_units(list, at, walked);
            blocks.push((at, skip, block.depth()));
            for at in (0..block.count()).rev() {
                if let Some(entry) = block.entry(at) {
                    self.entry(list, block.at.unit, entry, &mut newer, walked)?;
                }
            }
            next = older;
        }
        self.block_heads(&blocks);
        Some(())
    }

    /// A block lies in no other list.
    fn block_units(&mut self, list: List, at: BlockRef, walked: &mut Walked) {
        let end = at.unit + (1 << at.units_log2);
        walked.units_end = walked.units_end.max(end);
        let mut is_shared = false;
        for unit in at.unit..end {
            is_shared |= walked.units.set(unit);
        }
        if is_shared {
            let what = format!("a block of concept {}", list.concept);
            self.found(
                (Region::ADJACENCY, at.unit),
                what,
                "in another list too",
                "in this one only",
            );
        }
    }

    /// Depths count the older blocks, and skips lead to one of them.
    fn block_heads(&mut self, blocks: &[(BlockRef, Option<BlockRef>, u32)]) {
        for (index, (at, skip, depth)) in blocks.iter().enumerate() {
            let older = &blocks[index + 1..];
            let expected = (older.len() as u64).min(0xffff) as u32;
            if *depth != expected {
                self.found((Region::ADJACENCY, at.unit), "a block's depth", depth, expected);
            }
            let leads = match skip {
                None => older.is_empty(),
                // Older blocks lie below newer ones.
                Some(skip) => older
                    .binary_search_by(|(older, ..)| skip.unit.cmp(&older.unit))
                    .is_ok_and(|found| older[found].0 == *skip),
            };
            if !leads {
                let found = skip.map_or("none".to_owned(), |skip| format!("unit {}", skip.unit));
                let expected = "an older block of its list";
                self.found((Region::ADJACENCY, at.unit), "where a block skips to", found, expected);
            }
        }
    }

    /// Checks one entry against its edge; `newer` is the edge of the entry before it in the walk.
    /// `None` if it is no entry of this list at all.
    fn entry(
        &mut self,
        list: List,
        unit: u64,
        entry: Entry,
        newer: &mut Option<u32>,
        walked: &mut Walked,
    ) -> Option<()> {
        let (view, slot) = (self.view(), self.slot);
        let place = (Region::ADJACENCY, unit);
        let of = |what: &str| format!("{what} of an entry of edge {}", entry.edge);
        if newer.is_some_and(|newer| newer <= entry.edge) {
            let what = format!("the order in {} concept {}", list.name(), list.concept);
            self.found(place, what, entry.edge, "an edge older than the one behind it");
        }
        *newer = Some(entry.edge);
        let ordinal = u64::from(entry.edge);
        if ordinal >= slot.edges {
            return Some(()); // it came later
        }
        walked.entries += 1;
        let at = list.side();
        let edge = view.edge(ordinal, &slot).ok().filter(|_| !self.edges.broken.get(ordinal));
        let Some(edge) = edge else { return Some(()) }; // told there
        let ends = [edge.source, edge.target];
        let (own, other) = (ends[at], ends[1 - at]);
        if own != list.concept || edge.is_tombstone() {
            let side = ["source", "target"][at];
            let expected = format!("an entry of an edge whose {side} is {}", list.concept);
            self.found(place, of("the list"), own, expected);
            return None;
        }
        if walked.edges[at].set(ordinal) {
            self.found(place, of("the number"), "2 or more", 1);
        }
        for (what, found, expected) in [
            ("the neighbor", entry.neighbor, other),
            ("the type", entry.edge_type.into(), edge.edge_type.into()),
            ("the confidence", entry.confidence.into(), quantize(edge.confidence).into()),
        ] {
            if found != expected {
                self.found(place, of(what), found, expected);
            }
        }
        self.ended(place, entry);
        Some(())
    }

    /// `ended` is 0 as long as no edge follows, and else names the one that does.
    fn ended(&mut self, place: (Region, u64), entry: Entry) {
        let what = || format!("`ended` of an entry of edge {}", entry.edge);
        let is_superseded = self.edges.superseded.get(entry.edge.into());
        let by = u64::from(entry.ended).checked_sub(1).filter(|by| *by < self.slot.edges);
        let Some(by) = by else {
            if is_superseded {
                let expected = "1 + the edge that replaced or ended it";
                self.found(place, what(), entry.ended, expected);
            }
            return;
        };
        if self.edges.broken.get(by) {
            return;
        }
        let previous = self.view().edge(by, &self.slot).map(|edge| edge.previous);
        if previous.ok() != Some(entry.edge + 1) {
            let expected = if is_superseded { "the edge that follows it" } else { "0" };
            self.found(place, what(), entry.ended, expected);
        }
    }
}
