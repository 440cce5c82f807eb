//! Workload K: concepts under random 16-byte ids, and typed edges between them whose numbers follow
//! Zipf's law. All of it comes from a seed and a size, so that every process makes its own.

mod edges;
mod random;
mod text;

pub use edges::Edge;
pub use random::{Random, mix};

/// Edges for each concept, before those that came twice are taken out.
const EDGES_PER_CONCEPT: u64 = 5;
/// Between the ids of a workload and those that it does not have.
const ABSENT_SALT: u64 = 1 << 63;

/// Which workload: everything else follows from it.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// How many concepts.
    pub concepts: u32,
    /// What they are made from.
    pub seed: u64,
}

impl Workload {
    /// The id of concept `ordinal`.
    #[inline]
    pub fn id(&self, ordinal: u32) -> [u8; 16] {
        id_of(self.seed, u64::from(ordinal))
    }

    /// An id that no concept has.
    #[inline]
    pub fn absent_id(&self, number: u64) -> [u8; 16] {
        id_of(self.seed, number | ABSENT_SALT)
    }

    /// The content of concept `ordinal` in its `revision`, 100 to 192 bytes, 146 on average.
    pub fn content(&self, ordinal: u32, revision: u64, out: &mut String) {
        let seed = mix(self.seed ^ mix(u64::from(ordinal) << 32 | revision));
        text::write(&mut Random::new(seed), out);
    }

    /// The edges, in random order, none twice.
    pub fn edges(&self) -> Vec<Edge> {
        edges::make(
            u64::from(self.concepts),
            EDGES_PER_CONCEPT * u64::from(self.concepts),
            &mut Random::new(mix(self.seed) ^ 1),
        )
    }

    /// Random numbers for one purpose.
    pub fn random(&self, purpose: u64) -> Random {
        Random::new(mix(self.seed ^ 2).wrapping_add(purpose))
    }
}

#[inline]
fn id_of(seed: u64, number: u64) -> [u8; 16] {
    let low = mix(seed.wrapping_add(mix(number)));
    let high = mix(low ^ number);
    (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
}

/// All contents of a workload, made before the clock runs.
#[derive(Debug)]
pub struct Contents {
    text: String,
    ends: Vec<usize>,
}

impl Contents {
    /// Those of `workload`.
    pub fn new(workload: &Workload) -> Contents {
        let mut text = String::with_capacity(workload.concepts as usize * 150);
        let mut ends = Vec::with_capacity(workload.concepts as usize);
        for ordinal in 0..workload.concepts {
            workload.content(ordinal, 0, &mut text);
            ends.push(text.len());
        }
        Contents { text, ends }
    }

    /// The content of concept `ordinal`.
    pub fn get(&self, ordinal: u32) -> &str {
        let end = self.ends[ordinal as usize];
        let start = match ordinal.checked_sub(1) {
            Some(before) => self.ends[before as usize],
            None => 0,
        };
        &self.text[start..end]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const WORKLOAD: Workload = Workload { concepts: 20_000, seed: 7 };

    #[test]
    fn a_seed_gives_the_same_workload_each_time_and_another_seed_another() {
        let other = Workload { seed: 8, ..WORKLOAD };
        assert_eq!(WORKLOAD.edges(), WORKLOAD.edges());
        assert_ne!(WORKLOAD.edges(), other.edges());
        assert_ne!(WORKLOAD.id(3), other.id(3));
    }

    #[test]
    fn ids_are_unlike_and_absent_ones_are_absent() {
        let ids: HashSet<[u8; 16]> = (0..WORKLOAD.concepts).map(|n| WORKLOAD.id(n)).collect();
        assert_eq!(ids.len(), WORKLOAD.concepts as usize);
        assert!((0..20_000).all(|n| !ids.contains(&WORKLOAD.absent_id(n))));
    }

    #[test]
    fn contents_have_146_bytes_on_average() {
        let contents = Contents::new(&WORKLOAD);
        let sizes = (0..WORKLOAD.concepts).map(|n| contents.get(n).len());
        let (mut sum, mut count) = (0, 0);
        for size in sizes {
            assert!((100..=192).contains(&size), "{size}");
            (sum, count) = (sum + size, count + 1);
        }
        let mean = sum as f64 / f64::from(count);
        assert!((145.0..147.0).contains(&mean), "{mean}");
    }

    #[test]
    fn no_edge_comes_twice_and_few_concepts_have_many() {
        let edges = WORKLOAD.edges();
        let unlike: HashSet<_> = edges.iter().map(|e| (e.source, e.target, e.edge_type)).collect();
        assert_eq!(unlike.len(), edges.len());
        assert!(edges.len() > 99_000, "{}", edges.len());
        let mut degrees = vec![0u32; WORKLOAD.concepts as usize];
        edges.iter().for_each(|e| degrees[e.source as usize] += 1);
        degrees.sort_unstable_by(|a, b| b.cmp(a));
        let tenth: u32 = degrees[..degrees.len() / 10].iter().sum();
        assert!(tenth as usize > edges.len() / 3, "{tenth}");
    }
}
