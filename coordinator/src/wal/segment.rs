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

/// Bytes of one read.
const READ_SIZE: usize = 256 << 10;

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

/// The bytes of a segment, read as far as they are asked for.
///
/// Most of a segment is not written yet, and where it is known that nothing is missing nobody looks
/// there: after a kill a start reads what there is of the log, not the 64 MiB that its last segment
/// has room for.
pub(crate) struct Content<'a> {
    directory: &'a Directory,
    name: &'a str,
    file: &'a File,
    /// For a log that is to be read past the system's cache.
    direct: Option<DirectFile>,
    /// Those read so far, from the start of the file.
    bytes: &'a mut Vec<u8>,
    size: u64,
}

impl<'a> Content<'a> {
    /// Of a file in the log's directory. `bytes` is reused from one to the next.
    pub(crate) fn of(
        directory: &'a Directory,
        (name, file): (&'a str, &'a File),
        bytes: &'a mut Vec<u8>,
        past_cache: bool,
    ) -> Result<Content<'a>, WalError> {
        let failed = |source| WalError::io(&directory.path_of(name), "read", source);
        let size = file.metadata().map_err(failed)?.len();
        let direct = past_cache.then(|| DirectFile::of(file)).transpose().map_err(failed)?;
        bytes.clear();
        Ok(Content { directory, name, file, direct, bytes, size })
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from the start of the file to `end` at least, or to its end.
    pub(crate) fn up_to(&mut self, end: u64) -> Result<&[u8], WalError> {
        let end = end.min(self.size) as usize;
        while self.bytes.len() < end {
            let count = self.read_some().map_err(|source| {
                WalError::io(&self.directory.path_of(self.name), "read", source)
            })?;
            if count == 0 {
                self.size = self.bytes.len() as u64; // cut while we read: what is left is it
                break;
            }
        }
        Ok(self.bytes)
    }

    /// All of them.
    pub(crate) fn whole(&mut self) -> Result<&[u8], WalError> {
        self.up_to(self.size)
    }

    fn read_some(&mut self) -> io::Result<usize> {
        let at = self.bytes.len();
        if let Some(direct) = &mut self.direct {
            let part = direct.read(at as u64)?;
            self.bytes.extend_from_slice(part);
            return Ok(part.len());
        }
        self.bytes.resize((at + READ_SIZE).min(self.size as usize), 0);
        let count = loop {
            match self.file.read_at(&mut self.bytes[at..], at as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(at + *count.as_ref().unwrap_or(&0));
        count
    }
}
