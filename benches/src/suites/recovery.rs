//! From kill -9 of a writing coordinator until another serves, and that nothing acknowledged is
//! lost: of the workload's store, and of one with vectors. Then from a copy of the killed store, as
//! after a loss of power, which is checked and rebuilt.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sutra_client::{Batch, Client, Learn, Level};
use sutra_reader::{Id, Reader};

use super::add_quantiles;
use super::place::{Place, Stores};
use crate::board::{Board, OURS};
use crate::host::Coordinator;
use crate::load;
use crate::peers::Contender;
use crate::settings::Settings;
use crate::workload::{Workload, mix};

const SUITE: &str = "recovery";

/// Kills of a round.
const KILLS: u32 = 5;
/// How long the writer writes before it loses its coordinator: long enough for a log to read and a
/// checkpoint now and then, short enough that a hundred kills leave the store about as large.
const WRITING: Duration = Duration::from_millis(40);
/// Operations of a frame.
const OPERATIONS: u32 = 256;
/// Frames that are sent and not acknowledged.
const FRAMES_IN_FLIGHT: usize = 16;
/// How long what was acknowledged may take to become visible.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Vectors of the store with vectors, unless the workload has fewer concepts: those of WordNet.
const VECTORS: u32 = 117_659;
/// Elements of each.
const DIMENSION: usize = 384;
/// Vectors that lie about one place, as those of texts about one thing do.
const CLUSTER: u64 = 100;
/// How long linking them may take.
const LINKED_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs the suite.
pub fn run(stores: &mut Stores<'_>, _: &[Contender], board: &mut Board) -> anyhow::Result<()> {
    stores.touch(Contender::Sutra)?;
    let (place, store) = (stores.place, stores.path(Contender::Sutra));
    let stage = Stage { place, store: &store, has_vectors: false };
    stage.kill_and_copy(&mut stores.coordinator, board, "")?;

    let store = place.path("vectors");
    let stage = Stage { place, store: &store, has_vectors: true };
    let mut coordinator = Coordinator::start(&store)?;
    stage.fill(&coordinator)?;
    stage.kill_and_copy(&mut coordinator, board, ", with vectors")?;
    coordinator.stop()
}

/// A store whose coordinators are killed.
struct Stage<'a> {
    place: &'a Place,
    store: &'a Path,
    has_vectors: bool,
}

impl Stage<'_> {
    fn settings(&self) -> &Settings {
        &self.place.settings
    }

    fn kill_and_copy(
        &self,
        coordinator: &mut Coordinator,
        board: &mut Board,
        of: &str,
    ) -> anyhow::Result<()> {
        let mut spans: [(&str, Vec<u64>); 3] = [
            ("kill to gone", Vec::new()),
            ("kill to serving", Vec::new()),
            ("kill to next acknowledgement", Vec::new()),
        ];
        let rounds = self.settings().rounds;
        for round in 0..rounds {
            eprintln!("recovery{of}: round {} of {rounds}", round + 1);
            for kill in 0..KILLS {
                let first = (round * KILLS + kill) * 1_000_000;
                let took = self.kill_once(coordinator, first)?;
                for ((_, nanos), took) in spans.iter_mut().zip(took) {
                    nanos.push(took.as_nanos() as u64);
                }
            }
        }
        for (name, nanos) in &mut spans {
            add_quantiles(board, SUITE, &format!("{name}{of}"), OURS, nanos);
        }
        let mut nanos = vec![self.open_copy(coordinator)?.as_nanos() as u64];
        add_quantiles(board, SUITE, &format!("copied file to serving{of}"), OURS, &mut nanos);
        Ok(())
    }

    /// Kills the coordinator under a writer. Gives the time until it is gone, until another answers,
    /// and until that one has acknowledged a write.
    fn kill_once(
        &self,
        coordinator: &mut Coordinator,
        first: u32,
    ) -> anyhow::Result<[Duration; 3]> {
        let mut client = coordinator.connect()?;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| self.write_until(&is_over, &mut client, first));
            std::thread::sleep(WRITING);
            let restart = coordinator.kill_and_restart();
            is_over.store(true, Ordering::Relaxed);
            let written = match writer.join() {
                Ok(written) => written?,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            written.check(self.store, &self.place.workload)?;
            let restart = restart?;
            let acknowledged = written.acknowledged_again_at - restart.killed_at;
            Ok([restart.gone, restart.serving, acknowledged])
        })
    }

    /// Copies what a kill leaves, and gives the time until the copy is served.
    fn open_copy(&self, coordinator: &mut Coordinator) -> anyhow::Result<Duration> {
        let copy = self.place.path("copied");
        // Nothing is stored meanwhile: it is idle.
        for folder in ["", "wal"] {
            std::fs::create_dir_all(copy.join(folder))?;
            for entry in std::fs::read_dir(self.store.join(folder))? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    std::fs::copy(entry.path(), copy.join(folder).join(entry.file_name()))?;
                }
            }
        }
        ensure!(coordinator.connect().is_ok(), "the original is served");
        let began = Instant::now();
        let copied = Coordinator::start(&copy)?;
        let took = began.elapsed();
        copied.stop()?;
        std::fs::remove_dir_all(&copy)?;
        Ok(took)
    }

    /// Fills it with concepts that have vectors, and waits until the graph has them all.
    fn fill(&self, coordinator: &Coordinator) -> anyhow::Result<()> {
        let count = VECTORS.min(self.place.workload.concepts);
        eprintln!("recovery: loading {count} vectors");
        let (mut client, mut making) = (coordinator.connect()?, Making::new(&self.place.workload));
        let mut batch = Batch::new();
        for ordinal in 0..count {
            let id = self.place.workload.id(ordinal);
            making.learn(&mut batch, id, ordinal, true)?;
            if batch.len() as u32 == OPERATIONS || ordinal + 1 == count {
                client.submit(&batch, Level::Accepted)?;
                batch.clear();
            }
            while client.in_flight() > FRAMES_IN_FLIGHT {
                client.next_receipt()?;
            }
        }
        client.drain()?;
        client.flush()?;
        Reader::open(self.store)?.wait_indexed(LINKED_TIMEOUT)?;
        Ok(())
    }

    /// Writes as fast as it can, until it is over and another coordinator has acknowledged
    /// something.
    fn write_until(
        &self,
        is_over: &AtomicBool,
        client: &mut Client,
        first: u32,
    ) -> anyhow::Result<Written> {
        let workload = self.place.workload;
        let epoch = client.writer_epoch();
        let (mut batch, mut making) = (Batch::new(), Making::new(&workload));
        let mut acknowledged_again_at = None;
        let (mut ordinals, mut in_flight) = (Vec::new(), VecDeque::new());
        let mut ordinal = first;
        loop {
            let is_enough = is_over.load(Ordering::Relaxed) && acknowledged_again_at.is_some();
            if !is_enough {
                batch.clear();
                for _ in 0..OPERATIONS {
                    let id = workload.absent_id(ordinal.into());
                    making.learn(&mut batch, id, ordinal, self.has_vectors)?;
                    ordinal += 1;
                }
                client.submit(&batch, Level::Accepted)?;
                in_flight.push_back(ordinal - 1);
            }
            while client.in_flight() > if is_enough { 0 } else { FRAMES_IN_FLIGHT } {
                let receipt = client.next_receipt()?.context("a frame is unanswered")?;
                ensure!(receipt.errors.is_empty(), "a write was refused");
                ordinals.extend(in_flight.pop_front());
                if receipt.writer_epoch != epoch && acknowledged_again_at.is_none() {
                    acknowledged_again_at = Some(Instant::now());
                }
            }
            if is_enough && let Some(acknowledged_again_at) = acknowledged_again_at {
                ordinals.extend(in_flight);
                return Ok(Written {
                    last_lsn: client.last_lsn(),
                    ordinals,
                    acknowledged_again_at,
                });
            }
        }
    }
}

/// What makes concepts.
struct Making<'a> {
    workload: &'a Workload,
    content: String,
    vector: Vec<f32>,
}

impl<'a> Making<'a> {
    fn new(workload: &'a Workload) -> Making<'a> {
        Making { workload, content: String::new(), vector: Vec::new() }
    }

    fn learn(
        &mut self,
        batch: &mut Batch,
        id: [u8; 16],
        ordinal: u32,
        has_vector: bool,
    ) -> anyhow::Result<()> {
        self.content.clear();
        self.workload.content(ordinal, 1, &mut self.content);
        if !has_vector {
            return load::learn(batch, id, &self.content);
        }
        let ordinal = u64::from(ordinal);
        self.vector.clear();
        self.vector.extend((0..DIMENSION as u64).map(|element| {
            element_of(ordinal / CLUSTER, element) + 0.5 * element_of(!ordinal, element)
        }));
        batch.learn(&Learn {
            id: Id::Raw(id),
            content: Some(&self.content),
            embedding: Some(self.vector.as_slice()),
            ..Learn::default()
        })?;
        Ok(())
    }
}

/// An element between -1 and 1.
fn element_of(vector: u64, element: u64) -> f32 {
    let noise = mix(mix(vector) ^ element);
    (noise >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// What a writer knows at its end.
struct Written {
    last_lsn: u64,
    /// One concept of each acknowledged frame.
    ordinals: Vec<u32>,
    /// The first acknowledgement by another coordinator than at first.
    acknowledged_again_at: Instant,
}

impl Written {
    /// Fails if something acknowledged is lost.
    fn check(&self, store: &Path, workload: &Workload) -> anyhow::Result<()> {
        let reader = Reader::open(store)?;
        let snapshot = reader.wait_for_lsn(self.last_lsn, VISIBLE_TIMEOUT)?;
        let mut content = String::new();
        for &ordinal in &self.ordinals {
            content.clear();
            workload.content(ordinal, 1, &mut content);
            let concept = snapshot.get(workload.absent_id(ordinal.into()))?;
            let concept = concept.context("an acknowledged write is lost")?;
            ensure!(concept.content()? == content, "a write came out wrong");
        }
        Ok(())
    }
}
