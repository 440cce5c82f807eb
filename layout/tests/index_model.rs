//! The index against a map: the same keys and values, whatever was filed, updated or dropped, at
//! every depth that the index once had.

mod recorded;

use std::collections::HashMap;

use proptest::prelude::*;
use recorded::Recorded;
use sutra_layout::index::{
    DROPPED, INDEX, IndexRoot, IndexShape, decode, encode, find, repair, upsert,
};
use sutra_layout::sync::AllFences;

const KEYS: u64 = 2_000;
/// Values are keys plus a multiple of this for their version.
const VERSIONS: u64 = 10_000;
/// A key that is never filed.
const ABSENT: u64 = KEYS + 1;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Upsert(u64),
    Drop(u64),
}

/// How an index is shaped, and how its keys are spread.
#[derive(Clone, Copy, Debug)]
struct Setting {
    shape: IndexShape,
    seed: u64,
    /// Of the 16 bits of a tag, those that tell keys apart: with none, every value in a line has to
    /// be asked.
    tag_mask: u64,
}

struct Index {
    setting: Setting,
    words: Recorded,
    root: IndexRoot,
    map: HashMap<u64, u64>,
}

impl Setting {
    fn hash(self, value: u64) -> u64 {
        let key = (value % VERSIONS).to_le_bytes();
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&key, self.seed);
        hash & (self.tag_mask << 48 | ((1 << 48) - 1))
    }
}

impl Index {
    fn new(setting: Setting) -> Index {
        Index {
            setting,
            words: Recorded::new(setting.shape, 1 << 14, 2_000),
            root: IndexRoot::default(),
            map: HashMap::new(),
        }
    }

    fn apply(&mut self, operation: Operation) {
        let setting = self.setting;
        match operation {
            Operation::Upsert(key) => {
                let version = self.map.get(&key).map_or(0, |value| value / VERSIONS + 1);
                let value = key + VERSIONS * version;
                upsert(
                    setting.shape,
                    &self.words,
                    AllFences,
                    &mut self.root,
                    (setting.hash(key), value),
                    |old| Ok(old % VERSIONS == key),
                    |value| Ok(setting.hash(value)),
                )
                .unwrap();
                self.map.insert(key, value);
            }
            Operation::Drop(key) => {
                if let Some(value) = self.map.remove(&key) {
                    let word = encode(setting.hash(value), value);
                    self.words.replace(word, word | DROPPED);
                }
            }
        }
        self.words.take_log();
    }

    fn find(&self, depth: u32, key: u64) -> Option<u64> {
        let accept = |value: u64| Ok((value % VERSIONS == key).then_some(value));
        let hash = self.setting.hash(key);
        find(self.setting.shape, &self.words, AllFences, depth, hash, accept).unwrap()
    }
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        9 => (0..KEYS).prop_map(Operation::Upsert),
        4 => (0..KEYS / 20).prop_map(Operation::Upsert),
        1 => (0..KEYS / 10).prop_map(Operation::Drop),
    ];
    prop::collection::vec(operation, 1..3_000)
}

fn settings() -> impl Strategy<Value = Setting> {
    let small = IndexShape { line_words: 2, segment_lines: 8, probe_lines: 2 };
    let shape = prop_oneof![Just(INDEX), Just(small)];
    let tag_mask = prop_oneof![Just(0), Just(1), Just(0xffff)];
    (shape, any::<u64>(), tag_mask).prop_map(|(shape, seed, tag_mask)| Setting {
        shape,
        seed,
        tag_mask,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    })]

    #[test]
    fn an_index_holds_what_a_map_holds_at_every_depth_it_once_had(
        setting in settings(),
        operations in operations(),
    ) {
        let mut index = Index::new(setting);
        for operation in operations {
            index.apply(operation);
            let (Operation::Upsert(key) | Operation::Drop(key)) = operation;
            if index.root.segments > 0 {
                prop_assert_eq!(index.find(index.root.depth, key), index.map.get(&key).copied());
            }
        }
        if index.root.segments == 0 {
            return Ok(());
        }
        for depth in 0..=index.root.depth {
            for key in (0..KEYS).chain([ABSENT]) {
                prop_assert_eq!(
                    index.find(depth, key),
                    index.map.get(&key).copied(),
                    "key {} at depth {}", key, depth
                );
            }
        }

        // There is nothing to repair, also for a root that lags.
        let image = index.words.image();
        for depth in 0..=index.root.depth {
            let mut root = IndexRoot { depth, ..index.root };
            repair(setting.shape, &index.words, &mut root, |value| Ok(setting.hash(value))).unwrap();
            prop_assert_eq!(root, index.root);
        }
        prop_assert!(index.words.image() == image);
    }

    #[test]
    fn a_word_gives_back_its_value_and_its_tag(hash: u64, value in 0..(1u64 << 48) - 2) {
        let word = encode(hash, value);
        prop_assert_eq!(decode(word), Some(value));
        prop_assert_eq!(word >> 48, hash >> 48);
        prop_assert_eq!(decode(word | DROPPED), None);
    }
}
