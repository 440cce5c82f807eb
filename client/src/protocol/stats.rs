//! StatsReply: the coordinator's figures.
//!
//! `count: u32`, then that many `u64` in the order of the fields of [`WriterStats`]. More than are
//! known here are ignored and missing ones are 0, so that figures may be added behind the last.

use super::code::ProtocolError;
use super::frame::{FrameKind, write_frame};
use super::wire::Fields;

/// The coordinator's figures. Counters are since its start; times are µs since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Operations accepted.
    pub written: u64,
    /// Operations dropped: always 0, since overload slows the writers instead.
    pub dropped: u64,
    /// Operations not yet published.
    pub pending: u64,
    /// Publications.
    pub reconciliations: u64,
    /// The last LSN written to the log.
    pub written_lsn: u64,
    /// The last LSN applied to the file.
    pub applied_lsn: u64,
    /// The last LSN that readers see.
    pub published_lsn: u64,
    /// The last LSN synced.
    pub durable_lsn: u64,
    /// The last LSN that the log is no longer needed for.
    pub checkpoint_lsn: u64,
    /// Raised at each start of a coordinator.
    pub writer_epoch: u64,
    /// The coordinator's process.
    pub writer_pid: u64,
    /// Clients connected.
    pub connections: u64,
    /// Bytes of the log.
    pub log_size: u64,
    /// Bytes of storage.dat.
    pub storage_size: u64,
    /// When the coordinator started.
    pub started_at: u64,
    /// Bytes of storage.dat that a compaction would give back, about.
    pub dead_size: u64,
    /// Which copy of storage.dat is written.
    pub generation: u64,
    /// Compactions done.
    pub compactions: u64,
    /// When the last one was done; 0: none yet.
    pub compacted_at: u64,
    /// 1 while one is under way.
    pub is_compacting: u64,
}

impl WriterStats {
    const COUNT: usize = 20;

    fn to_numbers(self) -> [u64; Self::COUNT] {
        [
            self.written,
            self.dropped,
            self.pending,
            self.reconciliations,
            self.written_lsn,
            self.applied_lsn,
            self.published_lsn,
            self.durable_lsn,
            self.checkpoint_lsn,
            self.writer_epoch,
            self.writer_pid,
            self.connections,
            self.log_size,
            self.storage_size,
            self.started_at,
            self.dead_size,
            self.generation,
            self.compactions,
            self.compacted_at,
            self.is_compacting,
        ]
    }

    fn from_numbers(numbers: [u64; Self::COUNT]) -> WriterStats {
        let [
            written,
            dropped,
            pending,
            reconciliations,
            written_lsn,
            applied_lsn,
            published_lsn,
            durable_lsn,
            checkpoint_lsn,
            writer_epoch,
            writer_pid,
            connections,
            log_size,
            storage_size,
            started_at,
            dead_size,
            generation,
            compactions,
            compacted_at,
            is_compacting,
        ] = numbers;
        WriterStats {
            written,
            dropped,
            pending,
            reconciliations,
            written_lsn,
            applied_lsn,
            published_lsn,
            durable_lsn,
            checkpoint_lsn,
            writer_epoch,
            writer_pid,
            connections,
            log_size,
            storage_size,
            started_at,
            dead_size,
            generation,
            compactions,
            compacted_at,
            is_compacting,
        }
    }

    /// Reads the body of a StatsReply.
    pub fn decode(body: &[u8]) -> Result<WriterStats, ProtocolError> {
        let mut fields = Fields::new(body);
        let count = fields.u32("stats count")? as usize;
        let (numbers, odd) = fields.rest().as_chunks::<8>();
        if numbers.len() != count || !odd.is_empty() {
            return Err(ProtocolError::BadValue { field: "stats count" });
        }
        let mut known = [0; Self::COUNT];
        for (place, bytes) in known.iter_mut().zip(numbers) {
            *place = u64::from_le_bytes(*bytes);
        }
        Ok(WriterStats::from_numbers(known))
    }

    /// Appends the whole frame.
    pub fn encode(&self, request_id: u64, out: &mut Vec<u8>) {
        write_frame(out, FrameKind::StatsReply, request_id, |out| {
            out.extend_from_slice(&(Self::COUNT as u32).to_le_bytes());
            for number in self.to_numbers() {
                out.extend_from_slice(&number.to_le_bytes());
            }
        });
    }
}
