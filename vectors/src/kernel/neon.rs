//! Four floats or sixteen bytes at a time, for 64-bit ARM.
#![expect(unsafe_code, reason = "the room of NEON intrinsics")]

use std::arch::aarch64::{
    vaddq_f32, vaddq_s32, vaddvq_f32, vaddvq_s32, vdupq_n_f32, vdupq_n_s32, vdupq_n_u8, veorq_u8,
    vfmaq_f32, vget_low_s8, vld1q_f32, vld1q_s8, vld1q_u8, vmull_high_s8, vmull_s8, vpadalq_s16,
    vreinterpretq_s8_u8, vsubq_f32,
};

use super::plain::term;
use super::{CODE_BIAS, Kernel};

/// Bytes of a vector.
const BYTES: usize = 16;
/// Floats of a vector.
const FLOATS: usize = 4;
/// Vectors of sums: enough to hide the latency of an addition.
const SUMS: usize = 4;

/// Exists only where the processor has NEON, which the target's baseline promises.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon(());

impl Neon {
    /// The kernel, if the processor can run it.
    #[inline]
    pub(super) fn detect() -> Option<Neon> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Neon(()))
    }
}

impl Kernel for Neon {
    #[inline(always)]
    fn dot_codes(self, query: &[u8], code: &[i8], _code_sum: i32) -> i32 {
        let (query_vectors, query_rest) = query.as_chunks::<BYTES>();
        let (code_vectors, code_rest) = code.as_chunks::<BYTES>();
        // SAFETY: `self` shows that the processor has the instructions, and each array has the
        // sixteen bytes that are loaded.
        let sum = unsafe {
            let mut sums = [vdupq_n_s32(0); 2];
            for (q, c) in query_vectors.iter().zip(code_vectors) {
                // The bias is the sign bit. A product of two bytes fits into sixteen bits.
                let q = veorq_u8(vld1q_u8(q.as_ptr()), vdupq_n_u8(CODE_BIAS));
                let (q, c) = (vreinterpretq_s8_u8(q), vld1q_s8(c.as_ptr()));
                sums[0] = vpadalq_s16(sums[0], vmull_s8(vget_low_s8(q), vget_low_s8(c)));
                sums[1] = vpadalq_s16(sums[1], vmull_high_s8(q, c));
            }
            vaddvq_s32(vaddq_s32(sums[0], sums[1]))
        };
        let product = |(q, c): (&u8, &i8)| (i32::from(*q) - i32::from(CODE_BIAS)) * i32::from(*c);
        query_rest.iter().zip(code_rest).map(product).fold(sum, i32::wrapping_add)
    }

    #[inline(always)]
    fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        sum_of::<false>(self, a, b)
    }

    #[inline(always)]
    fn squared_distance(self, a: &[f32], b: &[f32]) -> f32 {
        sum_of::<true>(self, a, b)
    }
}

#[inline(always)]
fn sum_of<const SQUARES: bool>(_kernel: Neon, a: &[f32], b: &[f32]) -> f32 {
    let (a_vectors, a_rest) = a.as_chunks::<FLOATS>();
    let (b_vectors, b_rest) = b.as_chunks::<FLOATS>();
    // SAFETY: the kernel shows that the processor has the instructions, and each array has the four
    // floats that are loaded.
    let sum = unsafe {
        let mut sums = [vdupq_n_f32(0.0); SUMS];
        for (at, (a, b)) in a_vectors.iter().zip(b_vectors).enumerate() {
            let (a, b) = (vld1q_f32(a.as_ptr()), vld1q_f32(b.as_ptr()));
            sums[at % SUMS] = if SQUARES {
                let difference = vsubq_f32(a, b);
                vfmaq_f32(sums[at % SUMS], difference, difference)
            } else {
                vfmaq_f32(sums[at % SUMS], a, b)
            };
        }
        vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3])))
    };
    sum + a_rest.iter().zip(b_rest).map(|(a, b)| term::<SQUARES>(*a, *b)).sum::<f32>()
}
