//! What a reader can know of a store in figures.

use std::os::unix::fs::MetadataExt;

use sutra_layout::slot::SpaceCounts;
use sutra_layout::sys::lock;

use crate::error::ReadError;
use crate::file::open_file;
use crate::reader::writer_of;
use crate::snapshot::Snapshot;

/// The figures of one snapshot, and of its file at the moment.
///
/// Of a store as it was ([`Snapshot::as_of`]), `concepts`, `edges`, `published_lsn` and
/// `published_at` are those of then; the others are those of the snapshot it was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotStats {
    /// Concepts that are not forgotten.
    pub concepts: u64,
    /// Associations that have not ended.
    pub edges: u64,
    /// Rows of all vector spaces.
    pub vectors: u64,
    /// Rows of them that are in a graph; a search looks at each of the rest.
    pub indexed_vectors: u64,
    /// Rows of them that are over: replaced, or of forgotten concepts. Walked through, never found.
    pub dead_vectors: u64,
    /// Whether so many rows of a space are over that a compaction is due: searches become slower.
    pub compaction_due: bool,
    /// Operations applied since the store was created.
    pub written: u64,
    /// Operations dropped: none, ever.
    pub dropped: u64,
    /// Operations accepted and not published yet; a reader sees none.
    pub pending: u64,
    /// Publications so far.
    pub reconciliations: u64,
    /// Every log entry up to it is in this version.
    pub published_lsn: u64,
    /// Log entries up to it were synced when this version was published.
    pub durable_lsn: u64,
    /// Log entries up to it were in a checkpoint when this version was published.
    pub checkpoint_lsn: u64,
    /// The number of the publication.
    pub commit_seq: u64,
    /// When it was published, in microseconds since the Unix epoch.
    pub published_at: u64,
    /// Milliseconds from then until the snapshot was taken. It also grows while nobody writes.
    pub staleness_ms: u64,
    /// Processes that have the store open for reading, this one included; 0 where the file system
    /// has no such locks.
    pub readers: u64,
    /// Bytes that the file takes on its disk.
    pub file_size: u64,
    /// Which copy of the store the file is, from 1.
    pub generation: u64,
    /// The coordinator's process id; 0 if none is alive.
    pub writer_pid: u32,
}

/// Below so many rows, those that are over do not matter.
const DUE_FROM_ROWS: u64 = 10_000;

/// A walk meets rows that are over as often as others, and keeps none of them: where they are a
/// third of all, a search takes half as long again.
fn is_compaction_due((space, dead): (&SpaceCounts, u64)) -> bool {
    space.count >= DUE_FROM_ROWS && dead.saturating_mul(3) >= space.count
}

impl Snapshot {
    /// The figures of this snapshot.
    pub fn stats(&self) -> SnapshotStats {
        let slot = self.slot();
        let file = self.file();
        let spaces = &slot.spaces[..self.space_count()];
        let dead_rows = || spaces.iter().zip(slot.dead_rows);
        let writer = writer_of(file);
        let metadata = file.view.map().file().metadata();
        SnapshotStats {
            concepts: self.concept_count(),
            edges: self.association_count(),
            vectors: spaces.iter().map(|space| space.count).sum(),
            indexed_vectors: spaces.iter().map(|space| space.indexed_count.min(space.count)).sum(),
            dead_vectors: dead_rows().map(|(space, dead)| dead.min(space.count)).sum(),
            compaction_due: dead_rows().any(is_compaction_due),
            written: slot.operations,
            dropped: 0,
            pending: 0,
            reconciliations: slot.commit_seq,
            published_lsn: slot.published_lsn,
            durable_lsn: slot.durable_lsn,
            checkpoint_lsn: slot.checkpoint_lsn,
            commit_seq: slot.commit_seq,
            published_at: slot.published_at,
            staleness_ms: self.read_time().saturating_sub(slot.published_at) / 1000,
            readers: self.readers().map_or(0, |pids| pids.len() as u64),
            file_size: metadata.map_or(0, |metadata| metadata.blocks() * 512),
            generation: file.view.superblock().generation,
            writer_pid: if writer.alive { writer.pid } else { 0 },
        }
    }

    /// The pids of the processes that have the store's file open for reading, this one included.
    pub fn readers(&self) -> Result<Vec<u32>, ReadError> {
        // Another descriptor: an announcement does not conflict with the one that made it.
        let path = &self.file().path;
        let readers = open_file(path).and_then(|file| lock::readers(&file));
        readers.map_err(|source| ReadError::Io { path: path.clone(), source })
    }
}
