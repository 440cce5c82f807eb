//! The peer: RocksDB through the C interface of the system's library. One key space: a concept's key
//! is `c` and its id, an edge's is `o` or `i`, both ends and the type, so that a concept's edges
//! follow each other. Other processes read it as secondaries, which catch up when they take a view.
#![expect(unsafe_code, reason = "the room where RocksDB's C interface is called")]

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::path::{Path, PathBuf};

use anyhow::bail;
use tempfile::TempDir;

use super::{Concept, FIELDS_SIZE, Link, Lists, Writing, folder_size, u32_at, whole};
use crate::reading::Source;
use crate::workload::Edge;

/// Bytes of its cache of blocks.
const CACHE_SIZE: usize = 512 << 20;
/// Of its filters, a key.
const FILTER_BITS: f64 = 10.0;

/// An object of the library.
type Object = *mut c_void;

#[link(name = "rocksdb")]
// SAFETY: these are the declarations of rocksdb/c.h of version 7.8, which have not changed since.
unsafe extern "C" {
    fn rocksdb_options_create() -> Object;
    fn rocksdb_options_set_create_if_missing(options: Object, value: c_uchar);
    fn rocksdb_options_set_compression(options: Object, value: c_int);
    fn rocksdb_options_set_max_open_files(options: Object, value: c_int);
    fn rocksdb_options_increase_parallelism(options: Object, threads: c_int);
    fn rocksdb_options_set_block_based_table_factory(options: Object, table: Object);
    fn rocksdb_block_based_options_create() -> Object;
    fn rocksdb_block_based_options_set_filter_policy(table: Object, policy: Object);
    fn rocksdb_block_based_options_set_block_cache(table: Object, cache: Object);
    fn rocksdb_filterpolicy_create_bloom(bits_per_key: f64) -> Object;
    fn rocksdb_cache_create_lru(size: usize) -> Object;
    fn rocksdb_readoptions_create() -> Object;
    fn rocksdb_writeoptions_create() -> Object;
    fn rocksdb_writeoptions_set_sync(options: Object, value: c_uchar);
    fn rocksdb_open(options: Object, name: *const c_char, error: *mut *mut c_char) -> Object;
    fn rocksdb_open_as_secondary(
        options: Object,
        name: *const c_char,
        secondary: *const c_char,
        error: *mut *mut c_char,
    ) -> Object;
    fn rocksdb_try_catch_up_with_primary(db: Object, error: *mut *mut c_char);
    fn rocksdb_close(db: Object);
    fn rocksdb_writebatch_create() -> Object;
    fn rocksdb_writebatch_destroy(batch: Object);
    fn rocksdb_writebatch_put(
        batch: Object,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    );
    fn rocksdb_write(db: Object, options: Object, batch: Object, error: *mut *mut c_char);
    fn rocksdb_flushoptions_create() -> Object;
    fn rocksdb_flushoptions_destroy(options: Object);
    fn rocksdb_flush(db: Object, options: Object, error: *mut *mut c_char);
    fn rocksdb_get_pinned(
        db: Object,
        options: Object,
        key: *const u8,
        key_size: usize,
        error: *mut *mut c_char,
    ) -> Object;
    fn rocksdb_pinnableslice_value(slice: Object, size: *mut usize) -> *const u8;
    fn rocksdb_pinnableslice_destroy(slice: Object);
    fn rocksdb_create_iterator(db: Object, options: Object) -> Object;
    fn rocksdb_iter_destroy(iterator: Object);
    fn rocksdb_iter_seek(iterator: Object, key: *const u8, key_size: usize);
    fn rocksdb_iter_valid(iterator: Object) -> c_uchar;
    fn rocksdb_iter_next(iterator: Object);
    fn rocksdb_iter_key(iterator: Object, size: *mut usize) -> *const u8;
    fn rocksdb_iter_value(iterator: Object, size: *mut usize) -> *const u8;
    fn rocksdb_free(memory: *mut c_void);
}

/// Calls the library with a place for an error, and gives what came.
fn checked<T>(call: impl FnOnce(*mut *mut c_char) -> T) -> anyhow::Result<T> {
    let mut error = std::ptr::null_mut();
    let result = call(&raw mut error);
    if error.is_null() {
        return Ok(result);
    }
    // SAFETY: the library put a string there that ends with 0 and is ours to free.
    let message = unsafe {
        let message = CStr::from_ptr(error).to_string_lossy().into_owned();
        rocksdb_free(error.cast());
        message
    };
    bail!("RocksDB: {message}")
}

fn c_path(path: &Path) -> anyhow::Result<CString> {
    Ok(CString::new(path.as_os_str().as_encoded_bytes())?)
}

/// An open store. Its options live as long as the process, of which there are few.
#[derive(Debug)]
pub struct Rocksdb {
    db: Object,
    reading: Object,
    writing: Object,
    dir: PathBuf,
    /// A secondary's folder for its own log.
    own: Option<TempDir>,
}

fn options() -> Object {
    // SAFETY: each takes what the library just made, and the options own the rest.
    unsafe {
        let table = rocksdb_block_based_options_create();
        let filter = rocksdb_filterpolicy_create_bloom(FILTER_BITS);
        rocksdb_block_based_options_set_filter_policy(table, filter);
        rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(CACHE_SIZE));
        let options = rocksdb_options_create();
        rocksdb_options_set_create_if_missing(options, 1);
        rocksdb_options_set_compression(options, 0);
        rocksdb_options_set_max_open_files(options, -1); // a secondary must have all open
        rocksdb_options_increase_parallelism(options, 2);
        rocksdb_options_set_block_based_table_factory(options, table);
        options
    }
}

impl Rocksdb {
    /// Opens or makes the store.
    pub fn open(dir: &Path, is_synced: bool) -> anyhow::Result<Rocksdb> {
        let name = c_path(dir)?;
        // SAFETY: options and name are valid, and the result is only used without an error.
        let db = checked(|error| unsafe { rocksdb_open(options(), name.as_ptr(), error) })?;
        Ok(Rocksdb::new(db, dir, is_synced))
    }

    /// Opens a store that is there, as a secondary.
    pub fn open_to_read(dir: &Path) -> anyhow::Result<Rocksdb> {
        let own = tempfile::tempdir()?;
        let (name, own_name) = (c_path(dir)?, c_path(own.path())?);
        // SAFETY: as above.
        let db = checked(|error| unsafe {
            rocksdb_open_as_secondary(options(), name.as_ptr(), own_name.as_ptr(), error)
        });
        let mut rocksdb = Rocksdb::new(db?, dir, false);
        rocksdb.own = Some(own);
        Ok(rocksdb)
    }

    fn new(db: Object, dir: &Path, is_synced: bool) -> Rocksdb {
        // SAFETY: these make objects and set a field of one.
        unsafe {
            let (reading, writing) = (rocksdb_readoptions_create(), rocksdb_writeoptions_create());
            rocksdb_writeoptions_set_sync(writing, is_synced.into());
            Rocksdb { db, reading, writing, dir: dir.to_owned(), own: None }
        }
    }

    fn write_batch(&self, fill: impl FnOnce(&mut dyn FnMut(&[u8], &[u8]))) -> anyhow::Result<()> {
        // SAFETY: the batch is valid until it is destroyed, and copies keys and values.
        unsafe {
            let batch = rocksdb_writebatch_create();
            fill(&mut |key, value| {
                rocksdb_writebatch_put(batch, key.as_ptr(), key.len(), value.as_ptr(), value.len());
            });
            let written = checked(|error| rocksdb_write(self.db, self.writing, batch, error));
            rocksdb_writebatch_destroy(batch);
            written
        }
    }

    fn get<T>(&self, id: &[u8; 16], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let key = concept_key(id);
        // SAFETY: the slice is valid until it is destroyed, after the last use of its bytes.
        unsafe {
            let got = checked(|error| {
                rocksdb_get_pinned(self.db, self.reading, key.as_ptr(), key.len(), error)
            });
            let slice = whole(got);
            if slice.is_null() {
                return None;
            }
            let mut size = 0;
            let value = rocksdb_pinnableslice_value(slice, &raw mut size);
            let result = read(std::slice::from_raw_parts(value, size));
            rocksdb_pinnableslice_destroy(slice);
            Some(result)
        }
    }
}

impl Drop for Rocksdb {
    fn drop(&mut self) {
        // SAFETY: nothing uses it any more.
        unsafe { rocksdb_close(self.db) }
        drop(self.own.take());
    }
}

fn concept_key(id: &[u8; 16]) -> [u8; 17] {
    let mut key = [b'c'; 17];
    key[1..].copy_from_slice(id);
    key
}

/// `o` or `i`, this end, the other, the type: big-endian, so that they sort as numbers.
fn edge_key(is_out: bool, at: u32, link: &Link) -> [u8; 11] {
    let mut key = [if is_out { b'o' } else { b'i' }; 11];
    key[1..5].copy_from_slice(&at.to_be_bytes());
    key[5..9].copy_from_slice(&link.neighbor.to_be_bytes());
    key[9..].copy_from_slice(&link.edge_type.to_be_bytes());
    key
}

impl Writing for Rocksdb {
    fn write(&mut self, concepts: &[Concept<'_>]) -> anyhow::Result<()> {
        let mut value = Vec::new();
        self.write_batch(|put| {
            for concept in concepts {
                concept.value(&mut value);
                put(&concept_key(&concept.id), &value);
            }
        })
    }

    fn write_edges(&mut self, edges: &[Edge]) -> anyhow::Result<()> {
        self.write_batch(|put| {
            for edge in edges {
                let confidence = edge.confidence.to_le_bytes();
                for (at, is_out) in [(edge.source, true), (edge.target, false)] {
                    put(&edge_key(is_out, at, &Link::of(edge, is_out)), &confidence);
                }
            }
        })
    }

    /// Writes its tables out and waits for it: else each reader would replay the log when it opens.
    fn sync(&mut self) -> anyhow::Result<()> {
        // SAFETY: the store is open, and the options are destroyed after their use.
        unsafe {
            let options = rocksdb_flushoptions_create();
            let flushed = checked(|error| rocksdb_flush(self.db, options, error));
            rocksdb_flushoptions_destroy(options);
            flushed
        }
    }

    fn file_size(&self) -> anyhow::Result<u64> {
        folder_size(&self.dir)
    }
}

/// The store as a secondary has it.
pub struct View<'d>(&'d Rocksdb);

impl Source for Rocksdb {
    type View<'s> = View<'s>;

    fn view(&self) -> View<'_> {
        // SAFETY: the store is open as a secondary.
        whole(checked(|error| unsafe { rocksdb_try_catch_up_with_primary(self.db, error) }));
        View(self)
    }
}

impl Lists for View<'_> {
    fn ordinal(&self, id: &[u8; 16]) -> Option<u32> {
        self.0.get(id, |value| u32_at(value, 0))
    }

    fn content(&self, id: &[u8; 16], touch: impl FnOnce(&[u8]) -> u64) -> Option<(u32, u64)> {
        self.0.get(id, |value| (u32_at(value, 0), touch(&value[FIELDS_SIZE..])))
    }

    fn links(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(Link)) {
        let first = edge_key(is_out, ordinal, &Link { neighbor: 0, edge_type: 0, confidence: 0.0 });
        // SAFETY: the iterator is valid until it is destroyed, and its key and value until it moves.
        unsafe {
            let iterator = rocksdb_create_iterator(self.0.db, self.0.reading);
            rocksdb_iter_seek(iterator, first.as_ptr(), first.len());
            while rocksdb_iter_valid(iterator) != 0 {
                let (mut key_size, mut value_size) = (0, 0);
                let key = rocksdb_iter_key(iterator, &raw mut key_size);
                let key = std::slice::from_raw_parts(key, key_size);
                if key[..5] != first[..5] {
                    break;
                }
                let value = rocksdb_iter_value(iterator, &raw mut value_size);
                let value = std::slice::from_raw_parts(value, value_size);
                visit(Link {
                    neighbor: u32::from_be_bytes([key[5], key[6], key[7], key[8]]),
                    edge_type: u16::from_be_bytes([key[9], key[10]]),
                    confidence: f32::from_bits(u32_at(value, 0)),
                });
                rocksdb_iter_next(iterator);
            }
            rocksdb_iter_destroy(iterator);
        }
    }
}
