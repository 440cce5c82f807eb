//! How much of a file a compaction could give back: an estimate from counts alone.

use std::sync::atomic::Ordering;

use sutra_layout::adjacency::UNIT_SIZE;
use sutra_layout::geometry::Region;
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::slot::Slot;

use super::find::{Before, horizon_of};
use crate::error::CoordinatorError;
use crate::image::Image;

/// Bytes of both entries of an association in the lists of its ends.
const ENTRIES_SIZE: u64 = 32;
/// Bytes of an index's segment.
const SEGMENT_SIZE: u64 = sutra_layout::index::INDEX.segment_words() * 8;

/// Bytes of version `now` of a file that a compaction with that horizon would leave out, about.
///
/// Versions before the horizon count as dead beyond one for each concept and association that
/// lives, with their share of the contents: exact where nothing was forgotten after the horizon.
/// Of an index, each split leaves a segment behind, so about half were ever given out for nothing.
/// What lists have outgrown is counted as it happens.
///
/// # Errors
/// Damage met while the horizon is looked for.
pub fn dead_size(image: &Image, now: &Slot, before: Before) -> Result<u64, CoordinatorError> {
    let view = image.view();
    let live_end = |region| image.live_end(region).load(Ordering::Relaxed);
    let split = |region| live_end(region).saturating_sub(1) / 2 * SEGMENT_SIZE;
    let of_lists = image.outgrown_units().load(Ordering::Relaxed).saturating_mul(UNIT_SIZE);
    let of_derived = split(Region::ID_SEGMENTS) + split(Region::EDGE_SEGMENTS) + of_lists;
    if before == Before::Nothing {
        return Ok(of_derived);
    }
    let horizon_lsn = horizon_of(view, now, before)?;
    let records = count_below(now.records, |at| Ok(view.record(at, now)?.lsn <= horizon_lsn))?;
    let edges = count_below(now.edges, |at| Ok(view.edge(at, now)?.lsn <= horizon_lsn))?;
    let records = records.saturating_sub(now.concepts_live);
    let edges = edges.saturating_sub(now.edges_live);
    let contents = match now.records {
        0 => 0,
        all => (u128::from(now.content_size) * u128::from(records) / u128::from(all)) as u64,
    };
    let mut rows = 0;
    for space in 0..VECTOR_SPACES_MAX.min(now.spaces_count as usize) {
        let stride = view.space(space)?.vector_shape().stride;
        rows += now.dead_rows[space] * (stride + 32);
    }
    // Rows die with versions: those after the horizon stay.
    let rows = if records == 0 { 0 } else { rows };
    let of_records = records * size_of::<sutra_layout::record::ConceptRecord>() as u64;
    let edge_size = size_of::<sutra_layout::edge::EdgeRecord>() as u64 + ENTRIES_SIZE;
    Ok(of_derived + of_records + edges * edge_size + contents + rows)
}

/// How many of `count` ordinals are below, which holds up to one of them and not from there on.
pub(super) fn count_below(
    count: u64,
    mut is_below: impl FnMut(u64) -> Result<bool, CoordinatorError>,
) -> Result<u64, CoordinatorError> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        match is_below(middle)? {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}
