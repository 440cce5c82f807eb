//! Neighbors and paths, against the plainest way to find them.

use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use sutra_reader::{
    Best, BestQuery, Budget, Direction, ExpandQuery, NeighborQuery, PathQuery, ReadError, Reader,
    Seed, Snapshot, Stopped,
};

use crate::support::random::Random;
use crate::support::{Associate, Learn, Writer};

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

#[test]
fn a_list_is_read_in_pages_and_by_an_old_snapshot_past_what_came_since() {
    let mut store = Writer::create();
    let hub = store.learn("hub", "");
    let others: Vec<u32> = (0..700).map(|n| store.learn(&format!("{n}"), "")).collect();
    for (n, other) in others.iter().enumerate().take(500) {
        let (source, target) = if n % 3 == 0 { (*other, hub) } else { (hub, *other) };
        store.associate(source, target, typed(0));
    }
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    for other in &others[500..] {
        store.associate(hub, *other, typed(0));
    }
    store.disassociate(hub, others[1], 0);
    store.publish();

    let hub = snapshot.get("hub").unwrap().unwrap();
    for direction in [Direction::Out, Direction::In, Direction::Both] {
        let whole = NeighborQuery { direction, ..NeighborQuery::default() };
        let expected = snapshot.neighbors(&hub, &whole).unwrap();
        assert_eq!(snapshot.degree(&hub, &whole).unwrap(), expected.len() as u64);
        for limit in [1, 7, 255, 256, 1000] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let query = NeighborQuery { limit: Some(limit), after, ..whole };
                let page = snapshot
                    .visit_neighbors(&hub, &query, |neighbor| {
                        found.push(neighbor);
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "pages of {limit} {direction:?}");
        }
    }
    let both = NeighborQuery { direction: Direction::Both, ..NeighborQuery::default() };
    assert_eq!(snapshot.degree(&hub, &both).unwrap(), 500);
    let now = reader.snapshot().unwrap();
    assert_eq!(now.degree(&now.get("hub").unwrap().unwrap(), &both).unwrap(), 699);
}

#[test]
fn the_neighbors_of_many_are_those_of_each() {
    let mut store = Writer::create();
    let mut random = Random::new(6);
    let names: Vec<String> = (0..60).map(|n| n.to_string()).collect();
    let concepts: Vec<u32> = names.iter().map(|name| store.learn(name, "")).collect();
    for _ in 0..1500 {
        // Squared: some are in hundreds of associations, some in none.
        let [from, to] = [0; 2].map(|_| random.below(60) * random.below(60) / 60);
        store.associate(
            concepts[from as usize],
            concepts[to as usize],
            typed(random.below(3) as u16),
        );
    }
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let held: Vec<_> = names.iter().map(|name| snapshot.get(name).unwrap().unwrap()).collect();
    for direction in [Direction::Out, Direction::In, Direction::Both] {
        for (limit, after) in [(None, None), (Some(0), None), (Some(3), None), (Some(2), Some(700))]
        {
            let query = NeighborQuery { direction, limit, after, ..NeighborQuery::default() };
            let mut found = vec![Vec::new(); held.len()];
            let stopped = snapshot.visit_neighbors_of(&held, &query, |at, neighbor| {
                found[at].push(neighbor);
                ControlFlow::Continue(())
            });
            assert_eq!(stopped.unwrap(), None);
            for (concept, found) in held.iter().zip(&found) {
                assert_eq!(*found, snapshot.neighbors(concept, &query).unwrap());
            }
        }
    }
    // Breaking off ends a list, not the rest; a budget is for all of them.
    let query = NeighborQuery::default();
    let mut firsts = Vec::new();
    let stopped = snapshot.visit_neighbors_of(&held, &query, |at, neighbor| {
        firsts.push((at, neighbor));
        ControlFlow::Break(())
    });
    assert_eq!(stopped.unwrap(), None);
    let first = |at: usize| Some((at, *snapshot.neighbors(&held[at], &query).unwrap().first()?));
    assert_eq!(firsts, (0..held.len()).filter_map(first).collect::<Vec<_>>());
    let query = NeighborQuery { budget: Budget { concepts: 200, ..Budget::default() }, ..query };
    let mut count = 0;
    let stopped = snapshot.visit_neighbors_of(&held, &query, |_, _| {
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((stopped.unwrap(), count), (Some(Stopped::Concepts), 200));
}

#[test]
fn what_a_budget_ends_says_so() {
    let mut store = Writer::create();
    let hub = store.learn("hub", "");
    let others: Vec<u32> = (0..3000).map(|n| store.learn(&format!("{n}"), "")).collect();
    for other in &others {
        store.associate(hub, *other, typed(0));
    }
    let far = store.learn("far", "");
    store.associate(others[0], far, typed(0));
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let [hub, far] = ["hub", "far"].map(|id| snapshot.get(id).unwrap().unwrap());
    let cancelled = AtomicBool::new(true);
    let budgets = [
        (Stopped::Concepts, Budget { concepts: 100, ..Budget::default() }),
        (Stopped::Deadline, Budget { deadline: Some(Instant::now()), ..Budget::default() }),
        (Stopped::Cancelled, Budget { cancelled: Some(&cancelled), ..Budget::default() }),
    ];
    for (why, budget) in budgets {
        let query = PathQuery { is_one_sided: true, budget, ..PathQuery::default() };
        let error = snapshot.find_path(&hub, &far, &query).unwrap_err();
        assert!(matches!(error, ReadError::StoppedEarly { why: found, .. } if found == why));
        let query = NeighborQuery { budget, ..NeighborQuery::default() };
        let error = snapshot.neighbors(&hub, &query).unwrap_err();
        assert!(matches!(error, ReadError::StoppedEarly { why: found, .. } if found == why));
        let seeds = [Seed { ordinal: hub.ordinal(), score: 1.0 }];
        let query = ExpandQuery { budget, limit: 5000, ..ExpandQuery::default() };
        assert_eq!(snapshot.expand(&seeds, &query).unwrap().stopped, Some(why));
    }
    // From both ends the hub is not gone on from, and a hundred concepts suffice.
    let budget = Budget { concepts: 100, ..Budget::default() };
    let query = PathQuery { budget, ..PathQuery::default() };
    assert_eq!(snapshot.find_path(&hub, &far, &query).unwrap().unwrap().edges.len(), 2);
    let query = BestQuery { budget: Budget { concepts: 1, ..budget }, ..BestQuery::default() };
    let found = snapshot.best_paths(&hub, &far, &query).unwrap();
    assert_eq!((found.stopped, found.paths.len()), (Some(Stopped::Concepts), 0));
}

#[test]
fn a_negative_weight_has_no_shortest_path_and_strength_weighs_concepts() {
    let mut store = Writer::create();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|id| {
        let strength = Some(if id == "b" { 0.25 } else { 1.0 });
        store.learn_as(id.into(), Learn { strength, ..Learn::default() })
    });
    let sure = |confidence| Associate { confidence, ..typed(0) };
    store.associate(a, b, sure(0.9));
    store.associate(b, d, sure(0.9));
    store.associate(a, c, sure(0.5));
    store.associate(c, d, sure(0.9));
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let nodes = |snapshot: &Snapshot, by| {
        let [a, d] = ["a", "d"].map(|id| snapshot.get(id).unwrap().unwrap());
        let found = snapshot.best_paths(&a, &d, &BestQuery { by, ..BestQuery::default() });
        found.map(|found| found.paths[0].path.nodes.clone())
    };
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(nodes(&snapshot, Best::Confidence).unwrap(), [a, b, d]);
    let by_strength = Best::Strength { half_life: Duration::from_secs(1 << 40) };
    assert_eq!(nodes(&snapshot, by_strength).unwrap(), [a, c, d]);
    assert!(nodes(&snapshot, Best::Weight).is_ok());

    store.associate(a, d, Associate { weight: -1.0, ..typed(0) });
    store.publish();
    let snapshot = reader.snapshot().unwrap();
    let error = nodes(&snapshot, Best::Weight).unwrap_err();
    assert!(matches!(error, ReadError::NoLength { edge: 4, weight: -1.0 }), "{error}");
    let [a, d] = [a, d].map(|at| snapshot.concept(at).unwrap().unwrap());
    let between = snapshot.associations_between(&a, &d).unwrap();
    assert_eq!(between.iter().map(|edge| edge.ordinal()).collect::<Vec<_>>(), [4]);
}
