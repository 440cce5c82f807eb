//! Which version of a damaged file is saved: the newest that any slot describes, or what is found by
//! counting.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;

use sutra_layout::geometry::{RING_OFFSET, Region, Shape};
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::ring::RING;
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::{SLOT_WORDS, Slot};
use sutra_layout::sys::clock;
use sutra_layout::view::View;

use super::loss::Losses;

/// A version to save.
pub(super) struct Found {
    pub(super) slot: Slot,
    /// The newest durable slot and its place, whose client table may be read.
    pub(super) place: Option<(usize, Slot)>,
    /// The highest number that any slot has.
    pub(super) highest_seq: u64,
}

/// The version of a file to save.
pub(super) fn version(view: &View, losses: &mut Losses) -> Found {
    let durable = view.durable_slots();
    let place = Slot::newest(&durable).map(|(place, slot)| (place, *slot));
    let ring: Vec<Slot> = (0..RING.slots).filter_map(|at| ring_slot(view, at)).collect();
    let newest_ring = ring.iter().max_by_key(|slot| slot.commit_seq).copied();
    let highest_seq = ring.iter().chain(place.iter().map(|(_, slot)| slot));
    let highest_seq = highest_seq.map(|slot| slot.commit_seq).max().unwrap_or(0);
    let slot = match (place, newest_ring) {
        // What was published since the checkpoint is in the system's cache, if that is still it.
        (Some((_, durable)), Some(published))
            if is_of_this_boot(view) && published.commit_seq > durable.commit_seq =>
        {
            published
        }
        (Some((_, durable)), _) => durable,
        (None, Some(published)) => {
            losses.note(
                "both durable slots are damaged: the newest published version is saved, as \
                         far as it was written to the disk",
            );
            published
        }
        (None, None) => {
            losses.note(
                "no slot is whole: what there is was found by counting, and how much there \
                         was is not known",
            );
            counted(view)
        }
    };
    Found { slot, place, highest_seq }
}

fn ring_slot(view: &View, at: u64) -> Option<Slot> {
    let words = SLOT_WORDS as u64;
    let slot = view.map().words(RING_OFFSET + at * words * 8, words)?;
    let slot = Slot::from_words(std::array::from_fn(|at| slot[at].load(Ordering::Relaxed)));
    (slot.is_whole() && slot.commit_seq > 0).then_some(slot)
}

fn is_of_this_boot(view: &View) -> bool {
    let mark: RunMark = view.run_mark();
    let stat = view.map().file().metadata();
    let (Ok(boot_id), Ok(stat)) = (clock::boot_id(), stat) else { return false };
    mark.flags & RunMark::POISONED == 0 && mark.is_of(boot_id, stat.dev(), stat.ino())
}

/// A slot made of what checks: as far as units with their checksum go.
fn counted(view: &View) -> Slot {
    let all = |region: Region| placed_units(view, region);
    let mut slot = Slot {
        commit_seq: 1,
        records: all(Region::RECORDS),
        edges: all(Region::EDGES),
        content_size: all(Region::CONTENT),
        symbols_size: all(Region::SYMBOLS),
        ..Slot::default()
    };
    let (mut records, mut edges) = (0, 0);
    for ordinal in 0..slot.records {
        if let Ok(record) = view.record(ordinal, &slot)
            && record.is_whole()
            && record.lsn > 0
        {
            records = ordinal + 1;
            slot.concepts = slot.concepts.max(u64::from(record.concept_ordinal) + 1);
            slot.published_lsn = slot.published_lsn.max(record.lsn);
        }
    }
    for ordinal in 0..slot.edges {
        if let Ok(edge) = view.edge(ordinal, &slot)
            && edge.is_whole()
            && edge.lsn > 0
        {
            edges = ordinal + 1;
            slot.published_lsn = slot.published_lsn.max(edge.lsn);
        }
    }
    (slot.records, slot.edges) = (records, edges);
    for space in 0..VECTOR_SPACES_MAX {
        if view.space(space).is_err() {
            break;
        }
        slot.spaces_count = space as u64 + 1;
        slot.spaces[space].count = all(Region::vectors(space));
        slot.spaces[space].count = (0..slot.spaces[space].count)
            .filter(|row| {
                let column = view.vector_column(space, *row, &slot);
                column.is_ok_and(|column| column.is_whole() && column.rows[space] != 0)
            })
            .max()
            .map_or(0, |last| last + 1);
    }
    // Of names and content the bounds are those of their extents: behind the last name there are
    // zeros, and content is what records and edges name.
    slot
}

/// Units that the extents of a region have room for, within the file.
fn placed_units(view: &View, region: Region) -> u64 {
    let Some(shape) = view.shape(region) else { return 0 };
    let mut units = 0;
    for extent in 0..sutra_layout::geometry::EXTENTS_MAX {
        let first = shape.extent_start(extent);
        let Ok(start) = view.locate(region, shape, first) else { continue };
        let left = view.map().size().saturating_sub(start) / shape.stride;
        units = first + left.min(Shape::extent_count(shape, extent));
    }
    units
}
