//! What changes say, and that they say everything.

use std::collections::BTreeMap;

use sutra_reader::{ChangeKind, NeighborQuery, Reader, Snapshot};

use crate::support::random::Random;
use crate::support::{Associate, Learn, Writer};

#[test]
fn changes_come_in_the_order_of_the_log_with_concepts_first() {
    let mut store = Writer::create();
    let [a, b] = ["a", "b"].map(|id| store.learn(id, id));
    let first = store.associate(a, b, Associate::default());
    store.learn("a", "again");
    let second = store.associate(a, b, Associate::default());
    store.forget("b");
    store.learn("b", "new");
    let third = store.associate(a, b, Associate::default());
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    use ChangeKind::*;
    let expected = [
        (1, ConceptLearnt, a),
        (2, ConceptLearnt, b),
        (3, Associated, first),
        (4, ConceptUpdated, a),
        (5, AssociationUpdated, second),
        (6, ConceptForgotten, b),
        (6, Disassociated, second + 1),
        (7, ConceptLearnt, b),
        (8, Associated, third),
    ];
    let list = |snapshot: &Snapshot, since| -> Vec<(u64, ChangeKind, u32)> {
        let changes = snapshot.changes(since).unwrap().map(Result::unwrap);
        changes.map(|change| (change.lsn, change.kind, change.ordinal)).collect()
    };
    assert_eq!(list(&snapshot, 0), expected);
    assert_eq!(list(&snapshot, 5), expected[5..]);
    assert_eq!(list(&snapshot, 6), expected[7..]);
    assert_eq!(list(&snapshot, 8), []);
    assert_eq!(list(&snapshot, u64::MAX), []);
    assert_eq!(list(&snapshot.as_of(4).unwrap(), 2), expected[2..4]);

    let first = snapshot.changes(0).unwrap().next().unwrap().unwrap();
    assert_eq!(first.concept().unwrap().content().unwrap(), "a", "the version of then");
    assert!(first.association().is_none());

    let seen = snapshot.published_lsn();
    store.learn("c", "c");
    store.publish();
    let next = reader.snapshot().unwrap();
    assert_eq!(list(&next, seen), [(9, ConceptLearnt, 2)]);
}

/// All that lives: contents by namespace and id, and confidences by the ends' names and type.
type Live = (BTreeMap<(String, String), String>, BTreeMap<(String, String, u16), f32>);

fn live_of(snapshot: &Snapshot) -> Live {
    let (mut contents, mut links) = Live::default();
    let query = sutra_reader::ConceptQuery {
        namespaces: sutra_reader::Namespaces::All,
        ..Default::default()
    };
    let name = |ordinal| {
        let concept = snapshot.concept(ordinal).unwrap().unwrap();
        format!("{}/{}", concept.namespace(), concept.id().unwrap())
    };
    for concept in snapshot.concepts_where(&query) {
        let concept = concept.unwrap();
        let key = (concept.namespace().to_owned(), concept.id().unwrap().to_string());
        contents.insert(key, concept.content().unwrap().to_owned());
        for neighbor in snapshot.neighbors(&concept, &NeighborQuery::default()).unwrap() {
            let key = (name(concept.ordinal()), name(neighbor.ordinal), neighbor.edge_type);
            links.insert(key, snapshot.association(neighbor.edge).unwrap().confidence());
        }
    }
    (contents, links)
}

#[test]
fn the_changes_since_nothing_replayed_give_all_that_lives() {
    for seed in 0..8 {
        let mut random = Random::new(seed);
        let mut store = Writer::create();
        store.name_symbol(sutra_layout::symbol::SymbolTable::Namespace, 1, "zoo");
        let mut ordinals: BTreeMap<(u32, String), u32> = BTreeMap::new();
        for n in 0..400 {
            let namespace = [("", 0), ("zoo", 1)][random.below(2) as usize];
            let id = format!("{}", random.below(15));
            let key = (namespace.1, id.clone());
            let content = format!("content {n}");
            let inside: Vec<u32> =
                ordinals.iter().filter(|(key, _)| key.0 == namespace.1).map(|of| *of.1).collect();
            match random.below(4) {
                0 if ordinals.remove(&key).is_some() => store.forget_in(namespace, &id),
                1 if !inside.is_empty() => {
                    let [a, b] = [0, 1].map(|_| inside[random.below(inside.len() as u64) as usize]);
                    let edge_type = random.below(3) as u16;
                    if random.below(3) == 0 {
                        store.disassociate(a, b, edge_type);
                    } else {
                        let confidence = random.float().abs();
                        let associate = Associate { edge_type, confidence, ..Default::default() };
                        store.associate(a, b, associate);
                    }
                }
                _ => {
                    let learn = Learn { namespace, content: &content, ..Learn::default() };
                    ordinals.insert(key, store.learn_as(id.as_str().into(), learn));
                }
            }
        }
        store.publish();
        let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
        for lsn in [snapshot.published_lsn(), 57] {
            let then = snapshot.as_of(lsn).unwrap();
            assert_eq!(replay(&then), live_of(&then), "LSN {lsn}");
        }
    }
}

/// What is left when each change overrides the one before of the same thing.
fn replay(snapshot: &Snapshot) -> Live {
    let (mut contents, mut links) = Live::default();
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    for change in snapshot.changes(0).unwrap() {
        let change = change.unwrap();
        if let Some(concept) = change.concept() {
            let key = (concept.namespace().to_owned(), concept.id().unwrap().to_string());
            names.insert(concept.ordinal(), format!("{}/{}", key.0, key.1));
            match change.kind {
                ChangeKind::ConceptForgotten => contents.remove(&key),
                _ => contents.insert(key, concept.content().unwrap().to_owned()),
            };
        }
        if let Some(association) = change.association() {
            let name = |ordinal| names[&ordinal].clone();
            let (source, target) = (name(association.source()), name(association.target()));
            let key = (source, target, association.edge_type());
            match change.kind {
                ChangeKind::Disassociated => links.remove(&key),
                _ => links.insert(key, association.confidence()),
            };
        }
    }
    (contents, links)
}
