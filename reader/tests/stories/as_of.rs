//! A store as it was, at every log entry, against a model that remembers each state.

use std::collections::BTreeMap;

use sutra_reader::{
    ConceptQuery, Direction, Metric, Namespaces, NearestQuery, NeighborQuery, PathQuery, ReadError,
    Reader, Snapshot,
};

use crate::support::random::Random;
use crate::support::{Associate, Learn, Writer};

/// What one concept says.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    ordinal: u32,
    content: String,
    vector: Option<Vec<f32>>,
    expires_at: u64,
    version: u32,
}

/// All that lives after one log entry.
#[derive(Clone, Debug, Default)]
struct State {
    time: u64,
    concepts: BTreeMap<String, Known>,
    /// Confidence by source, target and type.
    associations: BTreeMap<(u32, u32, u16), f32>,
    /// How many concepts there ever were, and the versions of each id.
    ordinals: BTreeMap<String, (u32, u32)>,
}

impl State {
    fn present(&self) -> impl Iterator<Item = (&String, &Known)> {
        let is_present = |at: u64| at == 0 || at > self.time;
        self.concepts.iter().filter(move |(_, known)| is_present(known.expires_at))
    }

    fn is_present(&self, ordinal: u32) -> bool {
        self.present().any(|(_, known)| known.ordinal == ordinal)
    }
}

const IDS: u64 = 24;

/// A store of random operations, published now and then, and its state after each log entry.
fn random_store(random: &mut Random, entries: u64) -> (Writer, Vec<State>) {
    let mut store = Writer::create();
    store.make_space(3, Metric::L2);
    let mut states = vec![State::default()];
    let mut state = State { time: 0, ..State::default() };
    for _ in 0..entries {
        let operations = if random.below(5) == 0 { 4 } else { 1 };
        store.together(|store| {
            for _ in 0..operations {
                operate(store, &mut state, random);
            }
        });
        states.push(state.clone());
        if random.below(4) == 0 {
            store.publish();
        }
    }
    store.publish();
    (store, states)
}

fn operate(store: &mut Writer, state: &mut State, random: &mut Random) {
    let id = format!("concept {}", random.below(IDS));
    let live: Vec<u32> = state.concepts.values().map(|known| known.ordinal).collect();
    let pick = |random: &mut Random| live[random.below(live.len() as u64) as usize];
    match random.below(10) {
        0..5 => learn(store, state, random, id),
        5..8 if !live.is_empty() => {
            let (source, target) = (pick(random), pick(random));
            let (edge_type, confidence) = (random.below(2) as u16, random.float().abs());
            let associate = Associate { edge_type, confidence, ..Associate::default() };
            store.associate(source, target, associate);
            state.associations.insert((source, target, edge_type), confidence);
        }
        8 if state.concepts.contains_key(&id) => {
            store.forget(&id);
            state.time = store.now;
            let ordinal = state.concepts.remove(&id).unwrap().ordinal;
            state.associations.retain(|(from, to, _), _| *from != ordinal && *to != ordinal);
            state.ordinals.get_mut(&id).unwrap().1 += 1;
        }
        9 if !state.associations.is_empty() => {
            let at = random.below(state.associations.len() as u64) as usize;
            let key = *state.associations.keys().nth(at).unwrap();
            store.disassociate(key.0, key.1, key.2);
            state.associations.remove(&key);
        }
        _ => learn(store, state, random, id),
    }
}

fn learn(store: &mut Writer, state: &mut State, random: &mut Random, id: String) {
    let content = format!("{id}, said {}", random.next());
    let vector = (random.below(3) > 0).then(|| random.vector(3));
    let expires_at = if random.below(6) == 0 { store.now + random.below(40) } else { 0 };
    let vector_given = vector.as_deref();
    let learn = Learn { content: &content, vector: vector_given, expires_at, ..Learn::default() };
    let ordinal = store.learn_as(id.as_str().into(), learn);
    state.time = store.now;
    let versions = state.ordinals.entry(id.clone()).or_insert((ordinal, 0));
    versions.1 += 1;
    assert_eq!(versions.0, ordinal, "a concept learnt again keeps its ordinal");
    let version = versions.1;
    state.concepts.insert(id, Known { ordinal, content, vector, expires_at, version });
}

/// Whether a snapshot says what the model says.
fn assert_equal(snapshot: &Snapshot, state: &State) {
    for n in 0..IDS {
        let id = format!("concept {n}");
        let found = snapshot.get(&id).unwrap();
        let known = state.present().find(|(known, _)| **known == id).map(|(_, known)| known);
        let found = found.map(|concept| Known {
            ordinal: concept.ordinal(),
            content: concept.content().unwrap().to_owned(),
            vector: concept.embedding().unwrap().map(<[f32]>::to_vec),
            expires_at: concept.expires_at().unwrap_or(0),
            version: concept.version(),
        });
        assert_eq!(found.as_ref(), known, "{id}");
        let versions = state.ordinals.get(&id).map_or(0, |(_, versions)| *versions);
        let last = snapshot.last_version("", &id).unwrap();
        assert_eq!(last.map_or(0, |concept| concept.version()), versions);
        if let Some(last) = last {
            assert_eq!(last.is_forgotten(), !state.concepts.contains_key(&id));
            let history: Vec<u32> =
                snapshot.history(&last).map(|version| version.unwrap().version()).collect();
            assert!(history.iter().copied().eq((1..=versions).rev()), "{history:?}");
        }
    }
    let ordinals: Vec<u32> = snapshot.concepts().map(|found| found.unwrap().ordinal()).collect();
    let mut expected: Vec<u32> = state.present().map(|(_, known)| known.ordinal).collect();
    expected.sort_unstable();
    assert_eq!(ordinals, expected);
    assert_eq!(snapshot.concept_count(), state.concepts.len() as u64);
    assert_eq!(snapshot.association_count(), state.associations.len() as u64);
    let mut links = Vec::new();
    for ordinal in ordinals {
        let concept = snapshot.concept(ordinal).unwrap().unwrap();
        let neighbors = snapshot.neighbors(&concept, &NeighborQuery::default()).unwrap();
        assert!(neighbors.is_sorted_by_key(|neighbor| std::cmp::Reverse(neighbor.edge)));
        links.extend(neighbors.iter().map(|neighbor| {
            let confidence = snapshot.association(neighbor.edge).unwrap().confidence();
            assert!((neighbor.confidence - confidence).abs() <= 1.0 / 65_535.0);
            ((ordinal, neighbor.ordinal, neighbor.edge_type), confidence)
        }));
        let query = NeighborQuery { direction: Direction::In, ..NeighborQuery::default() };
        let back = snapshot.neighbors(&concept, &query).unwrap();
        let is_end = |(from, to, _): &(u32, u32, u16)| *to == ordinal && state.is_present(*from);
        assert_eq!(back.len(), state.associations.keys().filter(|key| is_end(key)).count());
    }
    links.sort_by_key(|(key, _)| *key);
    let is_between =
        |(from, to, _): &(u32, u32, u16)| state.is_present(*from) && state.is_present(*to);
    let expected = state.associations.iter().filter(|(key, _)| is_between(key));
    assert!(links.iter().map(|(key, confidence)| (key, confidence)).eq(expected));
    let hits = snapshot.nearest(&[0.1, 0.2, 0.3], &NearestQuery { k: 99, ..Default::default() });
    let with_vector = state.present().filter(|(_, known)| known.vector.is_some());
    assert_eq!(hits.unwrap().len(), with_vector.count());
}

#[test]
fn at_every_lsn_a_store_is_as_the_model_remembers_it() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let (store, states) = random_store(&mut random, 250);
        let newest = Reader::open(store.path()).unwrap().snapshot().unwrap();
        assert_eq!(newest.published_lsn(), 250);
        for (lsn, state) in states.iter().enumerate() {
            let then = newest.as_of(lsn as u64).unwrap();
            assert_eq!((then.published_lsn(), then.is_as_of()), (lsn as u64, true));
            // The model's time is that of the last version of a concept, as the snapshot's is.
            assert_eq!(then.read_time(), state.time, "LSN {lsn}");
            assert_equal(&then, state);
        }
    }
}

#[test]
#[should_panic(expected = "assertion")]
fn a_model_that_is_one_entry_off_is_noticed() {
    let (store, states) = random_store(&mut Random::new(5), 60);
    let newest = Reader::open(store.path()).unwrap().snapshot().unwrap();
    for (lsn, state) in states.iter().enumerate().skip(1) {
        assert_equal(&newest.as_of(lsn as u64 - 1).unwrap(), state);
    }
}

#[test]
fn an_as_of_snapshot_of_an_older_one_is_the_same_while_the_store_goes_on() {
    let mut random = Random::new(77);
    let (mut store, states) = random_store(&mut random, 120);
    let reader = Reader::open(store.path()).unwrap();
    let old = reader.snapshot().unwrap();
    let first = old.as_of(60).unwrap();
    for n in 0..3000 {
        store.learn(&format!("concept {}", n % IDS), "later");
    }
    store.publish();
    let newest = reader.snapshot().unwrap();
    let twice = newest.as_of(100).unwrap().as_of(60).unwrap();
    for then in [&first, &twice, &old.as_of(60).unwrap(), &newest.as_of(60).unwrap()] {
        assert_equal(then, &states[60]);
    }
    assert!(matches!(first.as_of(61), Err(ReadError::NotYet { wanted: 61, published: 60 })));
    assert!(matches!(old.as_of(121), Err(ReadError::NotYet { .. })));
}

#[test]
fn history_before_the_floor_is_refused() {
    let mut store = Writer::create();
    for n in 0..10 {
        store.learn("a", &format!("{n}"));
    }
    store.slot.history_floor_lsn = 5;
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    assert_eq!(snapshot.history_floor_lsn(), 5);
    let error = snapshot.as_of(4).unwrap_err();
    assert!(matches!(error, ReadError::HistoryDropped { wanted: 4, floor: 5 }), "{error}");
    assert!(matches!(snapshot.changes(4), Err(ReadError::HistoryDropped { .. })));
    assert_eq!(snapshot.as_of(5).unwrap().get("a").unwrap().unwrap().version(), 5);
    assert_eq!(snapshot.changes(0).unwrap().count(), 10, "0 asks for all that is there");
}

#[test]
fn a_batch_is_seen_as_a_whole_or_not_at_all() {
    let mut store = Writer::create();
    store.together(|store| {
        let [a, b] = ["a", "b"].map(|id| store.learn(id, id));
        store.associate(a, b, Associate::default());
        store.learn("a", "again");
    });
    store.publish();
    let newest = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let before = newest.as_of(0).unwrap();
    assert_eq!((before.concepts().count(), before.association_count()), (0, 0));
    assert!(before.get("a").unwrap().is_none());
    let after = newest.as_of(1).unwrap();
    assert_eq!(after.get("a").unwrap().unwrap().content().unwrap(), "again");
    assert_eq!((after.concept_count(), after.association_count()), (2, 1));
}

#[test]
fn a_hub_of_long_ago_is_found_under_all_that_came_since() {
    let mut store = Writer::create();
    let hub = store.learn("hub", "hub");
    let first = store.learn("first", "first");
    store.associate(hub, first, Associate::default());
    let lsn = store.slot.operations;
    for n in 0..3000 {
        let other = store.learn(&format!("{n}"), "spoke");
        store.associate(hub, other, Associate::default());
    }
    store.publish();
    let newest = Reader::open(store.path()).unwrap().snapshot().unwrap();
    for (lsn, expected) in [(lsn - 1, 0), (lsn, 1), (lsn + 2, 2), (lsn + 2000, 1001)] {
        let then = newest.as_of(lsn).unwrap();
        let hub = then.get("hub").unwrap().unwrap();
        let neighbors = then.neighbors(&hub, &NeighborQuery::default()).unwrap();
        assert_eq!(neighbors.len(), expected, "LSN {lsn}");
        if let Some(oldest) = neighbors.last() {
            assert_eq!(oldest.ordinal, first);
            let first = then.get("first").unwrap().unwrap();
            let path = then.find_path(&hub, &first, &PathQuery::default()).unwrap();
            assert_eq!(path.unwrap().edges.len(), 1);
        }
    }
}

#[test]
fn every_version_of_an_association_is_in_its_history() {
    let mut store = Writer::create();
    let [a, b] = ["a", "b"].map(|id| store.learn(id, id));
    let with = |confidence| Associate { confidence, ..Associate::default() };
    let first = store.associate(a, b, with(0.25));
    store.associate(a, b, with(0.5));
    store.disassociate(a, b, 0);
    store.associate(b, a, with(1.0));
    let last = store.associate(a, b, with(0.75));
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    for edge in [first, last] {
        let history = snapshot.association_history(edge).unwrap();
        let history: Vec<_> = history
            .map(|version| version.unwrap())
            .map(|version| (version.lsn(), version.is_tombstone(), version.confidence()))
            .collect();
        let ended = (5, true, 1.0);
        assert_eq!(history, [(7, false, 0.75), ended, (4, false, 0.5), (3, false, 0.25)]);
    }
    let then = snapshot.as_of(5).unwrap();
    assert_eq!(then.association_history(first).unwrap().count(), 3);
    assert!(then.association_between(a, b, 0).unwrap().unwrap().is_tombstone());
    assert!(then.association_between(b, a, 0).unwrap().is_none());
}

#[test]
fn a_time_is_that_of_the_last_entry_written_by_then() {
    let mut store = Writer::create();
    let start = store.now;
    store.now = start + 100;
    let a = store.learn("a", "first"); // LSN 1 at 101
    store.now = start + 200;
    let b = store.learn("b", "b"); // LSN 2 at 201
    store.now = start + 300;
    store.associate(a, b, Associate::default()); // LSN 3 at 301
    store.now = start + 250; // the clock is set back
    let expires_at = start + 400;
    store.learn_as("c".into(), Learn { expires_at, ..Learn::default() }); // LSN 4 at 251
    store.now = start + 500;
    store.learn("a", "second"); // LSN 5 at 501
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let lsn_at = |after| snapshot.lsn_at(start + after).unwrap();
    assert_eq!([lsn_at(0), lsn_at(100), lsn_at(101), lsn_at(200)], [0, 0, 1, 1]);
    assert_eq!([lsn_at(201), lsn_at(250), lsn_at(251), lsn_at(301)], [2, 2, 4, 4]);
    assert_eq!([lsn_at(500), lsn_at(501), lsn_at(1 << 40)], [4, 5, 5]);

    let at = |after| snapshot.as_of_time(start + after).unwrap();
    assert_eq!(at(450).get("a").unwrap().unwrap().content().unwrap(), "first");
    assert!(at(399).contains("c").unwrap());
    assert!(!at(400).contains("c").unwrap(), "it had expired by then");
    assert!(snapshot.as_of(5).unwrap().get("c").unwrap().is_none());
    assert!(snapshot.as_of(4).unwrap().contains("c").unwrap());
    let query = ConceptQuery { namespaces: Namespaces::All, ..ConceptQuery::default() };
    assert_eq!(at(0).concepts_where(&query).count(), 0);
}

#[test]
fn an_association_without_a_known_time_is_not_taken_for_earlier_than_it_was() {
    let mut store = Writer::create();
    let start = store.now;
    let [a, b] = ["a", "b"].map(|id| store.learn(id, id)); // at 1 and 2
    store.now = start + 9;
    store.associate(a, b, Associate::default()); // LSN 3 at 10
    store.now = start + 19;
    store.learn("c", "c"); // LSN 4 at 20
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let lsn_at = |after| snapshot.lsn_at(start + after).unwrap();
    assert_eq!([lsn_at(2), lsn_at(9), lsn_at(10), lsn_at(19)], [2, 2, 3, 3]);
}
