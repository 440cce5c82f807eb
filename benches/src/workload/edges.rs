//! Edges whose ends follow Zipf's law: concept number r of a random order is drawn with a weight of
//! r^-0.6, as a source and as a target. The exponent is one whose inverse needs no logarithm:
//! the rank of u is u^(1/(1-0.6)) = u² √u, which every machine rounds alike.

use super::random::Random;

/// The built-in types, 0 to 4.
const TYPES: u64 = 5;

/// A typed edge between two concepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The concept that it starts from.
    pub source: u32,
    /// The concept that it leads to.
    pub target: u32,
    /// Its type.
    pub edge_type: u16,
    /// 0 to 1.
    pub confidence: f32,
}

/// About `count` edges in random order: those that came twice or lead nowhere are taken out.
pub fn make(concepts: u64, count: u64, random: &mut Random) -> Vec<Edge> {
    let mut by_rank: Vec<u32> = (0..concepts as u32).collect();
    random.shuffle(&mut by_rank);
    let mut drawn: Vec<(u32, u32, u16)> = (0..count)
        .map(|_| {
            let source = by_rank[rank(random, concepts)];
            let target = by_rank[rank(random, concepts)];
            (source, target, random.below(TYPES) as u16)
        })
        .filter(|(source, target, _)| source != target)
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    random.shuffle(&mut drawn);
    drawn
        .into_iter()
        .map(|(source, target, edge_type)| Edge {
            source,
            target,
            edge_type,
            confidence: 0.5 + random.below(128) as f32 / 256.0,
        })
        .collect()
}

fn rank(random: &mut Random, concepts: u64) -> usize {
    let unit = random.unit();
    let rank = unit * unit * unit.sqrt() * concepts as f64;
    (rank as u64).min(concepts - 1) as usize
}
