//! The platform: maps, space, waiting, locks, forks, clocks. Linux; another system would begin here.

pub mod clock;
pub(crate) mod copies;
pub mod fork;
pub mod lock;
pub mod map;
pub mod wait;

use std::fs::File;
use std::io;

/// Reserves the bytes of a range, growing the file where needed. A full disk fails here, as an
/// error, and not later as a signal in somebody's store or load.
pub fn reserve(file: &File, offset: u64, size: u64) -> io::Result<()> {
    rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, size)
    })?;
    Ok(())
}
