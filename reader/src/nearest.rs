//! The concepts whose vectors are nearest to a query: every row, exactly.
//!
//! Rows are scored block by block where they lie. Only a row that would enter the best k is asked
//! whose it is: it counts iff the newest version of its owner in the snapshot is there to be seen
//! and names this row. Rows of older versions and of forgotten concepts drop out there.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic;

use sutra_layout::Damage;
use sutra_layout::geometry::{Region, Shape};
use sutra_layout::space::{Metric, Space};

use crate::error::ReadError;
use crate::filter::Filter;
use crate::kernel;
use crate::names::{Namespaces, Scope};
use crate::snapshot::Snapshot;

/// Rows scored at a time: their scores fit into the fastest cache beside the query.
const BLOCK_ROWS: u64 = 256;

/// Which concepts are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearestQuery<'q> {
    /// How many, at most.
    pub k: usize,
    /// The vector space that is searched.
    pub space: usize,
    /// A concept to leave out, as its own nearest neighbour is no answer.
    pub exclude: Option<u32>,
    /// Concepts to keep; `None`: all. As many as `k` are found if there are so many.
    pub filter: Option<&'q Filter>,
    /// The namespaces that are searched; by default the one without a name.
    pub namespaces: Namespaces<'q>,
}

impl Default for NearestQuery<'_> {
    fn default() -> Self {
        let namespaces = Namespaces::default();
        NearestQuery { k: 10, space: 0, exclude: None, filter: None, namespaces }
    }
}

/// A concept, and how near it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The concept's ordinal; see [`Snapshot::concept`].
    pub ordinal: u32,
    /// Cosine similarity, dot product, or minus the Euclidean distance: larger is nearer.
    pub score: f32,
}

/// Hits in order: the better one is greater, and of two equal ones the lower ordinal.
#[derive(Clone, Copy, Debug)]
struct Ranked(Hit);

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        let by_score = self.0.score.total_cmp(&other.0.score);
        by_score.then(other.0.ordinal.cmp(&self.0.ordinal))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Snapshot {
    /// The nearest concepts, nearest first, equally near ones by ordinal.
    ///
    /// Exact: every row of the space is compared in 32-bit floating point. Space 0 of a store that
    /// has no vectors yet gives nothing.
    pub fn nearest(&self, vector: &[f32], query: &NearestQuery<'_>) -> Result<Vec<Hit>, ReadError> {
        if query.space == 0 && self.space_count() == 0 {
            return Ok(Vec::new());
        }
        let space = self.space(query.space)?;
        let search = Search {
            snapshot: self,
            space,
            vector,
            factor: factor_of(vector, query.space, space)?,
            query,
            scope: self.scope(query.namespaces),
        };
        search.run().map_err(|damage| self.damaged(damage))
    }
}

/// Checks a query vector, and gives its inverse norm under cosine, else 1.
fn factor_of(vector: &[f32], number: usize, space: &Space) -> Result<f32, ReadError> {
    if vector.len() != space.dimension {
        return Err(ReadError::WrongDimension {
            space: number,
            found: vector.len(),
            expected: space.dimension,
        });
    }
    if let Some(at) = vector.iter().position(|element| !element.is_finite()) {
        let found = vector[at];
        return Err(ReadError::NotFinite { at, found });
    }
    if space.metric != Metric::Cosine {
        return Ok(1.0);
    }
    // In 64 bits, where the square of no f32 overflows or vanishes.
    let square: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    if square == 0.0 {
        return Err(ReadError::ZeroVector);
    }
    Ok((1.0 / square.sqrt()) as f32)
}

struct Search<'s> {
    snapshot: &'s Snapshot,
    space: &'s Space,
    vector: &'s [f32],
    factor: f32,
    query: &'s NearestQuery<'s>,
    scope: Scope,
}

impl Search<'_> {
    fn run(&self) -> Result<Vec<Hit>, Damage> {
        let (view, slot) = (self.snapshot.view(), self.snapshot.slot());
        let end = slot.spaces[self.query.space].count;
        let region = Region::vector_columns(self.query.space);
        let column_shape = Shape::fixed(region).expect("the columns of every space have one shape");
        let mut best = BinaryHeap::new();
        let mut scores = [0.0; BLOCK_ROWS as usize];
        let mut row = 0;
        while row < end && self.query.k > 0 && self.scope != Scope::Nothing {
            let block_end = end.min(row + BLOCK_ROWS);
            let (rows, stride) = view.vectors(self.query.space, row, block_end, slot)?;
            // Rows and their columns lie in extents of different sizes.
            let in_extent = |(extent, _)| column_shape.extent_start(extent + 1) - row;
            let columns_left = column_shape.place(row).map_or(0, in_extent);
            let count = (rows.len() as u64 / stride as u64).min(columns_left);
            if count == 0 {
                let expected = "rows up to the space's count";
                return Err(Damage::new(0, "a vector space's extent", row, expected));
            }
            let columns = view.words(region, row, 4 * count)?;
            let scores = &mut scores[..count as usize];
            self.score(&rows[..count as usize * stride], stride, scores);
            for (at, (score, column)) in scores.iter().zip(columns.chunks_exact(4)).enumerate() {
                let column = column[0].load(atomic::Ordering::Relaxed); // final below the watermark
                let inverse_norm = f32::from_bits((column >> 32) as u32);
                let score = match self.space.metric {
                    Metric::Cosine => score * self.factor * inverse_norm,
                    Metric::Dot => *score,
                    Metric::L2 => -score.sqrt(),
                };
                let ordinal = column as u32;
                self.consider(&mut best, row + at as u64, Hit { ordinal, score })?;
            }
            row += count;
        }
        let best = best.into_sorted_vec(); // Reverse: the greatest comes first
        Ok(best.into_iter().map(|Reverse(Ranked(hit))| hit).collect())
    }

    fn score(&self, rows: &[f32], stride: usize, scores: &mut [f32]) {
        match self.space.metric {
            Metric::Cosine | Metric::Dot => {
                kernel::dot_products(self.vector, rows, stride, scores);
            }
            Metric::L2 => kernel::squared_distances(self.vector, rows, stride, scores),
        }
    }

    /// Takes a hit into the best k if it is good enough and its row counts.
    #[inline(always)]
    fn consider(
        &self,
        best: &mut BinaryHeap<Reverse<Ranked>>,
        row: u64,
        hit: Hit,
    ) -> Result<(), Damage> {
        let is_full = best.len() >= self.query.k;
        if is_full && best.peek().is_some_and(|worst| Ranked(hit) <= worst.0) {
            return Ok(());
        }
        if hit.score.is_nan() || self.query.exclude == Some(hit.ordinal) {
            return Ok(());
        }
        if self.counts(row, hit.ordinal)? {
            if is_full {
                best.pop();
            }
            best.push(Reverse(Ranked(hit)));
        }
        Ok(())
    }

    #[inline(never)]
    fn counts(&self, row: u64, owner: u32) -> Result<bool, Damage> {
        // A store as it was has later rows too, of concepts that it does not have.
        let newest =
            self.snapshot.as_of_state().map_or(self.snapshot.slot(), |as_of| &as_of.newest);
        let concepts = newest.concepts;
        if u64::from(owner) >= concepts {
            let expected = format!("below {concepts}");
            return Err(Damage::new(0, "the owner of a vector", owner.into(), expected));
        }
        let record = self.snapshot.present_record(owner)?;
        let Some(record) = record.filter(|record| self.scope.takes(record)) else {
            return Ok(false);
        };
        let (view, slot) = (self.snapshot.view(), self.snapshot.slot());
        let current = view.row_of(record, self.query.space, slot)?;
        if current.is_none_or(|current| u64::from(current) != row) {
            return Ok(false);
        }
        self.query.filter.map_or(Ok(true), |filter| filter.takes(self.snapshot, record))
    }
}
