//! One published version: 64 words, in the ring and in the durable slots.
//!
//! | offset | size | field               | meaning |
//! |-------:|-----:|---------------------|---------|
//! |      0 |    8 | `commit_seq`        | number of this publication |
//! |      8 |    8 | `published_lsn`     | every log entry up to it is in this version |
//! |     16 |    8 | `history_floor_lsn` | as-of reads before it are refused |
//! |     24 |    8 | `published_at`      | microseconds since the Unix epoch |
//! |     32 |    8 | `writer_epoch`      | of the coordinator that published |
//! |     40 |    8 | `durable_lsn`       | log entries up to it are synced |
//! |     48 |    8 | `checkpoint_lsn`    | log entries up to it are in the newest durable slot |
//! |     56 |    8 | `records`           | records in this version |
//! |     64 |    8 | `concepts`          | concept ordinals given |
//! |     72 |    8 | `edges`             | edges, ended ones too |
//! |     80 |    8 | `content_size`      | bytes of the content region |
//! |     88 |    8 | `symbols_size`      | bytes of the symbols region |
//! |     96 |    8 | `concepts_live`     | concepts that are not forgotten |
//! |    104 |    8 | `edges_live`        | associations that have not ended |
//! |    112 |    8 | `operations`        | operations applied since the store was created |
//! |    120 |    8 | `id_index_depth`    | global depth of the id index, or less |
//! |    128 |    8 | `edge_index_depth`  | likewise of the edge index |
//! |    136 |    8 | `spaces_count`      | vector spaces |
//! |    144 |  128 | `spaces`            | for each of four: `count`, `indexed_count`, `entry_point` (1 + node), `top_level` |
//! |    272 |    8 | `clients_count`     | durable slots only: entries of the client table |
//! |    280 |    8 | `clients_checksum`  | durable slots only: CRC32C of the table |
//! |    288 |    8 | `flags`             | durable slots only: bit 0 clean, everything was synced and nothing stored since |
//! |    296 |    8 | `records_expiring`  | records ever written that expire; while 0, readers need not look |
//! |    304 |    8 | `edges_expiring`    | edges ever written that end by themselves, likewise |
//! |    312 |   32 | `dead_rows`         | for each space, rows below its count that no current version has |
//! |    344 |  160 | `reserved`          | zero |
//! |    504 |    8 | `checksum`          | CRC32C of the bytes before it |
//!
//! Ring slots are stored and loaded as words, see [`crate::ring`]. The counts are those of the
//! publication's own batch, never the allocator's current ones. Durable slots A and B are written
//! in turn, each after the truth below it was synced, and synced themselves.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

use crate::checksum::checksum;
use crate::geometry::Region;
use crate::limits::VECTOR_SPACES_MAX;

/// The state of one vector space in a version.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SpaceCounts {
    /// Rows.
    pub count: u64,
    /// Rows below it are in the graph; a search scans the rest.
    pub indexed_count: u64,
    /// 1 + the graph node where a search starts; 0: no graph.
    pub entry_point: u64,
    /// The level of the entry point.
    pub top_level: u64,
}

/// See the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[expect(missing_docs, reason = "the module's table documents each field")]
pub struct Slot {
    pub commit_seq: u64,
    pub published_lsn: u64,
    pub history_floor_lsn: u64,
    pub published_at: u64,
    pub writer_epoch: u64,
    pub durable_lsn: u64,
    pub checkpoint_lsn: u64,
    pub records: u64,
    pub concepts: u64,
    pub edges: u64,
    pub content_size: u64,
    pub symbols_size: u64,
    pub concepts_live: u64,
    pub edges_live: u64,
    pub operations: u64,
    pub id_index_depth: u64,
    pub edge_index_depth: u64,
    pub spaces_count: u64,
    pub spaces: [SpaceCounts; VECTOR_SPACES_MAX],
    pub clients_count: u64,
    pub clients_checksum: u64,
    pub flags: u64,
    pub records_expiring: u64,
    pub edges_expiring: u64,
    pub dead_rows: [u64; VECTOR_SPACES_MAX],
    pub reserved: [u64; 20],
    pub checksum: u64,
}

const _: () = assert!(size_of::<Slot>() == 512);

/// Words of a slot.
pub const SLOT_WORDS: usize = 64;

impl Default for Slot {
    fn default() -> Slot {
        transmute!([0u64; SLOT_WORDS])
    }
}

impl Slot {
    /// Set by a clean stop, in a durable slot only.
    pub const CLEAN: u64 = 1;

    /// With the checksum of its other bytes.
    #[must_use]
    pub fn sealed(mut self) -> Slot {
        self.checksum = self.computed_checksum();
        self
    }

    /// Whether the checksum is that of its other bytes.
    pub fn is_whole(&self) -> bool {
        self.checksum == self.computed_checksum()
    }

    fn computed_checksum(&self) -> u64 {
        checksum(&self.as_bytes()[..504]).into()
    }

    /// As it stands in the ring.
    pub fn to_words(self) -> [u64; SLOT_WORDS] {
        transmute!(self)
    }

    /// From the words of a ring slot; the caller checks [`Slot::is_whole`].
    pub fn from_words(words: [u64; SLOT_WORDS]) -> Slot {
        transmute!(words)
    }

    /// Units of a region that this version has. Of a client table and of derived regions, which no
    /// count of a slot bounds, 0; but concepts have their columns, and rows of vectors their nodes.
    pub fn count_of(&self, region: Region) -> u64 {
        match region {
            Region::RECORDS => self.records,
            Region::EDGES => self.edges,
            Region::CONTENT => self.content_size,
            Region::SYMBOLS => self.symbols_size,
            Region::COLUMNS => self.concepts,
            Region(number @ 12..=15) => self.spaces[usize::from(number) - 12].count,
            Region(number @ 16..=19) => self.spaces[usize::from(number) - 16].count,
            Region(number @ 20..=23) => self.spaces[usize::from(number) - 20].count,
            _ => 0,
        }
    }

    /// The newer of two durable slots, of those that are whole, and its place (0 for A).
    pub fn newest(slots: &[Slot; 2]) -> Option<(usize, &Slot)> {
        let whole =
            slots.iter().enumerate().filter(|(_, slot)| slot.is_whole() && slot.commit_seq > 0);
        whole.max_by_key(|(_, slot)| slot.commit_seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_docs_is_the_struct() {
        crate::table::assert_table!(
            Slot,
            commit_seq,
            published_lsn,
            history_floor_lsn,
            published_at,
            writer_epoch,
            durable_lsn,
            checkpoint_lsn,
            records,
            concepts,
            edges,
            content_size,
            symbols_size,
            concepts_live,
            edges_live,
            operations,
            id_index_depth,
            edge_index_depth,
            spaces_count,
            spaces,
            clients_count,
            clients_checksum,
            flags,
            records_expiring,
            edges_expiring,
            dead_rows,
            reserved,
            checksum,
        );
    }

    #[test]
    fn the_newer_whole_durable_slot_counts() {
        let a = Slot { commit_seq: 5, records: 1, ..Default::default() }.sealed();
        let b = Slot { commit_seq: 9, records: 2, ..Default::default() }.sealed();
        assert_eq!(Slot::newest(&[a, b]).unwrap().0, 1);
        let torn = Slot { records: 3, ..b };
        assert_eq!(Slot::newest(&[a, torn]).unwrap().0, 0);
        assert!(Slot::newest(&[Slot::default(), torn]).is_none());
        assert_eq!(Slot::from_words(b.to_words()), b);
    }
}
