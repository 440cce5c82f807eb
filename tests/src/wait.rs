//! Waiting for another process, never for ever.

use std::time::{Duration, Instant};

/// Longer than anything takes, even on a machine that is busy with something else.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks until `ask` gives something.
///
/// # Panics
/// If it does not within [`DEADLINE`].
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, ask).unwrap_or_else(|| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks until `ask` gives something, for so long.
pub fn within<T>(deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let started_at = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if started_at.elapsed() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
