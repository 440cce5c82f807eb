//! Filling a store through its socket, as any program would.

use std::time::{Duration, Instant};

use anyhow::bail;
use sutra_client::{Associate, Batch, Client, Learn, Level, TypeRef};
use sutra_reader::Id;

use crate::workload::{Contents, Edge, Workload};

/// Operations of a frame: few enough to fit the caches, enough that the frame costs nothing.
pub const OPERATIONS_PER_FRAME: usize = 1024;
/// How long the last sync may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(600);

/// Sends all concepts and waits until the log is synced. Gives the time.
pub fn concepts(
    client: &mut Client,
    workload: &Workload,
    contents: &Contents,
) -> anyhow::Result<Duration> {
    let mut sending = Sending::new(client);
    for ordinal in 0..workload.concepts {
        learn(&mut sending.batch, workload.id(ordinal), contents.get(ordinal))?;
        sending.send_if_full()?;
    }
    sending.finish()
}

/// Sends all edges and waits until the log is synced. Gives the time.
pub fn edges(client: &mut Client, workload: &Workload, edges: &[Edge]) -> anyhow::Result<Duration> {
    let mut sending = Sending::new(client);
    for edge in edges {
        sending.batch.associate(&Associate {
            source: Id::Raw(workload.id(edge.source)),
            target: Id::Raw(workload.id(edge.target)),
            kind: TypeRef::Number(edge.edge_type),
            confidence: Some(edge.confidence),
            ..Associate::default()
        })?;
        sending.send_if_full()?;
    }
    sending.finish()
}

/// Adds a concept with the fields that every concept of the workload has.
pub fn learn(batch: &mut Batch, id: [u8; 16], content: &str) -> anyhow::Result<()> {
    batch.learn(&Learn {
        id: Id::Raw(id),
        content: Some(content),
        strength: Some(0.5),
        confidence: Some(0.75),
        ..Learn::default()
    })?;
    Ok(())
}

/// Frames on their way.
struct Sending<'a> {
    client: &'a mut Client,
    batch: Batch,
    began: Instant,
}

impl<'a> Sending<'a> {
    fn new(client: &'a mut Client) -> Sending<'a> {
        Sending { client, batch: Batch::new(), began: Instant::now() }
    }

    fn send_if_full(&mut self) -> anyhow::Result<()> {
        if self.batch.len() >= OPERATIONS_PER_FRAME {
            self.client.submit(&self.batch, Level::Accepted)?;
            self.batch.clear();
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Duration> {
        if !self.batch.is_empty() {
            self.client.submit(&self.batch, Level::Accepted)?;
        }
        for receipt in self.client.drain()? {
            if let Some(error) = receipt.errors.first() {
                bail!("an operation of the workload was refused: {error:?}");
            }
        }
        let lsn = self.client.last_lsn();
        self.client.wait(lsn, Level::Durable, SYNC_TIMEOUT)?;
        Ok(self.began.elapsed())
    }
}

/// Concepts that are not in the store yet, one after the other.
#[derive(Debug)]
pub struct NewConcepts {
    workload: Workload,
    number: u64,
    content: String,
}

impl NewConcepts {
    /// Those of one `purpose`: no two purposes have any in common.
    pub fn new(workload: Workload, purpose: u64) -> NewConcepts {
        NewConcepts { workload, number: (purpose + 1) << 40, content: String::new() }
    }

    /// The id and the content of the next.
    pub fn next(&mut self) -> ([u8; 16], &str) {
        self.number += 1;
        self.content.clear();
        self.workload.content(self.number as u32, self.number >> 32, &mut self.content);
        (self.workload.absent_id(self.number), &self.content)
    }
}
