//! The Rust side of `benches/python/bench.py`: what a get and a nearest take, without Python.
//!
//! `figures STORE COUNT DIMENSION`: gets `concept-N` for N below COUNT in a fixed order, and searches
//! with fixed vectors; prints nanoseconds of one get and of one nearest.

use std::time::Instant;

use sutra_store::reader::NearestQuery;
use sutra_store::{Options, Store};

/// The order of the gets, as the Python side has it: far apart, each once.
const STRIDE: usize = 7_919;
const SEARCHES: usize = 300;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, count, dimension] = arguments.as_slice() else {
        return Err("give STORE COUNT DIMENSION".into());
    };
    let (count, dimension): (usize, usize) = (count.parse()?, dimension.parse()?);
    let store = Store::open(path, Options { read_only: true, ..Options::default() })?;
    let ids: Vec<String> = (0..count).map(|n| format!("concept-{}", n * STRIDE % count)).collect();
    let mut gets = Vec::new();
    for _ in 0..ROUNDS {
        let started_at = Instant::now();
        let mut size = 0;
        for id in &ids {
            size += store.get(id.as_str())?.map_or(0, |_| 1);
        }
        gets.push(started_at.elapsed().as_nanos() as f64 / count as f64);
        assert_eq!(size, count);
    }
    let query = NearestQuery { k: 10, ..NearestQuery::default() };
    let vector = |n: usize| -> Vec<f32> {
        (0..dimension).map(|at| ((n * 31 + at * 17) % 101) as f32 - 50.0).collect()
    };
    let vectors: Vec<Vec<f32>> = (0..SEARCHES).map(vector).collect();
    let mut searches = vec![f64::INFINITY];
    let rounds = if store.snapshot()?.space_count() == 0 { 0 } else { ROUNDS };
    for _ in 0..rounds {
        let started_at = Instant::now();
        for vector in &vectors {
            std::hint::black_box(store.nearest(vector, &query)?.len());
        }
        searches.push(started_at.elapsed().as_nanos() as f64 / SEARCHES as f64);
    }
    let best = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
    println!("{} {}", best(&gets), best(&searches));
    Ok(())
}
