//! A segment as an open file, and the reading and overwriting of its bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use sutra_layout::sys::fork::Kept;
use zerocopy::IntoBytes;

use crate::direct::DirectFile;

use super::directory::{Directory, segment_name};
use super::error::WalError;
use super::format::{GROUPS_OFFSET, SEGMENT_HEADER_SIZE, SegmentId};

/// Zeros are written in steps of this size.
const ZEROS_SIZE: usize = 1 << 20;

/// Bytes that are read at a time, unless a group is larger.
const WINDOW_SIZE: usize = 512 << 10;

/// A segment that can be written. The syncer shares the file.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) file: Arc<Kept<File>>,
    pub(crate) id: SegmentId,
    pub(crate) size: u64,
}

impl Segment {
    pub(crate) fn name(&self) -> String {
        segment_name(self.id.sequence)
    }

    /// The most that one group, header included, can take here.
    pub(crate) fn capacity(&self) -> u64 {
        self.size.saturating_sub(GROUPS_OFFSET)
    }
}

/// Writes the whole first page: the header, and zeros behind it.
pub(crate) fn write_header(file: &File, id: SegmentId) -> io::Result<()> {
    let mut page = [0_u8; GROUPS_OFFSET as usize];
    page[..SEGMENT_HEADER_SIZE].copy_from_slice(id.to_header().as_bytes());
    file.write_all_at(&page, 0)
}

/// Overwrites `start..end` with zeros; `go_on` is asked before each step.
pub(crate) fn write_zeros(
    file: &File,
    start: u64,
    end: u64,
    mut go_on: impl FnMut() -> bool,
) -> io::Result<()> {
    let zeros = vec![0_u8; ZEROS_SIZE.min(end.saturating_sub(start) as usize)];
    let mut offset = start;
    while offset < end {
        if !go_on() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = (end - offset).min(zeros.len() as u64);
        file.write_all_at(&zeros[..size as usize], offset)?;
        offset += size;
    }
    Ok(())
}

/// The bytes of a segment, read as far as they are asked for, through a window.
///
/// Most of a segment is not written yet, and where it is known that nothing is missing nobody looks
/// there: after a kill a start reads what there is of the log, not the 64 MiB that its last segment
/// has room for. A window of fixed size, because fresh memory costs more than the reading: 64 MiB
/// into one buffer took 60 ms, and through a window a fifth of that.
pub(crate) struct Content<'a> {
    directory: &'a Directory,
    name: &'a str,
    file: &'a File,
    /// For a log that is to be read past the system's cache.
    direct: Option<DirectFile>,
    window: &'a mut Window,
    size: u64,
}

/// What is read of a segment; its memory is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Where it begins in the file.
    start: u64,
    bytes: Vec<u8>,
    /// How many of them are read.
    count: usize,
}

impl<'a> Content<'a> {
    /// Of a file in the log's directory.
    pub(crate) fn of(
        directory: &'a Directory,
        (name, file): (&'a str, &'a File),
        window: &'a mut Window,
        past_cache: bool,
    ) -> Result<Content<'a>, WalError> {
        let failed = |source| WalError::io(&directory.path_of(name), "read", source);
        let size = file.metadata().map_err(failed)?.len();
        let direct = past_cache.then(|| DirectFile::of(file)).transpose().map_err(failed)?;
        window.count = 0;
        Ok(Content { directory, name, file, direct, window, size })
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of a range, as far as the file has it.
    pub(crate) fn range(&mut self, start: u64, end: u64) -> Result<&[u8], WalError> {
        let (start, end) = (start.min(self.size), end.min(self.size));
        let Window { start: from, count, .. } = self.window;
        if start < *from || end > *from + *count as u64 {
            self.fill(start, end).map_err(|source| {
                WalError::io(&self.directory.path_of(self.name), "read", source)
            })?;
        }
        let window = &*self.window;
        let at = (start - window.start) as usize;
        let until = at + (end.min(self.size).saturating_sub(start)) as usize;
        Ok(&window.bytes[at.min(window.count)..until.min(window.count)])
    }

    /// All of them.
    pub(crate) fn whole(&mut self) -> Result<&[u8], WalError> {
        self.range(0, self.size)
    }

    /// Moves the window to a range.
    fn fill(&mut self, start: u64, end: u64) -> io::Result<()> {
        let wanted = ((end - start) as usize).max(WINDOW_SIZE);
        let wanted = wanted.min((self.size - start) as usize);
        let window = &mut *self.window;
        (window.start, window.count) = (start, 0);
        if let Some(direct) = &mut self.direct {
            // It reads at multiples of its alignment only.
            window.start = start / GROUPS_OFFSET * GROUPS_OFFSET;
            window.bytes.clear();
            while window.bytes.len() < wanted + (start - window.start) as usize {
                let part = direct.read(window.start + window.bytes.len() as u64)?;
                if part.is_empty() {
                    break;
                }
                window.bytes.extend_from_slice(part);
            }
            window.count = window.bytes.len();
        } else {
            if window.bytes.len() < wanted {
                window.bytes.resize(wanted, 0);
            }
            while window.count < wanted {
                let place = start + window.count as u64;
                match self.file.read_at(&mut window.bytes[window.count..wanted], place) {
                    Ok(0) => break,
                    Ok(count) => window.count += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let read_end = window.start + window.count as u64;
        if read_end < end {
            self.size = read_end; // cut while we read: what is left is it
        }
        Ok(())
    }
}
