//! Every row exactly.
//!
//! Rows are scored block by block where they lie. Only a row that would enter the best k is asked
//! whose it is and whether it counts.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::atomic;

use sutra_layout::Damage;
use sutra_layout::geometry::{Region, Shape};
use sutra_layout::space::Metric;
use sutra_vectors::{inverse_norm_of, kernel};

use super::{Hit, Searched};

/// Rows scored at a time: their scores fit into the fastest cache beside the query.
const BLOCK_ROWS: u64 = 256;

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

impl Searched<'_> {
    /// Compares every row of the space in 32-bit floating point.
    pub(super) fn exact(&self, vector: &[f32], hits: &mut Vec<Hit>) -> Result<(), Damage> {
        let (view, slot) = (self.snapshot.view(), self.snapshot.slot());
        let end = self.counts.count;
        let region = Region::vector_columns(self.query.space);
        let column_shape = Shape::fixed(region).expect("the columns of every space have one shape");
        let factor = inverse_norm_of(vector);
        let mut best = BinaryHeap::new();
        let mut scores = [0.0; BLOCK_ROWS as usize];
        let mut row = 0;
        while row < end {
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
            self.score(vector, &rows[..count as usize * stride], stride, scores);
            for (at, (score, column)) in scores.iter().zip(columns.chunks_exact(4)).enumerate() {
                let column = column[0].load(atomic::Ordering::Relaxed); // final below the watermark
                let inverse_norm = f32::from_bits((column >> 32) as u32);
                let score = match self.space.metric {
                    Metric::Cosine => score * factor * inverse_norm,
                    Metric::Dot => *score,
                    Metric::L2 => -score.sqrt(),
                };
                let ordinal = column as u32;
                self.consider(&mut best, row as u32 + at as u32, Hit { ordinal, score })?;
            }
            row += count;
        }
        let best = best.into_sorted_vec(); // Reverse: the greatest comes first
        hits.extend(best.into_iter().map(|Reverse(Ranked(hit))| hit));
        Ok(())
    }

    fn score(&self, vector: &[f32], rows: &[f32], stride: usize, scores: &mut [f32]) {
        match self.space.metric {
            Metric::Cosine | Metric::Dot => kernel::dot_products(vector, rows, stride, scores),
            Metric::L2 => kernel::squared_distances(vector, rows, stride, scores),
        }
    }

    /// Takes a hit into the best k if it is good enough and its row counts.
    #[inline(always)]
    fn consider(
        &self,
        best: &mut BinaryHeap<Reverse<Ranked>>,
        row: u32,
        hit: Hit,
    ) -> Result<(), Damage> {
        let is_full = best.len() >= self.query.k;
        if is_full && best.peek().is_some_and(|worst| Ranked(hit) <= worst.0) {
            return Ok(());
        }
        let is_near = self.query.min_score.is_none_or(|least| hit.score >= least);
        if hit.score.is_nan() || !is_near || self.query.exclude == Some(hit.ordinal) {
            return Ok(());
        }
        if self.accept.takes_owned(row, hit.ordinal)? {
            if is_full {
                best.pop();
            }
            best.push(Reverse(Ranked(hit)));
        }
        Ok(())
    }
}
