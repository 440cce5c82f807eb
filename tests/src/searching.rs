//! Vectors in clusters, and searches for the nearest that are held against every row.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use sutra_reader::{Hit, NearestQuery, Reader, Snapshot};

use crate::Random;

/// Elements of a vector.
pub const DIMENSION: usize = 32;
/// Clusters that vectors lie in.
const CLUSTERS: u64 = 200;
/// Scores that differ by less are the same: searches add in different orders.
const SCORE_ERROR: f32 = 1e-4;

/// A vector somewhere in one of the clusters, which are the same for every generator.
pub fn clustered(random: &mut Random) -> Vec<f32> {
    let mut center = Random::new(random.below(CLUSTERS) + 1);
    (0..DIMENSION).map(|_| center.element() + 0.7 * random.element()).collect()
}

/// How much of what is nearest was found, over many searches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    /// Searches.
    pub searches: u64,
    expected: u64,
    found: u64,
    /// Searches over rows that were partly in the graph and partly not.
    pub merged: u64,
}

impl Found {
    /// The share of the nearest that was found.
    pub fn recall(&self) -> f64 {
        self.found as f64 / self.expected.max(1) as f64
    }

    /// Looks for the nearest to one vector, and holds the answer against every row of the snapshot.
    ///
    /// # Errors
    /// If there are too few hits, or one that cannot be.
    pub fn look(&mut self, snapshot: &Snapshot, vector: &[f32]) -> Result<()> {
        let query = NearestQuery::default();
        let found = snapshot.nearest(vector, &query)?;
        let exact = snapshot.nearest(vector, &NearestQuery { exact: true, ..query })?;
        ensure!(found.len() == exact.len(), "{} hits, not {}", found.len(), exact.len());
        let mut owners = HashSet::new();
        for hit in &found {
            ensure!(owners.insert(hit.ordinal), "concept {} came twice", hit.ordinal);
            check(snapshot, vector, hit)?;
        }
        let worst = exact.last().map_or(f32::NEG_INFINITY, |hit| hit.score);
        let near = found.iter().filter(|hit| hit.score >= worst - SCORE_ERROR).count();
        let stats = snapshot.spaces()?;
        self.searches += 1;
        self.expected += exact.len() as u64;
        self.found += near as u64;
        self.merged +=
            u64::from(stats.iter().any(|space| space.indexed > 0 && space.indexed < space.count));
        Ok(())
    }
}

/// A hit is a concept of the snapshot, and as near as it says.
fn check(snapshot: &Snapshot, vector: &[f32], hit: &Hit) -> Result<()> {
    let concept = snapshot.concept(hit.ordinal)?;
    let concept = concept.with_context(|| format!("there is no concept {}", hit.ordinal))?;
    let own = concept.embedding()?.context("a hit has no vector")?;
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let cosine = dot(vector, own) / (dot(vector, vector) * dot(own, own)).sqrt();
    let is_near = (cosine - f64::from(hit.score)).abs() < f64::from(SCORE_ERROR);
    ensure!(is_near, "concept {} scores {cosine}, not {}", hit.ordinal, hit.score);
    Ok(())
}

/// Searches until the input ends; prints the searches, those over a graph and a tail, and the recall.
pub(crate) fn play(store: &str, seed: &str) -> Result<()> {
    let reader = Reader::open(store)?;
    let mut random = Random::new(seed.parse()?);
    let is_over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_over);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        told.store(true, Ordering::Relaxed);
    });
    println!("ready");
    let mut found = Found::default();
    while !is_over.load(Ordering::Relaxed) || found.searches < 20 {
        found.look(&reader.snapshot()?, &clustered(&mut random))?;
    }
    println!("{} {} {}", found.searches, found.merged, found.recall());
    Ok(())
}
