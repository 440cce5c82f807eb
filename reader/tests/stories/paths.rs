//! Paths held against petgraph's, on thousands of random graphs and while a writer goes on.
//!
//! `SUTRA_GRAPHS` sets how many graphs are tried; seeds are printed.

use std::sync::atomic::{AtomicBool, Ordering};

use petgraph::algo::{all_simple_paths, dijkstra};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use sutra_reader::{
    Best, BestQuery, Direction, ExpandQuery, Path, PathQuery, Reader, Seed, Snapshot,
};

use crate::support::random::Random;
use crate::support::{Associate, Writer};

/// Graphs of one store: components of their own.
const GRAPHS_PER_STORE: usize = 100;

fn graphs_wanted() -> usize {
    let wanted = std::env::var("SUTRA_GRAPHS").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(10_000)
}

/// An association as the model has it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Link {
    source: u32,
    target: u32,
    edge_type: u16,
    confidence: f32,
    weight: f32,
}

/// One component of a store.
#[derive(Clone, Debug)]
struct Component {
    first: u32,
    count: u32,
    links: Vec<Link>,
}

impl Component {
    /// Adds a random association, or another version of one.
    fn grow(&mut self, random: &mut Random, store: &mut Writer) {
        let mut end = || self.first + random.below(self.count.into()) as u32;
        let (source, target) = (end(), end());
        let link = Link {
            source,
            target,
            edge_type: random.below(3) as u16,
            // Few values, so that there are ties, and 0 and 1 among them.
            confidence: random.below(6) as f32 / 5.0,
            weight: random.below(8) as f32 / 2.0,
        };
        let Link { edge_type, confidence, weight, .. } = link;
        store.associate(
            source,
            target,
            Associate { edge_type, confidence, weight, ..Associate::default() },
        );
        let key = |link: &Link| (link.source, link.target, link.edge_type);
        self.links.retain(|known| key(known) != key(&link));
        self.links.push(link);
    }

    /// petgraph's view of it, as a query follows it.
    fn graph(&self, question: &Question<'_>) -> DiGraph<(), Link> {
        let mut graph = DiGraph::new();
        (0..self.count).for_each(|_| {
            graph.add_node(());
        });
        let node = |ordinal: u32| NodeIndex::new((ordinal - self.first) as usize);
        for link in &self.links {
            let is_typed = question.types.is_none_or(|types| types.contains(&link.edge_type));
            if is_typed && link.confidence >= question.min_confidence {
                let (source, target) = (node(link.source), node(link.target));
                if question.direction != Direction::In {
                    graph.add_edge(source, target, *link);
                }
                if question.direction != Direction::Out {
                    graph.add_edge(target, source, *link);
                }
            }
        }
        graph
    }
}

/// What is asked about one pair.
#[derive(Clone, Copy, Debug)]
struct Question<'q> {
    from: u32,
    to: u32,
    direction: Direction,
    types: Option<&'q [u16]>,
    min_confidence: f32,
}

impl Question<'_> {
    fn random(random: &mut Random, first: u32, count: u32) -> Question<'static> {
        const TYPES: [Option<&[u16]>; 4] = [None, Some(&[1]), Some(&[0, 2]), None];
        let mut end = || first + random.below(count.into()) as u32;
        let (from, to) = (end(), end());
        let directions = [Direction::Out, Direction::In, Direction::Both];
        Question {
            from,
            to,
            direction: directions[random.below(3) as usize],
            types: TYPES[random.below(4) as usize],
            min_confidence: [0.0, 0.0, 0.4, 0.6][random.below(4) as usize],
        }
    }
}

/// Every association of a path is there, joins its concepts, and is one of those asked for.
fn check_path(snapshot: &Snapshot, path: &Path, question: &Question<'_>) {
    assert_eq!(path.nodes.len(), path.edges.len() + 1);
    assert_eq!((path.nodes[0], *path.nodes.last().unwrap()), (question.from, question.to));
    for (pair, edge) in path.nodes.windows(2).zip(&path.edges) {
        let edge = snapshot.association(*edge).unwrap();
        let is_forward = (edge.source(), edge.target()) == (pair[0], pair[1]);
        let is_backward = (edge.source(), edge.target()) == (pair[1], pair[0]);
        assert!(match question.direction {
            Direction::Out => is_forward,
            Direction::In => is_backward,
            Direction::Both => is_forward || is_backward,
        });
        assert!(question.types.is_none_or(|types| types.contains(&edge.edge_type())));
        assert!(edge.confidence() >= question.min_confidence);
    }
    let mut seen = path.nodes.clone();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), path.nodes.len(), "no concept comes twice");
}

fn check_shortest(
    snapshot: &Snapshot,
    graph: &DiGraph<(), Link>,
    first: u32,
    question: &Question<'_>,
) {
    let node = |ordinal: u32| NodeIndex::new((ordinal - first) as usize);
    let lengths = dijkstra(graph, node(question.from), Some(node(question.to)), |_| 1u32);
    let expected = lengths.get(&node(question.to)).copied();
    let ends = [question.from, question.to].map(|at| snapshot.concept(at).unwrap().unwrap());
    for (max_depth, is_one_sided) in [(100, false), (100, true), (2, false), (2, true)] {
        let query = PathQuery {
            max_depth,
            is_one_sided,
            direction: question.direction,
            types: question.types,
            min_confidence: question.min_confidence,
            ..PathQuery::default()
        };
        let path = snapshot.find_path(&ends[0], &ends[1], &query).unwrap();
        let found = path.as_ref().map(|path| path.edges.len() as u32);
        let expected = expected.filter(|length| *length <= max_depth);
        assert_eq!(found, expected, "{question:?}, at most {max_depth}");
        path.iter().for_each(|path| check_path(snapshot, path, question));
    }
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3)
}

/// The best path under each order is as good as petgraph's; on a small graph, so are the best few.
fn check_best(snapshot: &Snapshot, graph: &DiGraph<(), Link>, first: u32, question: &Question<'_>) {
    let node = |ordinal: u32| NodeIndex::new((ordinal - first) as usize);
    let (from, to) = (node(question.from), node(question.to));
    let ends = [question.from, question.to].map(|at| snapshot.concept(at).unwrap().unwrap());
    let k = if graph.node_count() <= 6 { 4 } else { 1 };
    for by in [Best::Confidence, Best::Weight] {
        let query = BestQuery {
            k,
            by,
            direction: question.direction,
            types: question.types,
            min_confidence: question.min_confidence,
            ..BestQuery::default()
        };
        let found = snapshot.best_paths(&ends[0], &ends[1], &query).unwrap();
        assert_eq!(found.stopped, None);
        for best in &found.paths {
            check_path(snapshot, &best.path, question);
        }
        let cost = |link: &Link| match by {
            Best::Weight => f64::from(link.weight),
            _ => -f64::from(link.confidence).ln(), // infinite for 0, which is not followed
        };
        let score = |cost: f64| if by == Best::Weight { cost } else { (-cost).exp() };
        let costs = dijkstra(graph, from, Some(to), |edge| cost(edge.weight()));
        let expected = costs.get(&to).copied().filter(|cost| cost.is_finite()).map(score);
        let best = found.paths.first().map(|best| best.score);
        assert_eq!(best.is_some(), expected.is_some(), "{question:?} by {by:?}");
        if let (Some(best), Some(expected)) = (best, expected) {
            assert!(close(best, expected), "{best} and {expected}: {question:?} by {by:?}");
        }
        if k > 1 && from != to {
            let mut all = all_scores(graph, (from, to), cost);
            all.truncate(k);
            let scores: Vec<f64> = found.paths.iter().map(|best| best.score).collect();
            assert_eq!(scores.len(), all.len(), "{question:?} by {by:?}: {scores:?} {all:?}");
            for (found, expected) in scores.iter().zip(all.iter().map(|cost| score(*cost))) {
                assert!(close(*found, expected), "{scores:?} {all:?}: {question:?} by {by:?}");
            }
            let mut ways: Vec<&Vec<u32>> =
                found.paths.iter().map(|best| &best.path.nodes).collect();
            ways.sort();
            ways.dedup();
            assert_eq!(ways.len(), found.paths.len(), "no two go the same way");
        }
    }
}

/// The costs of all loopless paths, ascending; each pair of concepts by its best association.
fn all_scores(
    graph: &DiGraph<(), Link>,
    (from, to): (NodeIndex, NodeIndex),
    cost: impl Fn(&Link) -> f64,
) -> Vec<f64> {
    let ways =
        all_simple_paths::<Vec<NodeIndex>, _, std::hash::RandomState>(graph, from, to, 0, None);
    let mut ways: Vec<Vec<NodeIndex>> = ways.collect();
    ways.sort();
    ways.dedup(); // by several associations between the same two
    let step = |pair: &[NodeIndex]| {
        let links = graph.edges_connecting(pair[0], pair[1]);
        links.map(|edge| cost(edge.weight())).fold(f64::INFINITY, f64::min)
    };
    let costs = ways.iter().map(|way| way.windows(2).map(step).sum::<f64>());
    let mut costs: Vec<f64> = costs.filter(|cost| cost.is_finite()).collect();
    costs.sort_by(f64::total_cmp);
    costs
}

/// An expansion without limits gives each concept its best product over so many steps.
fn check_expansion(
    snapshot: &Snapshot,
    graph: &DiGraph<(), Link>,
    first: u32,
    question: &Question<'_>,
) {
    let hops = 3;
    let mut best = vec![None; graph.node_count()];
    let start = (question.from - first) as usize;
    best[start] = Some(1.0f64);
    for _ in 0..hops {
        let before = best.clone();
        for edge in graph.edge_references() {
            let (source, target) = (edge.source().index(), edge.target().index());
            let confidence = f64::from(edge.weight().confidence);
            if let Some(product) = before[source].map(|product| product * confidence) {
                best[target] = Some(best[target].map_or(product, |known| known.max(product)));
            }
        }
    }
    let query = ExpandQuery {
        hops,
        limit: usize::MAX,
        direction: question.direction,
        types: question.types,
        min_confidence: question.min_confidence,
        ..ExpandQuery::default()
    };
    let seeds = [Seed { ordinal: question.from, score: 1.0 }];
    let found = snapshot.expand(&seeds, &query).unwrap();
    assert!(found.concepts.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(found.concepts.len(), best.iter().flatten().count(), "{question:?}");
    for concept in &found.concepts {
        let expected = best[(concept.ordinal - first) as usize].unwrap();
        assert!(close(concept.score, expected), "{concept:?} {expected} {question:?}");
        assert!(concept.hops <= hops);
    }
    let is_in = |ordinal| found.concepts.iter().any(|found| found.ordinal == ordinal);
    for edge in &found.associations {
        let edge = snapshot.association(*edge).unwrap();
        assert!(is_in(edge.source()) && is_in(edge.target()));
    }
    let limit = 1 + found.concepts.len() / 2;
    let few = snapshot.expand(&seeds, &ExpandQuery { limit, ..query }).unwrap();
    assert_eq!(few.concepts, found.concepts[..limit.min(found.concepts.len())]);
    assert_eq!(few.is_cut, limit < found.concepts.len());
}

fn check(snapshot: &Snapshot, component: &Component, random: &mut Random) {
    let question = Question::random(random, component.first, component.count);
    let graph = component.graph(&question);
    check_shortest(snapshot, &graph, component.first, &question);
    check_best(snapshot, &graph, component.first, &question);
    check_expansion(snapshot, &graph, component.first, &question);
}

#[test]
fn paths_are_petgraphs_on_ten_thousand_graphs_and_on_what_they_grew_from() {
    let (wanted, mut seed, mut done) = (graphs_wanted(), 1, 0);
    while done < wanted {
        let mut random = Random::new(seed);
        seed += 1;
        let mut store = Writer::create();
        let mut components: Vec<Component> = Vec::new();
        for _ in 0..GRAPHS_PER_STORE {
            let count = 2 + random.below(12) as u32;
            let ids = (0..count).map(|n| store.learn(&format!("{}/{n}", components.len()), ""));
            let first = ids.min().unwrap();
            components.push(Component { first, count, links: Vec::new() });
        }
        for component in &mut components {
            for _ in 0..random.below(3 * u64::from(component.count)) {
                component.grow(&mut random, &mut store);
            }
        }
        store.publish();
        let reader = Reader::open(store.path()).unwrap();
        let (then, was) = (reader.snapshot().unwrap(), components.clone());
        for component in &mut components {
            for _ in 0..random.below(u64::from(component.count)) {
                component.grow(&mut random, &mut store);
            }
        }
        let unpublished = reader.snapshot().unwrap();
        assert_eq!(unpublished.commit_seq(), then.commit_seq());
        store.publish();
        let now = reader.snapshot().unwrap();
        for (was, is) in was.iter().zip(&components) {
            check(&then, was, &mut random);
            check(&now, is, &mut random);
            done += 2;
        }
    }
    println!("{done} graphs");
}

#[test]
fn paths_are_those_of_the_snapshots_lsn_while_a_writer_goes_on() {
    let mut random = Random::new(77);
    let mut store = Writer::create();
    let count = 40;
    let ids = (0..count).map(|n| store.learn(&format!("{n}"), ""));
    let component = Component { first: ids.min().unwrap(), count, links: Vec::new() };
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let lsn_before = reader.snapshot().unwrap().published_lsn();
    // What comes is known beforehand: the n-th association has the n-th LSN from here on.
    let end = |random: &mut Random| random.below(count.into()) as u32;
    let coming: Vec<Link> = (0..4000)
        .map(|n| Link {
            source: end(&mut random),
            target: end(&mut random),
            edge_type: (n % 3) as u16,
            confidence: random.below(6) as f32 / 5.0,
            weight: random.below(8) as f32 / 2.0,
        })
        .collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut store = store;
            for (n, link) in coming.iter().enumerate() {
                let Link { source, target, edge_type, confidence, weight } = *link;
                let associate = Associate { edge_type, confidence, weight, ..Associate::default() };
                store.associate(source, target, associate);
                if n % 7 == 0 {
                    store.publish();
                    std::thread::yield_now();
                }
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            store
        });
        let mut held: Vec<Snapshot> = Vec::new();
        for round in 0..300 {
            if round % 10 == 0 {
                held.push(reader.snapshot().unwrap());
            }
            let snapshot = match round % 3 {
                0 => held[random.below(held.len() as u64) as usize].clone(),
                _ => reader.snapshot().unwrap(),
            };
            let mut then = component.clone();
            for link in &coming[..(snapshot.published_lsn() - lsn_before) as usize] {
                let key = |link: &Link| (link.source, link.target, link.edge_type);
                then.links.retain(|known| key(known) != key(link));
                then.links.push(*link);
            }
            check(&snapshot, &then, &mut random);
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
