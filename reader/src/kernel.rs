//! Distances between a query and many rows, in 32-bit floating point.
//!
//! One plain loop over independent sums, which compilers turn into vector instructions of the
//! target's baseline. On x86-64 it has a twin for AVX2 and FMA, taken where the processor has them:
//! left to the compiler, the loop stayed at vectors of four there. The two agree up to rounding: a
//! fused multiply-add rounds once where the plain one rounds twice.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the room where the twin is called after the processor was asked"
    )
)]

/// The dot product of `query` with each row. Row `n` begins at element `n * stride` and has as many
/// elements as the query; `products` has one place for each row.
pub(crate) fn dot_products(query: &[f32], rows: &[f32], stride: usize, products: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        // SAFETY: the processor has AVX2 and FMA, as just asked.
        return unsafe { avx2::sums::<false>(query, rows, stride, products) };
    }
    plain::sums::<false>(query, rows, stride, products);
}

/// The square of the Euclidean distance of `query` from each row, likewise.
pub(crate) fn squared_distances(query: &[f32], rows: &[f32], stride: usize, squares: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::is_there() {
        // SAFETY: the processor has AVX2 and FMA, as just asked.
        return unsafe { avx2::sums::<true>(query, rows, stride, squares) };
    }
    plain::sums::<true>(query, rows, stride, squares);
}

/// The loops as any processor runs them.
mod plain {
    /// Independent sums.
    const LANES: usize = 16;

    /// For each row the sum of products with the query, or of squared differences.
    pub(super) fn sums<const SQUARES: bool>(
        query: &[f32],
        rows: &[f32],
        stride: usize,
        sums: &mut [f32],
    ) {
        for (row, sum) in rows.chunks_exact(stride).zip(sums) {
            *sum = sum_of::<SQUARES>(query, &row[..query.len()]);
        }
    }

    fn sum_of<const SQUARES: bool>(a: &[f32], b: &[f32]) -> f32 {
        let term = |a: f32, b: f32| if SQUARES { (a - b) * (a - b) } else { a * b };
        let mut sums = [0.0f32; LANES];
        let (a_lanes, a_rest) = a.as_chunks::<LANES>();
        let (b_lanes, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a_lanes.iter().zip(b_lanes) {
            for lane in 0..LANES {
                sums[lane] += term(a[lane], b[lane]);
            }
        }
        for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
            sums[lane] += term(*a, *b);
        }
        sums.iter().sum()
    }
}

/// The loops for processors with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps,
        _mm256_storeu_ps, _mm256_sub_ps,
    };

    /// Elements of a vector.
    const LANES: usize = 8;
    /// Vectors of sums: enough to hide the latency of an addition.
    const SUMS: usize = 4;

    /// Whether the processor can run this module.
    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// For each row the sum of products with the query, or of squared differences.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn sums<const SQUARES: bool>(
        query: &[f32],
        rows: &[f32],
        stride: usize,
        sums: &mut [f32],
    ) {
        for (row, sum) in rows.chunks_exact(stride).zip(sums) {
            *sum = sum_of::<SQUARES>(query, &row[..query.len()]);
        }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn sum_of<const SQUARES: bool>(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [_mm256_setzero_ps(); SUMS];
        let (a_vectors, a_rest) = a.as_chunks::<LANES>();
        let (b_vectors, b_rest) = b.as_chunks::<LANES>();
        let (a_groups, a_vectors_rest) = a_vectors.as_chunks::<SUMS>();
        let (b_groups, b_vectors_rest) = b_vectors.as_chunks::<SUMS>();
        for (a, b) in a_groups.iter().zip(b_groups) {
            for at in 0..SUMS {
                sums[at] = add::<SQUARES>(sums[at], &a[at], &b[at]);
            }
        }
        for (at, (a, b)) in a_vectors_rest.iter().zip(b_vectors_rest).enumerate() {
            sums[at] = add::<SQUARES>(sums[at], a, b);
        }
        let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let mut lanes = [0.0f32; LANES];
        // SAFETY: the array has room for the eight elements of a vector.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
        let rest = a_rest.iter().zip(b_rest);
        let rest = rest.map(|(a, b)| if SQUARES { (a - b) * (a - b) } else { a * b });
        lanes.iter().sum::<f32>() + rest.sum::<f32>()
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn add<const SQUARES: bool>(sum: __m256, a: &[f32; LANES], b: &[f32; LANES]) -> __m256 {
        // SAFETY: each array has the eight elements of a vector.
        let (a, b) = unsafe { (_mm256_loadu_ps(a.as_ptr()), _mm256_loadu_ps(b.as_ptr())) };
        if SQUARES {
            let difference = _mm256_sub_ps(a, b);
            _mm256_fmadd_ps(difference, difference, sum)
        } else {
            _mm256_fmadd_ps(a, b, sum)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in -1 to 1, the same in every run.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 * 2.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Both of the module's loops, as dispatched and plain, against sums in 64 bits.
    #[test]
    fn the_dispatched_loop_its_plain_twin_and_the_exact_sum_agree() {
        for dimension in [1, 3, 8, 31, 32, 33, 100, 384, 768, 1000] {
            let stride = dimension + 5;
            let query = numbers(dimension, 7);
            let rows = numbers(stride * 9, dimension as u32);
            let mut results = [[0.0f32; 9]; 4];
            dot_products(&query, &rows, stride, &mut results[0]);
            plain::sums::<false>(&query, &rows, stride, &mut results[1]);
            squared_distances(&query, &rows, stride, &mut results[2]);
            plain::sums::<true>(&query, &rows, stride, &mut results[3]);
            for (n, row) in rows.chunks_exact(stride).enumerate() {
                let pairs = || query.iter().zip(row).map(|(a, b)| (f64::from(*a), f64::from(*b)));
                let dot: f64 = pairs().map(|(a, b)| a * b).sum();
                let square: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
                for (result, exact) in results.iter().zip([dot, dot, square, square]) {
                    let error = (f64::from(result[n]) - exact).abs();
                    assert!(error < 1e-5 * dimension as f64, "{dimension}: {error}");
                }
            }
        }
    }

    #[test]
    fn places_without_a_row_stay_as_they_are() {
        let mut products = [7.0; 3];
        dot_products(&[1.0, 1.0], &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0], 3, &mut products);
        assert_eq!(products, [3.0, 7.0, 7.0]);
    }
}
