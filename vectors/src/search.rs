//! The nearest rows to a vector: a walk over the graph, an exact scan of what is not in it yet, and
//! distances in 32-bit floating point for the best of both.

use sutra_layout::Damage;
use sutra_layout::slot::SpaceCounts;
use sutra_layout::space::Metric;

use crate::code::no_node;
use crate::graph::{Graph, Node};
use crate::kernel::{self, Kernel, Work};
use crate::pool::{Candidate, Pool};
use crate::walk::{Walk, distance};

/// Which rows are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'q> {
    /// As many finite elements as the space's dimension.
    pub vector: &'q [f32],
    /// How many rows, at most.
    pub k: usize,
    /// Candidates of the walk: more find more of the nearest rows, and take longer. Never fewer than
    /// `k`.
    pub ef: usize,
    /// Only rows that score at least that are found.
    pub min_score: f32,
    /// How the graph is walked.
    pub sweep: Sweep,
}

/// How the graph is walked: by how many of the rows are expected to be accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sweep {
    /// Most rows near the vector are accepted: others are walked through, and take nobody's place.
    #[default]
    Plain,
    /// Some are: the links of a row that is not accepted are followed at once, and only accepted
    /// rows are compared with the vector.
    TwoHop,
}

/// A row, and how near it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The row.
    pub row: u32,
    /// Cosine similarity, dot product, or minus the Euclidean distance: larger is nearer.
    pub score: f32,
}

impl Hit {
    /// The better one comes first, and of two equal ones the lower row.
    fn order(&self, other: &Hit) -> std::cmp::Ordering {
        other.score.total_cmp(&self.score).then(self.row.cmp(&other.row))
    }
}

/// Memory of a search, used again by the next one: at 100,000 rows some 20 KiB.
#[derive(Debug, Default)]
pub struct Scratch {
    walk: Walk,
    /// The best of an exact scan.
    scanned: Pool,
    /// Rows whose score is computed exactly.
    best: Vec<u32>,
    hits: Vec<Hit>,
}

impl Scratch {
    /// Bytes that it keeps.
    pub fn memory(&self) -> usize {
        self.walk.memory()
            + self.scanned.memory()
            + self.best.capacity() * 4
            + self.hits.capacity() * size_of::<Hit>()
    }
}

/// The nearest rows below `counts.count` that `accept` takes, nearest first.
///
/// Rows below `counts.indexed_count` are found by the walk, the others by an exact scan. `accept` is
/// told a row and since which record it is not current (1 + its ordinal; 0: it is). It is asked
/// about rows that come near enough, once or twice about each.
///
/// If the walk finds fewer than `k`, every row is looked at: `k` are returned where there are so many.
///
/// # Panics
/// If the vector has not as many elements as the space's dimension.
pub fn nearest<'s, E: From<Damage>>(
    graph: &Graph<'_>,
    counts: &SpaceCounts,
    request: &Request<'_>,
    scratch: &'s mut Scratch,
    accept: impl FnMut(u32, u64) -> Result<bool, E>,
) -> Result<&'s [Hit], E> {
    assert_eq!(request.vector.len(), graph.dimension(), "the query has another dimension");
    kernel::dispatch(Nearest { graph, counts, request, scratch: &mut *scratch, accept })?;
    Ok(&scratch.hits)
}

/// The nearest of some rows that `accept` takes, by looking at each: for filters that few rows pass.
///
/// # Panics
/// As [`nearest`].
pub fn nearest_of<'s, E: From<Damage>>(
    graph: &Graph<'_>,
    rows: impl Iterator<Item = u32>,
    request: &Request<'_>,
    scratch: &'s mut Scratch,
    accept: impl FnMut(u32, u64) -> Result<bool, E>,
) -> Result<&'s [Hit], E> {
    assert_eq!(request.vector.len(), graph.dimension(), "the query has another dimension");
    kernel::dispatch(NearestOf { graph, rows, request, scratch: &mut *scratch, accept })?;
    Ok(&scratch.hits)
}

struct Nearest<'a, A> {
    graph: &'a Graph<'a>,
    counts: &'a SpaceCounts,
    request: &'a Request<'a>,
    scratch: &'a mut Scratch,
    accept: A,
}

impl<E: From<Damage>, A: FnMut(u32, u64) -> Result<bool, E>> Work for Nearest<'_, A> {
    type Output = Result<(), E>;

    #[inline(always)]
    fn run<K: Kernel>(mut self, kernel: K) -> Result<(), E> {
        let Nearest { graph, counts, request, .. } = self;
        self.scratch.begin(graph, request);
        if request.k == 0 {
            return Ok(());
        }
        let accept = &mut self.accept;
        let indexed = counts.indexed_count.min(counts.count);
        if let Some(entry) = entry_of(counts) {
            let walk = &mut self.scratch.walk;
            walk.visited.reset(graph.end());
            let start = walk.descend(kernel, graph, entry, top_of(counts), 1)?;
            walk.pool.reset(request.ef.max(request.k));
            let is_indexed = |row: u32| u64::from(row) < indexed;
            let node = graph.node(start.row()).ok_or_else(|| no_node(graph, start.row()))?;
            let mut counts = |row: u32, node: Node<'_>| -> Result<bool, E> {
                Ok(is_indexed(row) && accept(row, node.superseded_at())?)
            };
            walk.visited.insert(start.row());
            let is_bridge = !counts(start.row(), node)?;
            walk.pool.insert(start, is_bridge);
            match request.sweep {
                Sweep::Plain => walk.sweep(kernel, graph, 0, &mut counts)?,
                Sweep::TwoHop => walk.sweep_counted(kernel, graph, &mut counts)?,
            }
        }
        self.scratch.take_walked(request.k);
        let tail = (indexed as u32)..(counts.count as u32);
        self.scratch.scan(kernel, graph, tail, request.k, &mut *accept)?;
        if self.scratch.best.len() < request.k.min(counts.count as usize) {
            self.scratch.best.clear();
            let all = 0..counts.count as u32;
            self.scratch.scan(kernel, graph, all, request.k, &mut *accept)?;
        }
        self.scratch.rank(kernel, graph, request)?;
        Ok(())
    }
}

struct NearestOf<'a, R, A> {
    graph: &'a Graph<'a>,
    rows: R,
    request: &'a Request<'a>,
    scratch: &'a mut Scratch,
    accept: A,
}

impl<E, R, A> Work for NearestOf<'_, R, A>
where
    E: From<Damage>,
    R: Iterator<Item = u32>,
    A: FnMut(u32, u64) -> Result<bool, E>,
{
    type Output = Result<(), E>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<(), E> {
        let NearestOf { graph, rows, request, scratch, accept } = self;
        scratch.begin(graph, request);
        if request.k == 0 {
            return Ok(());
        }
        scratch.scan(kernel, graph, rows, request.k, accept)?;
        scratch.rank(kernel, graph, request)?;
        Ok(())
    }
}

/// Where a walk begins, if there is a graph.
#[inline(always)]
pub(crate) fn entry_of(counts: &SpaceCounts) -> Option<u32> {
    if counts.indexed_count == 0 {
        return None;
    }
    u32::try_from(counts.entry_point.checked_sub(1)?).ok()
}

/// The level where it begins.
#[inline(always)]
pub(crate) fn top_of(counts: &SpaceCounts) -> u32 {
    counts.top_level.min(crate::level::LEVEL_MAX.into()) as u32
}

/// Candidates whose score is computed exactly: distances of codes put a few in the wrong order.
fn exact_count(k: usize) -> usize {
    k + k / 2 + 5
}

impl Scratch {
    #[inline(always)]
    fn begin(&mut self, graph: &Graph<'_>, request: &Request<'_>) {
        self.walk.target.set_vector(graph, request.vector);
        self.best.clear();
        self.hits.clear();
    }

    #[inline(always)]
    fn take_walked(&mut self, k: usize) {
        self.best.extend(self.walk.pool.counted().take(exact_count(k)).map(Candidate::row));
        self.walk.pool.reset(1);
    }

    /// Adds the best of some rows, by the distances of their codes.
    #[inline(always)]
    fn scan<K: Kernel, E: From<Damage>>(
        &mut self,
        kernel: K,
        graph: &Graph<'_>,
        rows: impl Iterator<Item = u32>,
        k: usize,
        mut accept: impl FnMut(u32, u64) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.scanned.reset(exact_count(k));
        for row in rows {
            let node = graph.node(row).ok_or_else(|| no_node(graph, row))?;
            let found = distance(kernel, graph, &self.walk.target, row, node);
            let candidate = Candidate::new(found, row);
            if self.scanned.takes(candidate) && accept(row, node.superseded_at())? {
                self.scanned.insert(candidate, false);
            }
        }
        self.best.extend(self.scanned.counted().map(Candidate::row));
        Ok(())
    }

    /// Scores the best rows exactly, and keeps `k` of them as hits.
    #[inline(always)]
    fn rank<K: Kernel>(
        &mut self,
        kernel: K,
        graph: &Graph<'_>,
        request: &Request<'_>,
    ) -> Result<(), Damage> {
        let vector = request.vector;
        let factor = match graph.metric() {
            Metric::Cosine => inverse_norm_of(vector),
            _ => 1.0,
        };
        for &row in self.best.iter().take(2) {
            graph.prefetch_row(row);
        }
        for at in 0..self.best.len() {
            if let Some(ahead) = self.best.get(at + 2) {
                graph.prefetch_row(*ahead);
            }
            let row = self.best[at];
            let (Some(node), Some(elements)) = (graph.node(row), graph.row(row)) else {
                return Err(no_node(graph, row));
            };
            let score = match graph.metric() {
                Metric::Cosine => kernel.dot(vector, elements) * factor * node.inverse_norm(),
                Metric::Dot => kernel.dot(vector, elements),
                Metric::L2 => -kernel.squared_distance(vector, elements).sqrt(),
            };
            if score >= request.min_score {
                self.hits.push(Hit { row, score });
            }
        }
        self.hits.sort_unstable_by(Hit::order);
        self.hits.truncate(request.k);
        Ok(())
    }
}

/// 1 over the Euclidean norm, computed in 64 bits, where the square of no f32 overflows or vanishes;
/// 0 for a vector of zeros.
pub fn inverse_norm_of(vector: &[f32]) -> f32 {
    let mut squares = [0.0f64; 8];
    let (lanes, rest) = vector.as_chunks::<8>();
    for lane in lanes {
        for (square, x) in squares.iter_mut().zip(lane) {
            *square += f64::from(*x) * f64::from(*x);
        }
    }
    let rest: f64 = rest.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    let square = squares.iter().sum::<f64>() + rest;
    if square > 0.0 { (1.0 / square.sqrt()) as f32 } else { 0.0 }
}
