//! Times, and the boot they belong to.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Nanoseconds since boot, suspended time included: the same clock in every process.
pub fn boottime_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The uuid of this boot of the kernel.
pub fn boot_id() -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: Vec<u8> =
        text.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("the boot id is {text:?}"));
    let pairs: &[u8; 32] = digits.as_slice().try_into().map_err(|_| invalid())?;
    Ok(std::array::from_fn(|i| pairs[2 * i] << 4 | pairs[2 * i + 1]))
}
