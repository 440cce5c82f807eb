//! Extents whose word in the directory is damaged: looked for between the others.
//!
//! An extent lies on a page boundary (a large one of truth on a multiple of 2 MiB) in a gap between
//! those that are known, and what it holds has checksums. A word that is found again is put into a
//! copy of the file; the file itself stays as it is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use sutra_layout::blob::{BLOB_HEAD_SIZE, BlobHead};
use sutra_layout::checksum::checksum;
use sutra_layout::directory::{aligned_start, decode, encode, word_offset};
use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::{EXTENTS_MAX, HEADER_SIZE, PAGE_SIZE, Region, Shape};
use sutra_layout::record::ConceptRecord;
use sutra_layout::slot::Slot;
use sutra_layout::symbol::{SYMBOL_HEAD_SIZE, SymbolHead, symbol_checksum};
use sutra_layout::vector_column::VectorColumn;
use sutra_layout::view::View;
use zerocopy::FromBytes;

use super::find::Found;
use super::loss::Losses;
use super::{making, temporary};
use crate::error::CoordinatorError;
use crate::store_dir::StoreDir;

/// Units of a place that are looked at before it is taken for the extent that is missing.
const SAMPLES: u64 = 16;
/// Places that are looked at for one extent.
const PLACES_MAX: usize = 1 << 16;

/// A run of the file that some extent has, or none.
type Span = (u64, u64);

/// The view, or one of a copy in which damaged words of truth are mended as far as they can be.
pub(super) fn mended(
    dir: &StoreDir,
    view: View,
    found: &Found,
    losses: &mut Losses,
) -> Result<View, CoordinatorError> {
    let (mut taken, mut missing) = (vec![(0, HEADER_SIZE)], Vec::new());
    for region in (0..Region::KNOWN_END).map(Region) {
        let Some(shape) = view.shape(region) else { continue };
        for extent in 0..EXTENTS_MAX {
            let word = view.header_word(word_offset(region, extent)).load(Ordering::Relaxed);
            match decode(region, extent, word) {
                Ok(Some(start)) => taken.push((start, start + shape.extent_size(extent))),
                Ok(None) => {}
                Err(_) => missing.push((region, shape, extent)),
            }
        }
    }
    let missing: Vec<_> = missing
        .into_iter()
        .filter(|(region, shape, extent)| {
            region.is_truth() && shape.extent_start(*extent) < count(*region, &found.slot)
        })
        .collect();
    if missing.is_empty() {
        return Ok(view);
    }
    taken.sort_unstable();
    let mut words = Vec::new();
    for (region, shape, extent) in missing {
        let place = gaps(&taken, view.map().size())
            .into_iter()
            .flat_map(|gap| places(region, shape.extent_size(extent), gap))
            .take(PLACES_MAX)
            .find(|start| holds(&view, &found.slot, (region, shape, extent), *start));
        let name = region.name();
        match place {
            Some(start) => {
                taken.push((start, start + shape.extent_size(extent)));
                taken.sort_unstable();
                words.push((word_offset(region, extent), encode(region, extent, start)));
                losses.note(format!("extent {extent} of {name} was found again at byte {start}"));
            }
            None => losses.note(format!("extent {extent} of {name} was not found again")),
        }
    }
    if words.is_empty() {
        return Ok(view);
    }
    let copy = temporary(dir)?;
    copy_file(view.map().file(), &copy, view.map().size()).map_err(making(dir))?;
    for (offset, word) in words {
        copy.write_all_at(&word.to_le_bytes(), offset).map_err(making(dir))?;
    }
    View::read_only(copy)
        .map_err(|source| CoordinatorError::View { path: dir.storage_path(), source })
}

/// Units of a region of truth in a version.
fn count(region: Region, slot: &Slot) -> u64 {
    match region {
        Region::RECORDS => slot.records,
        Region::EDGES => slot.edges,
        Region::CONTENT => slot.content_size,
        Region::SYMBOLS => slot.symbols_size,
        Region(number @ 12..=15) => slot.spaces[usize::from(number) - 12].count,
        Region(number @ 16..=19) => slot.spaces[usize::from(number) - 16].count,
        _ => 0,
    }
}

/// What no extent has. Those that are known may overlap where a word is damaged and decodes.
fn gaps(taken: &[Span], size: u64) -> Vec<Span> {
    let (mut gaps, mut end) = (Vec::new(), 0);
    for (start, next) in taken {
        if *start > end {
            gaps.push((end, *start));
        }
        end = end.max(*next);
    }
    gaps.push((end, size));
    gaps
}

/// Where an extent of `size` bytes may begin in a gap; the file may end within the last extent.
fn places(region: Region, size: u64, (start, end): Span) -> impl Iterator<Item = u64> {
    let first = aligned_start(region, size, start);
    let step = (aligned_start(region, size, first + 1) - first).max(PAGE_SIZE);
    (0..).map(move |place| first + place * step).take_while(move |place| *place < end)
}

/// Whether the units that an extent must have begin at byte `start`.
fn holds(
    view: &View,
    slot: &Slot,
    (region, shape, extent): (Region, Shape, usize),
    start: u64,
) -> bool {
    let first = shape.extent_start(extent);
    let units = (count(region, slot) - first).min(shape.extent_count(extent)).min(SAMPLES);
    let file = view.map().file();
    let read = |offset: u64, size: u64| {
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, start + offset).ok().map(|()| bytes)
    };
    let unit = |at: u64| read(at * shape.stride, shape.stride);
    match region {
        Region::RECORDS => (0..units).all(|at| {
            let record = unit(at).and_then(|bytes| ConceptRecord::read_from_bytes(&bytes).ok());
            record.is_some_and(|r| r.is_whole() && r.lsn > 0 && r.previous <= first + at)
        }),
        Region::EDGES => (0..units).all(|at| {
            let edge = unit(at).and_then(|bytes| EdgeRecord::read_from_bytes(&bytes).ok());
            edge.is_some_and(|e| e.is_whole() && e.lsn > 0 && u64::from(e.previous) <= first + at)
        }),
        Region(number @ 16..=19) => (0..units).all(|at| {
            let column = unit(at).and_then(|bytes| VectorColumn::read_from_bytes(&bytes).ok());
            let own = usize::from(number) - 16;
            column.is_some_and(|c| c.is_whole() && u64::from(c.rows[own]) == first + at + 1)
        }),
        Region(number @ 12..=15) => {
            let space = usize::from(number) - 12;
            let Ok(dimension) = view.space(space).map(|space| space.dimension) else {
                return false;
            };
            (0..units).all(|at| {
                let column = view.vector_column(space, first + at, slot);
                let row = unit(at).map(|bytes| checksum(&bytes[..dimension * 4]));
                column.is_ok_and(|column| row == Some(column.row_checksum))
            })
        }
        Region::SYMBOLS => {
            let head = read(0, SYMBOL_HEAD_SIZE);
            let head = head.and_then(|bytes| SymbolHead::read_from_bytes(&bytes).ok());
            head.filter(|head| head.size != 0).is_some_and(|head| {
                let name = read(SYMBOL_HEAD_SIZE, head.size.into());
                name.is_some_and(|name| symbol_checksum(&head, &name) == head.checksum)
            })
        }
        Region::CONTENT => {
            // Its first blob begins at its first byte, as every extent's does.
            let head = read(0, BLOB_HEAD_SIZE);
            let head = head.and_then(|bytes| BlobHead::read_from_bytes(&bytes).ok());
            head.filter(|head| u64::from(head.size) <= shape.extent_size(extent)).is_some_and(
                |head| {
                    let is_told = head.size > 0; // an empty blob looks like nothing
                    is_told
                        && read(BLOB_HEAD_SIZE, head.size.into())
                            .is_some_and(|bytes| head.matches(&bytes))
                },
            )
        }
        _ => false,
    }
}

/// Copies what is in a file, and leaves its holes.
fn copy_file(from: &File, to: &File, size: u64) -> std::io::Result<()> {
    to.set_len(size)?;
    let mut bytes = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < size {
        let part = bytes.len().min((size - offset) as usize);
        from.read_exact_at(&mut bytes[..part], offset)?;
        if bytes[..part].iter().any(|byte| *byte != 0) {
            to.write_all_at(&bytes[..part], offset)?;
        }
        offset += part as u64;
    }
    Ok(())
}
