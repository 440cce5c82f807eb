//! An index on the heap that writes down every store, so that a test can stop between any two of
//! them, or try another order.
#![allow(dead_code, reason = "each test uses a part")]

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use sutra_layout::index::{IndexMemory, IndexShape, IndexSpace};
use sutra_layout::sync::Word;

/// Where a store went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory word.
    Directory(u64),
    /// A word of the segments.
    Segments(u64),
    /// The number of segments given out, kept for a restart.
    GivenOut,
}

/// One store of the writer.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    /// Where it went.
    pub place: Place,
    /// What it left there.
    pub value: u64,
    /// Whether it was a publish.
    pub is_publish: bool,
}

type Log = Rc<RefCell<Vec<Store>>>;

/// A word that writes its stores down.
#[derive(Debug)]
pub struct RecordedWord {
    place: Place,
    value: Cell<u64>,
    log: Log,
}

impl Word for RecordedWord {
    fn load(&self) -> u64 {
        self.value.get()
    }
    fn store(&self, value: u64) {
        self.record(value, false);
    }
    fn publish(&self, value: u64) {
        self.record(value, true);
    }
}

impl RecordedWord {
    fn record(&self, value: u64, is_publish: bool) {
        self.value.set(value);
        self.log.borrow_mut().push(Store { place: self.place, value, is_publish });
    }
}

/// See the module.
#[derive(Debug)]
pub struct Recorded {
    shape: IndexShape,
    directory: Vec<RecordedWord>,
    segments: Vec<RecordedWord>,
    given_out: RecordedWord,
    log: Log,
}

impl Recorded {
    /// An index of zeros with room for so many directory words and segments.
    pub fn new(shape: IndexShape, directory_words: u64, segments: u64) -> Recorded {
        let log = Log::default();
        let word = |place| RecordedWord { place, value: Cell::new(0), log: log.clone() };
        let words = segments * shape.segment_words();
        Recorded {
            shape,
            directory: (0..directory_words).map(|at| word(Place::Directory(at))).collect(),
            segments: (0..words).map(|at| word(Place::Segments(at))).collect(),
            given_out: word(Place::GivenOut),
            log,
        }
    }

    /// What was stored since this was asked last.
    pub fn take_log(&self) -> Vec<Store> {
        self.log.take()
    }

    /// Segments given out.
    pub fn given_out(&self) -> u64 {
        self.given_out.load()
    }

    /// Puts `new` wherever a segment holds `old`.
    pub fn replace(&self, old: u64, new: u64) {
        for word in self.segments.iter().filter(|word| word.load() == old) {
            word.value.set(new);
        }
    }

    fn all_words(&self) -> impl Iterator<Item = &RecordedWord> {
        let parts = self.directory.iter().chain(&self.segments);
        parts.chain([&self.given_out])
    }

    /// Every word as it stands.
    pub fn image(&self) -> Vec<u64> {
        self.all_words().map(Word::load).collect()
    }

    /// As it stood in `image`, with `stores` after it.
    pub fn restore(&self, image: &[u64], stores: &[Store]) {
        for (word, value) in self.all_words().zip(image) {
            word.value.set(*value);
        }
        for store in stores {
            let word = match store.place {
                Place::Directory(at) => &self.directory[at as usize],
                Place::Segments(at) => &self.segments[at as usize],
                Place::GivenOut => &self.given_out,
            };
            word.value.set(store.value);
        }
    }
}

/// The stores of one `upsert` with the directory words of each split turned from the lowest to the
/// highest: a planted bug.
pub fn lowest_first(mut stores: Vec<Store>) -> Vec<Store> {
    let mut halves = 0..0;
    let mut at = 0;
    while at < stores.len() {
        if stores[at].place == Place::GivenOut {
            halves = stores[at].value.saturating_sub(2)..stores[at].value;
        }
        let is_turn = |store: &Store| {
            matches!(store.place, Place::Directory(_)) && halves.contains(&((store.value >> 8) - 1))
        };
        let turns = stores[at..].iter().take_while(|store| is_turn(store)).count();
        stores[at..at + turns].reverse();
        at += turns.max(1);
    }
    stores
}

impl IndexMemory for Recorded {
    type Word = RecordedWord;
    type Error = String;
    fn directory_word(&self, at: u64) -> Result<&RecordedWord, String> {
        let word = self.directory.get(at as usize);
        word.ok_or_else(|| format!("no directory word {at}"))
    }
    fn line(&self, segment: u64, line: u64) -> Result<&[RecordedWord], String> {
        let start = (segment * self.shape.segment_words() + line * self.shape.line_words) as usize;
        let words = self.segments.get(start..start + self.shape.line_words as usize);
        words.ok_or_else(|| format!("no segment {segment}"))
    }
    fn damaged_directory(&self, at: u64, word: u64) -> String {
        format!("directory word {at} is {word:#x}")
    }
}

impl IndexSpace for Recorded {
    fn ensure_directory(&self, words: u64) -> Result<(), String> {
        let room = self.directory.len() as u64;
        (words <= room).then_some(()).ok_or_else(|| format!("{words} directory words"))
    }
    fn ensure_segments(&self, segments: u64) -> Result<(), String> {
        let room = self.segments.len() as u64 / self.shape.segment_words();
        if segments > room {
            return Err(format!("{segments} segments"));
        }
        // Before they are filled, as the coordinator does: space is never used twice.
        self.given_out.store(segments);
        Ok(())
    }
    fn full(&self) -> String {
        "full".to_owned()
    }
}
