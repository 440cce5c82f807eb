//! The peer: redb, with the tables that its users would make: id to value, and for each direction of
//! the edges a key of both ends and the type, so that a concept's edges are a range.
//!
//! One process writes and reads, or several read: a second process is refused beside a writer.

use std::path::{Path, PathBuf};

use redb::{
    Database, Durability, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase, TableDefinition,
};

use super::{Concept, FIELDS_SIZE, Link, Lists, Writing, u32_at, whole};
use crate::reading::Source;
use crate::workload::Edge;

const CONCEPTS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("concepts");
const OUT: TableDefinition<'_, (u32, u32, u16), Bits> = TableDefinition::new("out");
const BACK: TableDefinition<'_, (u32, u32, u16), Bits> = TableDefinition::new("back");

/// The bits of a confidence.
type Bits = u32;
type Edges = ReadOnlyTable<(u32, u32, u16), Bits>;

/// Bytes of redb's own cache: the largest of these stores.
const CACHE_SIZE: usize = 1 << 30;

fn path_in(dir: &Path) -> PathBuf {
    dir.join("store.redb")
}

/// The store, open to be written.
#[derive(Debug)]
pub struct Writer {
    database: Database,
    durability: Durability,
    path: PathBuf,
}

impl Writer {
    /// Opens or makes it.
    pub fn open(dir: &Path, is_synced: bool) -> anyhow::Result<Writer> {
        let path = path_in(dir);
        let database = Database::builder().set_cache_size(CACHE_SIZE).create(&path)?;
        let durability = if is_synced { Durability::Immediate } else { Durability::None };
        Ok(Writer { database, durability, path })
    }
}

impl Writing for Writer {
    fn write(&mut self, concepts: &[Concept<'_>]) -> anyhow::Result<()> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(self.durability)?;
        let (mut table, mut value) = (txn.open_table(CONCEPTS)?, Vec::new());
        for concept in concepts {
            concept.value(&mut value);
            table.insert(&concept.id, value.as_slice())?;
        }
        drop(table);
        Ok(txn.commit()?)
    }

    fn write_edges(&mut self, edges: &[Edge]) -> anyhow::Result<()> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(self.durability)?;
        let (mut out, mut back) = (txn.open_table(OUT)?, txn.open_table(BACK)?);
        for edge in edges {
            let bits = edge.confidence.to_bits();
            out.insert((edge.source, edge.target, edge.edge_type), bits)?;
            back.insert((edge.target, edge.source, edge.edge_type), bits)?;
        }
        drop((out, back));
        Ok(txn.commit()?)
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        // A durable commit takes all that were not with it.
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        Ok(txn.commit()?)
    }

    fn file_size(&self) -> anyhow::Result<u64> {
        Ok(std::fs::metadata(&self.path)?.len())
    }
}

/// The store, open to be read by any number of processes while none writes.
pub struct Reader(ReadOnlyDatabase);

impl Reader {
    /// Opens it.
    pub fn open(dir: &Path) -> anyhow::Result<Reader> {
        let mut builder = Database::builder();
        Ok(Reader(builder.set_cache_size(CACHE_SIZE).open_read_only(path_in(dir))?))
    }
}

/// A read transaction's tables.
pub struct View {
    concepts: ReadOnlyTable<&'static [u8; 16], &'static [u8]>,
    out: Edges,
    back: Edges,
}

impl Source for Reader {
    type View<'s> = View;

    fn view(&self) -> View {
        let txn = whole(self.0.begin_read());
        View {
            concepts: whole(txn.open_table(CONCEPTS)),
            out: whole(txn.open_table(OUT)),
            back: whole(txn.open_table(BACK)),
        }
    }
}

impl Lists for View {
    #[inline]
    fn ordinal(&self, id: &[u8; 16]) -> Option<u32> {
        let value = whole(self.concepts.get(id))?;
        Some(u32_at(value.value(), 0))
    }

    #[inline]
    fn content(&self, id: &[u8; 16], touch: impl FnOnce(&[u8]) -> u64) -> Option<(u32, u64)> {
        let value = whole(self.concepts.get(id))?;
        let value = value.value();
        Some((u32_at(value, 0), touch(&value[FIELDS_SIZE..])))
    }

    #[inline]
    fn links(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(Link)) {
        let table = if is_out { &self.out } else { &self.back };
        let range = (ordinal, 0, 0)..=(ordinal, u32::MAX, u16::MAX);
        for link in whole(table.range(range)) {
            let (key, bits) = whole(link);
            let (_, neighbor, edge_type) = key.value();
            visit(Link { neighbor, edge_type, confidence: f32::from_bits(bits.value()) });
        }
    }
}
