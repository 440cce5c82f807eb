//! Who writes, and who reads: locks that vanish with their holder.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};

/// Takes the exclusive flock of `file` without waiting; false if somebody else has it.
pub fn try_lock_exclusive(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Readers announce themselves by a read lock on one byte from here on, far past the end: byte
/// `READER_LOCKS_OFFSET + pid`. The lock is the open file's own and vanishes with it.
pub const READER_LOCKS_OFFSET: i64 = 1 << 61;
/// Pids are below this.
const READER_LOCKS_COUNT: i64 = 1 << 32;

/// Readers that are counted: anybody who may read the file can announce as many as he likes.
const READERS_MAX: usize = 1 << 16;

/// Announces this process as a reader of `file`. Waits for nobody, and nobody waits for it.
pub fn announce_reader(file: &File, pid: u32) -> io::Result<()> {
    let lock = range(libc_short(nix::libc::F_RDLCK), READER_LOCKS_OFFSET + i64::from(pid), 1);
    fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&lock))?;
    Ok(())
}

/// The pids of the processes that announced themselves as readers. `file` is open for reading or
/// writing; its own announcement does not count.
pub fn readers(file: &File) -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    let mut from = READER_LOCKS_OFFSET;
    let end = READER_LOCKS_OFFSET + READER_LOCKS_COUNT;
    while from < end && pids.len() < READERS_MAX {
        let mut lock = range(libc_short(nix::libc::F_WRLCK), from, end - from);
        fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut lock))?;
        if lock.l_type == libc_short(nix::libc::F_UNLCK) || lock.l_start < from {
            break;
        }
        pids.push(u32::try_from(lock.l_start - READER_LOCKS_OFFSET).unwrap_or(0));
        from = lock.l_start.saturating_add(lock.l_len.max(1));
    }
    Ok(pids)
}

fn libc_short(value: i32) -> i16 {
    value as i16
}

fn range(kind: i16, start: i64, len: i64) -> nix::libc::flock {
    nix::libc::flock {
        l_type: kind,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_counted_by_process_until_they_close() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(named.path()).unwrap();
        let (a, b, observer) = (open(), open(), open());
        announce_reader(&a, 7).unwrap();
        announce_reader(&b, 4_000_000).unwrap();
        assert_eq!(readers(&observer).unwrap(), [7, 4_000_000]);
        drop(a);
        assert_eq!(readers(&observer).unwrap(), [4_000_000]);
    }
}
