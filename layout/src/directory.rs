//! Where the extents of every region lie.
//!
//! The directory is a table of [`REGIONS_MAX`] rows of [`EXTENTS_MAX`] words. A word is 0 until its
//! extent is placed, and final from then on: the page number in the upper 48 bits, a checksum of
//! (region, extent, page) in the lower 16. It is synced with the checkpoint that first needs it.
//! The directory is also the allocator: the next free byte is the highest end over all words.

use crate::checksum::checksum;
use crate::error::Damage;
use crate::geometry::{
    DIRECTORY_OFFSET, EXTENTS_MAX, FIRST_EXTENT_SIZE, GROWTH_UNIT, HEADER_SIZE, PAGE_SIZE,
    REGIONS_MAX, Region, Shape,
};

/// Byte of the word of one extent.
#[inline]
pub fn word_offset(region: Region, extent: usize) -> u64 {
    debug_assert!(region.index() < REGIONS_MAX && extent < EXTENTS_MAX);
    DIRECTORY_OFFSET + (region.index() * EXTENTS_MAX + extent) as u64 * 8
}

/// The word of an extent at byte `offset`.
///
/// # Panics
/// If `offset` is no page above the header, or beyond 2^60 bytes.
pub fn encode(region: Region, extent: usize, offset: u64) -> u64 {
    assert!(offset >= HEADER_SIZE && offset.is_multiple_of(PAGE_SIZE) && offset < 1 << 60);
    let page = offset / PAGE_SIZE;
    page << 16 | check_bits(region, extent, page)
}

/// The byte where an extent begins; `None` if it is not placed yet.
pub fn decode(region: Region, extent: usize, word: u64) -> Result<Option<u64>, Damage> {
    if word == 0 {
        return Ok(None);
    }
    let page = word >> 16;
    if word & 0xffff != check_bits(region, extent, page) || page < HEADER_SIZE / PAGE_SIZE {
        let expected = format!("the checked word of an extent of {}", region.name());
        return Err(Damage::new(word_offset(region, extent), "an extent's word", word, expected));
    }
    Ok(Some(page * PAGE_SIZE))
}

/// Where an extent of `size` bytes may begin at or above `end`.
pub fn aligned_start(region: Region, size: u64, end: u64) -> u64 {
    let alignment = if region.is_truth() && size >= GROWTH_UNIT { GROWTH_UNIT } else { PAGE_SIZE };
    end.next_multiple_of(alignment)
}

/// An extent that is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedExtent {
    /// Its region.
    pub region: Region,
    /// Its number in the region.
    pub extent: usize,
    /// Its first byte.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
}

/// Checks the whole directory: every word is whole, and no two extents overlap.
///
/// `shape_of` gives the shape of a region, or `None` for a vector space that is not made. Of an
/// unknown region, which may be ignored, each extent counts with the largest size it can have, for
/// the allocator's sake, and is not held against its neighbours.
pub fn check_all(
    word: impl Fn(Region, usize) -> u64,
    shape_of: impl Fn(Region) -> Option<Shape>,
) -> Result<Vec<PlacedExtent>, Damage> {
    let mut placed = Vec::new();
    for number in 0..REGIONS_MAX as u8 {
        for extent in 0..EXTENTS_MAX {
            let region = Region(number);
            let Some(offset) = decode(region, extent, word(region, extent))? else {
                continue;
            };
            let size = match shape_of(region) {
                Some(shape) => shape.extent_size(extent),
                None if number >= Region::KNOWN_END => FIRST_EXTENT_SIZE << extent,
                None => {
                    let expected = "no extent, as its vector space is not made";
                    return Err(Damage::new(
                        word_offset(region, extent),
                        "an extent's word",
                        offset,
                        expected,
                    ));
                }
            };
            placed.push(PlacedExtent { region, extent, offset, size });
        }
    }
    placed.sort_by_key(|extent| extent.offset);
    for pair in placed.windows(2) {
        let end = pair[0].offset + pair[0].size;
        if pair[1].offset < end && pair[0].region.0 < Region::KNOWN_END {
            let at = word_offset(pair[1].region, pair[1].extent);
            return Err(Damage::new(
                at,
                "an extent's start",
                pair[1].offset,
                format!("at least {end}"),
            ));
        }
    }
    Ok(placed)
}

fn check_bits(region: Region, extent: usize, page: u64) -> u64 {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&page.to_le_bytes());
    bytes[8] = region.0;
    bytes[9] = extent as u8;
    u64::from(checksum(&bytes) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_only_in_its_own_place() {
        let word = encode(Region::EDGES, 3, 1 << 20);
        assert_eq!(decode(Region::EDGES, 3, word).unwrap(), Some(1 << 20));
        assert_eq!(decode(Region::EDGES, 3, 0).unwrap(), None);
        assert!(decode(Region::EDGES, 4, word).is_err());
        assert!(decode(Region::RECORDS, 3, word).is_err());
    }

    #[test]
    fn overlapping_extents_are_found() {
        let place = |second: u64| {
            move |region: Region, extent: usize| match (region, extent) {
                (Region::RECORDS, 0) => encode(Region::RECORDS, 0, HEADER_SIZE),
                (Region::EDGES, 0) => encode(Region::EDGES, 0, second),
                _ => 0,
            }
        };
        assert_eq!(check_all(place(HEADER_SIZE + 65536), Shape::fixed).unwrap().len(), 2);
        assert!(check_all(place(HEADER_SIZE + 61440), Shape::fixed).is_err());
    }
}
