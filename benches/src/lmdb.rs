//! The peer: LMDB through heed, laid out as its users would for this workload.
//!
//! One table from id to 24 bytes of fields and the content, and two from a concept's ordinal to the
//! 12 bytes of each of its edges, out and in: integer keys (in this machine's order, which is little-
//! endian wherever a store of ours runs), sorted duplicates of one size.
#![expect(
    unsafe_code,
    reason = "heed leaves it to the caller that nobody else changes the mapped file, and that \
              unsynced writes may be lost"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use heed::types::Bytes;
use heed::{
    CommitOrAbort, Database, DatabaseFlags, DatabaseOpener, Env, EnvFlags, EnvOpenOptions,
    IntegerComparator, PutFlags, RoTxn, RwTxn, WithTls,
};

use crate::workload::{Contents, Edge, Workload};

/// More than any workload takes; it is only address space.
const MAP_SIZE: usize = 64 << 30;
/// Operations of one transaction of a bulk load.
const OPERATIONS_PER_TRANSACTION: usize = 100_000;
/// Bytes of a concept's fields before its content.
const FIELDS_SIZE: usize = 24;
/// Bytes of the largest concept.
const VALUE_SIZE_MAX: usize = FIELDS_SIZE + 256;

type Concepts = Database<'static, Bytes, Bytes>;
type Edges = Database<'static, Bytes, Bytes, IntegerComparator>;

/// An open environment with its tables.
#[derive(Debug)]
pub struct Lmdb {
    env: Env<WithTls>,
    concepts: Concepts,
    out: Edges,
    back: Edges,
}

/// An edge as it lies in a list.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The concept at the other end.
    pub neighbor: u32,
    /// The type.
    pub edge_type: u16,
    /// 0 to 1.
    pub confidence: f32,
}

/// How a load goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the workload comes.
    Random,
    /// By key, appending: as fast as it goes, if one can sort first.
    Sorted,
}

impl Lmdb {
    /// Opens or makes the environment in `dir`. With `is_synced` every commit is durable.
    pub fn open(dir: &Path, is_synced: bool) -> anyhow::Result<Lmdb> {
        std::fs::create_dir_all(dir)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_SIZE).max_dbs(3).max_readers(64);
        // SAFETY: only processes of this binary open it, each once; with NO_SYNC a loss of power
        // may take what was written, and the folder is temporary.
        let env = unsafe {
            if !is_synced {
                options.flags(EnvFlags::NO_SYNC);
            }
            options.open(dir)?
        };
        let txn = env.write_txn()?;
        let tables = env.create_databases_and_commit(txn, |opener, txn| {
            let tables = (
                opener.create_database::<Bytes, Bytes>(txn, Some("concepts"))?,
                edges_table(opener, txn, "out")?,
                edges_table(opener, txn, "back")?,
            );
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
        })?;
        let (concepts, out, back) = tables.commit().context("the tables were not made")?;
        Ok(Lmdb { env, concepts, out, back })
    }

    /// Opens an environment that is there, for reading.
    pub fn open_to_read(dir: &Path) -> anyhow::Result<Lmdb> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_SIZE).max_dbs(3).max_readers(64);
        // SAFETY: as above; and nothing is written.
        let env = unsafe { options.flags(EnvFlags::READ_ONLY).open(dir)? };
        let txn = env.read_txn()?;
        let tables = env.open_databases_and_commit(txn, |opener, txn| {
            let edges = |name| {
                let options = opener.database_options().types::<Bytes, Bytes>();
                let mut options = options.key_comparator::<IntegerComparator>();
                options.name(name).open(txn)
            };
            let tables = (
                opener.open_database::<Bytes, Bytes>(txn, Some("concepts"))?,
                edges("out")?,
                edges("back")?,
            );
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
        })?;
        let (concepts, out, back) = tables.commit().context("the tables were not opened")?;
        Ok(Lmdb {
            env,
            concepts: concepts.context("there is no table of concepts")?,
            out: out.context("there is no table of edges out")?,
            back: back.context("there is no table of edges back")?,
        })
    }

    /// A view that stays as it is.
    pub fn read(&self) -> anyhow::Result<RoTxn<'_, WithTls>> {
        Ok(self.env.read_txn()?)
    }

    /// The fields and the content of a concept.
    #[inline]
    pub fn get<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        id: &[u8; 16],
    ) -> anyhow::Result<Option<(u32, &'t [u8])>> {
        let value = self.concepts.get(txn, id)?;
        Ok(value.map(|value| {
            let (fields, content) = value.split_at(FIELDS_SIZE);
            (u32_at(fields, 0), content)
        }))
    }

    /// Gives each edge of a concept to `visit`.
    #[inline]
    pub fn links(
        &self,
        txn: &RoTxn<'_>,
        ordinal: u32,
        is_out: bool,
        mut visit: impl FnMut(Link),
    ) -> anyhow::Result<()> {
        let table = if is_out { &self.out } else { &self.back };
        let Some(links) = table.get_duplicates(txn, &ordinal.to_le_bytes())? else {
            return Ok(());
        };
        for link in links {
            let (_, bytes) = link?;
            visit(Link {
                neighbor: u32_at(bytes, 0),
                edge_type: u32_at(bytes, 4) as u16,
                confidence: f32::from_bits(u32_at(bytes, 8)),
            });
        }
        Ok(())
    }

    /// Writes all concepts in large transactions, then syncs. Gives the time.
    pub fn load_concepts(
        &self,
        workload: &Workload,
        contents: &Contents,
        order: Order,
    ) -> anyhow::Result<Duration> {
        let mut ordinals: Vec<u32> = (0..workload.concepts).collect();
        let began = Instant::now();
        let mut flags = PutFlags::empty();
        if order == Order::Sorted {
            ordinals.sort_unstable_by_key(|ordinal| workload.id(*ordinal));
            flags = PutFlags::APPEND;
        }
        for chunk in ordinals.chunks(OPERATIONS_PER_TRANSACTION) {
            let mut txn = self.env.write_txn()?;
            for &ordinal in chunk {
                let id = workload.id(ordinal);
                self.put(&mut txn, flags, &id, ordinal, contents.get(ordinal))?;
            }
            txn.commit()?;
        }
        self.env.force_sync()?;
        Ok(began.elapsed())
    }

    /// Writes all edges, both ways, likewise.
    pub fn load_edges(&self, edges: &[Edge], order: Order) -> anyhow::Result<Duration> {
        let mut edges = edges.to_vec();
        let began = Instant::now();
        match order {
            Order::Random => {
                for chunk in edges.chunks(OPERATIONS_PER_TRANSACTION) {
                    let mut txn = self.env.write_txn()?;
                    for edge in chunk {
                        let (out, back) =
                            (value_of(edge.target, edge), value_of(edge.source, edge));
                        self.out.put(&mut txn, &edge.source.to_le_bytes(), &out)?;
                        self.back.put(&mut txn, &edge.target.to_le_bytes(), &back)?;
                    }
                    txn.commit()?;
                }
            }
            Order::Sorted => {
                let out = |edge: &Edge| (edge.source, value_of(edge.target, edge));
                let back = |edge: &Edge| (edge.target, value_of(edge.source, edge));
                edges.sort_unstable_by_key(out);
                self.append(&self.out, edges.iter().map(out))?;
                edges.sort_unstable_by_key(back);
                self.append(&self.back, edges.iter().map(back))?;
            }
        }
        self.env.force_sync()?;
        Ok(began.elapsed())
    }

    fn append(
        &self,
        table: &Edges,
        links: impl Iterator<Item = (u32, [u8; 12])>,
    ) -> anyhow::Result<()> {
        let mut txn = self.env.write_txn()?;
        for (key, value) in links {
            table.put_with_flags(&mut txn, PutFlags::APPEND_DUP, &key.to_le_bytes(), &value)?;
        }
        txn.commit()?;
        Ok(())
    }

    /// One transaction that writes these concepts.
    pub fn write<'c>(
        &self,
        concepts: impl IntoIterator<Item = ([u8; 16], u32, &'c str)>,
    ) -> anyhow::Result<()> {
        let mut txn = self.env.write_txn()?;
        for (id, ordinal, content) in concepts {
            self.put(&mut txn, PutFlags::empty(), &id, ordinal, content)?;
        }
        txn.commit()?;
        Ok(())
    }

    fn put(
        &self,
        txn: &mut RwTxn<'_>,
        flags: PutFlags,
        id: &[u8; 16],
        ordinal: u32,
        content: &str,
    ) -> anyhow::Result<()> {
        let mut value = [0; VALUE_SIZE_MAX];
        let value = &mut value[..FIELDS_SIZE + content.len()];
        value[..4].copy_from_slice(&ordinal.to_le_bytes());
        value[4..8].copy_from_slice(&0.5f32.to_le_bytes());
        value[8..12].copy_from_slice(&0.75f32.to_le_bytes());
        value[FIELDS_SIZE..].copy_from_slice(content.as_bytes());
        Ok(self.concepts.put_with_flags(txn, flags, id, value)?)
    }

    /// Bytes of the file.
    pub fn file_size(&self) -> anyhow::Result<u64> {
        Ok(self.env.real_disk_size()?)
    }
}

fn edges_table<'e>(
    opener: &DatabaseOpener<'e, WithTls>,
    txn: &mut RwTxn<'e>,
    name: &str,
) -> heed::Result<Database<'e, Bytes, Bytes, IntegerComparator>> {
    let options = opener.database_options().types::<Bytes, Bytes>();
    let mut options = options.key_comparator::<IntegerComparator>();
    options.name(name).flags(DatabaseFlags::DUP_SORT | DatabaseFlags::DUP_FIXED).create(txn)
}

fn value_of(neighbor: u32, edge: &Edge) -> [u8; 12] {
    let mut value = [0; 12];
    value[..4].copy_from_slice(&neighbor.to_le_bytes());
    value[4..6].copy_from_slice(&edge.edge_type.to_le_bytes());
    value[8..].copy_from_slice(&edge.confidence.to_le_bytes());
    value
}

#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
