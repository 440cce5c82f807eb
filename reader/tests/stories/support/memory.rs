//! Extents, index segments and adjacency blocks of the test writer.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use sutra_layout::adjacency::{
    Block, BlockRef, Entry, fill_new_block, find_entry, quantize, units_log2_after,
};
use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::{HEADER_SIZE, Region, Shape};
use sutra_layout::index::{INDEX, IndexMemory, IndexSpace};
use sutra_layout::index_view::IndexView;
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::{Damage, View, column, directory};

pub fn bytes_of<T: zerocopy::IntoBytes + zerocopy::Immutable>(value: &T) -> &[u8] {
    value.as_bytes()
}

pub struct Memory {
    pub view: View,
    end: Cell<u64>,
    adjacency_end: Cell<u64>,
    level_ends: [Cell<u64>; VECTOR_SPACES_MAX],
}

impl Memory {
    pub fn new(file: File) -> Memory {
        Memory {
            view: View::writable(file).unwrap(),
            end: Cell::new(HEADER_SIZE),
            adjacency_end: Cell::new(0),
            level_ends: Default::default(),
        }
    }

    /// Through the file: the page cache is the same memory that the readers map.
    pub fn put(&self, offset: u64, bytes: &[u8]) {
        self.view.map().file().write_all_at(bytes, offset).unwrap();
    }

    /// The byte of unit `ordinal` of a region, in an extent that is placed now if it was not.
    pub fn place(&self, region: Region, ordinal: u64, count: u64) -> u64 {
        let shape = self.view.shape(region).unwrap();
        let (last, _) = shape.place(ordinal + count - 1).unwrap();
        for extent in 0..=last {
            let word = self.view.header_word(directory::word_offset(region, extent));
            if word.load(Ordering::Relaxed) == 0 {
                let size = shape.extent_size(extent);
                let start = directory::aligned_start(region, size, self.end.get());
                self.end.set(start + size);
                self.view.map().file().set_len(start + size).unwrap();
                let encoded = directory::encode(region, extent, start);
                word.store(encoded, Ordering::Release);
            }
        }
        self.view.locate(region, shape, ordinal).unwrap()
    }

    /// Units of a graph's upper levels that nobody has.
    pub fn take_level_units(&self, space: usize, count: u64) -> u64 {
        let region = Region::graph_levels(space);
        let end = &self.level_ends[space];
        let unit = Shape::fixed(region).unwrap().fit(end.get(), count).unwrap();
        end.set(unit + count);
        self.place(region, unit, count);
        unit
    }

    /// Appends the entries of an edge to the lists of both its ends.
    pub fn append_entries(&self, ordinal: u32, edge: &EdgeRecord) {
        let lists = [
            (edge.source, column::OUT_HEAD, edge.target),
            (edge.target, column::IN_HEAD, edge.source),
        ];
        for (concept, head, neighbor) in lists {
            let entry = Entry {
                neighbor,
                edge: ordinal,
                ended: 0,
                edge_type: edge.edge_type,
                confidence: quantize(edge.confidence),
            };
            self.append_entry(concept, head, entry);
        }
    }

    fn append_entry(&self, concept: u32, head: usize, entry: Entry) {
        let columns = self.view.columns(concept).unwrap();
        let one = if head == column::OUT_HEAD { 1 } else { 1 << 32 };
        columns[column::ENTRIES].fetch_add(one, Ordering::Relaxed);
        let head = &columns[head];
        let newest = BlockRef::decode(head.load(Ordering::Relaxed));
        let newest = newest.map(|at| Block::open(&self.view, at).unwrap());
        let words = entry.to_words();
        if let Some(block) = newest
            && block.count() < block.capacity()
        {
            let [first, second] = block.entry_words(block.count());
            second.store(words[1], Ordering::Relaxed);
            first.store(words[0], Ordering::Release);
            return;
        }
        let full = newest.map(|block| block.at);
        let units_log2 = units_log2_after(full);
        let shape = Shape::fixed(Region::ADJACENCY).unwrap();
        let count = 1 << units_log2;
        let unit = shape.fit(self.adjacency_end.get(), count).unwrap();
        self.adjacency_end.set(unit + count);
        self.place(Region::ADJACENCY, unit, count);
        let at = BlockRef { unit, units_log2 };
        fill_new_block(&self.view, at, full, entry).unwrap();
        head.store(at.encode(), Ordering::Release);
    }

    /// Marks the entries of edge `ended` as ended by edge `by`.
    pub fn end_entries(&self, (source, target): (u32, u32), ended: u32, by: u32) {
        for (concept, head) in [(source, column::OUT_HEAD), (target, column::IN_HEAD)] {
            let head = self.view.columns(concept).unwrap()[head].load(Ordering::Relaxed);
            let (block, place) = find_entry(&self.view, head, ended).unwrap().unwrap();
            let [_, second] = block.entry_words(place);
            let word = second.load(Ordering::Relaxed);
            second.store(word | (u64::from(by) + 1), Ordering::Release);
        }
    }
}

/// One of the two indexes, with room for as much as a test writes.
pub struct TestIndex<'a> {
    memory: &'a Memory,
    index: IndexView<'a>,
    directory: Region,
    segments: Region,
}

impl<'a> TestIndex<'a> {
    pub fn ids(memory: &'a Memory) -> TestIndex<'a> {
        TestIndex {
            memory,
            index: memory.view.id_index(),
            directory: Region::ID_DIRECTORY,
            segments: Region::ID_SEGMENTS,
        }
    }

    pub fn edges(memory: &'a Memory) -> TestIndex<'a> {
        TestIndex {
            memory,
            index: memory.view.edge_index(),
            directory: Region::EDGE_DIRECTORY,
            segments: Region::EDGE_SEGMENTS,
        }
    }
}

impl IndexMemory for TestIndex<'_> {
    type Word = AtomicU64;
    type Error = Damage;

    fn directory_word(&self, at: u64) -> Result<&AtomicU64, Damage> {
        self.index.directory_word(at)
    }

    fn line(&self, segment: u64, line: u64) -> Result<&[AtomicU64], Damage> {
        self.index.line(segment, line)
    }

    fn damaged_directory(&self, at: u64, word: u64) -> Damage {
        self.index.damaged_directory(at, word)
    }
}

impl IndexSpace for TestIndex<'_> {
    fn ensure_directory(&self, words: u64) -> Result<(), Damage> {
        self.memory.place(self.directory, words - 1, 1);
        Ok(())
    }

    fn ensure_segments(&self, segments: u64) -> Result<(), Damage> {
        let words = segments * INDEX.segment_words();
        self.memory.place(self.segments, words - 1, 1);
        Ok(())
    }

    fn full(&self) -> Damage {
        Damage::new(0, "a test's index", 0, "room for all keys")
    }
}
