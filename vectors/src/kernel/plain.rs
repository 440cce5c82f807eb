//! The loops as any processor runs them: what the other kernels are held against.

use super::{CODE_BIAS, Kernel};

/// Independent sums, which compilers turn into vector instructions of the target's baseline.
const LANES: usize = 16;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl Kernel for Plain {
    #[inline(always)]
    fn dot_codes(self, query: &[u8], code: &[i8], _code_sum: i32) -> i32 {
        let product = |(q, c): (&u8, &i8)| (i32::from(*q) - i32::from(CODE_BIAS)) * i32::from(*c);
        query.iter().zip(code).map(product).fold(0, i32::wrapping_add)
    }

    #[inline(always)]
    fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        sum_of::<false>(a, b)
    }

    #[inline(always)]
    fn squared_distance(self, a: &[f32], b: &[f32]) -> f32 {
        sum_of::<true>(a, b)
    }
}

#[inline(always)]
fn sum_of<const SQUARES: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += term::<SQUARES>(a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += term::<SQUARES>(*a, *b);
    }
    sums.iter().sum()
}

/// What one pair of elements adds.
#[inline(always)]
pub(super) fn term<const SQUARES: bool>(a: f32, b: f32) -> f32 {
    if SQUARES { (a - b) * (a - b) } else { a * b }
}
