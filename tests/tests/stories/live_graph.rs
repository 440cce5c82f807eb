//! The graph of vectors grows in the file that others search: readers beside it, kills and losses of
//! power amid it.
//!
//! `SUTRA_GRAPH_VECTORS` sets how many vectors are inserted, `SUTRA_SEED` repeats what is random.

use std::time::Duration;

use sutra_client::{Client, Forget, Learn};
use sutra_layout::geometry::Region;
use sutra_reader::Reader;
use sutra_reader::verify::{self, DeepOptions};
use sutra_tests::forge::{overwrite, scramble_derived, unit_place};
use sutra_tests::searching::{DIMENSION, Found, clustered};
use sutra_tests::store::Writing;
use sutra_tests::{Process, Random, TestStore, roles, wait};

const LONG: Duration = Duration::from_secs(300);

fn started() -> TestStore {
    TestStore::started_with(|options| options.vector_dimension = Some(DIMENSION as u32))
}

/// Learns `count` vectors, some of them of concepts that have one, and forgets a few concepts.
fn insert(client: &mut Client, random: &mut Random, known: &mut u64, count: u64) {
    for _ in 0..count.div_ceil(100) {
        let written = client.batch(|batch| {
            for _ in 0..100 {
                let number = if random.one_in(10) { random.below(*known + 1) } else { *known };
                *known = (*known).max(number + 1);
                let (id, vector) = (format!("c{number}"), clustered(random));
                let embedding = Some(vector.as_slice());
                let learn = Learn { id: id.as_str().into(), embedding, ..Learn::default() };
                batch.learn(&learn).unwrap();
            }
        });
        assert!(written.unwrap().errors.is_empty());
        let id = format!("c{}", random.below(*known));
        // It may be forgotten already.
        let _ = client.batch(|batch| {
            batch.forget(&Forget { id: id.as_str().into(), if_lsn: None }).unwrap();
        });
    }
}

fn recall(reader: &Reader, random: &mut Random, searches: u64) -> f64 {
    let snapshot = reader.snapshot().unwrap();
    let mut found = Found::default();
    for _ in 0..searches {
        found.look(&snapshot, &clustered(random)).unwrap();
    }
    found.recall()
}

fn assert_sound(store: &TestStore) {
    let report = verify::deep(store.dir(), DeepOptions::default(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{report:#?}");
}

#[test]
fn four_readers_find_what_is_near_while_vectors_come() {
    let count = std::env::var("SUTRA_GRAPH_VECTORS").map_or(6_000, |n| n.parse().unwrap());
    let mut random = Random::from_env("live_graph");
    let store = started();
    let mut client = store.client();
    let mut known = 0;
    insert(&mut client, &mut random, &mut known, 2_000);
    let mut readers: Vec<Process> =
        (0..4).map(|_| store.child(&roles::search(store.dir(), random.next()))).collect();
    for reader in &mut readers {
        let line = reader.line();
        assert_eq!(line, "ready", "{}", reader.errors());
    }
    insert(&mut client, &mut random, &mut known, count);
    let reader = store.reader();
    reader.wait_indexed(LONG).unwrap();
    let at_rest = recall(&reader, &mut random, 300);
    assert!(at_rest >= 0.9, "{at_rest}");
    let mut merged = 0;
    for mut process in readers {
        process.tell("enough");
        let line = process.line();
        assert!(process.wait().success(), "{}", process.errors());
        println!("searches, merged, recall: {line}");
        let said: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        merged += said[1] as u64;
        assert!(said[2] >= at_rest - 0.01, "{line}, {at_rest} at rest");
    }
    assert!(merged > 0, "no search met rows that were not in the graph yet");
    assert_sound(&store);
}

#[test]
fn a_kill_amid_insertion_loses_no_link_that_counts() {
    let mut random = Random::from_env("live_graph");
    let mut store = started();
    let mut known = 0;
    for round in 1..=4 {
        insert(&mut store.client(), &mut random, &mut known, 1_500);
        let reader = store.reader();
        let part = random.below(1_500 * round);
        wait::until("the graph grows", || {
            let space = reader.snapshot().unwrap().spaces().unwrap().remove(0);
            (space.indexed >= part.min(space.count)).then_some(())
        });
        store.kill_and_restart();
    }
    let snapshot = store.reader().wait_indexed(LONG).unwrap();
    assert_eq!(snapshot.stats().indexed_vectors, snapshot.stats().vectors);
    let found = recall(&store.reader(), &mut random, 300);
    assert!(found >= 0.9, "{found}");
    assert_sound(&store);
    // Nor does a stop wait for the graph, or a start.
    insert(&mut store.client(), &mut random, &mut known, 2_000);
    store.restart();
    assert_sound(&store);
    store.reader().wait_indexed(LONG).unwrap();
    assert_sound(&store);
}

/// A copy of a store that was killed has another inode: it is recovered as after a loss of power.
fn recovered_copy(store: &mut TestStore, harm: impl FnOnce(&TestStore)) -> TestStore {
    store.kill();
    let copy = TestStore::copy_of(store.dir());
    harm(&copy);
    let mut copy = copy;
    copy.start();
    copy
}

#[test]
fn after_a_loss_of_power_the_graph_finds_as_much_as_before() {
    let mut random = Random::from_env("live_graph");
    let mut store = started();
    let mut known = 0;
    insert(&mut store.client(), &mut random, &mut known, 4_000);
    store.client().flush().unwrap();
    let snapshot = store.reader().wait_indexed(LONG).unwrap();
    let dead = snapshot.stats().dead_vectors;
    let seed = random.next();
    let before = recall(&store.reader(), &mut Random::new(seed), 300);
    let harms: [fn(&TestStore, &mut Random); 3] = [
        |_, _| {},
        // Pages of nodes that never reached the disk.
        |copy, random| {
            for _ in 0..40 {
                let place = unit_place(copy, Region::graph(0), random.below(4_000));
                overwrite(&copy.storage_path(), place / 4096 * 4096, &[0; 4096]);
            }
        },
        |copy, random| {
            scramble_derived(copy, random);
        },
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        let copy = recovered_copy(&mut store, |copy| harm(copy, &mut random));
        // Searches are right from the start on: what is lost is linked again, or looked at.
        let at_once = recall(&copy.reader(), &mut Random::new(seed), 100);
        assert!(at_once >= before - 0.05, "harm {number}: {at_once} at once, {before} before");
        let snapshot = copy.reader().wait_indexed(LONG).unwrap();
        assert_eq!(snapshot.stats().dead_vectors, dead);
        let after = recall(&copy.reader(), &mut Random::new(seed), 300);
        assert!(after >= before - 0.005, "harm {number}: {after} after, {before} before");
        assert_sound(&copy);
        store.start();
    }
}
