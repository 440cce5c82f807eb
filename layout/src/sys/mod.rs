//! The platform: maps, space, waiting, locks, forks, clocks. Linux; another system would begin here.

pub mod clock;
pub(crate) mod copies;
pub mod fork;
pub mod lock;
pub mod map;
pub mod wait;

use std::fs::File;
use std::io;

/// Bytes that may still be written to the file system of a file; `None` where it has no limit.
pub fn free_size(file: &File) -> io::Result<Option<u64>> {
    let found = rustix::fs::fstatvfs(file)?;
    Ok((found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

/// As [`reserve`], where so many bytes stay free on the disk after it.
pub fn reserve_leaving(file: &File, offset: u64, size: u64, kept_size: u64) -> io::Result<()> {
    if kept_size > 0 && free_size(file)?.is_some_and(|free| free < size + kept_size) {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    reserve(file, offset, size)
}

/// Reserves the bytes of a range, growing the file where needed. A full disk fails here, as an
/// error, and not later as a signal in somebody's store or load.
pub fn reserve(file: &File, offset: u64, size: u64) -> io::Result<()> {
    rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, size)
    })?;
    Ok(())
}
