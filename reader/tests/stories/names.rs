//! Namespaces and vector spaces by name, access counts, and strength as it fades.

use std::time::Duration;

use sutra_layout::symbol::SymbolTable;
use sutra_reader::{Access, ConceptQuery, Metric, NamespaceInfo, Namespaces, NearestQuery, Reader};

use crate::support::{Learn, Writer};

#[test]
fn queries_stay_in_one_namespace_unless_asked_for_all() {
    let mut store = Writer::create();
    store.name_symbol(SymbolTable::Namespace, 1, "alice");
    store.name_symbol(SymbolTable::Namespace, 2, "bob");
    store.name_symbol(SymbolTable::Namespace, 3, "nobody");
    store.name_symbol(SymbolTable::TimeToLive, 2, "5000000");
    store.name_symbol(SymbolTable::TimeToLive, 0, "7");
    store.name_symbol(SymbolTable::TimeToLive, 0, "0");
    store.make_space(1, Metric::L2);
    let vector = [1.0];
    let learn =
        |namespace| Learn { namespace, vector: Some(&vector), content: "x", ..Learn::default() };
    store.learn_as("fox".into(), learn(("", 0)));
    store.learn_as("fox".into(), learn(("alice", 1)));
    store.learn_as("wolf".into(), learn(("alice", 1)));
    store.learn_as("fox".into(), learn(("bob", 2)));
    store.learn_as("gone".into(), learn(("bob", 2)));
    store.forget_in(("bob", 2), "gone");
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let cases: [(Namespaces<'_>, &[u32]); 5] = [
        (Namespaces::default(), &[0]),
        ("alice".into(), &[1, 2]),
        ("bob".into(), &[3]),
        ("nowhere".into(), &[]),
        (Namespaces::All, &[0, 1, 2, 3]),
    ];
    for (namespaces, expected) in cases {
        let query = ConceptQuery { namespaces, ..ConceptQuery::default() };
        let found = snapshot.concepts_where(&query).map(|found| found.unwrap().ordinal());
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let query = NearestQuery { namespaces, ..NearestQuery::default() };
        let found = snapshot.nearest(&[0.0], &query).unwrap();
        assert!(found.iter().map(|hit| &hit.ordinal).eq(expected));
    }
    assert_eq!(snapshot.concepts().count(), 1);

    let info = |name: &str, concepts, seconds: Option<u64>| {
        let time_to_live = seconds.map(Duration::from_secs);
        NamespaceInfo { name: name.to_owned(), concepts, time_to_live }
    };
    let expected = [
        info("", 1, None),
        info("alice", 2, None),
        info("bob", 1, Some(5)),
        info("nobody", 0, None),
    ];
    assert_eq!(snapshot.namespaces().unwrap(), expected);
    assert_eq!(snapshot.time_to_live("bob"), Some(Duration::from_secs(5)));
    assert_eq!((snapshot.time_to_live(""), snapshot.time_to_live("nowhere")), (None, None));
    assert!(snapshot.last_version("bob", "gone").unwrap().unwrap().is_forgotten());
    assert!(snapshot.last_version("nowhere", "gone").unwrap().is_none());
    assert!(snapshot.last_version("nowhere", "").is_err());
}

#[test]
fn a_second_space_is_found_by_name_while_the_first_still_answers() {
    let mut store = Writer::create();
    store.make_space(2, Metric::Dot);
    store.make_named_space("new", "mini-2", 3, Metric::L2);
    let learn = |space, vector| Learn { space, vector: Some(vector), ..Learn::default() };
    store.learn_as("both".into(), learn(0, &[1.0, 0.0]));
    store.learn_as("old".into(), learn(0, &[2.0, 0.0]));
    store.learn_as("both".into(), learn(1, &[1.0, 0.0, 0.0]));
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let spaces = snapshot.spaces().unwrap();
    let spaces: Vec<_> = spaces
        .iter()
        .map(|space| (space.number, space.name.as_str(), space.model.as_str(), space.count))
        .collect();
    assert_eq!(spaces, [(0, "", "none", 2), (1, "new", "mini-2", 1)]);
    assert_eq!(snapshot.space_number("new").unwrap(), Some(1));
    assert_eq!(snapshot.space_number("").unwrap(), Some(0));
    assert_eq!(snapshot.space_number("other").unwrap(), None);
    let nearest = |space, vector: &[f32]| {
        let query = NearestQuery { space, ..NearestQuery::default() };
        let hits = snapshot.nearest(vector, &query).unwrap();
        hits.iter().map(|hit| hit.ordinal).collect::<Vec<_>>()
    };
    assert_eq!(nearest(0, &[1.0, 0.0]), [1, 0]);
    assert_eq!(nearest(1, &[1.0, 0.0, 0.0]), [0]);
}

#[test]
fn access_counts_are_read_and_belong_to_no_version() {
    let mut store = Writer::create();
    let a = store.learn("a", "a");
    store.learn("b", "b");
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let access = |id| snapshot.get(id).unwrap().unwrap().access().unwrap();
    assert_eq!((access("a"), access("b")), (Access::default(), Access::default()));
    store.touch(a, 3, 1000);
    store.touch(a, 4, 2000);
    assert_eq!(access("a"), Access { count: 7, last_at: Some(2000) });
    assert_eq!(access("b"), Access::default());
}

#[test]
fn strength_halves_with_each_half_life_since_the_last_writing_or_use() {
    let mut store = Writer::create();
    let learn = Learn { strength: Some(0.8), ..Learn::default() };
    let ordinal = store.learn_as("a".into(), learn);
    let learnt = store.now;
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let day_us = 86_400_000_000;
    let day = Duration::from_secs(86_400);
    let strength = |half_life, after| {
        let a = snapshot.get("a").unwrap().unwrap();
        a.effective_strength(half_life, learnt + after).unwrap()
    };
    assert_eq!((strength(day, 0), strength(day, day_us)), (0.8, 0.4));
    assert!((strength(day, 3 * day_us) - 0.1).abs() < 1e-6);
    assert_eq!((strength(Duration::ZERO, 0), strength(Duration::ZERO, 1)), (0.8, 0.0));
    assert_eq!(strength(Duration::MAX, day_us), 0.8);
    store.touch(ordinal, 1, learnt + 2 * day_us);
    assert_eq!(strength(day, 3 * day_us), 0.4, "it was used a day before");
    assert_eq!(strength(day, day_us), 0.4, "and not yet used then");
}
