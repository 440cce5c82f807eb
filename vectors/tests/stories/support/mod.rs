//! A store with one vector space and nothing else, that a test grows row by row.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use sutra_layout::geometry::{HEADER_SIZE, Region, SPACES_OFFSET, SUPERBLOCK_OFFSET, Shape};
use sutra_layout::slot::SpaceCounts;
use sutra_layout::space::{Space, SpaceEntry};
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::{Damage, View, directory};
use sutra_vectors::{Graph, GraphState, Hit, Inserter, Request, Scratch, Sweep, inverse_norm_of};
use tempfile::NamedTempFile;
use zerocopy::IntoBytes;

/// See the module.
#[derive(Debug)]
pub struct TestSpace {
    named: NamedTempFile,
    pub view: View,
    pub counts: SpaceCounts,
    levels_end: u64,
    file_end: u64,
    placed: [usize; 64],
}

impl TestSpace {
    /// An empty space.
    pub fn new(space: &Space) -> TestSpace {
        let named = NamedTempFile::new().unwrap();
        named.as_file().set_len(HEADER_SIZE).unwrap();
        let superblock = UncheckedSuperblock::new([1; 16], 1, 2, 3);
        named.as_file().write_all_at(superblock.as_bytes(), SUPERBLOCK_OFFSET).unwrap();
        let entry = SpaceEntry::new(0, space, 0);
        named.as_file().write_all_at(entry.as_bytes(), SPACES_OFFSET).unwrap();
        let view = View::writable(named.reopen().unwrap()).unwrap();
        let counts = SpaceCounts::default();
        TestSpace { named, view, counts, levels_end: 0, file_end: HEADER_SIZE, placed: [0; 64] }
    }

    /// A space that holds these rows, of which the graph knows none yet.
    pub fn of(space: &Space, rows: &[Vec<f32>]) -> TestSpace {
        let mut made = TestSpace::new(space);
        for row in rows {
            made.push(row);
        }
        made
    }

    /// The space.
    pub fn space(&self) -> &Space {
        self.view.space(0).unwrap()
    }

    /// A view that may be stored to, of its own.
    pub fn writable(&self) -> View {
        View::writable(self.named.reopen().unwrap()).unwrap()
    }

    /// Makes room for a million units of upper levels.
    pub fn reserve_levels(&mut self) {
        self.ensure(Region::graph_levels(0), Shape::new(64), 1 << 20);
    }

    /// A reader's view of it, as another process has it.
    pub fn reader(&self) -> View {
        View::read_only(File::open(self.named.path()).unwrap()).unwrap()
    }

    /// Adds a row and its node.
    pub fn push(&mut self, row: &[f32]) -> u32 {
        let ordinal = self.counts.count;
        let (rows, nodes) = (self.space().vector_shape(), self.space().graph_shape());
        self.ensure(Region::vectors(0), rows, ordinal + 1);
        self.ensure(Region::graph(0), nodes, ordinal + 1);
        let at = self.view.locate(Region::vectors(0), rows, ordinal).unwrap();
        self.named.as_file().write_all_at(row.as_bytes(), at).unwrap();
        self.counts.count += 1;
        let graph = self.graph();
        let elements = row.iter().copied();
        let number = ordinal as u32;
        let norm = inverse_norm_of(row);
        sutra_vectors::store_node(&graph, number, elements, norm, &mut Vec::new()).unwrap();
        number
    }

    /// Says that the rows are no longer current since record `since`.
    pub fn supersede(&self, row: u32, since: u64) {
        sutra_vectors::store_superseded(&self.graph(), row, since + 1).unwrap();
    }

    /// Its graph as it is now.
    pub fn graph(&self) -> Graph<'_> {
        Graph::capture(&self.view, 0, self.counts.count).unwrap()
    }

    /// What grows its graph.
    pub fn inserter(&self) -> Inserter {
        Inserter::open(&self.view, 0, GraphState::of(&self.counts), self.counts.count).unwrap()
    }

    /// Inserts rows until `end` are in the graph.
    pub fn insert_up_to(&mut self, inserter: &mut Inserter, end: u64) {
        while inserter.state().indexed_count < end {
            self.insert_next(inserter);
        }
    }

    /// Inserts one row, and publishes it.
    pub fn insert_next(&mut self, inserter: &mut Inserter) {
        // So many units are there as one row can need.
        self.ensure(Region::graph_levels(0), Shape::new(64), self.levels_end + 4096);
        let levels_end = &mut self.levels_end;
        let mut reserve = |units: u64| -> Result<u64, Damage> {
            let first = Shape::new(64).fit(*levels_end, units).unwrap();
            *levels_end = first + units;
            Ok(first)
        };
        assert!(inserter.insert_next(&self.view, self.counts.count, &mut reserve).unwrap());
        inserter.state().store(&mut self.counts);
    }

    /// The rows nearest to a vector, by the graph.
    pub fn nearest(&self, vector: &[f32], k: usize, ef: usize) -> Vec<Hit> {
        let request = Request { vector, k, ef, min_score: f32::NEG_INFINITY, sweep: Sweep::Plain };
        let mut scratch = Scratch::default();
        let current = |_: u32, superseded_at: u64| Ok::<bool, Damage>(superseded_at == 0);
        let graph = self.graph();
        sutra_vectors::nearest(&graph, &self.counts, &request, &mut scratch, current)
            .unwrap()
            .to_vec()
    }

    fn ensure(&mut self, region: Region, shape: Shape, end: u64) {
        let placed = &mut self.placed[region.index()];
        while shape.extent_start(*placed) < end {
            let extent = *placed;
            let size = shape.extent_size(extent);
            let start = directory::aligned_start(region, size, self.file_end);
            self.file_end = start + size;
            self.named.as_file().set_len(self.file_end).unwrap();
            let word = self.view.header_word(directory::word_offset(region, extent));
            word.store(directory::encode(region, extent, start), Ordering::Release);
            *placed += 1;
        }
    }
}

/// Rows of numbers in -1 to 1, the same for the same seed.
pub fn random_rows(count: usize, dimension: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut number = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| (0..dimension).map(|_| number()).collect()).collect()
}
