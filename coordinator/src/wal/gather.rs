//! Putting a group together, and writing it with one call.

use std::io::{self, IoSlice};
use std::ops::Range;

use rustix::io::Errno;
use zerocopy::IntoBytes;

use super::Entry;
use super::format::{ALIGNMENT, EntryHeader, GROUP_HEADER_SIZE, Group, entry_size};
use super::segment::Segment;

/// Parts up to this size are copied into one buffer, larger ones are written from where
/// they are: a slice costs the system more than the copy of a small part.
const COPY_SIZE_MAX: usize = 4096;
/// Most slices that one `pwritev` takes on Linux.
const SLICE_COUNT_MAX: usize = 1024;
/// A buffer that has grown beyond this is given back.
const SCRATCH_SIZE_KEPT: usize = 4 << 20;

/// Buffers for putting a group together, reused from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    scratch: Vec<u8>,
    pieces: Vec<Piece>,
}

/// A run of bytes of the group.
#[derive(Clone, Debug)]
enum Piece {
    /// In the scratch buffer.
    Scratch(Range<usize>),
    /// A part of an entry, too large to be worth copying: which entry, which part.
    Part(usize, usize),
}

impl Gather {
    /// Lays out the group; returns its size with the header.
    pub(crate) fn gather(
        &mut self,
        segment: &Segment,
        offset: u64,
        entries: &[Entry<'_>],
        group: impl FnOnce(u32) -> Group,
    ) -> u64 {
        let Gather { scratch, pieces } = self;
        pieces.clear();
        scratch.clear();
        scratch.shrink_to(SCRATCH_SIZE_KEPT);
        scratch.resize(GROUP_HEADER_SIZE, 0);
        let seed = segment.id.seed();
        let mut run_start = 0;
        let mut size = GROUP_HEADER_SIZE as u64;
        for (index, entry) in entries.iter().enumerate() {
            let payload_size = entry.payload_size();
            let header_offset = scratch.len();
            scratch.extend_from_slice(EntryHeader::unsummed(payload_size, entry.lsn).as_bytes());
            let (mut crc, mut summed) = (seed, header_offset + EntryHeader::SUMMED_OFFSET);
            for (which, part) in [entry.head, entry.body].into_iter().enumerate() {
                if part.len() <= COPY_SIZE_MAX {
                    scratch.extend_from_slice(part);
                } else {
                    crc = crc32c::crc32c_append(crc, &scratch[summed..]);
                    crc = crc32c::crc32c_append(crc, part);
                    pieces.push(Piece::Scratch(run_start..scratch.len()));
                    pieces.push(Piece::Part(index, which));
                    (summed, run_start) = (scratch.len(), scratch.len());
                }
            }
            // One checksum over what has been copied, not one for each field: calls of
            // it for 4, 8 and 50 bytes cost more than the 250 bytes of a small entry.
            crc = crc32c::crc32c_append(crc, &scratch[summed..]);
            scratch[header_offset..][..EntryHeader::SUMMED_OFFSET]
                .copy_from_slice(&crc.to_le_bytes());
            let padding_size = payload_size.next_multiple_of(ALIGNMENT as usize) - payload_size;
            scratch.extend_from_slice(&[0; ALIGNMENT as usize][..padding_size]);
            size += entry_size(payload_size);
        }
        pieces.push(Piece::Scratch(run_start..scratch.len()));
        debug_assert!(offset + size <= segment.size);
        let body_size = (size - GROUP_HEADER_SIZE as u64) as u32; // at most 1 GiB
        scratch[..GROUP_HEADER_SIZE].copy_from_slice(group(body_size).to_header().as_bytes());
        size
    }

    /// Writes what was gathered from the same entries: one `pwritev`, unless it is cut short.
    pub(crate) fn write(
        &self,
        segment: &Segment,
        mut offset: u64,
        entries: &[Entry<'_>],
    ) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Scratch(range) => &self.scratch[range.clone()],
                Piece::Part(index, 0) => entries[*index].head,
                Piece::Part(index, _) => entries[*index].body,
            })
            .filter(|bytes| !bytes.is_empty())
            .map(IoSlice::new)
            .collect();
        let mut slices = &mut slices[..];
        while !slices.is_empty() {
            let count = slices.len().min(SLICE_COUNT_MAX);
            match rustix::io::pwritev(&segment.file, &slices[..count], offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(size) => {
                    offset += size as u64;
                    IoSlice::advance_slices(&mut slices, size);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}
