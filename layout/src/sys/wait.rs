//! Waiting for a publication, on the low half of the commit word. Works on a read-only mapping.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::thread::futex;

/// Sleeps until somebody wakes the word, the time is over, or the word is not `seen` to begin with.
/// May return early; the caller looks again.
pub fn wait(word: &AtomicU32, seen: u32, timeout: Duration) {
    let timeout = rustix::fs::Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // Every outcome (woken, changed, timed out, interrupted) means the same: look again.
    let _ = futex::wait(word, futex::Flags::empty(), seen, Some(&timeout));
}

/// Wakes everyone who waits on the word, in any process.
pub fn wake_all(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}
