//! Chance that can be repeated.

use std::hash::{BuildHasher, RandomState};

/// A small generator of numbers (SplitMix64: G. Steele, D. Lea, C. Flood, "Fast splittable
/// pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// From `SUTRA_SEED`, or from a seed that nobody chose; either is printed, so that a failed
    /// run can be repeated.
    pub fn from_env(story: &str) -> Random {
        let given = std::env::var("SUTRA_SEED").ok();
        let seed = given.map_or_else(
            || RandomState::new().hash_one(story),
            |seed| seed.parse().expect("SUTRA_SEED is a number"),
        );
        println!("{story}: SUTRA_SEED={seed}");
        Random::new(seed)
    }

    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// Another generator, whose numbers do not depend on how many this one gives.
    pub fn fork(&mut self) -> Random {
        Random::new(self.next())
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// An index below `end`.
    pub fn index(&mut self, end: usize) -> usize {
        self.below(end as u64) as usize
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// An element of a vector, from -1 to 1.
    pub fn element(&mut self) -> f32 {
        (self.below(20_001) as f32 - 10_000.0) / 10_000.0
    }
}
