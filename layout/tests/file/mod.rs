//! A small `storage.dat` that a test writes byte by byte.
#![allow(dead_code, reason = "each test uses a part")]

pub mod sample;

use std::fs::File;
use std::os::unix::fs::FileExt;

use sutra_layout::View;
use sutra_layout::directory;
use sutra_layout::geometry::{HEADER_SIZE, Region, SUPERBLOCK_OFFSET, Shape};
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::view::ViewError;
use tempfile::NamedTempFile;
use zerocopy::IntoBytes;

/// The seed of its indexes.
pub const HASH_SEED: u64 = 3;

/// See the module.
#[derive(Debug)]
pub struct TestFile {
    named: NamedTempFile,
    size: u64,
}

impl TestFile {
    /// A file of exactly these bytes.
    pub fn of_bytes(bytes: &[u8]) -> TestFile {
        let file = TestFile { named: NamedTempFile::new().unwrap(), size: bytes.len() as u64 };
        file.put(0, bytes);
        file
    }

    /// A store with nothing in it.
    pub fn empty_store() -> TestFile {
        let file = TestFile::of_bytes(&vec![0; HEADER_SIZE as usize]);
        let superblock = UncheckedSuperblock::new([1; 16], 1, 2, HASH_SEED);
        file.put(SUPERBLOCK_OFFSET, superblock.as_bytes());
        file
    }

    /// All its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.named.path()).unwrap()
    }

    /// Stores `bytes` at `offset`.
    pub fn put(&self, offset: u64, bytes: &[u8]) {
        self.named.as_file().write_all_at(bytes, offset).unwrap();
    }

    /// Stores words at `offset`.
    pub fn put_words(&self, offset: u64, words: &[u64]) {
        self.put(offset, words.as_bytes());
    }

    /// Gives a region its next extent, of zeros, and returns where that begins.
    pub fn place(&mut self, region: Region, shape: Shape, extent: usize) -> u64 {
        let size = shape.extent_size(extent);
        let start = directory::aligned_start(region, size, self.size);
        self.size = start + size;
        self.named.as_file().set_len(self.size).unwrap();
        self.put_words(
            directory::word_offset(region, extent),
            &[directory::encode(region, extent, start)],
        );
        start
    }

    /// As a reader sees it.
    pub fn view(&self) -> Result<View, ViewError> {
        View::read_only(File::open(self.named.path()).unwrap())
    }

    /// As the coordinator sees it.
    pub fn writable_view(&self) -> View {
        View::writable(self.named.reopen().unwrap()).unwrap()
    }
}
