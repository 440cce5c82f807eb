//! A reader meets damaged and hostile files: each question gets an answer or an error that names
//! the file, and it ends.
//!
//! Proptest prints the damage that a failure needs; `PROPTEST_CASES` sets how many are tried.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proptest::prelude::*;
use sutra_layout::adjacency::BlockRef;
use sutra_layout::column;
use sutra_layout::geometry::{HEADER_SIZE, Region};
use sutra_layout::slot::Slot;
use sutra_reader::{NeighborQuery, PathQuery, ReadError, Reader, verify};

use crate::support::everything::{self, ask_history, ask_snapshot};
use crate::support::{Associate, Writer};

/// A store that has some of everything, and the file's bytes as they were made.
struct Sample {
    store: Writer,
    bytes: Vec<u8>,
    /// First byte and size of each extent that is used.
    used: Vec<(u64, u64)>,
}

static SAMPLE: LazyLock<Mutex<Sample>> = LazyLock::new(|| Mutex::new(Sample::make()));

fn sample() -> MutexGuard<'static, Sample> {
    SAMPLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sample {
    fn make() -> Sample {
        let store = everything::store();
        let bytes = std::fs::read(store.file_path()).unwrap();
        let used = bytes[HEADER_SIZE as usize..].chunks(4096).enumerate();
        let used = used.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        let used = used.map(|(n, _)| (HEADER_SIZE + n as u64 * 4096, 4096));
        let used = used.collect();
        Sample { store, bytes, used }
    }

    /// The file as it was made.
    fn restore(&self) {
        let path = self.store.file_path();
        let now = std::fs::read(path).unwrap();
        let pages = now.chunks(4096).zip(self.bytes.chunks(4096)).enumerate();
        for (n, (now, then)) in pages {
            if now != then {
                self.store.put(n as u64 * 4096, then);
            }
        }
    }
}

/// Asks a store everything there is to ask, and gives how many answers were errors.
fn ask_everything(store: &Writer) -> usize {
    let mut errors = Vec::new();
    let report = verify::quick(store.path()).unwrap();
    assert!(!report.checks.is_empty());
    match Reader::open(store.path()) {
        Err(error) => errors.push(error.to_string()),
        Ok(reader) => {
            let _ = reader.writer();
            let _ = reader.wait_for_update(u64::MAX, Duration::ZERO);
            match reader.snapshot() {
                Err(error) => errors.push(error.to_string()),
                Ok(snapshot) => {
                    ask_snapshot(&snapshot, &mut errors);
                    ask_history(&snapshot, &mut errors);
                }
            }
        }
    }
    for error in &errors {
        assert!(error.contains("storage.dat"), "{error}");
    }
    errors.len()
}

#[derive(Clone, Debug)]
enum Change {
    FlipBit(u8),
    Word(u64),
}

/// Where: a fraction of the header's or the used pages' words; what is done there.
fn damage() -> impl Strategy<Value = (bool, u64, Change)> {
    let word = prop_oneof![
        Just(0),
        Just(u64::MAX),
        0..200u64,
        any::<u64>(),
        any::<u64>().prop_map(|word| word & 0x00ff_0000_0000_ffff),
    ];
    let change = prop_oneof![(0..64u8).prop_map(Change::FlipBit), word.prop_map(Change::Word)];
    (any::<bool>(), any::<u64>(), change)
}

fn apply(sample: &Sample, (in_header, place, change): &(bool, u64, Change)) {
    let offset = if *in_header {
        place % (HEADER_SIZE / 8) * 8
    } else {
        let words = sample.used.len() as u64 * 512;
        let word = place % words;
        sample.used[(word / 512) as usize].0 + word % 512 * 8
    };
    let at = offset as usize;
    let old = u64::from_le_bytes(sample.bytes[at..at + 8].try_into().unwrap());
    let new = match change {
        Change::FlipBit(bit) => old ^ 1 << bit,
        Change::Word(word) => *word,
    };
    sample.store.put(offset, &new.to_le_bytes());
}

/// In a function of its own: the sample must not stay locked while a test runs.
fn good_slot() -> Slot {
    sample().store.slot
}

/// A slot with a right checksum and whatever counts: what no accident makes, but a hostile writer.
fn hostile_slot(good: Slot) -> impl Strategy<Value = Slot> {
    let number = prop_oneof![0..300u64, any::<u64>(), Just(u64::MAX), Just(u64::from(u32::MAX))];
    proptest::collection::vec((0..64usize, number), 1..4).prop_map(move |changes| {
        let mut words = good.to_words();
        for (at, number) in changes {
            words[at] = number;
        }
        Slot::from_words(words)
    })
}

#[test]
fn an_unharmed_sample_answers_everything() {
    let sample = sample();
    sample.restore();
    assert_eq!(ask_everything(&sample.store), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_anywhere_gives_answers_or_errors(
        damages in proptest::collection::vec(damage(), 1..6),
    ) {
        let sample = sample();
        for damage in &damages {
            apply(&sample, damage);
        }
        ask_everything(&sample.store);
        sample.restore();
    }

    #[test]
    fn a_hostile_slot_gives_answers_or_errors(slot in hostile_slot(good_slot())) {
        let sample = sample();
        sample.restore();
        sample.store.publish_slot(slot);
        ask_everything(&sample.store);
        sample.restore();
    }

    #[test]
    fn garbage_behind_a_good_header_gives_answers_or_errors(page: u64, seed: u64) {
        let sample = sample();
        let mut random = crate::support::random::Random::new(seed);
        let garbage: Vec<u8> = (0..512).flat_map(|_| random.next().to_le_bytes()).collect();
        let (offset, _) = sample.used[(page % sample.used.len() as u64) as usize];
        sample.store.put(offset, &garbage);
        ask_everything(&sample.store);
        sample.restore();
    }
}

#[test]
fn every_single_damaged_page_gives_answers_or_errors() {
    let sample = sample();
    sample.restore();
    let header = (1..16).map(|page| page * 4096);
    for offset in header.chain(sample.used.iter().map(|(offset, _)| *offset)) {
        for byte in [0x00, 0x01, 0xff] {
            sample.store.put(offset, &[byte; 4096]);
            ask_everything(&sample.store);
            sample.restore();
        }
    }
}

#[test]
fn a_file_cut_anywhere_gives_answers_or_errors() {
    let sample = sample();
    sample.restore();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("storage.dat");
    let size = sample.bytes.len();
    // The checkpoint is clean, so a copy opens; every page end, and odd sizes between.
    for cut in (0..size).step_by(4096).chain((0..size).step_by(9973)) {
        std::fs::write(&path, &sample.bytes[..cut]).unwrap();
        let report = verify::quick(directory.path()).unwrap();
        let is_whole = Reader::open(directory.path()).is_ok();
        assert!(is_whole || !report.is_sound(), "cut at {cut}");
        if let Ok(reader) = Reader::open(directory.path()) {
            let mut errors = Vec::new();
            ask_snapshot(&reader.snapshot().unwrap(), &mut errors);
        }
    }
}

fn head(store: &Writer, concept: u32, list: usize) -> &AtomicU64 {
    &store.view().columns(concept).unwrap()[list]
}

#[test]
fn a_list_that_leads_back_into_itself_ends() {
    let mut store = Writer::create();
    let hub = store.learn("hub", "");
    for n in 0..300 {
        let other = store.learn(&format!("{n}"), "");
        store.associate(hub, other, Associate::default());
    }
    store.publish();
    let newest = head(&store, hub, column::OUT_HEAD).load(Ordering::Relaxed);
    let newest = BlockRef::decode(newest).unwrap();
    let block = store.locate(Region::ADJACENCY, newest.unit);
    store.put(block, &newest.encode().to_le_bytes()); // its next block is itself
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let hub = snapshot.get("hub").unwrap().unwrap();
    let found = snapshot.neighbors(&hub, &NeighborQuery::default());
    assert!(matches!(found, Err(ReadError::Damaged { .. })));
    assert!(snapshot.find_path(&hub, &hub, &PathQuery::default()).is_ok());
}

#[test]
fn a_chain_of_versions_that_leads_back_into_itself_ends() {
    let mut store = Writer::create();
    store.learn("a", "published");
    store.publish();
    let second = store.slot.records;
    store.learn("a", "unpublished");
    let previous = store.locate(Region::RECORDS, second) + sutra_layout::record::PREVIOUS_OFFSET;
    // 1 + the version before: itself, a later one, and none that there could be.
    for back in [second + 1, second + 2, u64::MAX] {
        store.put(previous, &back.to_le_bytes());
        let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
        let error = snapshot.get("a").unwrap_err();
        assert!(matches!(&error, ReadError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("storage.dat"), "{error}");
        assert!(snapshot.concept(0).is_err());
    }
}

#[test]
fn text_that_is_not_utf8_is_an_error_when_it_is_borrowed() {
    let mut store = Writer::create();
    store.learn("a", "ordinary text");
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let bytes = std::fs::read(store.file_path()).unwrap();
    let text = b"ordinary text";
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    store.put(at as u64 + 3, &[0xff]);
    let a = snapshot.get("a").unwrap().unwrap();
    let error = a.content().unwrap_err();
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
    assert_eq!(a.id().unwrap().to_string(), "a");
}
