//! Dot products and distances, by whatever vector instructions the processor has.
//!
//! The processor is asked once for a whole piece of work: [`dispatch`] runs a [`Work`] with the best
//! [`Kernel`], and as everything in between is inlined into a function that may use the processor's
//! instructions, so are the kernels. Sums of codes are exact and equal in every kernel. Sums of
//! floating-point numbers differ by rounding: they are added in another order.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the room that enters what the processor was asked for")
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
#[cfg(test)]
mod tests;

/// Added to each element of a query's code, so that its bytes are unsigned: what the fastest
/// instruction multiplies is unsigned by signed.
pub const CODE_BIAS: u8 = 128;

/// One way to compute distances.
pub trait Kernel: Copy {
    /// The dot product of a query's code, biased by [`CODE_BIAS`], with a code whose elements add up
    /// to `code_sum`. Of the longer one the rest is not looked at.
    fn dot_codes(self, query: &[u8], code: &[i8], code_sum: i32) -> i32;

    /// The dot product of two rows. Of the longer one the rest is not looked at.
    fn dot(self, a: &[f32], b: &[f32]) -> f32;

    /// The square of the Euclidean distance of two rows, likewise.
    fn squared_distance(self, a: &[f32], b: &[f32]) -> f32;
}

/// Something to do with a kernel. `run` must be `#[inline(always)]`, and so must all that is called
/// between it and the kernel: else the kernels are called instead of inlined.
pub trait Work {
    /// What it gives.
    type Output;
    /// Does it.
    fn run<K: Kernel>(self, kernel: K) -> Self::Output;
}

/// Does the work with the best kernel of this processor.
#[inline]
pub fn dispatch<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(kernel) = avx512::Avx512::detect() {
            // SAFETY: the kernel exists, so the processor has what the function is compiled for.
            return unsafe { avx512::run(work, kernel) };
        }
        if let Some(kernel) = avx2::Avx2::detect() {
            // SAFETY: likewise.
            return unsafe { avx2::run(work, kernel) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if let Some(kernel) = neon::Neon::detect() {
        return work.run(kernel);
    }
    work.run(plain::Plain)
}

/// The name of the kernel that [`dispatch`] takes.
pub fn name() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if avx512::Avx512::detect().is_some() {
            return "AVX-512 VNNI";
        }
        if avx2::Avx2::detect().is_some() {
            return "AVX2";
        }
    }
    #[cfg(target_arch = "aarch64")]
    if neon::Neon::detect().is_some() {
        return "NEON";
    }
    "plain"
}

/// The dot product of `query` with each row. Row `n` begins at element `n * stride` and has as many
/// elements as the query; `products` has one place for each row.
pub fn dot_products(query: &[f32], rows: &[f32], stride: usize, products: &mut [f32]) {
    dispatch(Rows::<false> { query, rows, stride, results: products });
}

/// The square of the Euclidean distance of `query` from each row, likewise.
pub fn squared_distances(query: &[f32], rows: &[f32], stride: usize, squares: &mut [f32]) {
    dispatch(Rows::<true> { query, rows, stride, results: squares });
}

struct Rows<'r, const SQUARES: bool> {
    query: &'r [f32],
    rows: &'r [f32],
    stride: usize,
    results: &'r mut [f32],
}

impl<const SQUARES: bool> Work for Rows<'_, SQUARES> {
    type Output = ();

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) {
        for (row, result) in self.rows.chunks_exact(self.stride).zip(self.results) {
            let row = &row[..self.query.len()];
            *result = match SQUARES {
                true => kernel.squared_distance(self.query, row),
                false => kernel.dot(self.query, row),
            };
        }
    }
}
