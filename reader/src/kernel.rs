//! Distances between a query and many rows, in 32-bit floating point.
//!
//! One plain loop over independent sums, which compilers turn into vector instructions. On x86-64
//! the same loop is compiled a second time for AVX2 and FMA and taken where the processor has them.
//! The two agree up to rounding: a fused multiply-add rounds once where the plain one rounds twice.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the room where a loop compiled for AVX2 is called after the processor was asked"
    )
)]

/// Independent sums: four vectors of eight under AVX2, enough to hide the latency of an addition.
const LANES: usize = 32;

/// The dot product of `query` with each row. Row `n` begins at element `n * stride` and has as many
/// elements as the query; `products` has one place for each row.
pub(crate) fn dot_products(query: &[f32], rows: &[f32], stride: usize, products: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2_and_fma() {
        // SAFETY: the processor has AVX2 and FMA, as just asked.
        return unsafe { dot_products_avx2(query, rows, stride, products) };
    }
    dot_products_of::<false>(query, rows, stride, products);
}

/// The square of the Euclidean distance of `query` from each row, likewise.
pub(crate) fn squared_distances(query: &[f32], rows: &[f32], stride: usize, squares: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2_and_fma() {
        // SAFETY: the processor has AVX2 and FMA, as just asked.
        return unsafe { squared_distances_avx2(query, rows, stride, squares) };
    }
    squared_distances_of::<false>(query, rows, stride, squares);
}

#[cfg(target_arch = "x86_64")]
fn has_avx2_and_fma() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_products_avx2(query: &[f32], rows: &[f32], stride: usize, products: &mut [f32]) {
    dot_products_of::<true>(query, rows, stride, products);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn squared_distances_avx2(query: &[f32], rows: &[f32], stride: usize, squares: &mut [f32]) {
    squared_distances_of::<true>(query, rows, stride, squares);
}

#[inline(always)]
fn dot_products_of<const FUSED: bool>(
    query: &[f32],
    rows: &[f32],
    stride: usize,
    products: &mut [f32],
) {
    for (row, product) in rows.chunks_exact(stride).zip(products) {
        *product = sum(query, &row[..query.len()], |sum, a, b| add_product::<FUSED>(sum, a, b));
    }
}

#[inline(always)]
fn squared_distances_of<const FUSED: bool>(
    query: &[f32],
    rows: &[f32],
    stride: usize,
    squares: &mut [f32],
) {
    for (row, square) in rows.chunks_exact(stride).zip(squares) {
        *square =
            sum(query, &row[..query.len()], |sum, a, b| add_product::<FUSED>(sum, a - b, a - b));
    }
}

/// Without FMA in the processor a fused multiply-add is a slow call, hence the choice.
#[inline(always)]
fn add_product<const FUSED: bool>(sum: f32, a: f32, b: f32) -> f32 {
    if FUSED { a.mul_add(b, sum) } else { sum + a * b }
}

#[inline(always)]
fn sum(a: &[f32], b: &[f32], add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] = add(sums[lane], a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] = add(sums[lane], *a, *b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
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
            dot_products_of::<false>(&query, &rows, stride, &mut results[1]);
            squared_distances(&query, &rows, stride, &mut results[2]);
            squared_distances_of::<false>(&query, &rows, stride, &mut results[3]);
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
