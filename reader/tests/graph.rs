//! Neighbors and paths, against the plainest way to find them.

mod support;

use std::collections::{HashSet, VecDeque};

use support::random::Random;
use support::{Associate, Learn, Writer};
use sutra_reader::{Direction, NeighborQuery, PathQuery, ReadError, Reader, Snapshot};

fn typed(edge_type: u16) -> Associate<'static> {
    Associate { edge_type, ..Associate::default() }
}

fn ordinals(snapshot: &Snapshot, of: &str, query: &NeighborQuery<'_>) -> Vec<u32> {
    let concept = snapshot.get(of).unwrap().unwrap();
    let neighbors = snapshot.neighbors(&concept, query).unwrap();
    neighbors.iter().map(|neighbor| neighbor.ordinal).collect()
}

#[test]
fn neighbors_come_newest_first_and_by_direction_type_limit_and_confidence() {
    let mut store = Writer::create();
    let [hub, a, b, c] = ["hub", "a", "b", "c"].map(|id| store.learn(id, id));
    store.associate(hub, a, typed(3));
    let weak =
        Associate { confidence: 0.25, weight: 7.5, properties: Some("{\"since\":1}"), ..typed(16) };
    let edge = store.associate(hub, b, weak);
    store.associate(c, hub, typed(3));
    store.associate(hub, hub, typed(4));
    store.publish();

    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let out = NeighborQuery::default();
    assert_eq!(ordinals(&snapshot, "hub", &out), [hub, b, a]);
    let direction = |direction| NeighborQuery { direction, ..out };
    assert_eq!(ordinals(&snapshot, "hub", &direction(Direction::In)), [hub, c]);
    let both = direction(Direction::Both);
    assert_eq!(ordinals(&snapshot, "hub", &both), [hub, c, b, a]);
    let limit = Some(2);
    assert_eq!(ordinals(&snapshot, "hub", &NeighborQuery { limit, ..both }), [hub, c]);
    let types = Some(&[3][..]);
    assert_eq!(ordinals(&snapshot, "hub", &NeighborQuery { types, ..both }), [c, a]);
    let min_confidence = 0.5;
    let query = NeighborQuery { min_confidence, ..out };
    assert_eq!(ordinals(&snapshot, "hub", &query), [hub, a]);

    let hub = snapshot.get("hub").unwrap().unwrap();
    let neighbor = snapshot.neighbors(&hub, &out).unwrap()[1];
    assert_eq!((neighbor.edge, neighbor.edge_type), (edge, 16));
    assert_eq!(neighbor.confidence, 0.25);
    let association = snapshot.association(edge).unwrap();
    assert_eq!((association.confidence(), association.weight()), (0.25, 7.5));
    assert_eq!((association.source(), association.target()), (hub.ordinal(), b));
    assert_eq!(association.properties().unwrap(), weak.properties);
    assert!(matches!(
        snapshot.association(1000),
        Err(ReadError::NoSuchAssociation { ordinal: 1000, count: 4 })
    ));
}

#[test]
fn an_association_lives_until_it_is_replaced_ended_over_or_an_end_is_gone() {
    let mut store = Writer::create();
    let [hub, a, b, c, d] = ["hub", "a", "b", "c", "d"].map(|id| store.learn(id, id));
    for target in [a, b, c] {
        store.associate(hub, target, typed(0));
    }
    let over = Associate { valid_until: 1, ..typed(0) };
    store.associate(hub, d, over);
    let valid = Associate { valid_until: u64::MAX, ..typed(1) };
    store.associate(hub, d, valid);
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let before = reader.snapshot().unwrap();

    let stronger = Associate { confidence: 0.5, ..typed(0) };
    store.associate(hub, a, stronger);
    store.disassociate(hub, b, 0);
    store.forget("c");
    store.publish();
    let after = reader.snapshot().unwrap();

    let all = NeighborQuery::default();
    assert_eq!(ordinals(&before, "hub", &all), [d, c, b, a]);
    assert_eq!(ordinals(&after, "hub", &all), [a, d]);
    assert_eq!((before.association_count(), after.association_count()), (5, 3));
    let hub = after.get("hub").unwrap().unwrap();
    assert_eq!(after.neighbors(&hub, &all).unwrap()[0].confidence, 0.5);

    // Learnt again, it starts without the associations it had.
    store.learn("c", "anew");
    let brief = Learn { expires_at: 1, ..Learn::default() };
    store.learn_as("d".into(), brief);
    store.publish();
    let last = reader.snapshot().unwrap();
    assert_eq!(ordinals(&last, "hub", &all), [a], "d expired");
}

#[test]
fn a_hub_of_thousands_is_listed_in_full() {
    let mut store = Writer::create();
    let hub = store.learn("hub", "");
    let targets: Vec<u32> = (0..3000).map(|n| store.learn(&format!("{n}"), "")).collect();
    for target in &targets {
        store.associate(hub, *target, typed(0));
    }
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let newest_first: Vec<u32> = targets.into_iter().rev().collect();
    assert_eq!(ordinals(&snapshot, "hub", &NeighborQuery::default()), newest_first);
}

#[test]
fn a_path_is_bounded_directed_and_passes_through_nothing_forgotten() {
    let mut store = Writer::create();
    let chain = ["a", "b", "c", "d"].map(|id| store.learn(id, id));
    for pair in chain.windows(2) {
        let half = Associate { confidence: 0.5, ..typed(0) };
        store.associate(pair[0], pair[1], half);
    }
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let find = |snapshot: &Snapshot, from: &str, to: &str, query: PathQuery| {
        let [from, to] = [from, to].map(|id| snapshot.get(id).unwrap().unwrap());
        snapshot.find_path(&from, &to, &query).unwrap()
    };
    let query = PathQuery::default();
    let path = find(&snapshot, "a", "d", query).unwrap();
    assert_eq!(path.nodes, chain);
    assert_eq!((path.edges, path.confidence), (vec![0, 1, 2], 0.125));
    let itself = find(&snapshot, "a", "a", PathQuery { max_depth: 0, ..query }).unwrap();
    assert_eq!((itself.nodes, itself.edges.len(), itself.confidence), (vec![0], 0, 1.0));

    assert!(find(&snapshot, "a", "d", PathQuery { max_depth: 2, ..query }).is_none());
    assert!(find(&snapshot, "d", "a", query).is_none());
    for direction in [Direction::In, Direction::Both] {
        let path = find(&snapshot, "d", "a", PathQuery { direction, ..query }).unwrap();
        assert_eq!((path.nodes, path.edges), (vec![3, 2, 1, 0], vec![2, 1, 0]));
    }

    store.forget("c");
    store.publish();
    assert!(find(&reader.snapshot().unwrap(), "a", "d", query).is_none());
    assert!(find(&snapshot, "a", "d", query).is_some(), "the old snapshot has it");

    let brief = Learn { expires_at: 1, ..Learn::default() };
    let shortcut = store.learn_as("shortcut".into(), brief);
    store.associate(chain[0], shortcut, typed(0));
    store.associate(shortcut, chain[3], typed(0));
    store.publish();
    assert!(find(&reader.snapshot().unwrap(), "a", "d", query).is_none());
}

/// Distances by the plainest search there is.
fn distances(
    edges: &[(u32, u32)],
    count: u32,
    from: u32,
    direction: Direction,
) -> Vec<Option<u32>> {
    let mut distance = vec![None; count as usize];
    distance[from as usize] = Some(0);
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        for (source, target) in edges {
            let next = match direction {
                Direction::Out if *source == at => *target,
                Direction::In if *target == at => *source,
                Direction::Both if *source == at => *target,
                Direction::Both if *target == at => *source,
                _ => continue,
            };
            if distance[next as usize].is_none() {
                distance[next as usize] = distance[at as usize].map(|d| d + 1);
                queue.push_back(next);
            }
        }
    }
    distance
}

#[test]
fn every_path_is_as_short_as_the_plainest_search_finds() {
    for seed in 1..=8 {
        let mut random = Random::new(seed);
        let mut store = Writer::create();
        let count = 60;
        for n in 0..count {
            store.learn(&format!("{n}"), "");
        }
        let mut edges = HashSet::new();
        for _ in 0..count + random.below(90) as u32 {
            let mut end = || random.below(count.into()) as u32;
            edges.insert((end(), end()));
        }
        let edges: Vec<(u32, u32)> = edges.into_iter().collect();
        for (source, target) in &edges {
            store.associate(*source, *target, typed((source % 3) as u16));
        }
        store.publish();
        let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
        for direction in [Direction::Out, Direction::In, Direction::Both] {
            for from in 0..count {
                let distances = distances(&edges, count, from, direction);
                for to in 0..count {
                    let ends = [from, to].map(|at| snapshot.concept(at).unwrap().unwrap());
                    let max_depth = 6;
                    let query = PathQuery { max_depth, direction, ..PathQuery::default() };
                    let path = snapshot.find_path(&ends[0], &ends[1], &query).unwrap();
                    let expected = distances[to as usize].filter(|d| *d <= max_depth);
                    let found = path.as_ref().map(|path| path.edges.len() as u32);
                    assert_eq!(found, expected, "{from} to {to} {direction:?}");
                    let Some(path) = path else { continue };
                    assert_eq!((path.nodes[0], *path.nodes.last().unwrap()), (from, to));
                    for (pair, edge) in path.nodes.windows(2).zip(&path.edges) {
                        let edge = snapshot.association(*edge).unwrap();
                        let ends = (edge.source(), edge.target());
                        let forward = ends == (pair[0], pair[1]);
                        let backward = ends == (pair[1], pair[0]);
                        assert!(match direction {
                            Direction::Out => forward,
                            Direction::In => backward,
                            Direction::Both => forward || backward,
                        });
                    }
                }
            }
        }
    }
}
