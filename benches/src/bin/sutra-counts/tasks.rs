//! What is counted. Each operation runs within a call of `counted_operation`, by whose name callgrind
//! tells when to count.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use sutra_benches::workload::Workload;
use sutra_client::{Associate, Batch, Learn, Level, TypeRef};
use sutra_coordinator::{Offline, Options};
use sutra_reader::{Id, NeighborQuery, PathQuery, ReadError, Reader};
use sutra_vectors::kernel::{self, CODE_BIAS, Kernel, Work, dispatch};

/// The environment variable that names the folder with the stores.
pub const FOLDER: &str = "SUTRA_COUNTS_FOLDER";

/// Operations of each task.
pub const OPERATIONS: u32 = 256;
/// Few enough to be made in a moment under callgrind too.
const WORKLOAD: Workload = Workload { concepts: 2000, seed: 1 };
/// Operations of one frame, where there are many.
const FRAME: usize = 256;
/// Elements of a vector.
const DIMENSION: usize = 384;
const CLIENT: [u8; 16] = [7; 16];

/// One thing that is counted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Task {
    Record,
    Content,
    Absent,
    Snapshot,
    Neighbors,
    Path,
    Write,
    Associate,
    Batch,
    Publish,
    Distance,
    CodeDistance,
}

impl Task {
    /// All of them.
    pub const ALL: [Task; 12] = [
        Task::Record,
        Task::Content,
        Task::Absent,
        Task::Snapshot,
        Task::Neighbors,
        Task::Path,
        Task::Write,
        Task::Associate,
        Task::Batch,
        Task::Publish,
        Task::Distance,
        Task::CodeDistance,
    ];

    /// Its name on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("no task is skipped");
        value.get_name().to_owned()
    }

    /// Its name among the counts.
    pub fn title(self) -> String {
        let title = match self {
            Task::Record => "a get",
            Task::Content => "a get and its content",
            Task::Absent => "a get of what is not there",
            Task::Snapshot => "a snapshot, nothing new",
            Task::Neighbors => "neighbors, 5 on average",
            Task::Path => "a path of at most 3, from both ends",
            Task::Write => "a write of 1: decided, logged, applied",
            Task::Associate => "an edge: decided, logged, applied",
            Task::Batch => "a write of 256: decided, logged, applied",
            Task::Publish => "a publication",
            Task::Distance => "a distance of 384 floats",
            Task::CodeDistance => "a distance of 384 bytes",
        };
        match self {
            // Valgrind knows no AVX-512, so that most processors come to the same here.
            Task::Distance | Task::CodeDistance => format!("{title}, {KERNEL}"),
            _ => title.to_owned(),
        }
    }

    /// Does it, in the store of the folder that the environment names.
    pub fn run(self) -> anyhow::Result<()> {
        let folder = PathBuf::from(std::env::var_os(FOLDER).context("no folder is named")?);
        match self {
            Task::Write => write(&folder, 1, learn_one),
            Task::Associate => write(&folder, 1, associate_one),
            Task::Batch => write(&folder, FRAME, learn_one),
            Task::Publish => publish(&folder),
            Task::Distance | Task::CodeDistance => self.distance(),
            _ => self.read(&folder),
        }
    }

    fn read(self, folder: &Path) -> anyhow::Result<()> {
        let reader = Reader::open(store_in(folder))?;
        let snapshot = reader.snapshot()?;
        let mut random = WORKLOAD.random(1);
        for number in 0..OPERATIONS {
            let [from, to] = [0, 1].map(|_| random.below(WORKLOAD.concepts.into()) as u32);
            let concept = |at| snapshot.concept(at)?.context("a concept is missing");
            let (held, other) = (concept(from)?, concept(to)?);
            let id = WORKLOAD.id(from);
            match self {
                Task::Record => count(|| snapshot.get(id).map(|found| found.is_some()))?,
                Task::Content => count(|| {
                    let found = snapshot.get(id)?;
                    found
                        .map_or(Ok(false), |found| Ok::<_, ReadError>(!found.content()?.is_empty()))
                })?,
                Task::Absent => {
                    let id = WORKLOAD.absent_id(number.into());
                    count(|| snapshot.get(id).map(|found| found.is_some()))?
                }
                Task::Snapshot => count(|| reader.snapshot().map(|taken| taken.commit_seq() > 0))?,
                Task::Neighbors => count(|| {
                    let mut count = 0;
                    let visited =
                        snapshot.visit_neighbors(&held, &NeighborQuery::default(), |neighbor| {
                            count += u32::from(neighbor.edge_type);
                            ControlFlow::Continue(())
                        });
                    visited.map(|_| count > 0)
                })?,
                Task::Path => {
                    let query = PathQuery { max_depth: 3, ..PathQuery::default() };
                    count(|| snapshot.find_path(&held, &other, &query).map(|path| path.is_some()))?
                }
                _ => unreachable!("it is no read"),
            };
        }
        Ok(())
    }

    fn distance(self) -> anyhow::Result<()> {
        ensure!(kernel::name() == KERNEL, "{} distances instead of {KERNEL}", kernel::name());
        let query: Vec<f32> = (0..DIMENSION).map(|at| at as f32 / 1000.0).collect();
        let code: Vec<i8> = (0..DIMENSION).map(|at| (at % 200) as i8).collect();
        let biased: Vec<u8> = code.iter().map(|at| at.cast_unsigned() ^ CODE_BIAS).collect();
        let code_sum = code.iter().map(|at| i32::from(*at)).sum();
        let mut products = [0.0];
        for _ in 0..OPERATIONS {
            match self {
                Task::Distance => {
                    count(|| kernel::dot_products(&query, &query, DIMENSION, &mut products));
                }
                _ => {
                    count(|| dispatch(Codes { query: &biased, code: &code, code_sum }));
                }
            }
        }
        Ok(())
    }
}

/// What [`kernel::name`] gives under valgrind.
const KERNEL: &str = if cfg!(target_arch = "x86_64") { "AVX2" } else { "NEON" };

/// The call that callgrind counts within.
#[inline(never)]
fn counted_operation<T>(operation: impl FnOnce() -> T) -> T {
    operation()
}

fn count<T>(operation: impl FnOnce() -> T) -> T {
    black_box(counted_operation(operation))
}

struct Codes<'c> {
    query: &'c [u8],
    code: &'c [i8],
    code_sum: i32,
}

impl Work for Codes<'_> {
    type Output = i32;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> i32 {
        kernel.dot_codes(self.query, self.code, self.code_sum)
    }
}

fn store_in(folder: &Path) -> PathBuf {
    folder.join("store")
}

fn learn_one(batch: &mut Batch, id: [u8; 16], content: &str) -> anyhow::Result<()> {
    batch.learn(&Learn { id: Id::Raw(id), content: Some(content), ..Learn::default() })?;
    Ok(())
}

/// An edge between two others each time.
fn associate_one(batch: &mut Batch, id: [u8; 16], _: &str) -> anyhow::Result<()> {
    let source = WORKLOAD.id(u32::from(id[0]));
    let target = WORKLOAD.id(256 + u32::from(u16::from_le_bytes([id[1], id[2]])) % 1024);
    associate(batch, source, target, 4)
}

fn associate(
    batch: &mut Batch,
    source: [u8; 16],
    target: [u8; 16],
    kind: u16,
) -> anyhow::Result<()> {
    batch.associate(&Associate {
        source: Id::Raw(source),
        target: Id::Raw(target),
        kind: TypeRef::Number(kind),
        ..Associate::default()
    })?;
    Ok(())
}

/// Frames of one client, one after the other.
struct Frames {
    store: Offline,
    sequence: u64,
}

impl Frames {
    fn write(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let reply = self.store.write(CLIENT, "counts", frame)?;
        ensure!(reply.errors.is_empty(), "a write was refused");
        Ok(())
    }

    fn encode(&mut self, batch: &Batch) -> Vec<u8> {
        self.sequence += 1;
        let mut frame = Vec::new();
        batch.encode(self.sequence, self.sequence, Level::Accepted, &mut frame);
        frame
    }
}

/// Makes the store with the workload in it.
pub fn fill(folder: &Path) -> anyhow::Result<()> {
    let store = Offline::open(&Options::new(store_in(folder)))?;
    let mut frames = Frames { store, sequence: 0 };
    let (mut batch, mut content) = (Batch::new(), String::new());
    for ordinal in 0..WORKLOAD.concepts {
        content.clear();
        WORKLOAD.content(ordinal, 0, &mut content);
        learn_one(&mut batch, WORKLOAD.id(ordinal), &content)?;
        if batch.len() == FRAME || ordinal + 1 == WORKLOAD.concepts {
            let frame = frames.encode(&batch);
            frames.write(&frame)?;
            batch.clear();
        }
    }
    for edges in WORKLOAD.edges().chunks(FRAME) {
        batch.clear();
        for edge in edges {
            let ends = [edge.source, edge.target].map(|end| WORKLOAD.id(end));
            associate(&mut batch, ends[0], ends[1], edge.edge_type)?;
        }
        let frame = frames.encode(&batch);
        frames.write(&frame)?;
    }
    frames.store.close()?;
    Ok(())
}

/// A store that is there, to be written on: a copy, so that each task finds the same.
fn open_copy(folder: &Path) -> anyhow::Result<Frames> {
    let copy = tempfile::tempdir_in(folder)?.keep();
    std::fs::copy(store_in(folder).join("storage.dat"), copy.join("storage.dat"))?;
    Ok(Frames { store: Offline::open(&Options::new(copy))?, sequence: 0 })
}

/// Writes [`OPERATIONS`] frames of so many operations each; they are encoded before.
fn write(
    folder: &Path,
    frame_size: usize,
    add: impl Fn(&mut Batch, [u8; 16], &str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut frames = open_copy(folder)?;
    let (mut encoded, mut content) = (Vec::new(), String::new());
    for number in 0..OPERATIONS {
        let mut batch = Batch::new();
        for at in 0..frame_size as u32 {
            content.clear();
            WORKLOAD.content(at, 1 + u64::from(number), &mut content);
            let id = WORKLOAD.absent_id(u64::from(number) << 32 | u64::from(at));
            add(&mut batch, id, &content)?;
        }
        encoded.push(frames.encode(&batch));
    }
    encoded.iter().try_for_each(|frame| count(|| frames.write(frame)))
}

fn publish(folder: &Path) -> anyhow::Result<()> {
    let mut frames = open_copy(folder)?;
    for number in 0..OPERATIONS {
        let mut batch = Batch::new();
        learn_one(&mut batch, WORKLOAD.absent_id(number.into()), "a publication of its own")?;
        let frame = frames.encode(&batch);
        frames.write(&frame)?;
        count(|| frames.store.publish())?;
    }
    Ok(())
}
