//! A long list of associations, written as the coordinator writes one, and read back.

mod file;

use std::sync::atomic::Ordering;

use file::TestFile;
use sutra_layout::View;
use sutra_layout::adjacency::{
    Block, BlockRef, Entries, Entry, UNIT_SIZE, UNITS_LOG2_MAX, fill_new_block, find_entry,
    quantize, units_log2_after,
};
use sutra_layout::geometry::{Region, Shape};

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
            return self.push(newest, entry);
        }
        let block = self.block(*self.blocks.last().unwrap());
        let places = block.entry_words(block.count());
        places[1].store(entry.to_words()[1], Ordering::Relaxed);
        places[0].store(entry.to_words()[0], Ordering::Release);
    }

    fn push(&mut self, full: Option<BlockRef>, entry: Entry) {
        let units_log2 = units_log2_after(full);
        let unit = UNITS.fit(self.units, 1 << units_log2).unwrap();
        self.units = unit + (1 << units_log2);
        let at = BlockRef { unit, units_log2 };
        fill_new_block(&self.view, at, full, entry).unwrap();
        self.blocks.push(at);
        self.head = at.encode();
    }

    /// The blocks that the list consists of by now, oldest first.
    fn chain(&self) -> &[BlockRef] {
        let chained = self.blocks.partition_point(|at| !at.is_chained());
        &self.blocks[chained..]
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
fn blocks_double_up_to_four_kibibytes_and_then_form_a_chain() {
    let list = List::of_edges(5_000);
    for (number, at) in list.blocks.iter().enumerate() {
        assert_eq!(at.units_log2, (number as u32).min(UNITS_LOG2_MAX));
        let entries = if at.is_chained() { 255 } else { 4 << number };
        assert_eq!(list.block(*at).capacity(), entries);
    }
    let older: Vec<_> = list.chain().iter().map(|at| list.block(*at).next().unwrap()).collect();
    assert_eq!(older[0], None, "what was before was copied");
    assert!(older[1..].iter().flatten().eq(&list.chain()[..older.len() - 1]));
}

/// What a reader found before it was copied stays as it was.
#[test]
fn a_block_that_was_copied_still_gives_what_it_had() {
    let mut list = List::of_edges(16);
    let head = list.head;
    for at in 16..40 {
        list.append(entry(3 * at));
    }
    assert_ne!(list.head, head);
    let old: Vec<Entry> = Entries::new(&list.view, head).collect::<Result<_, _>>().unwrap();
    assert!(old.iter().eq((0..16).rev().map(|at| entry(3 * at)).collect::<Vec<_>>().iter()));
}

#[test]
fn entries_are_counted_by_a_hint_and_without_one() {
    for count in [1, 3, 4, 5, 100, 128] {
        let list = List::of_edges(count);
        let block = list.block(*list.blocks.last().unwrap());
        for hint in [0, 1, count as usize - 1, count as usize, count as usize + 1, 500] {
            assert_eq!(block.count_near(hint), count as usize, "hint {hint}");
        }
        for edge in 0..3 * u64::from(count) + 2 {
            let below = block.count_below(count as usize, edge);
            assert_eq!(below as u64, edge.div_ceil(3).min(u64::from(count)), "below {edge}");
        }
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
    let blocks = list.chain().len();
    assert!(blocks > 390, "{blocks} blocks");
    let mut walks = Vec::new();
    for edge in [0, 3, 30_000, 90_000, 150_000, 222_222, 299_997] {
        let is_needed = |at: &&BlockRef| {
            let block = list.view.words(Region::ADJACENCY, at.unit, 2).unwrap();
            let head = [&block[0], &block[1]];
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
        walks.push(list.chain().iter().filter(is_needed).count());
    }
    println!("blocks on the way to some of {blocks}: {walks:?}");
    assert!(walks.iter().all(|walk| *walk <= 18), "{walks:?}");
    assert!(walks[0] >= 4, "the oldest is some steps away: {walks:?}");
}
