//! A writer of an index dies between any two of its stores, and the one who repairs it does too.
//! Readers go on, and so does the next writer.

mod recorded;

use recorded::{Recorded, Store, lowest_first};
use sutra_layout::index::{IndexRoot, IndexShape, find, repair, upsert};
use sutra_layout::sync::AllFences;

/// Segments of four words, so that few keys make many splits.
const SHAPE: IndexShape = IndexShape { line_words: 2, segment_lines: 2, probe_lines: 1 };
/// Keys, which are learnt one after the other.
const KEYS: u64 = 48;
/// Values are keys plus a multiple of this for their version.
const VERSIONS: u64 = 1000;
const DIRECTORY_WORDS: u64 = 1 << 14;
const SEGMENTS: u64 = 1000;

/// Spreads the keys anew.
type Seed = u64;

fn hash(seed: Seed, value: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&(value % VERSIONS).to_le_bytes(), seed)
}

/// A writer, as it ships or with a bug.
#[derive(Clone, Copy)]
struct Writer {
    seed: Seed,
    /// The order of one upsert's stores.
    order: fn(Vec<Store>) -> Vec<Store>,
    /// Whether it repairs the index that a dead writer left.
    repairs: bool,
}

const AS_IT_SHIPS: Writer = Writer { seed: 0, order: |stores| stores, repairs: true };
const SEEDS: std::ops::Range<Seed> = 0..8;

impl Writer {
    fn file(self, index: &Recorded, root: &mut IndexRoot, value: u64) -> Result<(), String> {
        let is_same = |old: u64| Ok(old % VERSIONS == value % VERSIONS);
        let hash_of = |old| Ok(hash(self.seed, old));
        let pair = (hash(self.seed, value), value);
        upsert(SHAPE, index, AllFences, root, pair, is_same, hash_of)
    }

    /// Looks for every key below `end` at `depth` and at every lesser one.
    fn look(
        self,
        index: &Recorded,
        depth: u32,
        end: u64,
        version_of: impl Fn(u64) -> u64,
    ) -> Result<(), String> {
        for depth in (0..=depth).rev() {
            for key in 0..end {
                let hash = hash(self.seed, key);
                let accept = |value: u64| Ok((value % VERSIONS == key).then_some(value));
                let found = find(SHAPE, index, AllFences, depth, hash, accept)?;
                let expected = key + VERSIONS * version_of(key);
                if found != Some(expected) {
                    return Err(format!(
                        "lost: {found:?} for {expected} of {end} at depth {depth}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Learns the keys one by one. Each time, the writer dies after each of its stores in turn, and
    /// the next one takes over. Returns the number of deaths, and what each bad one did.
    fn dies_everywhere(self) -> (u64, Vec<String>) {
        let index = Recorded::new(SHAPE, DIRECTORY_WORDS, SEGMENTS);
        let mut root = IndexRoot::default();
        let (mut deaths, mut bad) = (0, Vec::new());
        for key in 0..KEYS {
            let (before, root_before) = (index.image(), root);
            self.file(&index, &mut root, key).unwrap();
            let stores = (self.order)(index.take_log());
            let after = index.image();
            for done in 0..stores.len() {
                index.restore(&before, &stores[..done]);
                let crashed = index.image();
                let repair = self.repair_stores(&index, root_before);
                // The one who repairs dies as well; with none of its stores, it has not come yet.
                for repaired in 0..=repair.len() {
                    index.restore(&crashed, &repair[..repaired]);
                    if let Err(found) = self.after_a_death(&index, root_before, key) {
                        let place = format!("{done} of {} stores", stores.len());
                        let place = format!(
                            "seed {}, key {key}, {place}, {repaired} of the repair",
                            self.seed
                        );
                        bad.push(format!("{place}: {found}"));
                    }
                    deaths += 1;
                }
            }
            index.restore(&after, &[]);
            index.take_log();
        }
        (deaths, bad)
    }

    /// What the next writer stores to repair the index.
    fn repair_stores(self, index: &Recorded, root: IndexRoot) -> Vec<Store> {
        index.take_log();
        let _ = self.repair(index, root); // if it fails, so it does in `after_a_death`
        index.take_log()
    }

    fn repair(self, index: &Recorded, root: IndexRoot) -> Result<IndexRoot, String> {
        let mut root = IndexRoot { segments: index.given_out(), ..root };
        if self.repairs {
            repair(SHAPE, index, &mut root, |value| Ok(hash(self.seed, value)))?;
        }
        Ok(root)
    }

    /// `root` is from before the upsert of `key`, in which the writer died.
    fn after_a_death(self, index: &Recorded, root: IndexRoot, key: u64) -> Result<(), String> {
        if key > 0 {
            // Readers strand nowhere, although nobody has come to repair.
            self.look(index, root.depth, key, |_| 0)?;
        }
        let mut root = self.repair(index, root)?;
        // The log is replayed and goes on, with updates.
        let end = 2 * KEYS;
        for next in key..end {
            self.file(index, &mut root, next)?;
            self.file(index, &mut root, VERSIONS + next / 2)?;
        }
        let updated = key / 2..KEYS;
        self.look(index, root.depth, end, |key| updated.contains(&key).into())
    }
}

#[test]
fn no_key_is_lost_whichever_store_was_the_writers_last() {
    let mut all_deaths = 0;
    for seed in SEEDS {
        let writer = Writer { seed, ..AS_IT_SHIPS };
        let (deaths, bad) = writer.dies_everywhere();
        assert!(bad.is_empty(), "{bad:#?}");
        all_deaths += deaths;
    }
    println!("{all_deaths} deaths");
    assert!(all_deaths > 2000, "{all_deaths} deaths only");
}

/// Asserts that a writer with a planted bug loses keys.
fn assert_loses(writer: Writer) {
    let bad: Vec<String> =
        SEEDS.flat_map(|seed| Writer { seed, ..writer }.dies_everywhere().1).collect();
    println!("{} bad deaths, first {:#?}", bad.len(), bad.first());
    assert!(bad.iter().any(|found| found.contains("lost: ")));
}

#[test]
fn a_writer_that_goes_on_without_repair_loses_keys() {
    assert_loses(Writer { repairs: false, ..AS_IT_SHIPS });
}

/// [`repair`] knows a split that was interrupted by its lowest word, which must be the last to turn.
/// Readers of a living writer need no order: `loom_index.rs`.
#[test]
fn directory_words_turned_from_the_lowest_are_beyond_repair() {
    assert_loses(Writer { order: lowest_first, ..AS_IT_SHIPS });
}
