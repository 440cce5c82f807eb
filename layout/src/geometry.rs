//! Where everything lies: the header's pages, the regions, and the extents of a region.
//!
//! A region is a segmented vector of units of one size. Extent `k` holds twice as many units as
//! extent `k - 1`; the first holds the largest power of two that fits into 64 KiB. A unit's place
//! is a leading-zero count and one addition, nothing ever moves, and no item straddles extents.

/// Bytes of a page: what different moments touch lies on different pages.
pub const PAGE_SIZE: u64 = 4096;

/// Byte of the superblock.
pub const SUPERBLOCK_OFFSET: u64 = 0;
/// Byte of the first vector-space entry; each has a page.
pub const SPACES_OFFSET: u64 = PAGE_SIZE;
/// Byte of the run mark.
pub const RUN_MARK_OFFSET: u64 = 5 * PAGE_SIZE;
/// Byte of `commit_seq`, whose low half is the futex word.
pub const COMMIT_SEQ_OFFSET: u64 = 6 * PAGE_SIZE;
/// Byte of `superseded_by`: the generation that replaces this file, or 0.
pub const SUPERSEDED_BY_OFFSET: u64 = 6 * PAGE_SIZE + 64;
/// Byte of the heartbeat: two words, CLOCK_BOOTTIME in nanoseconds and the coordinator's pid.
pub const HEARTBEAT_OFFSET: u64 = 6 * PAGE_SIZE + 128;
/// Byte of the snapshot ring.
pub const RING_OFFSET: u64 = 7 * PAGE_SIZE;
/// Byte of durable slot A; slot B has the next page.
pub const DURABLE_SLOTS_OFFSET: u64 = 8 * PAGE_SIZE;
/// Byte of the live ends of the derived regions, a word for each region, and of the index depths.
pub const LIVE_ENDS_OFFSET: u64 = 10 * PAGE_SIZE;
/// Byte of the extent directory.
pub const DIRECTORY_OFFSET: u64 = 12 * PAGE_SIZE;
/// Bytes of the header; extents begin here.
pub const HEADER_SIZE: u64 = 16 * PAGE_SIZE;

/// Regions the directory has room for.
pub const REGIONS_MAX: usize = 64;
/// Extents of a region: the last would hold 128 TiB.
pub const EXTENTS_MAX: usize = 32;
/// Bytes of a region's first extent, at most.
pub const FIRST_EXTENT_SIZE: u64 = 64 << 10;
/// Truth extents of at least this size are aligned to it and grow in steps of it.
pub const GROWTH_UNIT: u64 = 2 << 20;

/// A region, by its number in the extent directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region(pub u8);

impl Region {
    /// [`crate::record::ConceptRecord`]s, in the order of their log entries. Truth.
    pub const RECORDS: Region = Region(0);
    /// [`crate::edge::EdgeRecord`]s, likewise. Truth.
    pub const EDGES: Region = Region(1);
    /// Names, contents, metadata and properties: [`crate::blob`]s. Truth.
    pub const CONTENT: Region = Region(2);
    /// Names of types, kinds, namespaces and authors: [`crate::symbol`]s. Truth.
    pub const SYMBOLS: Region = Region(3);
    /// The client table that durable slot A names. Truth.
    pub const CLIENTS_A: Region = Region(4);
    /// The client table that durable slot B names. Truth.
    pub const CLIENTS_B: Region = Region(5);
    /// Segments of the id index, in words. Derived.
    pub const ID_SEGMENTS: Region = Region(6);
    /// Directory of the id index, in words. Derived.
    pub const ID_DIRECTORY: Region = Region(7);
    /// Segments of the edge index, in words. Derived.
    pub const EDGE_SEGMENTS: Region = Region(8);
    /// Directory of the edge index, in words. Derived.
    pub const EDGE_DIRECTORY: Region = Region(9);
    /// [`crate::column`]s by concept ordinal. Derived.
    pub const COLUMNS: Region = Region(10);
    /// [`crate::adjacency`] blocks, in units of 64 bytes. Derived.
    pub const ADJACENCY: Region = Region(11);
    /// How often and when concepts were used: [`crate::access`]. Neither truth nor derived.
    pub const ACCESS: Region = Region(28);
    /// Regions with numbers from here on are unknown to this version, and ignorable.
    pub const KNOWN_END: u8 = 29;

    /// Rows of vector space `space`. Truth.
    pub fn vectors(space: usize) -> Region {
        Region(12 + space_number(space))
    }
    /// [`crate::vector_column`]s: whose each row is. Truth.
    pub fn vector_columns(space: usize) -> Region {
        Region(16 + space_number(space))
    }
    /// Level-0 graph records of a space. Derived.
    pub fn graph(space: usize) -> Region {
        Region(20 + space_number(space))
    }
    /// Upper graph levels of a space, in units of 64 bytes. Derived.
    pub fn graph_levels(space: usize) -> Region {
        Region(24 + space_number(space))
    }

    /// Whether its bytes are written once and then final.
    pub fn is_truth(self) -> bool {
        matches!(self.0, 0..=5 | 12..=19)
    }

    /// Whether it can be made anew from truth.
    pub fn is_derived(self) -> bool {
        matches!(self.0, 6..=11 | 20..=27)
    }

    /// Whether it belongs to the graph of a vector space.
    pub fn is_of_graph(self) -> bool {
        matches!(self.0, 20..=27)
    }

    /// As an index of a table with [`REGIONS_MAX`] rows.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "records",
            1 => "edges",
            2 => "content",
            3 => "symbols",
            4 | 5 => "clients",
            6 => "id index segments",
            7 => "id index directory",
            8 => "edge index segments",
            9 => "edge index directory",
            10 => "concept columns",
            11 => "adjacency",
            12..=15 => "vectors",
            16..=19 => "vector columns",
            20..=23 => "vector graph",
            24..=27 => "vector graph levels",
            28 => "access counts",
            _ => "an unknown region",
        }
    }
}

fn space_number(space: usize) -> u8 {
    assert!(space < crate::limits::VECTOR_SPACES_MAX, "vector space {space} does not exist");
    space as u8
}

/// The unit of a region, and with it the place of every ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of one unit.
    pub stride: u64,
    /// log2 of the units of extent 0.
    pub first_count_log2: u32,
}

impl Shape {
    /// The shape of a region with units of `stride` bytes, at most [`FIRST_EXTENT_SIZE`].
    pub const fn new(stride: u64) -> Shape {
        assert!(stride > 0 && stride <= FIRST_EXTENT_SIZE);
        Shape { stride, first_count_log2: (FIRST_EXTENT_SIZE / stride).ilog2() }
    }

    /// The shape of a region whose unit does not depend on a vector space.
    pub const fn fixed(region: Region) -> Option<Shape> {
        match region.0 {
            0 => Some(Shape::new(128)),
            1 => Some(Shape::new(64)),
            2 | 3 => Some(Shape::new(1)),
            4 | 5 => Some(Shape::new(64)),
            6..=9 => Some(Shape::new(8)),
            10 | 28 => Some(Shape::new(32)),
            11 => Some(Shape::new(64)),
            16..=19 => Some(Shape::new(32)),
            24..=27 => Some(Shape::new(64)),
            _ => None,
        }
    }

    /// The extent that holds unit `ordinal`, and the byte of the unit within it; `None` above what
    /// a region can hold.
    #[inline(always)]
    pub fn place(self, ordinal: u64) -> Option<(usize, u64)> {
        let number = ordinal.checked_add(1 << self.first_count_log2)?;
        let log2 = number.ilog2();
        let extent = (log2 - self.first_count_log2) as usize;
        if extent >= EXTENTS_MAX {
            return None;
        }
        Some((extent, (number - (1 << log2)) * self.stride))
    }

    /// Units of extent `extent`.
    pub fn extent_count(self, extent: usize) -> u64 {
        1 << (self.first_count_log2 + extent as u32)
    }

    /// The first unit of extent `extent`.
    pub fn extent_start(self, extent: usize) -> u64 {
        self.extent_count(extent) - self.extent_count(0)
    }

    /// Bytes of extent `extent`, in whole pages.
    pub fn extent_size(self, extent: usize) -> u64 {
        (self.extent_count(extent) * self.stride).next_multiple_of(PAGE_SIZE)
    }

    /// The lowest unit at or above `end` where `count` units in a row lie in one extent.
    pub fn fit(self, end: u64, count: u64) -> Option<u64> {
        let mut start = end;
        for _ in 0..=EXTENTS_MAX {
            let (extent, byte) = self.place(start)?;
            if byte / self.stride + count <= self.extent_count(extent) {
                return Some(start);
            }
            start = self.extent_start(extent + 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_double_and_every_ordinal_has_one_place() {
        for stride in [1, 8, 12, 64, 128, 1536, 3072] {
            let shape = Shape::new(stride);
            let mut expected = 0;
            for extent in 0..6 {
                assert_eq!(shape.extent_start(extent), expected);
                for at in [0, 1, shape.extent_count(extent) - 1] {
                    assert_eq!(shape.place(expected + at), Some((extent, at * stride)));
                }
                expected += shape.extent_count(extent);
            }
        }
        assert_eq!(Shape::new(64).place(u64::MAX), None);
        assert_eq!(Shape::new(64).place(1 << 60), None);
    }

    #[test]
    fn an_item_never_straddles_extents() {
        let shape = Shape::new(1);
        assert_eq!(shape.fit(0, 65536), Some(0));
        assert_eq!(shape.fit(1, 65536), Some(65536));
        assert_eq!(shape.fit(65000, 600), Some(65536));
        assert_eq!(shape.fit(0, 1 << 20), Some(shape.extent_start(4)));
        assert_eq!(shape.fit(0, u64::MAX / 2), None);
    }
}
