//! Eight floats or sixteen bytes at a time, for processors with AVX2 and FMA.
//!
//! Codes are widened to sixteen bits: the instruction for bytes adds two products in sixteen bits,
//! where they do not always fit.
#![expect(unsafe_code, reason = "the room of AVX2 intrinsics")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_cvtepi8_epi16,
    _mm256_cvtepu8_epi16, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_madd_epi16, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_ps,
};

use super::plain::term;
use super::{CODE_BIAS, Kernel, Work};

/// Bytes of a step.
const BYTES: usize = 16;
/// Floats of a vector.
const FLOATS: usize = 8;
/// Vectors of sums: enough to hide the latency of an addition.
const SUMS: usize = 4;

/// Exists only where the processor has what this module needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The kernel, if the processor can run it.
    #[inline]
    pub(super) fn detect() -> Option<Avx2> {
        let is_there = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        is_there.then_some(Avx2(()))
    }
}

/// Does `work` in a function that may use the processor's instructions.
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn run<W: Work>(work: W, kernel: Avx2) -> W::Output {
    work.run(kernel)
}

impl Kernel for Avx2 {
    #[inline(always)]
    fn dot_codes(self, query: &[u8], code: &[i8], code_sum: i32) -> i32 {
        let (query_steps, query_rest) = query.as_chunks::<BYTES>();
        let (code_steps, code_rest) = code.as_chunks::<BYTES>();
        // SAFETY: `self` shows that the processor has the instructions, each array has the sixteen
        // bytes that are loaded, and the last one the eight sums that are stored.
        let lanes = unsafe {
            let mut sums = [_mm256_setzero_si256(); 2];
            for (at, (q, c)) in query_steps.iter().zip(code_steps).enumerate() {
                let q = _mm256_cvtepu8_epi16(_mm_loadu_si128(q.as_ptr().cast()));
                let c = _mm256_cvtepi8_epi16(_mm_loadu_si128(c.as_ptr().cast()));
                sums[at % 2] = _mm256_add_epi32(sums[at % 2], _mm256_madd_epi16(q, c));
            }
            let mut lanes = [0i32; 8];
            let sum: __m256i = _mm256_add_epi32(sums[0], sums[1]);
            _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum);
            lanes
        };
        let rest = query_rest.iter().zip(code_rest).map(|(q, c)| i32::from(*q) * i32::from(*c));
        let biased = lanes.into_iter().chain(rest).fold(0, i32::wrapping_add);
        biased.wrapping_sub(i32::from(CODE_BIAS).wrapping_mul(code_sum))
    }

    #[inline(always)]
    fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: `self` shows that the processor has the instructions.
        unsafe { sum_of::<false>(a, b) }
    }

    #[inline(always)]
    fn squared_distance(self, a: &[f32], b: &[f32]) -> f32 {
        // SAFETY: likewise.
        unsafe { sum_of::<true>(a, b) }
    }
}

/// # Safety
/// The processor has AVX2 and FMA.
#[inline(always)]
unsafe fn sum_of<const SQUARES: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (a_vectors, a_rest) = a.as_chunks::<FLOATS>();
    let (b_vectors, b_rest) = b.as_chunks::<FLOATS>();
    // SAFETY: each array has the eight floats that are loaded or stored; the instructions are there,
    // as the caller promises.
    let lanes = unsafe {
        let mut sums = [_mm256_setzero_ps(); SUMS];
        for (at, (a, b)) in a_vectors.iter().zip(b_vectors).enumerate() {
            let (a, b) = (_mm256_loadu_ps(a.as_ptr()), _mm256_loadu_ps(b.as_ptr()));
            let sum = sums[at % SUMS];
            sums[at % SUMS] = if SQUARES {
                let difference: __m256 = _mm256_sub_ps(a, b);
                _mm256_fmadd_ps(difference, difference, sum)
            } else {
                _mm256_fmadd_ps(a, b, sum)
            };
        }
        let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let mut lanes = [0.0f32; FLOATS];
        _mm256_storeu_ps(lanes.as_mut_ptr(), sum);
        lanes
    };
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| term::<SQUARES>(*a, *b)).sum();
    lanes.iter().sum::<f32>() + rest
}
