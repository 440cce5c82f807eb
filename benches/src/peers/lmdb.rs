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

use super::{
    Concept, FIELDS_SIZE, LINK_SIZE, Link, Lists, OPERATIONS_PER_TRANSACTION, Writing, u32_at,
    whole,
};
use crate::reading::Source;
use crate::workload::{Contents, Edge, Workload};

/// More than any workload takes; it is only address space.
const MAP_SIZE: usize = 64 << 30;

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

impl Lmdb {
    /// Opens or makes the environment in `dir`. With `is_synced` every commit is durable.
    pub fn open(dir: &Path, is_synced: bool) -> anyhow::Result<Lmdb> {
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

    /// Writes all concepts by key, appending: as fast as it goes, if one can sort first. Gives the
    /// time.
    pub fn load_concepts_sorted(
        &mut self,
        workload: &Workload,
        contents: &Contents,
    ) -> anyhow::Result<Duration> {
        let mut ordinals: Vec<u32> = (0..workload.concepts).collect();
        let began = Instant::now();
        ordinals.sort_unstable_by_key(|ordinal| workload.id(*ordinal));
        let mut value = Vec::new();
        for chunk in ordinals.chunks(OPERATIONS_PER_TRANSACTION) {
            let mut txn = self.env.write_txn()?;
            for &ordinal in chunk {
                let id = workload.id(ordinal);
                Concept { id, ordinal, content: contents.get(ordinal) }.value(&mut value);
                self.concepts.put_with_flags(&mut txn, PutFlags::APPEND, &id, &value)?;
            }
            txn.commit()?;
        }
        self.sync()?;
        Ok(began.elapsed())
    }

    /// Writes all edges likewise.
    pub fn load_edges_sorted(&mut self, edges: &[Edge]) -> anyhow::Result<Duration> {
        let mut edges = edges.to_vec();
        let began = Instant::now();
        let out = |edge: &Edge| (edge.source, Link::of(edge, true).bytes());
        let back = |edge: &Edge| (edge.target, Link::of(edge, false).bytes());
        edges.sort_unstable_by_key(out);
        self.append(&self.out, edges.iter().map(out))?;
        edges.sort_unstable_by_key(back);
        self.append(&self.back, edges.iter().map(back))?;
        self.sync()?;
        Ok(began.elapsed())
    }

    fn append(
        &self,
        table: &Edges,
        links: impl Iterator<Item = (u32, [u8; LINK_SIZE])>,
    ) -> anyhow::Result<()> {
        let mut txn = self.env.write_txn()?;
        for (key, value) in links {
            table.put_with_flags(&mut txn, PutFlags::APPEND_DUP, &key.to_le_bytes(), &value)?;
        }
        txn.commit()?;
        Ok(())
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

impl Writing for Lmdb {
    fn write(&mut self, concepts: &[Concept<'_>]) -> anyhow::Result<()> {
        let (mut txn, mut value) = (self.env.write_txn()?, Vec::new());
        for concept in concepts {
            concept.value(&mut value);
            self.concepts.put(&mut txn, &concept.id, &value)?;
        }
        txn.commit()?;
        Ok(())
    }

    fn write_edges(&mut self, edges: &[Edge]) -> anyhow::Result<()> {
        let mut txn = self.env.write_txn()?;
        for edge in edges {
            let (out, back) = (Link::of(edge, true).bytes(), Link::of(edge, false).bytes());
            self.out.put(&mut txn, &edge.source.to_le_bytes(), &out)?;
            self.back.put(&mut txn, &edge.target.to_le_bytes(), &back)?;
        }
        txn.commit()?;
        Ok(())
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        Ok(self.env.force_sync()?)
    }

    fn file_size(&self) -> anyhow::Result<u64> {
        Ok(self.env.real_disk_size()?)
    }
}

/// A read transaction.
pub struct View<'e> {
    lmdb: &'e Lmdb,
    txn: RoTxn<'e, WithTls>,
}

impl Source for Lmdb {
    type View<'s> = View<'s>;

    fn view(&self) -> View<'_> {
        View { lmdb: self, txn: whole(self.env.read_txn()) }
    }
}

impl Lists for View<'_> {
    #[inline]
    fn ordinal(&self, id: &[u8; 16]) -> Option<u32> {
        Some(u32_at(whole(self.lmdb.concepts.get(&self.txn, id))?, 0))
    }

    #[inline]
    fn content(&self, id: &[u8; 16], touch: impl FnOnce(&[u8]) -> u64) -> Option<(u32, u64)> {
        let value = whole(self.lmdb.concepts.get(&self.txn, id))?;
        Some((u32_at(value, 0), touch(&value[FIELDS_SIZE..])))
    }

    #[inline]
    fn links(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(Link)) {
        let table = if is_out { &self.lmdb.out } else { &self.lmdb.back };
        let Some(links) = whole(table.get_duplicates(&self.txn, &ordinal.to_le_bytes())) else {
            return;
        };
        for link in links {
            visit(Link::from_bytes(whole(link).1));
        }
    }
}
