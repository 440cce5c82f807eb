//! Sixteen floats or sixty-four bytes at a time, for processors with AVX-512 and VNNI.
#![expect(unsafe_code, reason = "the room of AVX-512 intrinsics")]

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_epi32, _mm512_add_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_maskz_loadu_epi8, _mm512_maskz_loadu_ps,
    _mm512_reduce_add_epi32, _mm512_reduce_add_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_sub_ps,
};

use super::{CODE_BIAS, Kernel, Work};

/// Bytes of a vector.
const BYTES: usize = 64;
/// Floats of a vector.
const FLOATS: usize = 16;

/// Exists only where the processor has what this module needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The kernel, if the processor can run it.
    #[inline]
    pub(super) fn detect() -> Option<Avx512> {
        let is_there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        is_there.then_some(Avx512(()))
    }
}

/// Does `work` in a function that may use the processor's instructions.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn run<W: Work>(work: W, kernel: Avx512) -> W::Output {
    work.run(kernel)
}

impl Kernel for Avx512 {
    #[inline(always)]
    fn dot_codes(self, query: &[u8], code: &[i8], code_sum: i32) -> i32 {
        let count = query.len().min(code.len());
        let (query, code) = (query.as_ptr(), code.as_ptr());
        // SAFETY: `self` shows that the processor has the instructions. Whole vectors are loaded up
        // to the last multiple of 64 at or below `count`, which both slices have, and of the rest
        // the bytes that the mask names.
        let biased = unsafe {
            let mut sums = [_mm512_setzero_si512(); 2];
            let add = |sum: __m512i, at: usize| {
                let q = _mm512_loadu_si512(query.add(at).cast());
                _mm512_dpbusd_epi32(sum, q, _mm512_loadu_si512(code.add(at).cast()))
            };
            let mut at = 0;
            while at + 2 * BYTES <= count {
                sums[0] = add(sums[0], at);
                sums[1] = add(sums[1], at + BYTES);
                at += 2 * BYTES;
            }
            if at + BYTES <= count {
                sums[0] = add(sums[0], at);
                at += BYTES;
            }
            if at < count {
                let mask = (1u64 << (count - at)) - 1;
                let q = _mm512_maskz_loadu_epi8(mask, query.add(at).cast());
                let c = _mm512_maskz_loadu_epi8(mask, code.add(at));
                sums[1] = _mm512_dpbusd_epi32(sums[1], q, c);
            }
            _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]))
        };
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
/// The processor has AVX-512.
#[inline(always)]
unsafe fn sum_of<const SQUARES: bool>(a: &[f32], b: &[f32]) -> f32 {
    let count = a.len().min(b.len());
    let (a, b) = (a.as_ptr(), b.as_ptr());
    // SAFETY: whole vectors are loaded up to the last multiple of 16 at or below `count`, which both
    // slices have, and of the rest the floats that the mask names.
    unsafe {
        let add = |sum: __m512, at: usize| {
            term::<SQUARES>(sum, _mm512_loadu_ps(a.add(at)), _mm512_loadu_ps(b.add(at)))
        };
        let mut sums = [_mm512_setzero_ps(); 4];
        let mut at = 0;
        while at + 4 * FLOATS <= count {
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = add(*sum, at + n * FLOATS);
            }
            at += 4 * FLOATS;
        }
        while at + FLOATS <= count {
            sums[0] = add(sums[0], at);
            at += FLOATS;
        }
        if at < count {
            let mask = (1u16 << (count - at)) - 1;
            let a = _mm512_maskz_loadu_ps(mask, a.add(at));
            sums[1] = term::<SQUARES>(sums[1], a, _mm512_maskz_loadu_ps(mask, b.add(at)));
        }
        let sums = [_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])];
        _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]))
    }
}

/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn term<const SQUARES: bool>(sum: __m512, a: __m512, b: __m512) -> __m512 {
    // SAFETY: promised by the caller.
    unsafe {
        if SQUARES {
            let difference = _mm512_sub_ps(a, b);
            _mm512_fmadd_ps(difference, difference, sum)
        } else {
            _mm512_fmadd_ps(a, b, sum)
        }
    }
}
