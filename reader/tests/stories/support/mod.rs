//! A small writer of stores, made of the layout crate alone: no log, no locks, one thread.
//!
//! It speaks the domain (learn, associate, forget, publish) and stores in the order that a reader
//! may rely on: truth, then what is derived from it, then the slot.

mod associations;
mod concepts;
pub mod everything;
mod memory;
pub mod random;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use sutra_layout::View;
use sutra_layout::blob::{BlobHead, blob_space};
use sutra_layout::geometry::{
    DURABLE_SLOTS_OFFSET, HEADER_SIZE, HEARTBEAT_OFFSET, PAGE_SIZE, RUN_MARK_OFFSET, Region,
    SPACES_OFFSET, SUPERSEDED_BY_OFFSET, Shape,
};
use sutra_layout::index::IndexRoot;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::space::{Metric, Space, SpaceEntry};
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::symbol::{SymbolTable, encode_symbol};
use sutra_layout::sys::clock;

pub use associations::Associate;
pub use concepts::Learn;
use memory::{Memory, bytes_of};

/// A store being written, in a directory of its own.
pub struct Writer {
    directory: tempfile::TempDir,
    memory: Memory,
    id_root: IndexRoot,
    edge_root: IndexRoot,
    /// The counts of all that is written; `publish` makes them visible.
    pub slot: Slot,
    /// The time of what was written last, in microseconds since the Unix epoch.
    pub now: u64,
    /// Whether operations share the LSN of the one before.
    is_together: bool,
}

impl Writer {
    /// An empty store, published once, with a run mark of this boot and no clean flag.
    pub fn create() -> Writer {
        let directory = tempfile::tempdir().unwrap();
        let file = create_file(&directory.path().join("storage.dat"), 1);
        Writer::over(directory, file)
    }

    fn over(directory: tempfile::TempDir, file: File) -> Writer {
        let mut writer = Writer {
            directory,
            memory: Memory::new(file),
            id_root: IndexRoot::default(),
            edge_root: IndexRoot::default(),
            slot: Slot::default(),
            now: 1_700_000_000_000_000,
            is_together: false,
        };
        writer.mark_run(RunMark::default());
        writer.publish();
        writer.checkpoint(0);
        writer
    }

    /// The store's directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The store's file.
    pub fn file_path(&self) -> PathBuf {
        self.path().join("storage.dat")
    }

    /// The writer's own view.
    pub fn view(&self) -> &View {
        &self.memory.view
    }

    /// Stores `bytes` at a byte of the file.
    pub fn put(&self, offset: u64, bytes: &[u8]) {
        self.memory.put(offset, bytes);
    }

    /// The byte of a unit of a region.
    pub fn locate(&self, region: Region, ordinal: u64) -> u64 {
        let shape = self.view().shape(region).unwrap();
        self.view().locate(region, shape, ordinal).unwrap()
    }

    /// Writes a run mark of this boot and inode, with the flags of `mark`.
    pub fn mark_run(&self, mark: RunMark) {
        let metadata = std::fs::metadata(self.file_path()).unwrap();
        let mark = RunMark {
            boot_id: clock::boot_id().unwrap(),
            device: metadata.dev(),
            inode: metadata.ino(),
            writer_epoch: 1,
            ..mark
        };
        self.put(RUN_MARK_OFFSET, bytes_of(&mark.sealed()));
    }

    /// The heartbeat of a coordinator with that pid, `age_ns` ago.
    pub fn beat(&self, pid: u64, age_ns: u64) {
        let beat = clock::boottime_ns() - age_ns;
        let words = self.view().map().words(HEARTBEAT_OFFSET, 2).unwrap();
        words[1].store(pid, Ordering::Relaxed);
        words[0].store(beat, Ordering::Relaxed);
    }

    /// Makes all that was written visible.
    pub fn publish(&mut self) -> u64 {
        self.slot.commit_seq += 1;
        self.slot.published_lsn = self.slot.operations;
        self.slot.published_at = self.now;
        self.slot.id_index_depth = self.id_root.depth.into();
        self.slot.edge_index_depth = self.edge_root.depth.into();
        self.publish_slot(self.slot)
    }

    /// Publishes a slot as it is given, but for its checksum.
    pub fn publish_slot(&self, slot: Slot) -> u64 {
        let ring = self.view().ring();
        let commit_seq = ring.commit_seq() + 1;
        let slot = Slot { commit_seq, ..slot }.sealed();
        ring.publish(commit_seq, &slot.to_words());
        let word = self.view().map().half_word(sutra_layout::geometry::COMMIT_SEQ_OFFSET);
        sutra_layout::sys::wait::wake_all(word.unwrap());
        commit_seq
    }

    /// Writes the durable slot that is due, with those flags.
    pub fn checkpoint(&self, flags: u64) {
        let slot = Slot { flags, ..self.slot }.sealed();
        let offset = DURABLE_SLOTS_OFFSET + slot.commit_seq % 2 * PAGE_SIZE;
        self.put(offset, bytes_of(&slot));
    }

    /// Says that generation `by` replaces this file.
    pub fn supersede(&self, by: u64) {
        let word = self.view().header_word(SUPERSEDED_BY_OFFSET);
        word.store(by, Ordering::Release);
        let map = self.view().map();
        let word = map.half_word(sutra_layout::geometry::COMMIT_SEQ_OFFSET);
        sutra_layout::sys::wait::wake_all(word.unwrap());
    }

    /// Makes the next vector space.
    pub fn make_space(&mut self, dimension: usize, metric: Metric) -> usize {
        self.make_named_space("", "none", dimension, metric)
    }

    /// Makes the next vector space, with a name.
    pub fn make_named_space(
        &mut self,
        name: &str,
        model: &str,
        dimension: usize,
        metric: Metric,
    ) -> usize {
        let at = self.slot.spaces_count as usize;
        let space = Space {
            metric,
            name: name.into(),
            model: model.into(),
            ..Space::of_default_name(dimension)
        };
        let entry = SpaceEntry::new(at, &space, 0);
        self.put(SPACES_OFFSET + at as u64 * PAGE_SIZE, bytes_of(&entry));
        self.slot.spaces_count += 1;
        at
    }

    /// Names number `number`.
    pub fn name_symbol(&mut self, table: SymbolTable, number: u32, name: &str) {
        let bytes = encode_symbol(table, number, name);
        let shape = Shape::fixed(Region::SYMBOLS).unwrap();
        let size = bytes.len() as u64;
        let at = shape.fit(self.slot.symbols_size, size).unwrap();
        let offset = self.memory.place(Region::SYMBOLS, at, size);
        self.put(offset, &bytes);
        self.slot.symbols_size = at + size;
    }

    /// Appends bytes to the contents, and gives their place.
    fn append_blob(&mut self, bytes: &[u8]) -> u64 {
        let shape = Shape::fixed(Region::CONTENT).unwrap();
        let size = blob_space(bytes.len());
        let at = shape.fit(self.slot.content_size, size).unwrap();
        let offset = self.memory.place(Region::CONTENT, at, size);
        self.put(offset, bytes_of(&BlobHead::of(bytes)));
        self.put(offset + 8, bytes);
        self.slot.content_size = at + size;
        at
    }

    /// What `write` does becomes one log entry: an atomic batch.
    pub fn together(&mut self, write: impl FnOnce(&mut Writer)) {
        if !self.is_together {
            self.step();
        }
        let before = std::mem::replace(&mut self.is_together, true);
        write(self);
        self.is_together = before;
    }

    /// The next log entry's LSN.
    fn step(&mut self) -> u64 {
        if !self.is_together {
            self.slot.operations += 1;
            self.now += 1;
        }
        self.slot.operations
    }

    /// A new, empty file of the next generation in this one's place, as a compaction would put it.
    pub fn replaced(self) -> (Writer, Writer) {
        let path = self.file_path();
        let new = self.path().join("storage.dat.next");
        let file = create_file(&new, self.view().superblock().generation + 1);
        std::fs::rename(&new, &path).unwrap();
        let Writer { directory, memory, id_root, edge_root, slot, now, is_together } = self;
        let next = Writer::over(directory, file);
        let old = Writer {
            directory: tempfile::tempdir().unwrap(),
            memory,
            id_root,
            edge_root,
            slot,
            now,
            is_together,
        };
        (old, next)
    }
}

/// A file with a superblock and an otherwise empty header.
fn create_file(path: &Path, generation: u64) -> File {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(path).unwrap();
    let block = UncheckedSuperblock::new([9; 16], generation, 1, 0x5eed);
    file.set_len(HEADER_SIZE).unwrap();
    file.write_all_at(bytes_of(&block), 0).unwrap();
    file
}
