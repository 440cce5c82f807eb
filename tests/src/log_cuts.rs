//! A whole store whose log is cut at each byte, or has one bit flipped: recovered, it shows some
//! state that it was in, or is refused with the place; never anything else.

use std::path::{Path, PathBuf};

use sutra_client::Level;
use sutra_coordinator::{CoordinatorError, Offline, Options};
use sutra_reader::Reader;

use crate::Random;
use crate::ledger::{Ledger, count_versions, verify};

const CLIENT_ID: [u8; 16] = [4; 16];

/// What was tried, and what came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Stores that were recovered up to an earlier or the last write.
    pub recovered: u64,
    /// Of those, with all that was written.
    pub whole: u64,
    /// Stores that were refused, with the place.
    pub refused: u64,
    /// What did not hold.
    pub failures: Vec<String>,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { recovered, whole, refused, failures } = self;
        write!(
            f,
            "{recovered} stores recovered ({whole} of them whole), {refused} refused with the place, \
             {} failures",
            failures.len()
        )
    }
}

/// What is done to the log.
#[derive(Clone, Copy, Debug)]
pub enum Harm {
    /// It ends before this byte.
    Cut(usize),
    /// A bit of this byte is flipped.
    Flip(usize, u8),
}

/// Cuts the log at every byte and flips every bit of it, or, for a short run, cuts at every fourth
/// byte and flips the bits of every `step`-th.
pub fn run(seed: u64, step: usize) -> Summary {
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let home = home.expect("a directory in memory");
    let sample = Sample::make(&home.path().join("store"), seed);
    let mut summary = Summary::default();
    let copy = home.path().join("copy");
    let cuts = (0..=sample.used_size).step_by(step.min(4)).map(Harm::Cut);
    let flips = (0..sample.used_size).step_by(step);
    let flips = flips.flat_map(|at| (0..8).map(move |bit| Harm::Flip(at, bit)));
    for harm in cuts.chain(flips) {
        sample.write(&copy, harm);
        match sample.recover(&copy) {
            Ok(Found::Whole) => {
                (summary.recovered, summary.whole) = (summary.recovered + 1, summary.whole + 1)
            }
            Ok(Found::Earlier) => summary.recovered += 1,
            Ok(Found::Refused) => summary.refused += 1,
            Err(problem) => summary.failures.push(format!("seed {seed}, {harm:?}: {problem}")),
        }
        if summary.failures.len() > 10 {
            break;
        }
    }
    summary
}

enum Found {
    Whole,
    Earlier,
    Refused,
}

/// A small store, byte for byte, and what was written to it.
struct Sample {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The segment that is harmed, and how much of it is used.
    segment: PathBuf,
    used_size: usize,
    options: Options,
    /// When the last checkpoint was made, and at the end.
    before: Ledger,
    after: Ledger,
}

impl Sample {
    fn make(path: &Path, seed: u64) -> Sample {
        let mut options = Options::new(path);
        options.log_segment_size = 8192;
        let mut random = Random::new(seed);
        let mut ledger = Ledger::new("w0");
        let mut before = ledger.clone();
        let mut store = Offline::open(&options).expect("a store can be made");
        for sequence in 1..=12 {
            let frame = ledger.next_frame(&mut random);
            let mut bytes = Vec::new();
            frame.batch.encode(1, sequence, Level::Durable, &mut bytes);
            let reply = store.write(CLIENT_ID, "cuts", &bytes).expect("in memory nothing fails");
            ledger.replied(&frame, reply).expect("the answer is the one it must be");
            if sequence == 4 {
                store.checkpoint().expect("in memory nothing fails");
                before = ledger.clone();
            } else if sequence % 3 == 0 && sequence < 12 {
                store.publish().expect("in memory nothing fails");
            }
        }
        drop(store);
        let log = sutra_coordinator::wal::inspect(&path.join("wal")).expect("a sound log");
        let segment = log.segments.iter().rfind(|segment| segment.entry_count > 0);
        let segment = segment.expect("the log has entries");
        let used_size = segment.used_size as usize;
        let segment = segment.path.strip_prefix(path).expect("it is in the store").to_owned();
        Sample { files: read(path), segment, used_size, options, before, after: ledger }
    }

    fn write(&self, copy: &Path, harm: Harm) {
        let _ = std::fs::remove_dir_all(copy);
        std::fs::create_dir_all(copy.join("wal")).expect("a directory in memory");
        for (name, bytes) in &self.files {
            let mut bytes = bytes.clone();
            match harm {
                _ if *name != self.segment => {}
                Harm::Cut(at) => bytes.truncate(at),
                Harm::Flip(at, bit) => bytes[at] ^= 1 << bit,
            }
            std::fs::write(copy.join(name), bytes).expect("a file in memory");
        }
    }

    fn recover(&self, copy: &Path) -> Result<Found, String> {
        let options = Options { store: copy.to_owned(), ..self.options.clone() };
        let mut store = match Offline::open(&options) {
            Ok(store) => store,
            Err(error @ CoordinatorError::Wal(_)) if error.to_string().contains(".wal") => {
                return Ok(Found::Refused);
            }
            Err(error) => return Err(format!("refused otherwise: {error}")),
        };
        let reader = Reader::open(copy).map_err(said)?;
        let snapshot = reader.snapshot().map_err(said)?;
        verify(&snapshot, &self.before, &self.after)?;
        count_versions(&snapshot)?;
        let is_whole = verify(&snapshot, &self.after, &self.after).is_ok();
        // It goes on from there.
        let mut ledger = Ledger::new("w1");
        let frame = ledger.next_frame(&mut Random::new(1));
        let mut bytes = Vec::new();
        frame.batch.encode(1, 1, Level::Durable, &mut bytes);
        let reply = store.write([5; 16], "cuts", &bytes).map_err(said)?;
        ledger.replied(&frame, reply)?;
        store.publish().map_err(said)?;
        verify(&reader.snapshot().map_err(said)?, &ledger, &ledger)?;
        Ok(if is_whole { Found::Whole } else { Found::Earlier })
    }
}

fn read(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for directory in ["", "wal"] {
        let entries = std::fs::read_dir(path.join(directory)).expect("the store is there");
        for entry in entries.map(|entry| entry.expect("its entries can be read")) {
            if entry.path().is_file() {
                let bytes = std::fs::read(entry.path()).expect("a file in memory");
                files.push((Path::new(directory).join(entry.file_name()), bytes));
            }
        }
    }
    files
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
