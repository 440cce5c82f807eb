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

/// Reads a whole segment into `bytes`, which is reused from one to the next.
///
/// Whole, because what follows a bad entry may prove that it was once synced: there is
/// no end of a log at which reading could stop. `past_cache` asks the disk itself.
pub(crate) fn read(
    directory: &Directory,
    file: &File,
    name: &str,
    bytes: &mut Vec<u8>,
    past_cache: bool,
) -> Result<(), WalError> {
    let failed = |source| WalError::io(&directory.path_of(name), "read", source);
    let size = file.metadata().map_err(failed)?.len() as usize;
    bytes.clear();
    if past_cache {
        let mut direct = DirectFile::of(file).map_err(failed)?;
        while bytes.len() < size {
            let part = direct.read(bytes.len() as u64).map_err(failed)?;
            if part.is_empty() {
                break;
            }
            bytes.extend_from_slice(part);
        }
        return Ok(());
    }
    bytes.resize(size, 0);
    let mut read_size = 0;
    while read_size < size {
        match file.read_at(&mut bytes[read_size..], read_size as u64) {
            Ok(0) => break, // cut while we read: what is left is the segment
            Ok(count) => read_size += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    bytes.truncate(read_size);
    Ok(())
}
