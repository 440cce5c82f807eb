//! The k best loopless paths: J. Y. Yen, "Finding the k shortest loopless paths in a network", 1971,
//! with E. L. Lawler's rule (1972) that a path found by leaving another at some concept is left only
//! from there on, so that none is found twice.
//!
//! Whoever is next best leaves one of those found at some concept: it begins like it up to there,
//! and goes on by another concept than any that is known to begin so. Each such search is bounded by
//! what is already waiting: once there is enough of that, only what is better is looked for.

use super::best::{Bans, BestPath, Found, Merit, Scratch, Search};
use super::budget::Halt;

/// A path that was found, and where it left the one that it was found from.
#[derive(Debug)]
struct Line {
    found: Found,
    left_at: usize,
}

/// Puts the best `k` paths into `paths`, each as soon as it is known to be the next.
pub(super) fn k_best(
    search: &mut Search<'_>,
    scratch: &mut Scratch,
    (from, to): (u32, u32),
    k: usize,
    paths: &mut Vec<BestPath>,
) -> Result<(), Halt> {
    if k == 0 {
        return Ok(());
    }
    let start = search.start();
    if from == to {
        let found = Found { nodes: vec![from], edges: Vec::new(), merit: start };
        return take(search, &found, paths);
    }
    let mut taken: Vec<Line> = Vec::new();
    // By merit, the best last.
    let mut waiting: Vec<Line> = Vec::new();
    let first = search.between(scratch, (from, to), start, &Bans::default())?;
    waiting.extend(first.map(|found| Line { found, left_at: 0 }));
    while let Some(line) = waiting.pop() {
        take(search, &line.found, paths)?;
        taken.push(line);
        let wanted = k - taken.len();
        if wanted == 0 {
            break;
        }
        leave(search, scratch, &taken, &mut waiting, wanted)?;
    }
    Ok(())
}

/// Looks for the best path that leaves the one taken last at each of its concepts.
fn leave(
    search: &mut Search<'_>,
    scratch: &mut Scratch,
    taken: &[Line],
    waiting: &mut Vec<Line>,
    wanted: usize,
) -> Result<(), Halt> {
    let Some(last) = taken.last() else { return Ok(()) };
    let (nodes, edges) = (&last.found.nodes, &last.found.edges);
    let Some(to) = nodes.last().copied() else { return Ok(()) };
    let mut merit = search.start();
    for (at, edge) in edges.iter().enumerate() {
        if at >= last.left_at {
            let is_same = |line: &&Line| line.found.nodes.get(..=at) == Some(&nodes[..=at]);
            let nexts =
                taken.iter().filter(is_same).filter_map(|line| line.found.nodes.get(at + 1));
            let nexts: Vec<u32> = nexts.copied().collect();
            let bans = Bans { nodes: &nodes[..at], nexts: &nexts, bound: bound(waiting, wanted) };
            if let Some(rest) = search.between(scratch, (nodes[at], to), merit, &bans)? {
                let joined = Found {
                    nodes: nodes[..at].iter().copied().chain(rest.nodes).collect(),
                    edges: edges[..at].iter().copied().chain(rest.edges).collect(),
                    merit: rest.merit,
                };
                let place = waiting.partition_point(|line| line.found.merit < joined.merit);
                waiting.insert(place, Line { found: joined, left_at: at });
            }
        }
        let record = search.edge(*edge)?;
        merit = search.then(merit, search.merit_of(*edge, record, nodes[at + 1])?);
    }
    Ok(())
}

/// What a path must be better than to be one of the next `wanted`.
fn bound(waiting: &[Line], wanted: usize) -> Option<Merit> {
    let worst = waiting.len().checked_sub(wanted)?;
    Some(waiting[worst].found.merit)
}

fn take(search: &Search<'_>, found: &Found, paths: &mut Vec<BestPath>) -> Result<(), Halt> {
    let path = search.snapshot.path_over(found.nodes.clone(), found.edges.clone())?;
    paths.push(BestPath { path, score: search.score(found.merit) });
    Ok(())
}
