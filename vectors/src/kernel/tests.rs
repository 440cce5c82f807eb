//! Every kernel that this processor has, held against the plain one and against exact sums.

use proptest::prelude::*;

use super::plain::Plain;
use super::*;

/// The same sums by every kernel that is there, by name.
fn of_every_kernel<T>(of: impl Fn(&dyn AnyKernel) -> T) -> Vec<(&'static str, T)> {
    let mut results = vec![("plain", of(&Plain))];
    #[cfg(target_arch = "x86_64")]
    {
        results.extend(avx2::Avx2::detect().map(|kernel| ("AVX2", of(&kernel))));
        results.extend(avx512::Avx512::detect().map(|kernel| ("AVX-512", of(&kernel))));
    }
    #[cfg(target_arch = "aarch64")]
    results.extend(neon::Neon::detect().map(|kernel| ("NEON", of(&kernel))));
    results
}

/// [`Kernel`] without its type.
trait AnyKernel {
    fn dot_codes(&self, query: &[u8], code: &[i8], code_sum: i32) -> i32;
    fn dot(&self, a: &[f32], b: &[f32]) -> f32;
    fn squared_distance(&self, a: &[f32], b: &[f32]) -> f32;
}

impl<K: Kernel> AnyKernel for K {
    fn dot_codes(&self, query: &[u8], code: &[i8], code_sum: i32) -> i32 {
        Kernel::dot_codes(*self, query, code, code_sum)
    }
    fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        Kernel::dot(*self, a, b)
    }
    fn squared_distance(&self, a: &[f32], b: &[f32]) -> f32 {
        Kernel::squared_distance(*self, a, b)
    }
}

fn assert_codes_agree(query: &[i8], code: &[i8]) {
    let biased: Vec<u8> = query.iter().map(|q| *q as u8 ^ CODE_BIAS).collect();
    let code_sum = code.iter().map(|c| i32::from(*c)).sum();
    let exact: i32 = query.iter().zip(code).map(|(q, c)| i32::from(*q) * i32::from(*c)).sum();
    for (name, sum) in of_every_kernel(|kernel| kernel.dot_codes(&biased, code, code_sum)) {
        assert_eq!(sum, exact, "{name}, {} elements", code.len());
    }
}

fn assert_rows_agree(a: &[f32], b: &[f32]) {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let size: f64 = pairs().map(|(a, b)| (a * b).abs()).sum();
    let square: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    let results = of_every_kernel(|kernel| (kernel.dot(a, b), kernel.squared_distance(a, b)));
    for (name, (found_dot, found_square)) in results {
        let tolerance = 1e-6 * a.len() as f64;
        assert!((f64::from(found_dot) - dot).abs() <= tolerance * size + 1e-30, "{name}: {dot}");
        let difference = (f64::from(found_square) - square).abs();
        assert!(difference <= tolerance * square + 1e-30, "{name}: {square}");
    }
}

proptest! {
    #[test]
    fn every_kernel_adds_the_same_products_of_codes(
        pairs in proptest::collection::vec((any::<i8>(), any::<i8>()), 0..1200)
    ) {
        let (query, code): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
        assert_codes_agree(&query, &code);
    }

    #[test]
    fn every_kernel_comes_close_to_the_exact_sums_of_rows(
        pairs in proptest::collection::vec((-1.0f32..1.0, -1.0f32..1.0), 0..1200)
    ) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        assert_rows_agree(&a, &b);
    }
}

#[test]
fn the_largest_and_smallest_codes_do_not_overflow() {
    for size in [1, 15, 16, 17, 63, 64, 65, 128, 191, 384, 768, 4096] {
        for (query, code) in [(127, 127), (-128, -128), (127, -128), (-128, 127), (0, -128)] {
            assert_codes_agree(&vec![query; size], &vec![code; size]);
        }
    }
}

#[test]
fn every_length_is_summed_to_its_end() {
    for size in 0..200 {
        let a: Vec<f32> = (0..size).map(|n| n as f32 - 31.5).collect();
        let b: Vec<f32> = (0..size).map(|n| 7.25 - n as f32).collect();
        assert_rows_agree(&a, &b);
        let codes = |step: i32| -> Vec<i8> { (0..size).map(|n| (n * step) as i8).collect() };
        assert_codes_agree(&codes(37), &codes(-11));
    }
}

#[test]
fn places_without_a_row_stay_as_they_are() {
    let mut products = [7.0; 3];
    dot_products(&[1.0, 1.0], &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0], 3, &mut products);
    assert_eq!(products, [3.0, 7.0, 7.0]);
    let mut squares = [7.0; 3];
    squared_distances(&[1.0, 1.0], &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0], 3, &mut squares);
    assert_eq!(squares, [1.0, 13.0, 7.0]);
}
