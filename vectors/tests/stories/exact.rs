//! What the graph finds, held against looking at every row.

use sutra_layout::space::{Metric, Quantization, Space};
use sutra_vectors::Hit;

use crate::support::{TestSpace, random_rows};

/// The nearest rows that are current, by 64-bit sums.
fn by_hand(space: &Space, rows: &[Vec<f32>], dead: &[u32], query: &[f32], k: usize) -> Vec<u32> {
    let score = |row: &[f32]| -> f64 {
        let pairs = || query.iter().zip(row).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        match space.metric {
            Metric::Cosine => dot / row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt(),
            Metric::Dot => dot,
            Metric::L2 => -pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
        }
    };
    let mut scored: Vec<(f64, u32)> = (0..)
        .zip(rows)
        .filter(|(number, _)| !dead.contains(number))
        .map(|(number, row)| (score(row), number))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.truncate(k);
    scored.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn the_graph_finds_what_looking_at_every_row_finds() {
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        for quantization in [Quantization::Int8, Quantization::None] {
            let mut space = Space::of_default_name(48);
            space.metric = metric;
            space.graph.quantization = quantization;
            let rows = random_rows(3000, 48, 7);
            let mut store = TestSpace::of(&space, &rows);
            let mut inserter = store.inserter();
            // A tenth stays in the tail, and some of both parts are no longer current.
            store.insert_up_to(&mut inserter, 2700);
            let dead: Vec<u32> = (0..3000).step_by(13).collect();
            for row in &dead {
                store.supersede(*row, 5);
            }
            let (mut found, queries) = (0, random_rows(50, 48, 8));
            for query in &queries {
                let hits = store.nearest(query, 10, 200);
                let rows_found: Vec<u32> = hits.iter().map(|hit: &Hit| hit.row).collect();
                assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
                assert!(rows_found.iter().all(|row| !dead.contains(row)));
                let expected = by_hand(&space, &rows, &dead, query, 10);
                found += expected.iter().filter(|row| rows_found.contains(row)).count();
            }
            assert!(found >= 485, "{metric:?} {quantization:?}: {found} of 500");
        }
    }
}

#[test]
fn every_row_of_the_tail_finds_itself() {
    let space = Space::of_default_name(32);
    let rows = random_rows(500, 32, 3);
    let store = TestSpace::of(&space, &rows);
    for (number, row) in (0..).zip(&rows) {
        assert_eq!(store.nearest(row, 1, 10)[0].row, number);
    }
}
