//! A get in a held snapshot allocates nothing, and neither does a search once its thread has searched.
#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sutra_reader::{Direction, Id, Metric, NearestQuery, NeighborQuery, Reader};

use crate::support::random::Random;
use crate::support::{Associate, Learn, Writer};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn neighbors_are_visited_without_an_allocation() {
    let mut store = Writer::create();
    let hub = store.learn("hub", "");
    for n in 0..1000 {
        let other = store.learn(&format!("{n}"), "");
        store.associate(hub, other, Associate::default());
        store.associate(other, hub, Associate::default());
    }
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let hub = snapshot.get("hub").unwrap().unwrap();
    let count = |direction| {
        let query = NeighborQuery { direction, min_confidence: 0.5, ..NeighborQuery::default() };
        snapshot.degree(&hub, &query).unwrap()
    };
    assert_eq!(count(Direction::Both), 2000); // meets all extents for the first time

    let before = ALLOCATIONS.get();
    assert_eq!([Direction::Out, Direction::In, Direction::Both].map(count), [1000, 1000, 2000]);
    assert_eq!(ALLOCATIONS.get(), before);
}

#[test]
fn a_get_in_a_held_snapshot_allocates_nothing() {
    let mut store = Writer::create();
    store.make_space(3, Metric::Cosine);
    let vector = [1.0, 2.0, 3.0];
    for n in 0..1000 {
        let learn = Learn { content: "content", vector: Some(&vector), ..Learn::default() };
        store.learn_as(format!("{n}").as_str().into(), learn);
    }
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let get = |id: &str| {
        let concept = snapshot.get(id).unwrap()?;
        let by_key = snapshot.get(Id::Raw(concept.key())).unwrap()?;
        assert_eq!(by_key.content().unwrap(), "content");
        assert_eq!(by_key.embedding().unwrap(), Some(&vector[..]));
        let by_ordinal = snapshot.concept(concept.ordinal()).unwrap()?;
        Some(by_ordinal.version())
    };
    assert_eq!(get("0"), Some(1)); // meets the space for the first time

    let before = ALLOCATIONS.get();
    for id in ["1", "17", "999", "not there"] {
        assert_eq!(get(id), (id != "not there").then_some(1));
    }
    assert_eq!(ALLOCATIONS.get(), before);

    let planted = format!("{}", 17);
    assert_eq!(get(&planted), Some(1));
    assert_eq!(ALLOCATIONS.get(), before + 1, "the counter counts");
}

#[test]
fn a_search_allocates_nothing_once_its_thread_has_searched() {
    let mut random = Random::new(3);
    let mut store = Writer::create();
    store.make_space(8, Metric::Cosine);
    for n in 0..1500 {
        let vector = random.vector(8);
        let learn = Learn { content: "content", vector: Some(&vector), ..Learn::default() };
        store.learn_as(format!("{n}").as_str().into(), learn);
    }
    store.index(0, 1400);
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let vectors: Vec<Vec<f32>> = (0..50).map(|_| random.vector(8)).collect();
    let (query, mut hits) = (NearestQuery::default(), Vec::new());
    for vector in &vectors {
        snapshot.nearest_into(vector, &query, &mut hits).unwrap();
    }
    let before = ALLOCATIONS.get();
    for vector in &vectors {
        snapshot.nearest_into(vector, &query, &mut hits).unwrap();
        assert_eq!(hits.len(), 10);
    }
    assert_eq!(ALLOCATIONS.get(), before);
}
