//! A store with a little of everything, for a test to damage.

use std::sync::atomic::Ordering;

use sutra_layout::adjacency::{
    Block, BlockRef, Entry, UNITS_LOG2_MAX, fill_new_block, units_log2_after,
};
use sutra_layout::blob::{BlobHead, blob_space};
use sutra_layout::checksum::{edge_hash, id_hash};
use sutra_layout::column::{IN_HEAD, NEWEST, OUT_HEAD};
use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::{
    COMMIT_SEQ_OFFSET, DURABLE_SLOTS_OFFSET, RING_OFFSET, RUN_MARK_OFFSET, Region, SPACES_OFFSET,
    Shape,
};
use sutra_layout::index::{INDEX, IndexMemory, IndexRoot, IndexSpace, upsert};
use sutra_layout::index_view::IndexView;
use sutra_layout::record::ConceptRecord;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::{Slot, SpaceCounts};
use sutra_layout::space::{GraphSettings, Space, SpaceEntry};
use sutra_layout::symbol::{SymbolTable, encode_symbol};
use sutra_layout::sync::AllFences;
use sutra_layout::{Damage, U48, View};
use zerocopy::IntoBytes;

use super::{HASH_SEED, TestFile};

/// Concepts of the store; each has two versions.
pub const CONCEPTS: u32 = 20;
/// Elements of a vector.
pub const DIMENSION: usize = 8;
const EDGES: u32 = 60;

/// The key of a concept.
pub fn key(concept: u32) -> [u8; 16] {
    [concept as u8; 16]
}

/// Where the extents of the store begin.
#[derive(Debug)]
pub struct Sample {
    /// The file.
    pub file: TestFile,
    /// Its one published slot.
    pub slot: Slot,
    starts: Vec<(Region, u64)>,
}

impl Sample {
    /// Builds the store.
    pub fn new() -> Sample {
        let mut sample =
            Sample { file: TestFile::empty_store(), slot: Slot::default(), starts: Vec::new() };
        let graph = GraphSettings { m: 2, ..GraphSettings::default() };
        let model = "a model".to_owned();
        let space = Space { graph, model, ..Space::of_default_name(DIMENSION) };
        let entry = SpaceEntry::new(0, &space, 1);
        sample.file.put(SPACES_OFFSET, entry.as_bytes());
        for number in (0..=12).chain([16, 20, 24]) {
            let region = Region(number);
            let shape = Shape::fixed(region).unwrap_or(match number {
                12 => space.vector_shape(),
                _ => space.graph_shape(),
            });
            let start = sample.file.place(region, shape, 0);
            sample.starts.push((region, start));
        }
        sample.truth();
        sample.derived();
        sample.publish();
        sample
    }

    /// Where the first extent of a region begins.
    pub fn start(&self, region: Region) -> u64 {
        let placed = self.starts.iter().find(|(placed, _)| *placed == region);
        placed.expect("a region of the sample").1
    }

    fn put(&self, region: Region, offset: u64, bytes: &[u8]) {
        self.file.put(self.start(region) + offset, bytes);
    }

    fn truth(&mut self) {
        for (table, number, name) in [
            (SymbolTable::Type, 16, "eats"),
            (SymbolTable::Namespace, 1, "animals"),
            (SymbolTable::Author, 1, "a program"),
        ] {
            let bytes = encode_symbol(table, number, name);
            self.put(Region::SYMBOLS, self.slot.symbols_size, &bytes);
            self.slot.symbols_size += bytes.len() as u64;
        }
        for record in 0..2 * CONCEPTS {
            let content = format!("content {record}");
            let offset = self.slot.content_size;
            let head = BlobHead::of(content.as_bytes());
            self.put(Region::CONTENT, offset, head.as_bytes());
            self.put(Region::CONTENT, offset + 8, content.as_bytes());
            self.slot.content_size += blob_space(content.len());
            let record_bytes = ConceptRecord {
                id: key(record % CONCEPTS),
                lsn: u64::from(record) + 1,
                previous: (u64::from(record) + 1).saturating_sub(CONCEPTS.into()),
                concept_ordinal: record % CONCEPTS,
                vector: record % CONCEPTS + 1,
                content: U48::new(offset),
                ..Default::default()
            };
            let record_offset = u64::from(record) * 128;
            self.put(Region::RECORDS, record_offset, record_bytes.sealed().as_bytes());
        }
        for edge in 0..EDGES {
            let (source, target) = ends(edge);
            let record = EdgeRecord { source, target, edge_type: 16, ..Default::default() };
            let offset = u64::from(edge) * 64;
            self.put(Region::EDGES, offset, record.sealed().as_bytes());
        }
        for row in 0..CONCEPTS {
            let elements = [row as f32 + 0.5; DIMENSION];
            let offset = u64::from(row) * 64;
            self.put(Region::vectors(0), offset, elements.as_bytes());
        }
        self.slot.records = u64::from(2 * CONCEPTS);
        self.slot.concepts = CONCEPTS.into();
        self.slot.edges = EDGES.into();
        self.slot.spaces_count = 1;
        self.slot.spaces[0] = SpaceCounts { count: CONCEPTS.into(), ..Default::default() };
    }

    fn derived(&mut self) {
        let view = self.file.writable_view();
        let mut root = IndexRoot::default();
        for record in 0..2 * CONCEPTS {
            let concept = record % CONCEPTS;
            let hash_of = |record: u64| Ok(concept_hash(record as u32 % CONCEPTS));
            upsert(
                INDEX,
                &Index(view.id_index()),
                AllFences,
                &mut root,
                (concept_hash(concept), record.into()),
                |old| Ok(old as u32 % CONCEPTS == concept),
                hash_of,
            )
            .unwrap();
            let columns = view.columns(concept).unwrap();
            columns[NEWEST].store(u64::from(record) + 1, Ordering::Relaxed);
        }
        self.slot.id_index_depth = root.depth.into();

        let mut root = IndexRoot::default();
        let mut units = 0;
        for edge in 0..EDGES {
            let hash_of = |edge: u64| {
                let (source, target) = ends(edge as u32);
                Ok(edge_hash(HASH_SEED, source, target, 16))
            };
            upsert(
                INDEX,
                &Index(view.edge_index()),
                AllFences,
                &mut root,
                (hash_of(edge.into()).unwrap(), edge.into()),
                |old| Ok(old == u64::from(edge)),
                hash_of,
            )
            .unwrap();
            let (source, target) = ends(edge);
            append(&view, &mut units, source, OUT_HEAD, edge, target);
            append(&view, &mut units, target, IN_HEAD, edge, source);
        }
        self.slot.edge_index_depth = root.depth.into();
    }

    fn publish(&mut self) {
        self.slot.commit_seq = 1;
        self.slot = self.slot.sealed();
        self.file.put_words(RING_OFFSET + 512, &self.slot.to_words());
        self.file.put_words(COMMIT_SEQ_OFFSET, &[1]);
        self.file.put(DURABLE_SLOTS_OFFSET, self.slot.as_bytes());
        let mark = RunMark::default().sealed();
        self.file.put(RUN_MARK_OFFSET, mark.as_bytes());
    }
}

/// Source and target of an edge.
pub fn ends(edge: u32) -> (u32, u32) {
    (edge % 3, 3 + edge % (CONCEPTS - 3))
}

/// Appends an entry. Lists in are small blocks; lists out are chains from the beginning, whose
/// blocks are taken for full at six entries: as many pointers as a file of this size can have.
fn append(view: &View, units: &mut u64, concept: u32, head: usize, edge: u32, neighbor: u32) {
    let word = &view.columns(concept).unwrap()[head];
    let newest = BlockRef::decode(word.load(Ordering::Relaxed));
    let entry = Entry { neighbor, edge, ended: 0, edge_type: 16, confidence: 65535 };
    let newest_block = newest.map(|at| Block::open(view, at).unwrap());
    let capacity = if head == OUT_HEAD { 6 } else { 4 };
    if let Some(block) = newest_block.filter(|block| block.count() < capacity) {
        let places = block.entry_words(block.count());
        places[1].store(entry.to_words()[1], Ordering::Relaxed);
        places[0].store(entry.to_words()[0], Ordering::Release);
        return;
    }
    let units_log2 = if head == OUT_HEAD { UNITS_LOG2_MAX } else { units_log2_after(newest) };
    let at = BlockRef { unit: *units, units_log2 };
    *units += 1 << units_log2;
    fill_new_block(view, at, newest, entry).unwrap();
    word.store(at.encode(), Ordering::Release);
}

fn concept_hash(concept: u32) -> u64 {
    id_hash(HASH_SEED, 0, &key(concept))
}

/// An index of the store; the first extents have room for all it needs.
struct Index<'a>(IndexView<'a>);

impl IndexMemory for Index<'_> {
    type Word = std::sync::atomic::AtomicU64;
    type Error = Damage;
    fn directory_word(&self, at: u64) -> Result<&Self::Word, Damage> {
        self.0.directory_word(at)
    }
    fn line(&self, segment: u64, line: u64) -> Result<&[Self::Word], Damage> {
        self.0.line(segment, line)
    }
    fn damaged_directory(&self, at: u64, word: u64) -> Damage {
        self.0.damaged_directory(at, word)
    }
}

impl IndexSpace for Index<'_> {
    fn ensure_directory(&self, _: u64) -> Result<(), Damage> {
        Ok(())
    }
    fn ensure_segments(&self, _: u64) -> Result<(), Damage> {
        Ok(())
    }
    fn full(&self) -> Damage {
        Damage::new(0, "the index", 0, "room")
    }
}
