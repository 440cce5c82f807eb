//! Somebody scribbles over a store's file, through a mapping of its own as another process would,
//! while readers ask everything there is to ask.
//!
//! `HOSTILE_WRITER_MS` sets how long each story goes on; a second and a half unless told otherwise.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use sutra_layout::geometry::{COMMIT_SEQ_OFFSET, HEADER_SIZE, RING_OFFSET};
use sutra_layout::slot::{SLOT_WORDS, Slot};
use sutra_layout::sys::map::Map;
use sutra_reader::{OpenError, Reader, Snapshot, verify};

use crate::support::everything::{self, ask_history, ask_snapshot};
use crate::support::random::Random;

const DURATION_MS: &str = "HOSTILE_WRITER_MS";
/// A walk that takes longer hangs: one takes milliseconds.
const WALK_MAX: Duration = Duration::from_secs(30);
const READERS: usize = 2;
/// Threads whose panics are counted, and not told.
const READER_NAME: &str = "walks beside a hostile writer";

/// Scribbles over a file until it is told to end; `base` is what it was.
fn scribble(path: &Path, base: Vec<u8>, resizes: bool, is_over: &AtomicBool) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut scribbler = Scribbler::new(file, base, Random::new(1));
    while !is_over.load(Ordering::Relaxed) {
        // A store for a moment, so that readers get beyond the door, and then less and less of one.
        scribbler.restore();
        let touches_header = scribbler.random.below(4) == 0;
        for _ in 0..scribbler.random.below(256) {
            scribbler.pause();
            scribbler.scribble(touches_header);
        }
        if resizes {
            scribbler.resize();
        }
    }
}

/// Panics of readers are counted; all others are told as ever.
fn keep_readers_quiet() {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(READER_NAME) {
                tell(panic);
            }
        }));
    });
}

/// Whatever a process with write permission could do.
struct Scribbler {
    file: File,
    /// For words that are stored as they are loaded: at once.
    map: Map,
    base: Vec<u8>,
    used: Vec<usize>,
    random: Random,
}

impl Scribbler {
    fn new(file: File, base: Vec<u8>, random: Random) -> Scribbler {
        let map = Map::writable(file.try_clone().unwrap()).unwrap();
        let pages = base.chunks(4096).enumerate().map(|(n, page)| (n * 4096, page));
        let is_used = |(_, page): &(usize, &[u8])| page.iter().any(|byte| *byte != 0);
        let used = pages.filter(is_used).map(|(offset, _)| offset).collect();
        Scribbler { file, map, base, used, random }
    }

    /// Somewhere behind the header, in a page that is not empty; a multiple of 8.
    fn place(&mut self) -> u64 {
        loop {
            let page = self.used[self.random.below(self.used.len() as u64) as usize] as u64;
            if page >= HEADER_SIZE {
                return page + self.random.below(512) * 8;
            }
        }
    }

    /// Up to some microseconds.
    fn pause(&mut self) {
        for _ in 0..self.random.below(4000) {
            std::hint::spin_loop();
        }
    }

    fn store(&self, offset: u64, word: u64) {
        if let Some(place) = self.map.word(offset) {
            place.store(word, Ordering::Relaxed);
        }
    }

    fn base_word(&self, offset: u64) -> u64 {
        let at = offset as usize;
        u64::from_le_bytes(self.base[at..at + 8].try_into().unwrap())
    }

    /// A number that may be taken for one of ours.
    fn word(&mut self, offset: u64) -> u64 {
        match self.random.below(8) {
            0 => self.random.next(),
            1 => self.random.below(300),
            2 => u64::MAX - self.random.below(3),
            3 => self.base_word(offset) ^ 1 << self.random.below(64),
            4 => self.base_word(offset).wrapping_add(self.random.below(9)).wrapping_sub(4),
            // A pointer to anywhere, of any size of block, under any tag.
            5 => self.random.below(1 << 20) | self.random.below(8) << 48,
            6 => self.random.below(1 << 16) | self.random.next() << 48,
            _ => {
                let other = self.place();
                self.base_word(other)
            }
        }
    }

    fn scribble(&mut self, touches_header: bool) {
        match self.random.below(10) {
            // A valid block in another block's place.
            0 | 1 => {
                let (from, to) = (self.place(), self.place());
                for at in (0..8 << self.random.below(7)).map(|n| n * 8) {
                    if from + at + 8 <= self.base.len() as u64 {
                        self.store(to + at, self.base_word(from + at));
                    }
                }
            }
            // A slot that is whole, with whatever counts.
            2 if touches_header => self.publish(),
            3 if touches_header => {
                let offset = self.random.below(HEADER_SIZE / 8) * 8;
                let word = self.word(offset);
                self.store(offset, word);
            }
            _ => {
                let offset = self.place();
                let word = self.word(offset);
                self.store(offset, word);
            }
        }
    }

    fn publish(&mut self) {
        let Some(words) = self.map.words(RING_OFFSET, 8 * 64) else { return };
        let commit_seq = self.map.word(COMMIT_SEQ_OFFSET).map_or(0, |w| w.load(Ordering::Relaxed));
        let slot = |number: u64| &words[(number % 8) as usize * 64..][..SLOT_WORDS];
        let mut copy = [0; SLOT_WORDS];
        copy.iter_mut()
            .zip(slot(commit_seq))
            .for_each(|(to, from)| *to = from.load(Ordering::Relaxed));
        for _ in 0..=self.random.below(3) {
            copy[self.random.below(SLOT_WORDS as u64) as usize] = self.random.below(400);
        }
        let next = commit_seq.wrapping_add(1);
        let copy = Slot { commit_seq: next, ..Slot::from_words(copy) }.to_words();
        slot(next).iter().zip(copy).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
        self.store(COMMIT_SEQ_OFFSET, next);
    }

    /// Cuts the file anywhere, and makes it longer than it was.
    fn resize(&mut self) {
        let size = self.random.below(self.base.len() as u64);
        self.file.set_len(size).unwrap();
        std::thread::yield_now();
        self.file.set_len(self.base.len() as u64 + self.random.below(1 << 40)).unwrap();
    }

    /// Makes it a store again, so that readers get beyond the door.
    fn restore(&mut self) {
        for page in &self.used {
            self.file.write_all_at(&self.base[*page..*page + 4096], *page as u64).unwrap();
        }
    }
}

/// What became of all walks.
#[derive(Debug, Default)]
struct Outcome {
    walks: u64,
    opened: u64,
    errors: u64,
    /// Contents that were another thing when they were asked for again.
    changed: u64,
    panics: Vec<String>,
}

/// How a reader is opened.
type Open = fn(&Path) -> Result<Reader, OpenError>;

/// Lets readers walk a store while a hostile writer has it; `walk` gives how many errors there were.
fn walk_beside_a_hostile_writer(
    open: Open,
    resizes: bool,
    walk: impl Fn(&Snapshot, &mut Outcome) + Sync,
) -> Outcome {
    let store = everything::store();
    let (path, base) = (store.file_path(), std::fs::read(store.file_path()).unwrap());
    let directory: PathBuf = store.path().to_owned();
    let duration = std::env::var(DURATION_MS).ok().and_then(|text| text.parse().ok());
    let duration = Duration::from_millis(duration.unwrap_or(1500));
    keep_readers_quiet();
    let is_over = AtomicBool::new(false);
    let began = Instant::now();
    let outcome = Mutex::new(Outcome::default());
    let busy_since: [AtomicU64; READERS] = std::array::from_fn(|_| AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        scope.spawn(|| scribble(&path, base, resizes, &is_over));
        for busy_since in &busy_since {
            let reader = std::thread::Builder::new().name(READER_NAME.to_owned());
            let walking = reader.spawn_scoped(scope, || {
                let mut own = Outcome::default();
                while began.elapsed() < duration {
                    busy_since.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
                    own.walks += 1;
                    let walked = catch_unwind(AssertUnwindSafe(|| {
                        match open(&directory)
                            .map_err(drop)
                            .and_then(|r| r.snapshot().map_err(drop))
                        {
                            Ok(snapshot) => {
                                own.opened += 1;
                                walk(&snapshot, &mut own);
                            }
                            Err(()) => own.errors += 1,
                        }
                    }));
                    if let Err(panic) = walked {
                        let text = panic.downcast_ref::<String>().cloned();
                        own.panics.push(text.unwrap_or_else(|| "a panic".to_owned()));
                    }
                }
                busy_since.store(u64::MAX, Ordering::Relaxed);
                let mut all = outcome.lock().unwrap();
                all.walks += own.walks;
                all.opened += own.opened;
                all.errors += own.errors;
                all.changed += own.changed;
                all.panics.append(&mut own.panics);
            });
            walking.unwrap();
        }
        while busy_since.iter().any(|since| since.load(Ordering::Relaxed) != u64::MAX)
            || began.elapsed() < duration
        {
            for since in &busy_since {
                let since = since.load(Ordering::Relaxed);
                let is_hanging =
                    since != u64::MAX && began.elapsed() > Duration::from_millis(since) + WALK_MAX;
                if is_hanging {
                    eprintln!("a walk hangs");
                    std::process::abort(); // a thread that hangs cannot be joined
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let outcome = outcome.into_inner().unwrap();
    println!("{outcome:?}");
    println!("CHECKS {} walks", outcome.walks);
    assert!(outcome.opened > 0, "no reader ever got beyond the door: {outcome:?}");
    outcome
}

/// Asks everything.
fn ask(snapshot: &Snapshot, outcome: &mut Outcome) {
    let mut errors = Vec::new();
    ask_snapshot(snapshot, &mut errors);
    ask_history(snapshot, &mut errors);
    outcome.errors += errors.len() as u64;
}

/// Asks everything, and twice for what concepts hold: what a snapshot has given, it gives again.
fn ask_twice(snapshot: &Snapshot, outcome: &mut Outcome) {
    let mut given = Vec::new();
    for concept in snapshot.concepts().flatten() {
        let (Ok(content), Ok(vector)) = (concept.content(), concept.embedding()) else { continue };
        let vector: Option<Vec<u32>> = vector.map(|v| v.iter().map(|x| x.to_bits()).collect());
        given.push((concept, content.as_bytes().to_vec(), vector));
    }
    ask(snapshot, outcome);
    for (concept, content, vector) in given {
        let now = concept.embedding().ok().flatten();
        let now: Option<Vec<u32>> = now.map(|v| v.iter().map(|x| x.to_bits()).collect());
        let again = concept.content().map(|content| content.as_bytes().to_vec()).ok();
        outcome.changed += u64::from(again != Some(content) || now != vector);
    }
}

fn assert_unharmed(outcome: &Outcome) {
    assert!(outcome.panics.is_empty(), "{outcome:?}");
    assert!(outcome.errors > 0, "the writer did no harm: {outcome:?}");
}

#[test]
fn readers_that_trust_nobody_get_answers_that_stay_or_errors() {
    let outcome =
        walk_beside_a_hostile_writer(|path| Reader::open_untrusted(path), false, ask_twice);
    assert_unharmed(&outcome);
    assert_eq!(outcome.changed, 0, "{outcome:?}");
}

#[test]
fn readers_that_trust_nobody_survive_a_file_that_shrinks_and_grows() {
    let outcome =
        walk_beside_a_hostile_writer(|path| Reader::open_untrusted(path), true, ask_twice);
    assert_unharmed(&outcome);
    assert_eq!(outcome.changed, 0, "{outcome:?}");
}

#[test]
fn readers_that_trust_the_coordinator_neither_panic_nor_hang_nor_read_outside() {
    let outcome = walk_beside_a_hostile_writer(|path| Reader::open(path), false, ask);
    assert_unharmed(&outcome);
}

#[test]
fn the_quick_check_neither_panics_nor_hangs() {
    let walk = |snapshot: &Snapshot, outcome: &mut Outcome| {
        let _ = snapshot.stats();
        outcome.errors += 1;
    };
    let outcome = walk_beside_a_hostile_writer(
        |path| {
            let _ = verify::quick(path);
            Reader::open_untrusted(path)
        },
        false,
        walk,
    );
    assert_unharmed(&outcome);
}

/// The bug that copying keeps out, planted: contents borrowed where others write them.
#[test]
fn contents_that_were_not_copied_would_be_seen_to_change() {
    let outcome = walk_beside_a_hostile_writer(|path| Reader::open(path), false, ask_twice);
    assert!(outcome.changed > 0, "{outcome:?}");
}

/// The bug that checks keep out, planted: a number of the file used as an index.
#[test]
fn a_number_that_was_not_checked_would_be_seen_to_panic() {
    let outcome = walk_beside_a_hostile_writer(
        |path| Reader::open_untrusted(path),
        false,
        |snapshot, _| {
            let mut met = vec![0; 60];
            for edge in 0..180 {
                if let Ok(association) = snapshot.association(edge) {
                    met[association.target() as usize] += 1;
                }
            }
        },
    );
    assert!(!outcome.panics.is_empty(), "{outcome:?}");
}
