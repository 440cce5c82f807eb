//! What is done with bytes from outside, as functions of bytes: for the fuzz targets in `fuzz/`,
//! and for plain chance, which needs no tool.
//!
//! Each target must end, without a panic, whatever it is given. The frame decoder takes the bytes
//! as they come. The log and the file begin with sound ones, and the bytes say what to change in
//! them: chance alone would not get past the first checksum.

mod planted;

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sutra_client::protocol::{
    FrameHeader, FrameKind, HEADER_SIZE, Hello, Inbox, Operations, Reply, Request,
};
use sutra_client::{Batch, Level};
use sutra_coordinator::{Offline, Options, wal};
use sutra_layout::limits::FRAME_SIZE_MAX;
use sutra_reader::{
    Direction, NearestQuery, NeighborQuery, PathQuery, Reader, SearchQuery, Snapshot, verify,
};
use tempfile::TempDir;

pub use planted::is_planted;

use crate::Random;
use crate::ledger::Ledger;

/// Bytes that say one change: where, what, and with which number.
const CHANGE_SIZE: usize = 13;
/// Changes that one input makes at most.
const CHANGES_MAX: usize = 8;
/// Numbers that are on the edge of something.
const EDGES: [u64; 8] = [0, 1, 0xff, 0xffff_ffff, 1 << 32, 1 << 48, u64::MAX >> 1, u64::MAX];

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The decoder of frames, requests and replies.
    Frames,
    /// The reader of the log.
    Log,
    /// Opening `storage.dat`, and a walk over all it says.
    File,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 3] = [Target::Frames, Target::Log, Target::File];

    /// Runs it once; with a bug in it, if that is wanted.
    pub fn run(self, input: &[u8], has_bug: bool) {
        match self {
            Target::Frames => frames(input, has_bug),
            Target::Log => LOG.with_borrow_mut(|log| {
                log.get_or_insert_with(LogSample::make).run(input, has_bug);
            }),
            Target::File => FILE.with_borrow_mut(|file| {
                file.get_or_insert_with(FileSample::make).run(input, has_bug);
            }),
        }
    }
}

thread_local! {
    static LOG: RefCell<Option<LogSample>> = const { RefCell::new(None) };
    static FILE: RefCell<Option<FileSample>> = const { RefCell::new(None) };
}

/// Runs a target by chance alone, until the time is over; gives how often.
pub fn by_chance(target: Target, random: &mut Random, duration: Duration, has_bug: bool) -> u64 {
    let samples = if target == Target::Frames { sample_frames(random) } else { Vec::new() };
    let started_at = Instant::now();
    let mut input = Vec::new();
    let mut count = 0;
    while count % 64 != 0 || started_at.elapsed() < duration {
        count += 1;
        input.clear();
        if samples.is_empty() {
            let count = 1 + random.index(4);
            input.extend(random.bytes(CHANGE_SIZE * count));
        } else {
            input.extend_from_slice(&samples[random.index(samples.len())]);
            spoil(&mut input, random);
        }
        target.run(&input, has_bug);
    }
    count
}

/// Frames of every kind, both ways.
fn sample_frames(random: &mut Random) -> Vec<Vec<u8>> {
    let mut ledger = Ledger::new("w0");
    let mut frames: Vec<Vec<u8>> = (1..40)
        .map(|sequence| {
            let mut bytes = Vec::new();
            ledger.next_frame(random).batch.encode(1, sequence, Level::Durable, &mut bytes);
            bytes
        })
        .collect();
    let mut hello = Vec::new();
    Hello::new([1; 16], "a client").encode(1, &mut hello);
    frames.push(hello);
    for kind in FrameKind::ALL {
        for body_size in [0, 4, 16, 60] {
            let mut bytes = FrameHeader { body_size, kind, request_id: 7 }.to_bytes().to_vec();
            bytes.resize(HEADER_SIZE + body_size as usize, 0);
            frames.push(bytes);
        }
    }
    frames
}

/// Changes a few bytes, cuts, or repeats a part.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.below(4) {
        let at = random.index(bytes.len().max(1));
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let part: Vec<u8> = bytes[at.min(bytes.len())..].iter().take(64).copied().collect();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), part);
            }
            2 | 3 => {
                let number = random.pick(&EDGES).to_le_bytes();
                let size = 1 << random.below(4);
                for (byte, new) in bytes.iter_mut().skip(at).zip(&number[..size]) {
                    *byte = *new;
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

/// Decodes bytes as a stream of frames, and as the body of every kind of frame.
fn frames(input: &[u8], has_bug: bool) {
    let mut inbox = Inbox::new(FRAME_SIZE_MAX as u32);
    for piece in input.chunks(40_000) {
        inbox.room()[..piece.len()].copy_from_slice(piece);
        inbox.filled(piece.len());
        while let Ok(Some((header, body))) = inbox.next() {
            decode(header.kind, body, has_bug);
        }
    }
    let Some((first, body)) = input.split_first() else { return };
    let kinds = FrameKind::ALL;
    decode(kinds[usize::from(*first) % kinds.len()], body, has_bug);
    if let Ok(operations) = Operations::new(u32::from(*first), body) {
        operations.for_each(drop);
    }
}

fn decode(kind: FrameKind, body: &[u8], has_bug: bool) {
    if has_bug {
        planted::frame(kind, body);
    }
    if let Ok(Request::Write(write)) = Request::decode(kind, body) {
        write.operations.for_each(drop);
    }
    let _ = Reply::decode(kind, body);
}

/// The changes that an input says: place, kind and number.
fn changes(input: &[u8]) -> impl Iterator<Item = (u32, u8, u64)> {
    let (changes, _) = input.as_chunks::<CHANGE_SIZE>();
    changes.iter().take(CHANGES_MAX).map(|[p0, p1, p2, p3, kind, number @ ..]| {
        (u32::from_le_bytes([*p0, *p1, *p2, *p3]), *kind, u64::from_le_bytes(*number))
    })
}

/// A file of which a part is changed, and put back.
struct Sample {
    _home: TempDir,
    store: PathBuf,
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
    /// Where something stands.
    used: Vec<usize>,
}

impl Sample {
    fn new(home: TempDir, store: PathBuf, path: PathBuf) -> io::Result<Sample> {
        let bytes = std::fs::read(&path)?;
        let pages = bytes.chunks(512).enumerate();
        let pages = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        let used = pages.map(|(at, _)| at * 512).collect();
        let file = OpenOptions::new().write(true).open(&path)?;
        Ok(Sample { _home: home, store, path, file, bytes, used })
    }

    fn change(&self, input: &[u8]) {
        for (place, kind, number) in changes(input) {
            let place = place as usize;
            // Words where something stands, or any bytes.
            let at = self.used[place / 64 % self.used.len()] + place % 64 * 8;
            let at = at.min(self.bytes.len() - 8);
            let old = u64::from_le_bytes(std::array::from_fn(|n| self.bytes[at + n]));
            let new = match kind % 6 {
                0 => old ^ 1 << (number % 64),
                1 => EDGES[number as usize % EDGES.len()],
                2 => old.wrapping_add(number % 512).wrapping_sub(256),
                3 => number,
                // A word from elsewhere in the file.
                4 => {
                    let from =
                        self.used[number as usize % self.used.len()] + number as usize % 64 * 8;
                    let from = from.min(self.bytes.len() - 8);
                    u64::from_le_bytes(std::array::from_fn(|n| self.bytes[from + n]))
                }
                _ => number % self.bytes.len() as u64,
            };
            self.put(at, &new.to_le_bytes());
        }
    }

    fn restore(&self, input: &[u8]) {
        for (place, ..) in changes(input) {
            let place = place as usize;
            let at = self.used[place / 64 % self.used.len()] + place % 64 * 8;
            let at = at.min(self.bytes.len() - 8);
            self.put(at, &self.bytes[at..at + 8]);
        }
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        self.file.write_all_at(bytes, at as u64).expect("a file in memory can be written");
    }
}

fn home() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// A small store, made by a coordinator's own hands.
fn store(home: &TempDir) -> (PathBuf, u64) {
    let path = home.path().join("store");
    let mut options = Options::new(&path);
    options.log_segment_size = 8192;
    let mut store = Offline::open(&options).expect("a store can be made");
    let mut ledger = Ledger::new("w0");
    let mut random = Random::new(5);
    let mut lsn = 0;
    for sequence in 1..20 {
        let frame = ledger.next_frame(&mut random);
        lsn = write(&mut store, sequence, &frame.batch);
        if sequence % 5 == 0 {
            store.publish().expect("in memory nothing fails");
        }
        if sequence == 10 {
            store.checkpoint().expect("in memory nothing fails");
        }
    }
    store.publish().expect("in memory nothing fails");
    (path, lsn)
}

fn write(store: &mut Offline, sequence: u64, batch: &Batch) -> u64 {
    let mut bytes = Vec::new();
    batch.encode(1, sequence, Level::Durable, &mut bytes);
    store.write([1; 16], "fuzz", &bytes).expect("in memory nothing fails").last_lsn
}

struct LogSample {
    sample: Sample,
    last_lsn: u64,
}

impl LogSample {
    fn make() -> LogSample {
        let home = home();
        let (path, lsn) = store(&home);
        let wal_path = path.join("wal");
        let segments = wal::inspect(&wal_path).expect("a sound log").segments;
        // Settlings are entries too.
        let last_lsn = segments.iter().map(|segment| segment.last_lsn).max().unwrap_or(lsn);
        let newest = segments.iter().rfind(|segment| segment.entry_count > 0);
        let newest = newest.expect("the log has entries").path.clone();
        let sample = Sample::new(home, wal_path, newest).expect("a file in memory can be read");
        LogSample { sample, last_lsn }
    }

    /// # Panics
    /// If the log then shows an entry that was never written.
    fn run(&self, input: &[u8], has_bug: bool) {
        self.sample.change(input);
        let inspected = wal::inspect(&self.sample.store);
        let segment = has_bug.then(|| std::fs::read(&self.sample.path));
        self.sample.restore(input);
        if let Some(segment) = segment {
            planted::log(&segment.expect("a file in memory can be read"));
        }
        if let Ok(log) = inspected {
            assert!(log.last_lsn <= self.last_lsn, "entry {} was never written", log.last_lsn);
        }
    }
}

struct FileSample {
    sample: Sample,
}

impl FileSample {
    fn make() -> FileSample {
        let home = home();
        let (path, _) = store(&home);
        let file = path.join(sutra_reader::STORAGE_FILE);
        FileSample { sample: Sample::new(home, path, file).expect("a file in memory can be read") }
    }

    fn run(&self, input: &[u8], has_bug: bool) {
        self.sample.change(input);
        let _ = verify::quick(&self.sample.store);
        if let Ok(reader) = Reader::open(&self.sample.store)
            && let Ok(snapshot) = reader.snapshot()
        {
            let _ = snapshot.stats();
            if has_bug {
                planted::file(&snapshot);
            }
            walk(&snapshot);
            if let Ok(then) = snapshot.as_of(snapshot.published_lsn() / 2) {
                walk(&then);
            }
        }
        self.sample.restore(input);
    }
}

/// Asks a little of everything. Answers and errors are as good as each other.
fn walk(snapshot: &Snapshot) {
    let mut found = Vec::new();
    for concept in snapshot.concepts().take(100).flatten() {
        let _ = (concept.id(), concept.content(), concept.metadata(), concept.embedding());
        let _ = (concept.namespace(), concept.kind(), concept.author());
        let query = NeighborQuery { direction: Direction::Both, ..NeighborQuery::default() };
        let _ = snapshot.neighbors(&concept, &query);
        snapshot.history(&concept).take(100).for_each(drop);
        found.push(concept);
    }
    for at in 0..24 {
        let _ = snapshot.get(&format!("w0-{at}"));
    }
    for edge in 0..snapshot.association_count().min(100) as u32 {
        let _ = snapshot.association(edge).map(|edge| edge.properties().map(drop));
    }
    if let [first, .., last] = &found[..] {
        let query = PathQuery { max_depth: 8, direction: Direction::Both, ..PathQuery::default() };
        let _ = snapshot.find_path(first, last, &query);
    }
    let _ = snapshot.nearest(&[1.0; 8], &NearestQuery::default());
    let _ = snapshot.search("w0", &SearchQuery::default());
    if let Ok(changes) = snapshot.changes(0) {
        changes.take(200).for_each(drop);
    }
    let _ = (snapshot.namespaces().map(drop), snapshot.spaces().map(drop), snapshot.types());
}
