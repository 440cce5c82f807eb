//! A long list of associations, written as the coordinator writes one, and read back.

mod file;

use std::sync::atomic::Ordering;

use file::TestFile;
use sutra_layout::View;
use sutra_layout::adjacency::{
    Block, BlockRef, Entries, Entry, UNIT_SIZE, UNITS_LOG2_MAX, find_entry, quantize,
};
use sutra_layout::geometry::{Region, Shape};
use sutra_layout::record::skip_of;

const UNITS: Shape = Shape::new(UNIT_SIZE);
/// Extents of 1,024, 2,048, … units.
const EXTENTS: usize = 6;

/// The writer's side of one list.
struct List {
    view: View,
    head: u64,
    units: u64,
    blocks: Vec<BlockRef>,
}

impl List {
    fn new() -> List {
        let mut file = TestFile::empty_store();
        for extent in 0..EXTENTS {
            file.place(Region::ADJACENCY, UNITS, extent);
        }
        List { view: file.writable_view(), head: 0, units: 0, blocks: Vec::new() }
    }

    /// A list of edges 0, 3, 6, …
    fn of_edges(count: u32) -> List {
        let mut list = List::new();
        for at in 0..count {
            list.append(entry(3 * at));
        }
        list
    }

    fn block(&self, at: BlockRef) -> Block<'_> {
        Block::open(&self.view, at).unwrap()
    }

    fn append(&mut self, entry: Entry) {
        let newest = BlockRef::decode(self.head);
        let is_full = |at| self.block(at).count() == self.block(at).capacity();
        if newest.is_none_or(is_full) {
            self.push(newest);
        }
        let block = self.block(*self.blocks.last().unwrap());
        let places = block.entry_words(block.count());
        places[1].store(entry.to_words()[1], Ordering::Relaxed);
        places[0].store(entry.to_words()[0], Ordering::Release);
    }

    fn push(&mut self, below: Option<BlockRef>) {
        let units_log2 = below.map_or(0, |at| (at.units_log2 + 1).min(UNITS_LOG2_MAX));
        let unit = UNITS.fit(self.units, 1 << units_log2).unwrap();
        self.units = unit + (1 << units_log2);
        let at = BlockRef { unit, units_log2 };

        let depth = |unit: u64| self.block(self.block_at(unit)).depth();
        let jump_of = |unit: u64| {
            let skip = self.block(self.block_at(unit)).skip().unwrap()?;
            Some((skip.unit, depth(skip.unit)))
        };
        let next = below.map(|below| (below, depth(below.unit)));
        let skip = next.map(|(below, depth)| self.block_at(skip_of((below.unit, depth), jump_of)));
        let words = Block::head_words(next, skip);
        for (word, value) in self.block(at).head().into_iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.blocks.push(at);
        self.head = at.encode();
    }

    fn block_at(&self, unit: u64) -> BlockRef {
        let at = self.blocks.binary_search_by_key(&unit, |block| block.unit);
        self.blocks[at.unwrap()]
    }

    fn find(&self, edge: u32) -> Option<Entry> {
        let found = find_entry(&self.view, self.head, edge).unwrap();
        found.map(|(block, at)| block.entry(at).unwrap())
    }
}

fn entry(edge: u32) -> Entry {
    Entry {
        neighbor: edge ^ 0x5555_5555,
        edge,
        ended: 0,
        edge_type: edge as u16,
        confidence: quantize(0.5),
    }
}

#[test]
fn a_list_gives_its_entries_newest_first() {
    for count in [0, 1, 3, 4, 10, 11, 50_000] {
        let list = List::of_edges(count);
        let read: Vec<Entry> =
            Entries::new(&list.view, list.head).collect::<Result<_, _>>().unwrap();
        let expected: Vec<Entry> = (0..count).rev().map(|at| entry(3 * at)).collect();
        assert!(read == expected, "{count} entries");
    }
}

#[test]
fn blocks_double_up_to_four_kibibytes_and_know_their_depth() {
    let list = List::of_edges(5_000);
    for (depth, at) in list.blocks.iter().enumerate() {
        assert_eq!(at.units_log2, (depth as u32).min(UNITS_LOG2_MAX));
        assert_eq!(list.block(*at).depth() as usize, depth);
        let below = depth.checked_sub(1).map(|below| list.blocks[below]);
        assert_eq!(list.block(*at).next().unwrap(), below);
    }
}

#[test]
fn every_entry_of_a_list_is_found_and_no_other() {
    for count in [0, 1, 3, 4, 700, 20_000] {
        let list = List::of_edges(count);
        for edge in 0..3 * count + 3 {
            let expected = (edge % 3 == 0 && edge < 3 * count).then(|| entry(edge));
            assert_eq!(list.find(edge), expected, "edge {edge} of {count}");
        }
        assert_eq!(list.find(u32::MAX - 1), None);
    }
}

#[test]
fn an_ended_entry_leaves_the_snapshots_that_know_it() {
    let list = List::of_edges(1_000);
    let (block, at) = find_entry(&list.view, list.head, 300).unwrap().unwrap();
    let ended = Entry { ended: 2_000 + 1, ..entry(300) };
    block.entry_words(at)[1].store(ended.to_words()[1], Ordering::Release);

    assert_eq!(list.find(300), Some(ended));
    let living = |edge_count: u64| {
        let entries = Entries::new(&list.view, list.head).map(Result::unwrap);
        entries.filter(|entry| entry.lives_in(edge_count)).count()
    };
    assert_eq!(living(3_000), 999);
    assert_eq!(living(2_000), 667, "edges 0, 3, … 1998; 300 is among them");
    assert_eq!(living(300), 100);
}

/// A block whose pointers are damaged is an error to a walk that goes on from it; so breaking one
/// block after the other counts the ones that a walk needs.
#[test]
fn an_entry_is_found_over_a_logarithm_of_blocks() {
    let list = List::of_edges(100_000);
    let blocks = list.blocks.len();
    assert!(blocks > 390, "{blocks} blocks");
    let mut walks = Vec::new();
    for edge in [0, 3, 30_000, 90_000, 150_000, 222_222, 299_997] {
        let is_needed = |at: &&BlockRef| {
            let head = list.block(**at).head();
            let whole = head.map(|word| word.load(Ordering::Relaxed));
            for word in head {
                word.store((1 << 48) - 1, Ordering::Relaxed);
            }
            let found = find_entry(&list.view, list.head, edge);
            for (word, value) in head.into_iter().zip(whole) {
                word.store(value, Ordering::Relaxed);
            }
            found.is_err()
        };
        walks.push(list.blocks.iter().filter(is_needed).count());
    }
    println!("blocks on the way to some of {blocks}: {walks:?}");
    assert!(walks.iter().all(|walk| *walk <= 18), "{walks:?}");
    assert!(walks[0] >= 4, "the oldest is some steps away: {walks:?}");
}
