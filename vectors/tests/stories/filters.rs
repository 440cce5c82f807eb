//! Filters: k rows are found where k pass, and none that does not.

use sutra_layout::Damage;
use sutra_layout::space::Space;
use sutra_vectors::{Request, Scratch, Sweep, nearest, nearest_of};

use crate::support::{TestSpace, random_rows};

const ROWS: usize = 4000;

#[test]
fn k_rows_are_found_where_k_pass_however_few_those_are() {
    let space = Space::of_default_name(24);
    let mut store = TestSpace::of(&space, &random_rows(ROWS, 24, 21));
    let mut inserter = store.inserter();
    store.insert_up_to(&mut inserter, ROWS as u64 - 100);
    let graph = store.graph();
    let (mut walked, mut exact) = (Scratch::default(), Scratch::default());
    for (one_in, sweep, expected) in [
        (2, Sweep::Plain, 0.97),
        (2, Sweep::TwoHop, 0.9),
        (8, Sweep::TwoHop, 0.9),
        (8, Sweep::Plain, 0.9),
        (300, Sweep::TwoHop, 0.6),
        (900, Sweep::Plain, 1.0),
    ] {
        let passes = |row: u32| row.is_multiple_of(one_in);
        let passing = ROWS.div_ceil(one_in as usize);
        let (mut found, mut all) = (0, 0);
        for vector in &random_rows(30, 24, 22) {
            let request = Request { vector, k: 10, ef: 64, min_score: f32::NEG_INFINITY, sweep };
            let accept = |row: u32, _: u64| Ok::<bool, Damage>(passes(row));
            let best: Vec<u32> = {
                let rows = (0..ROWS as u32).filter(|row| passes(*row));
                let all = |_: u32, _: u64| Ok::<bool, Damage>(true);
                let hits = nearest_of(&graph, rows, &request, &mut exact, all).unwrap();
                hits.iter().map(|hit| hit.row).collect()
            };
            let hits = nearest(&graph, &store.counts, &request, &mut walked, accept).unwrap();
            assert_eq!(hits.len(), passing.min(10), "one in {one_in}, {sweep:?}");
            assert!(hits.iter().all(|hit| passes(hit.row)));
            found += hits.iter().filter(|hit| best.contains(&hit.row)).count();
            all += best.len();
        }
        let recall = found as f64 / all as f64;
        assert!(recall >= expected, "one in {one_in}, {sweep:?}: recall {recall}");
    }
}

#[test]
fn a_minimum_score_leaves_out_what_is_farther() {
    let space = Space::of_default_name(16);
    let rows = random_rows(1500, 16, 5);
    let mut store = TestSpace::of(&space, &rows);
    let mut inserter = store.inserter();
    store.insert_up_to(&mut inserter, 1400);
    let graph = store.graph();
    let request =
        |min_score| Request { vector: &rows[7], k: 50, ef: 100, min_score, sweep: Sweep::Plain };
    let mut scratch = Scratch::default();
    let all = |_: u32, _: u64| Ok::<bool, Damage>(true);
    let any = request(f32::NEG_INFINITY);
    let hits = nearest(&graph, &store.counts, &any, &mut scratch, all).unwrap().to_vec();
    let bound = hits[20].score;
    let near = nearest(&graph, &store.counts, &request(bound), &mut scratch, all).unwrap();
    assert_eq!(near, &hits[..21]);
}
