//! Holds the paths of a store against petgraph's, on as many random pairs as one likes.
//!
//! `cargo run --release -p sutra-benches --bin compare-paths -- STORE --like .n.` compares, between
//! random concepts whose ids contain that text, the lengths of the shortest paths, one-directional
//! and from both ends, and the scores of the best ones; it ends with an error at the first that
//! differs.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use petgraph::algo::dijkstra;
use petgraph::graph::{DiGraph, NodeIndex};
use sutra_reader::{BestQuery, NeighborQuery, PathQuery, Reader};

/// Holds the paths of a store against petgraph's
#[derive(Debug, Parser)]
struct Args {
    /// The store's directory
    store: PathBuf,
    /// Only concepts whose ids contain this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    like: String,
    /// How many pairs
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pairs: u32,
    /// What the pairs are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let snapshot = Reader::open(&args.store)?.snapshot()?;
    let mut graph = DiGraph::<(), f64>::new();
    let mut candidates = Vec::new();
    for concept in snapshot.concepts() {
        let concept = concept?;
        if concept.id()?.to_string().contains(&args.like) {
            candidates.push(concept.ordinal());
        }
        while graph.node_count() <= concept.ordinal() as usize {
            graph.add_node(());
        }
    }
    for concept in snapshot.concepts() {
        let concept = concept?;
        snapshot.visit_neighbors(&concept, &NeighborQuery::default(), |neighbor| {
            let ends = [concept.ordinal(), neighbor.ordinal].map(|at| NodeIndex::new(at as usize));
            graph.add_edge(ends[0], ends[1], -f64::from(neighbor.confidence).ln());
            ControlFlow::Continue(())
        })?;
    }
    ensure!(!candidates.is_empty(), "no concept's id contains {:?}", args.like);
    println!(
        "{} concepts, {} of them drawn from, {} associations",
        graph.node_count(),
        candidates.len(),
        graph.edge_count()
    );

    let mut random = args.seed;
    let mut draw = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        candidates[((u128::from(random) * candidates.len() as u128) >> 64) as usize]
    };
    let mut lengths = std::collections::BTreeMap::new();
    let mut times = [Duration::ZERO; 4];
    for _ in 0..args.pairs {
        let (from, to) = (draw(), draw());
        let end = |at| snapshot.concept(at)?.context("a concept that was just there");
        let (source, target) = (end(from)?, end(to)?);
        let mut timed = |at: usize, began: Instant| times[at] += began.elapsed();
        let node = |at: u32| NodeIndex::new(at as usize);

        let began = Instant::now();
        let found = dijkstra(&graph, node(from), Some(node(to)), |_| 1u32);
        let expected = found.get(&node(to)).copied();
        timed(0, began);
        for (at, is_one_sided) in [(1, true), (2, false)] {
            let query = PathQuery { max_depth: 1000, is_one_sided, ..PathQuery::default() };
            let began = Instant::now();
            let path = snapshot.find_path(&source, &target, &query)?;
            timed(at, began);
            let length = path.map(|path| path.edges.len() as u32);
            ensure!(length == expected, "{from} to {to}: {length:?}, petgraph {expected:?}");
        }
        let began = Instant::now();
        let best = snapshot.best_paths(&source, &target, &BestQuery::default())?;
        timed(3, began);
        let costs = dijkstra(&graph, node(from), Some(node(to)), |edge| *edge.weight());
        let expected_score = costs.get(&node(to)).map(|cost| (-cost).exp());
        let score = best.paths.first().map(|best| best.score);
        let is_close = match (score, expected_score) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-4 * b, // lists round confidences
            (None, None) => true,
            _ => false,
        };
        ensure!(is_close, "{from} to {to}: {score:?}, petgraph {expected_score:?}");
        *lengths.entry(expected).or_insert(0u32) += 1;
    }
    for (length, count) in lengths {
        let length = length.map_or("none".to_owned(), |length| length.to_string());
        println!("length {length}: {count} pairs");
    }
    let each = |at: usize| times[at] / args.pairs.max(1);
    println!("{} pairs, all as petgraph has them", args.pairs);
    println!(
        "petgraph's shortest {:?}, ours one-directional {:?}, from both ends {:?}, best {:?} on average",
        each(0),
        each(1),
        each(2),
        each(3)
    );
    Ok(())
}
