//! Clocks: one for single operations, one that all processes share, one that stops when we do.
//!
//! A get takes less than a microsecond, so what reads the clock must take far less and must not
//! overlap with what it times. Where the processor counts at a constant rate that is its time-stamp
//! counter between two fences, which hold loads back until it was read and the other way round;
//! elsewhere it is the system's monotonic clock. The cost of reading it twice is part of every
//! figure and is told beside them.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the room where the processor's time-stamp counter is read")
)]

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long the counter is compared with the system's clock.
const CALIBRATION: Duration = Duration::from_millis(30);

/// A clock for single operations.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    is_counter: bool,
    ns_per_tick: f64,
}

impl Stopwatch {
    /// The best clock of this machine, calibrated.
    pub fn new() -> Stopwatch {
        let started = Instant::now();
        let mut stopwatch =
            Stopwatch { started, is_counter: has_constant_counter(), ns_per_tick: 1.0 };
        if stopwatch.is_counter {
            let (began, first) = stopwatch.at_once();
            while began.elapsed() < CALIBRATION {
                std::hint::spin_loop();
            }
            let (ended, last) = stopwatch.at_once();
            stopwatch.ns_per_tick = (ended - began).as_nanos() as f64 / (last - first) as f64;
        }
        stopwatch
    }

    /// Now. Nothing before it is still under way, and nothing after it has begun.
    #[inline(always)]
    pub fn ticks(&self) -> u64 {
        if self.is_counter { fenced_counter() } else { self.started.elapsed().as_nanos() as u64 }
    }

    /// Both clocks at the same moment: of several attempts the one that was disturbed least.
    fn at_once(&self) -> (Instant, u64) {
        let attempt = |_| {
            let before = self.ticks();
            let now = Instant::now();
            (self.ticks() - before, now, before)
        };
        let attempts = (0..32).map(attempt);
        let (_, now, ticks) =
            attempts.min_by_key(|(took, _, _)| *took).expect("there was an attempt");
        (now, ticks)
    }

    /// Ticks as nanoseconds.
    pub fn ns(&self, ticks: u64) -> f64 {
        ticks as f64 * self.ns_per_tick
    }

    /// The median time between two readings with nothing between them, in nanoseconds.
    pub fn overhead_ns(&self) -> f64 {
        let mut ticks: Vec<u64> = (0..1001)
            .map(|_| {
                let before = self.ticks();
                self.ticks() - before
            })
            .collect();
        ticks.sort_unstable();
        self.ns(ticks[ticks.len() / 2])
    }

    /// What it is, for the report.
    pub fn name(&self) -> &'static str {
        if self.is_counter { "rdtsc between fences" } else { "the monotonic clock" }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fenced_counter() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has SSE2 and a time-stamp counter, which Linux lets us read.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fenced_counter() -> u64 {
    unreachable!("no other processor's counter is used")
}

/// Whether the counter runs at one rate whatever the processor does.
fn has_constant_counter() -> bool {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has = |flag| cpuinfo.split_whitespace().any(|word| word == flag);
    cfg!(target_arch = "x86_64") && has("constant_tsc") && has("nonstop_tsc")
}

/// Nanoseconds on the monotonic clock, the same in every process.
pub fn shared_ns() -> u64 {
    ns_of(ClockId::Monotonic)
}

/// Nanoseconds that this thread has run: a neighbour's work is not in them, only its use of the
/// caches.
pub fn thread_cpu_ns() -> u64 {
    ns_of(ClockId::ThreadCPUTime)
}

fn ns_of(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stopwatch_agrees_with_the_system() {
        let stopwatch = Stopwatch::new();
        let (began, first) = stopwatch.at_once();
        while began.elapsed() < CALIBRATION {}
        let (ended, last) = stopwatch.at_once();
        let ratio = stopwatch.ns(last - first) / (ended - began).as_nanos() as f64;
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
    }
}
