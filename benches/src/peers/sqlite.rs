//! The peer: SQLite in WAL mode, read through its own mapping.

use std::path::{Path, PathBuf};

use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension, params};

use super::{Concept, Link, Lists, Writing, folder_size, whole};
use crate::reading::Source;
use crate::workload::Edge;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS concepts (
        id BLOB PRIMARY KEY, ordinal INTEGER, strength REAL, confidence REAL, content TEXT
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS out (
        source INTEGER, target INTEGER, type INTEGER, confidence REAL,
        PRIMARY KEY (source, target, type)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS back (
        target INTEGER, source INTEGER, type INTEGER, confidence REAL,
        PRIMARY KEY (target, source, type)
    ) WITHOUT ROWID;";

const PUT_CONCEPT: &str = "INSERT OR REPLACE INTO concepts VALUES (?1, ?2, ?3, ?4, ?5)";
const PUT_OUT: &str = "INSERT OR REPLACE INTO out VALUES (?1, ?2, ?3, ?4)";
const PUT_BACK: &str = "INSERT OR REPLACE INTO back VALUES (?1, ?2, ?3, ?4)";
const GET_ORDINAL: &str = "SELECT ordinal FROM concepts WHERE id = ?1";
const GET_CONTENT: &str =
    "SELECT ordinal, strength, confidence, content FROM concepts WHERE id = ?1";
const GET_OUT: &str = "SELECT target, type, confidence FROM out WHERE source = ?1";
const GET_BACK: &str = "SELECT source, type, confidence FROM back WHERE target = ?1";

fn path_in(dir: &Path) -> PathBuf {
    dir.join("store.sqlite")
}

/// Lets it map the whole file, and keep half a gigabyte of pages where it does not.
fn set_up(connection: &Connection) -> anyhow::Result<()> {
    connection.pragma_update(None, "mmap_size", 64i64 << 30)?;
    connection.pragma_update(None, "cache_size", -(512 << 10))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// The store, open to be written.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    dir: PathBuf,
}

impl Writer {
    /// Opens or makes it.
    pub fn open(dir: &Path, is_synced: bool) -> anyhow::Result<Writer> {
        let connection = Connection::open(path_in(dir))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", if is_synced { "FULL" } else { "OFF" })?;
        set_up(&connection)?;
        connection.execute_batch(TABLES)?;
        Ok(Writer { connection, dir: dir.to_owned() })
    }
}

impl Writing for Writer {
    fn write(&mut self, concepts: &[Concept<'_>]) -> anyhow::Result<()> {
        let txn = self.connection.transaction()?;
        let mut put = txn.prepare_cached(PUT_CONCEPT)?;
        for concept in concepts {
            put.execute(params![concept.id, concept.ordinal, 0.5, 0.75, concept.content])?;
        }
        drop(put);
        Ok(txn.commit()?)
    }

    fn write_edges(&mut self, edges: &[Edge]) -> anyhow::Result<()> {
        let txn = self.connection.transaction()?;
        let (mut out, mut back) = (txn.prepare_cached(PUT_OUT)?, txn.prepare_cached(PUT_BACK)?);
        for edge in edges {
            out.execute(params![edge.source, edge.target, edge.edge_type, edge.confidence])?;
            back.execute(params![edge.target, edge.source, edge.edge_type, edge.confidence])?;
        }
        drop((out, back));
        Ok(txn.commit()?)
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        let checkpoint = "PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE);";
        let before: i64 = self.connection.pragma_query_value(None, "synchronous", |r| r.get(0))?;
        self.connection.execute_batch(checkpoint)?;
        Ok(self.connection.pragma_update(None, "synchronous", before)?)
    }

    fn file_size(&self) -> anyhow::Result<u64> {
        folder_size(&self.dir)
    }
}

/// The store, open to be read.
#[derive(Debug)]
pub struct Reader(Connection);

impl Reader {
    /// Opens it.
    pub fn open(dir: &Path) -> anyhow::Result<Reader> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path_in(dir), flags)?;
        set_up(&connection)?;
        Ok(Reader(connection))
    }
}

/// A read transaction.
pub struct View<'c>(&'c Connection);

impl Source for Reader {
    type View<'s> = View<'s>;

    fn view(&self) -> View<'_> {
        whole(whole(self.0.prepare_cached("BEGIN")).execute([]));
        View(&self.0)
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        whole(whole(self.0.prepare_cached("COMMIT")).execute([]));
    }
}

impl View<'_> {
    fn statement(&self, text: &str) -> CachedStatement<'_> {
        whole(self.0.prepare_cached(text))
    }
}

impl Lists for View<'_> {
    fn ordinal(&self, id: &[u8; 16]) -> Option<u32> {
        let mut get = self.statement(GET_ORDINAL);
        whole(get.query_row([id], |row| row.get(0)).optional())
    }

    fn content(&self, id: &[u8; 16], touch: impl FnOnce(&[u8]) -> u64) -> Option<(u32, u64)> {
        let mut get = self.statement(GET_CONTENT);
        let found = get.query_row([id], |row| {
            let content = row.get_ref(3)?.as_bytes()?;
            Ok((row.get(0)?, touch(content)))
        });
        whole(found.optional())
    }

    fn links(&self, ordinal: u32, is_out: bool, mut visit: impl FnMut(Link)) {
        let mut get = self.statement(if is_out { GET_OUT } else { GET_BACK });
        let mut rows = whole(get.query([ordinal]));
        while let Some(row) = whole(rows.next()) {
            visit(Link {
                neighbor: whole(row.get(0)),
                edge_type: whole(row.get(1)),
                confidence: whole(row.get(2)),
            });
        }
    }
}
