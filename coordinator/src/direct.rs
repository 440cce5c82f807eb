//! Reading what the disk has, past the system's cache of it.
//!
//! After a failed sync the system calls pages clean that never reached the disk, and shows them to
//! whoever reads in the ordinary way. Where a file system cannot be read past its cache, the cache
//! is dropped first, as far as that goes, and a warning says so.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::fs::{Advice, OFlags};
use sutra_layout::geometry::HEADER_SIZE;
use sutra_layout::sys;

/// What every such read is a multiple of, in place, size and memory.
const ALIGNMENT: usize = 4096;
/// Bytes of one read.
const STEP_SIZE: usize = 1 << 20;

/// A file, read past the cache.
#[derive(Debug)]
pub struct DirectFile {
    file: File,
    buffer: Vec<u8>,
    /// Where the aligned part of the buffer begins.
    start: usize,
}

impl DirectFile {
    /// The file behind an open descriptor, once more.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<DirectFile> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = (OFlags::DIRECT | OFlags::CLOEXEC).bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let file = match opened {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                tracing::warn!(
                    "this file system cannot be read past its cache: the cache is dropped, as far \
                     as the system does that"
                );
                rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?;
                File::open(&path)?
            }
            opened => opened?,
        };
        let buffer = vec![0; STEP_SIZE + ALIGNMENT];
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        Ok(DirectFile { file, buffer, start })
    }

    /// Its bytes from `offset` on, a multiple of 4,096: up to 1 MiB, less only at its end.
    ///
    /// # Errors
    /// What the system says. Pages that it still had to write and cannot are told once, and are not
    /// on the disk: so a first refusal is asked again.
    pub fn read(&mut self, offset: u64) -> io::Result<&[u8]> {
        let part = &mut self.buffer[self.start..self.start + STEP_SIZE];
        let mut size = 0;
        let mut has_failed = false;
        while size < STEP_SIZE {
            match self.file.read_at(&mut part[size..], offset + size as u64) {
                Ok(0) => break,
                Ok(count) if !count.is_multiple_of(ALIGNMENT) => {
                    size += count; // the end of the file
                    break;
                }
                Ok(count) => size += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if !has_failed => has_failed = true,
                Err(error) => return Err(error),
            }
        }
        Ok(&part[..size])
    }
}

/// Copies what the disk has of a store's file into an empty one. What is zero stays a hole, but for
/// the header, which is stored to wherever it lies.
///
/// # Errors
/// What the system says.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    let mut from = DirectFile::of(from)?;
    sys::reserve(to, 0, HEADER_SIZE)?;
    let mut offset = 0;
    loop {
        let bytes = from.read(offset)?;
        for (place, page) in (offset..).step_by(ALIGNMENT).zip(bytes.chunks(ALIGNMENT)) {
            if page.iter().any(|byte| *byte != 0) {
                to.write_all_at(page, place)?;
            }
        }
        offset += bytes.len() as u64;
        if bytes.len() < STEP_SIZE {
            break;
        }
    }
    to.set_len(offset.max(HEADER_SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_out_as_it_is_on_the_disk_with_holes_for_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("from");
        let mut bytes = vec![0; 3 * STEP_SIZE + 5000];
        for place in [0, 4096, HEADER_SIZE as usize + 9, STEP_SIZE - 1, 2 * STEP_SIZE] {
            bytes[place] = 7;
        }
        *bytes.last_mut().unwrap() = 9;
        std::fs::write(&path, &bytes).unwrap();
        let from = File::open(&path).unwrap();
        from.sync_all().unwrap();
        let to_path = folder.path().join("to");
        let to = File::options().read(true).write(true).create_new(true).open(&to_path).unwrap();
        copy(&from, &to).unwrap();
        assert!(std::fs::read(&to_path).unwrap() == bytes);
        let read = DirectFile::of(&from).unwrap().read(STEP_SIZE as u64).unwrap().len();
        assert_eq!(read, STEP_SIZE);
        assert!(DirectFile::of(&from).unwrap().read(4 * STEP_SIZE as u64).unwrap().is_empty());
    }
}
