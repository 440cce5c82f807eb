//! Typed places of one mapped file: every offset is checked here before it becomes a reference.
//!
//! A record, edge, blob or row below a captured watermark never changes, provided that only the
//! coordinator writes the file; so a plain reference to it is sound. Whatever else lives in the file
//! is reached as atomic words. A reference is only made of bytes that lie in an extent whose word
//! was checked, and within the file's real size.
#![expect(unsafe_code, reason = "the room where bytes below a watermark become typed references")]

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::blob::{BLOB_HEAD_SIZE, BlobHead};
use crate::directory;
use crate::edge::{self, EdgeRecord};
use crate::error::Damage;
use crate::geometry::{
    COMMIT_SEQ_OFFSET, DURABLE_SLOTS_OFFSET, EXTENTS_MAX, HEADER_SIZE, PAGE_SIZE, RING_OFFSET,
    RUN_MARK_OFFSET, Region, SPACES_OFFSET, SUPERBLOCK_OFFSET, Shape,
};
use crate::index_view::IndexView;
use crate::limits::VECTOR_SPACES_MAX;
use crate::record::{self, ConceptRecord};
use crate::ring::{RING, Ring};
use crate::run_mark::RunMark;
use crate::slot::{SLOT_WORDS, Slot};
use crate::space::{Space, SpaceEntry};
use crate::superblock::{Superblock, SuperblockError, UncheckedSuperblock};
use crate::sync::AllFences;
use crate::sys::map::Map;
use crate::vector_column::VectorColumn;

const RECORD_SHAPE: Shape = Shape::new(128);
const EDGE_SHAPE: Shape = Shape::new(64);
const BYTE_SHAPE: Shape = Shape::new(1);
const VECTOR_COLUMN_SHAPE: Shape = Shape::new(32);
const COLUMN_SHAPE: Shape = Shape::new(crate::column::COLUMN_SIZE);
const ADJACENCY_SHAPE: Shape = Shape::new(crate::adjacency::UNIT_SIZE);

/// Why a file cannot be viewed.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// It could not be read or mapped.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Its superblock is not one of ours, or not readable by this version.
    #[error(transparent)]
    Superblock(#[from] SuperblockError),
    /// It ends within its header.
    #[error(
        "it has {found} bytes, and a store's header alone has {HEADER_SIZE}; restore storage.dat from a copy"
    )]
    TooShort {
        /// Its size in bytes.
        found: u64,
    },
}

/// One mapped file.
#[derive(Debug)]
pub struct View {
    map: Map,
    superblock: Superblock,
    /// First bytes of the extents met so far, 0 where not met: their words are final, so they are
    /// checked once.
    extents: Box<[[AtomicU64; EXTENTS_MAX]; Region::KNOWN_END as usize]>,
    spaces: [OnceLock<Space>; VECTOR_SPACES_MAX],
}

impl View {
    /// A read-only view of `file`.
    pub fn read_only(file: File) -> Result<View, ViewError> {
        View::new(Map::read_only(file)?)
    }

    /// A view of a `file` that anybody may write, at any moment: it is read and not mapped, and what
    /// was read stays as it is. See [`Map::copying`].
    pub fn copying(file: File) -> Result<View, ViewError> {
        View::new(Map::copying(file)?)
    }

    /// The coordinator's view of `file`.
    pub fn writable(file: File) -> Result<View, ViewError> {
        View::new(Map::writable(file)?)
    }

    fn new(map: Map) -> Result<View, ViewError> {
        // Of a file that is too short for a superblock, what is there decides what it is.
        let magic_size = map.size().min(8);
        let block_size = size_of::<UncheckedSuperblock>() as u64;
        // SAFETY: the superblock is written before the file gets its name, and never again.
        let block = unsafe { map.bytes(SUPERBLOCK_OFFSET, block_size) };
        let Some(block) = block.and_then(|bytes| UncheckedSuperblock::read_from_bytes(bytes).ok())
        else {
            // SAFETY: as above.
            let start = unsafe { map.bytes(SUPERBLOCK_OFFSET, magic_size) }.unwrap_or_default();
            if !crate::superblock::MAGIC.starts_with(start) || start.is_empty() {
                let found = String::from_utf8_lossy(start).escape_default().to_string();
                return Err(SuperblockError::NotAStore { found }.into());
            }
            return Err(ViewError::TooShort { found: map.size() });
        };
        let superblock = block.check()?;
        // Not its size alone: a file that is not trusted may have become shorter since.
        if map.size() < HEADER_SIZE || map.words(0, HEADER_SIZE / 8).is_none() {
            return Err(ViewError::TooShort { found: map.size() });
        }
        let extents = Box::new(
            [const { [const { AtomicU64::new(0) }; EXTENTS_MAX] }; Region::KNOWN_END as usize],
        );
        Ok(View { map, superblock, extents, spaces: Default::default() })
    }

    /// The mapping.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// The superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// A word of the header.
    ///
    /// # Panics
    /// If `offset` is not a multiple of 8 within the header: [`View`] checked that the file has one.
    pub fn header_word(&self, offset: u64) -> &AtomicU64 {
        assert!(offset + 8 <= HEADER_SIZE);
        self.map.word(offset).expect("the header is in the file")
    }

    /// The commit word and the snapshot ring.
    pub fn ring(&self) -> Ring<'_, AtomicU64, AllFences> {
        let words = self.map.words(RING_OFFSET, RING.slots * RING.slot_words as u64);
        Ring::new(
            RING,
            self.header_word(COMMIT_SEQ_OFFSET),
            words.expect("the header is in the file"),
            AllFences,
        )
    }

    /// The newest published slot, if one can be captured and is whole.
    pub fn capture(&self) -> Result<Option<Slot>, Damage> {
        let mut words = [0; SLOT_WORDS];
        let Some(commit_seq) = self.ring().capture(&mut words) else {
            return Ok(None);
        };
        let slot = Slot::from_words(words);
        if !slot.is_whole() || slot.commit_seq != commit_seq {
            let offset = RING_OFFSET + commit_seq % RING.slots * 512;
            return Err(Damage::new(
                offset,
                "a published slot's number",
                slot.commit_seq,
                format!("{commit_seq}, whole"),
            ));
        }
        Ok(Some(slot))
    }

    /// The run mark as it stands; the caller checks it.
    pub fn run_mark(&self) -> RunMark {
        self.header_copy(RUN_MARK_OFFSET)
    }

    /// Durable slots A and B as they stand; the caller checks them.
    pub fn durable_slots(&self) -> [Slot; 2] {
        [self.header_copy(DURABLE_SLOTS_OFFSET), self.header_copy(DURABLE_SLOTS_OFFSET + PAGE_SIZE)]
    }

    /// A struct of the header, copied word by word, as the coordinator may be writing it.
    fn header_copy<T: FromBytes>(&self, offset: u64) -> T {
        let size = size_of::<T>();
        let words =
            self.map.words(offset, size.div_ceil(8) as u64).expect("the header is in the file");
        let bytes: Vec<u8> =
            words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        T::read_from_bytes(&bytes[..size]).unwrap_or_else(|_| unreachable!("the sizes agree"))
    }

    /// Vector space `index`, which a slot's count says is there.
    pub fn space(&self, index: usize) -> Result<&Space, Damage> {
        let cell = self.spaces.get(index).ok_or_else(|| {
            Damage::new(
                0,
                "a vector space's place",
                index as u64,
                format!("below {VECTOR_SPACES_MAX}"),
            )
        })?;
        if let Some(space) = cell.get() {
            return Ok(space);
        }
        let entry: SpaceEntry = self.header_copy(SPACES_OFFSET + index as u64 * PAGE_SIZE);
        let space = entry.check(index)?;
        Ok(cell.get_or_init(|| space))
    }

    /// The shape of a region; `None` if it depends on a vector space that is not made yet, or is
    /// unknown.
    pub fn shape(&self, region: Region) -> Option<Shape> {
        match region.0 {
            12..=15 => Some(self.space(usize::from(region.0 - 12)).ok()?.vector_shape()),
            20..=23 => Some(self.space(usize::from(region.0 - 20)).ok()?.graph_shape()),
            _ => Shape::fixed(region),
        }
    }

    /// The byte of unit `ordinal` of a region.
    #[inline(always)]
    pub fn locate(&self, region: Region, shape: Shape, ordinal: u64) -> Result<u64, Damage> {
        let Some((extent, within)) = shape.place(ordinal) else {
            return Err(out_of_region(region, ordinal));
        };
        let known = self.extents[region.index()][extent].load(Ordering::Relaxed);
        let start = if known == 0 { self.learn_extent(region, extent, ordinal)? } else { known };
        Ok(start + within)
    }

    #[cold]
    fn learn_extent(&self, region: Region, extent: usize, ordinal: u64) -> Result<u64, Damage> {
        let word = self.header_word(directory::word_offset(region, extent)).load(Ordering::Relaxed);
        let start = directory::decode(region, extent, word)?
            .ok_or_else(|| out_of_region(region, ordinal))?;
        self.extents[region.index()][extent].store(start, Ordering::Relaxed);
        Ok(start)
    }

    /// Asks the processor for `lines` cache lines from the start of unit `ordinal` of a region on, if
    /// the extent was met before. Whatever is asked for is checked when it is loaded.
    #[inline(always)]
    pub(crate) fn prefetch(&self, region: Region, shape: Shape, ordinal: u64, lines: u64) {
        let Some((extent, within)) = shape.place(ordinal) else { return };
        let start = self.extents[region.index()][extent].load(Ordering::Relaxed);
        if start != 0 {
            for line in 0..lines {
                self.map.prefetch(start + within + line * 64);
            }
        }
    }

    /// Asks the processor for the column words of a concept.
    #[inline(always)]
    pub fn prefetch_columns(&self, concept_ordinal: u32) {
        self.prefetch(Region::COLUMNS, COLUMN_SHAPE, concept_ordinal.into(), 1);
    }

    /// Asks the processor for `lines` cache lines of the block of associations at `unit`.
    #[inline(always)]
    pub fn prefetch_adjacency(&self, unit: u64, lines: u64) {
        self.prefetch(Region::ADJACENCY, ADJACENCY_SHAPE, unit, lines);
    }

    /// Asks the processor for a version of a concept.
    #[inline(always)]
    pub fn prefetch_record(&self, ordinal: u64) {
        self.prefetch(Region::RECORDS, RECORD_SHAPE, ordinal, RECORD_SHAPE.stride / 64);
    }

    /// Asks the processor for an edge.
    #[inline(always)]
    pub fn prefetch_edge(&self, ordinal: u64) {
        self.prefetch(Region::EDGES, EDGE_SHAPE, ordinal, 1);
    }

    #[cold]
    fn beyond_file(&self, offset: u64, size: u64) -> Damage {
        if self.map.is_exhausted() {
            let expected = "less than what a snapshot copies of a file that is not trusted";
            return Damage::new(offset, "the size of an item", size, expected);
        }
        Damage::new(offset, "the end of an item", offset.saturating_add(size), "within the file")
    }

    /// Words of a derived region, from the start of unit `ordinal` on. They must lie in one extent.
    #[inline]
    pub fn words(&self, region: Region, ordinal: u64, count: u64) -> Result<&[AtomicU64], Damage> {
        let shape = Shape::fixed(region).ok_or_else(|| out_of_region(region, ordinal))?;
        self.words_of(region, shape, ordinal, count)
    }

    #[inline(always)]
    pub(crate) fn words_of(
        &self,
        region: Region,
        shape: Shape,
        ordinal: u64,
        count: u64,
    ) -> Result<&[AtomicU64], Damage> {
        let offset = self.locate(region, shape, ordinal)?;
        let Some((extent, within)) = shape.place(ordinal) else {
            return Err(out_of_region(region, ordinal));
        };
        if within + count * 8 > shape.extent_size(extent) {
            return Err(beyond_extent(offset, count * 8));
        }
        self.map.words(offset, count).ok_or_else(|| self.beyond_file(offset, count * 8))
    }

    /// The bytes of `count` units of a truth region, which must lie in one extent.
    #[inline(always)]
    fn truth(
        &self,
        region: Region,
        shape: Shape,
        ordinal: u64,
        count: u64,
    ) -> Result<&[u8], Damage> {
        let offset = self.locate(region, shape, ordinal)?;
        let (extent, within) =
            shape.place(ordinal).ok_or_else(|| out_of_region(region, ordinal))?;
        let size = count * shape.stride;
        if size > shape.extent_size(extent) - within {
            return Err(beyond_extent(offset, size));
        }
        // SAFETY: every caller in this module checked that the units lie below a captured
        // watermark; the reconciler stores above it only.
        unsafe { self.map.bytes(offset, size) }.ok_or_else(|| self.beyond_file(offset, size))
    }

    /// Record `ordinal`, which must lie below the slot's count.
    #[inline(always)]
    pub fn record(&self, ordinal: u64, slot: &Slot) -> Result<&ConceptRecord, Damage> {
        below("a record's ordinal", ordinal, slot.records)?;
        typed(self.truth(Region::RECORDS, RECORD_SHAPE, ordinal, 1)?)
    }

    /// The words of record `ordinal`, which may lie above any watermark.
    #[inline]
    pub fn record_words(&self, ordinal: u64) -> Result<&[AtomicU64], Damage> {
        self.words_of(Region::RECORDS, RECORD_SHAPE, ordinal, RECORD_SHAPE.stride / 8)
    }

    /// 1 + the record before record `ordinal`, which may lie above any watermark; 0: none.
    #[inline]
    pub fn record_previous(&self, ordinal: u64) -> Result<u64, Damage> {
        let word = record::PREVIOUS_OFFSET as usize / 8;
        Ok(self.record_words(ordinal)?[word].load(Ordering::Relaxed))
    }

    /// Edge `ordinal`, which must lie below the slot's count.
    #[inline(always)]
    pub fn edge(&self, ordinal: u64, slot: &Slot) -> Result<&EdgeRecord, Damage> {
        below("an edge's ordinal", ordinal, slot.edges)?;
        typed(self.truth(Region::EDGES, EDGE_SHAPE, ordinal, 1)?)
    }

    /// The words of edge `ordinal`, which may lie above any watermark.
    #[inline]
    pub fn edge_words(&self, ordinal: u64) -> Result<&[AtomicU64], Damage> {
        self.words_of(Region::EDGES, EDGE_SHAPE, ordinal, EDGE_SHAPE.stride / 8)
    }

    /// 1 + the edge before edge `ordinal`, which may lie above any watermark; 0: none.
    #[inline]
    pub fn edge_previous(&self, ordinal: u64) -> Result<u64, Damage> {
        let word = edge::PREVIOUS_OFFSET as usize / 8;
        let word = self.edge_words(ordinal)?[word].load(Ordering::Relaxed);
        Ok(word & u64::from(u32::MAX))
    }

    /// The blob at byte `offset` of the content region, which must lie below the slot's size.
    #[inline]
    pub fn blob(&self, offset: u64, slot: &Slot) -> Result<&[u8], Damage> {
        Ok(self.blob_with_head(offset, slot)?.1)
    }

    /// A blob and its head, whose checksum the caller may hold against it.
    #[inline(always)]
    pub fn blob_with_head(&self, offset: u64, slot: &Slot) -> Result<(&BlobHead, &[u8]), Damage> {
        let head_end = offset.saturating_add(BLOB_HEAD_SIZE);
        at_most("a blob's end", head_end, slot.content_size)?;
        let start = self.locate(Region::CONTENT, BYTE_SHAPE, offset)?;
        let (extent, within) =
            BYTE_SHAPE.place(offset).ok_or_else(|| out_of_region(Region::CONTENT, offset))?;
        let room = BYTE_SHAPE.extent_size(extent) - within;
        if room < BLOB_HEAD_SIZE {
            return Err(beyond_extent(start, BLOB_HEAD_SIZE));
        }
        // SAFETY: below the captured watermark, as just checked.
        let head = unsafe { self.map.bytes(start, BLOB_HEAD_SIZE) }
            .ok_or_else(|| self.beyond_file(start, BLOB_HEAD_SIZE))?;
        let head: &BlobHead = typed(head)?;
        let size = u64::from(head.size);
        at_most("a blob's end", head_end + size, slot.content_size)?;
        let all = BLOB_HEAD_SIZE + size;
        if all > room {
            return Err(beyond_extent(start, all));
        }
        // SAFETY: as above.
        let bytes = unsafe { self.map.bytes(start + BLOB_HEAD_SIZE, size) }
            .ok_or_else(|| self.beyond_file(start, all))?;
        Ok((head, bytes))
    }

    /// `size` bytes of the symbols region from `offset` on, all below the slot's size.
    pub fn symbol_bytes(&self, offset: u64, size: u64, slot: &Slot) -> Result<&[u8], Damage> {
        let end = offset.saturating_add(size);
        at_most("a symbol's end", end, slot.symbols_size)?;
        self.truth(Region::SYMBOLS, BYTE_SHAPE, offset, size)
    }

    /// Row `ordinal` of a vector space, which must lie below the slot's count.
    #[inline]
    pub fn vector(&self, space_index: usize, ordinal: u64, slot: &Slot) -> Result<&[f32], Damage> {
        let space = self.space(space_index)?;
        below("a vector's ordinal", ordinal, slot.spaces[space_index].count)?;
        let row = self.truth(Region::vectors(space_index), space.vector_shape(), ordinal, 1)?;
        <[f32]>::ref_from_bytes(&row[..space.dimension * 4]).map_err(|_| misaligned(row))
    }

    /// As many rows of a vector space from `ordinal` on as lie in one extent, below `end`, with
    /// their stride in elements. `end` must not exceed the slot's count.
    pub fn vectors(
        &self,
        space_index: usize,
        ordinal: u64,
        end: u64,
        slot: &Slot,
    ) -> Result<(&[f32], usize), Damage> {
        let shape = self.space(space_index)?.vector_shape();
        at_most("a vector's end", end, slot.spaces[space_index].count)?;
        let region = Region::vectors(space_index);
        let (extent, _) = shape.place(ordinal).ok_or_else(|| out_of_region(region, ordinal))?;
        let count = (shape.extent_start(extent + 1)).min(end).saturating_sub(ordinal);
        let rows = self.truth(region, shape, ordinal, count)?;
        let rows = <[f32]>::ref_from_bytes(rows).map_err(|_| misaligned(rows))?;
        Ok((rows, shape.stride as usize / 4))
    }

    /// Whose row `ordinal` of a vector space is; it must lie below the slot's count.
    #[inline]
    pub fn vector_column(
        &self,
        space_index: usize,
        ordinal: u64,
        slot: &Slot,
    ) -> Result<&VectorColumn, Damage> {
        self.space(space_index)?;
        below("a vector's ordinal", ordinal, slot.spaces[space_index].count)?;
        typed(self.truth(Region::vector_columns(space_index), VECTOR_COLUMN_SHAPE, ordinal, 1)?)
    }

    /// The row of a vector space that a record's version of its concept has, if it has one.
    #[inline]
    pub fn row_of(
        &self,
        record: &ConceptRecord,
        space_index: usize,
        slot: &Slot,
    ) -> Result<Option<u32>, Damage> {
        let Some(row) = record.vector.checked_sub(1) else { return Ok(None) };
        if usize::from(record.space) == space_index {
            return Ok(Some(row));
        }
        let column = self.vector_column(record.space.into(), row.into(), slot)?;
        Ok(column.rows.get(space_index).and_then(|row| row.checked_sub(1)))
    }

    /// The column words of a concept.
    #[inline]
    pub fn columns(&self, concept_ordinal: u32) -> Result<&[AtomicU64], Damage> {
        self.words_of(
            Region::COLUMNS,
            COLUMN_SHAPE,
            concept_ordinal.into(),
            crate::column::COLUMN_WORDS,
        )
    }

    /// The words of the block of associations at `unit`.
    #[inline(always)]
    pub(crate) fn adjacency_words(&self, unit: u64, count: u64) -> Result<&[AtomicU64], Damage> {
        self.words_of(Region::ADJACENCY, ADJACENCY_SHAPE, unit, count)
    }

    /// The id index.
    pub fn id_index(&self) -> IndexView<'_> {
        IndexView::new(self, Region::ID_SEGMENTS, Region::ID_DIRECTORY)
    }

    /// The edge index.
    pub fn edge_index(&self) -> IndexView<'_> {
        IndexView::new(self, Region::EDGE_SEGMENTS, Region::EDGE_DIRECTORY)
    }
}

#[inline(always)]
fn typed<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Result<&T, Damage> {
    T::ref_from_bytes(bytes).map_err(|_| misaligned(bytes))
}

#[inline(always)]
fn below(what: &'static str, found: u64, limit: u64) -> Result<(), Damage> {
    if found < limit { Ok(()) } else { Err(Damage::new(0, what, found, format!("below {limit}"))) }
}

#[inline(always)]
fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), Damage> {
    if found <= limit { Ok(()) } else { Err(above(what, found, limit)) }
}

#[cold]
fn above(what: &'static str, found: u64, limit: u64) -> Damage {
    Damage::new(0, what, found, format!("at most {limit}"))
}

#[cold]
fn misaligned(bytes: &[u8]) -> Damage {
    Damage::new(
        0,
        "the alignment of a place",
        bytes.as_ptr().addr() as u64 % 64,
        "that of its type",
    )
}

#[cold]
fn out_of_region(region: Region, ordinal: u64) -> Damage {
    Damage::new(0, "an ordinal", ordinal, format!("one within the extents of {}", region.name()))
}

#[cold]
fn beyond_extent(offset: u64, size: u64) -> Damage {
    Damage::new(offset, "the size of an item", size, "within its extent")
}
