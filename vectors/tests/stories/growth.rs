//! A graph that grows: every row stays reachable, and searches beside it find what they should.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sutra_layout::Damage;
use sutra_layout::slot::SpaceCounts;
use sutra_layout::space::{Metric, Quantization, Space};
use sutra_vectors::{Graph, GraphState, Inserter, Node, Reached, Request, Scratch, Sweep, nearest};

use crate::support::{TestSpace, random_rows};

fn unreachable(store: &TestSpace) -> usize {
    let entry = store.counts.entry_point as u32 - 1;
    Reached::from(&store.graph(), entry, store.counts.indexed_count).missing().count()
}

#[test]
fn every_row_can_be_reached_and_finds_itself() {
    for (metric, m, dimension, seed) in
        [(Metric::Cosine, 4, 8, 1), (Metric::L2, 16, 64, 2), (Metric::Cosine, 16, 100, 3)]
    {
        let mut space = Space::of_default_name(dimension);
        (space.metric, space.graph.m) = (metric, m);
        let rows = random_rows(3000, dimension, seed);
        let mut store = TestSpace::of(&space, &rows);
        let mut inserter = store.inserter();
        store.insert_up_to(&mut inserter, 3000);
        let mended = inserter.mend(&store.view).unwrap();
        assert_eq!((mended.unreachable, unreachable(&store)), (0, 0), "{metric:?}, M {m}");
        let finds_itself =
            |(number, row): (u32, &Vec<f32>)| store.nearest(row, 1, 64)[0].row == number;
        let found = (0..).zip(&rows).filter(|one| finds_itself(*one)).count();
        assert!(found >= 2990, "{metric:?}, M {m}, seed {seed}: {found} of 3000");
    }
}

#[test]
fn rows_that_lost_all_links_are_attached_again() {
    let space = Space::of_default_name(32);
    let mut store = TestSpace::of(&space, &random_rows(2000, 32, 9));
    let mut inserter = store.inserter();
    store.insert_up_to(&mut inserter, 2000);
    // The planted damage: nothing leads to one row in fifty.
    let is_lost = |link: u32| link != 0 && (link - 1) % 50 == 7;
    for row in 0..2000 {
        for link in store.graph().node(row).map(Node::links).unwrap() {
            if is_lost(link.load(Ordering::Relaxed)) {
                link.store(0, Ordering::Relaxed);
            }
        }
    }
    assert_eq!(unreachable(&store), 40);
    let mended = store.inserter().mend(&store.view).unwrap();
    assert_eq!((mended.attached, mended.unreachable), (40, 0));
    assert_eq!(unreachable(&store), 0);
}

#[test]
fn links_to_rows_that_are_over_are_replaced_and_the_others_found() {
    let space = Space::of_default_name(32);
    let rows = random_rows(2000, 32, 13);
    let mut store = TestSpace::of(&space, &rows);
    let mut inserter = store.inserter();
    store.insert_up_to(&mut inserter, 2000);
    let is_over = |row: u32| row % 5 < 2;
    (0..2000).filter(|row| is_over(*row)).for_each(|row| store.supersede(row, 9));
    let dead_links = |store: &TestSpace| {
        let graph = store.graph();
        let of = |row| graph.node(row).map(Node::links).unwrap_or_default();
        let live = (0..2000).filter(|row| !is_over(*row));
        let links = live.flat_map(|row| of(row).iter().map(|link| link.load(Ordering::Relaxed)));
        links.filter(|link| *link != 0 && is_over(link - 1)).count()
    };
    let before = dead_links(&store);
    let mut next = 0;
    while next < 2000 {
        next = inserter.repair(&store.view, next, 300).unwrap();
    }
    assert!(dead_links(&store) * 2 < before, "{before} before, {} after", dead_links(&store));
    inserter.mend(&store.view).unwrap();
    assert_eq!(unreachable(&store), 0);
    for (number, row) in (0..).zip(&rows).filter(|(number, _)| !is_over(*number)) {
        assert_eq!(store.nearest(row, 1, 64)[0].row, number);
    }
}

/// The thread twin of searching processes: each has its own view, and learns the counts as a slot
/// gives them.
#[test]
fn searches_beside_insertions_find_what_is_there() {
    const ROWS: u64 = 6000;
    for quantization in [Quantization::Int8, Quantization::None] {
        let mut space = Space::of_default_name(24);
        space.graph.quantization = quantization;
        space.graph.ef_construction = 64;
        let rows = random_rows(ROWS as usize, 24, 31);
        let mut store = TestSpace::of(&space, &rows);
        store.reserve_levels();
        let published = [const { AtomicU64::new(0) }; 3];
        let sequence = AtomicU64::new(0);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let searchers: Vec<_> = (0..2u64)
                .map(|n| {
                    let (view, rows) = (store.reader(), &rows);
                    let (published, sequence, is_done) = (&published, &sequence, &is_done);
                    scope.spawn(move || {
                        let mut scratch = Scratch::default();
                        let (mut asked, mut found) = (0u64, 0u64);
                        while !is_done.load(Ordering::Relaxed) || asked < 200 {
                            // The three words of one publication, by a small seqlock.
                            let before = sequence.load(Ordering::SeqCst);
                            let [indexed_count, entry_point, top_level] =
                                published.each_ref().map(|word| word.load(Ordering::SeqCst));
                            if before % 2 == 1 || sequence.load(Ordering::SeqCst) != before {
                                continue;
                            }
                            let count = (indexed_count + 200).min(ROWS);
                            let counts =
                                SpaceCounts { count, indexed_count, entry_point, top_level };
                            let graph = Graph::capture(&view, 0, count).unwrap();
                            let number = (asked * 7919 + n * 13) % count;
                            let request = Request {
                                vector: &rows[number as usize],
                                k: 10,
                                ef: 48,
                                min_score: f32::NEG_INFINITY,
                                sweep: Sweep::Plain,
                            };
                            let all = |row: u32, _: u64| {
                                assert!(u64::from(row) < count, "row {row} of {count}");
                                Ok::<bool, Damage>(true)
                            };
                            let hits =
                                nearest(&graph, &counts, &request, &mut scratch, all).unwrap();
                            assert_eq!(hits.len() as u64, count.min(10));
                            found += u64::from(hits[0].row == number as u32);
                            asked += 1;
                        }
                        (asked, found)
                    })
                })
                .collect();
            let view = store.writable();
            let mut inserter = Inserter::open(&view, 0, GraphState::default(), ROWS).unwrap();
            let mut next_unit = 0;
            let mut reserve = |units: u64| -> Result<u64, Damage> {
                next_unit += 64;
                Ok(next_unit - units)
            };
            while inserter.insert_next(&view, ROWS, &mut reserve).unwrap() {
                let GraphState { indexed_count, entry_point, top_level } = inserter.state();
                sequence.fetch_add(1, Ordering::SeqCst);
                for (word, value) in published.iter().zip([indexed_count, entry_point, top_level]) {
                    word.store(value, Ordering::SeqCst);
                }
                sequence.fetch_add(1, Ordering::SeqCst);
            }
            is_done.store(true, Ordering::Relaxed);
            for searcher in searchers {
                let (asked, found) = searcher.join().unwrap();
                assert!(found * 100 >= asked * 98, "{quantization:?}: {found} of {asked}");
            }
        });
    }
}
