//! Making every derived region anew from truth: after a loss of power the system may have written
//! any of their pages and not others.
//!
//! Truth is checked on the way, record by record, up to the durable slot's counts. What does not
//! hold is damage, and named; nothing is repaired here.

use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, fallocate};
use sutra_layout::Damage;
use sutra_layout::column::{IN_HEAD, NEWEST, OUT_HEAD};
use sutra_layout::directory::{check_all, decode, word_offset};
use sutra_layout::geometry::{EXTENTS_MAX, HEADER_SIZE, Region};
use sutra_layout::view::View;

use crate::apply::{Roots, Writer};
use crate::error::CoordinatorError;
use crate::image::Image;

/// Sets every derived region back to zeros, and forgets what was given out of it. Space that no
/// extent has is cleared too: a loss of power may have kept bytes of an extent and not its word in
/// the directory, and whoever is placed there next counts on zeros.
pub fn clear_derived(view: &View) -> Result<(), CoordinatorError> {
    let word =
        |region, extent| view.header_word(word_offset(region, extent)).load(Ordering::Relaxed);
    let placed = check_all(word, |region| view.shape(region))?;
    let end = placed.last().map_or(HEADER_SIZE, |extent| extent.offset + extent.size);
    clear(view, end, view.map().size().saturating_sub(end))?;
    for number in (0..Region::KNOWN_END).filter(|number| Region(*number).is_derived()) {
        let region = Region(number);
        // What holds of a graph is kept, and its end found: see `index::recover`.
        if !region.is_of_graph() {
            clear_from(view, region, 0)?;
        }
        let end = sutra_layout::geometry::LIVE_ENDS_OFFSET + region.index() as u64 * 8;
        view.header_word(end).store(0, Ordering::Relaxed);
    }
    Ok(())
}

/// Sets the units of a region from `unit` on back to zeros.
pub fn clear_from(view: &View, region: Region, unit: u64) -> Result<(), CoordinatorError> {
    let Some(shape) = view.shape(region) else { return Ok(()) };
    for extent in 0..EXTENTS_MAX {
        let word = view.header_word(word_offset(region, extent)).load(Ordering::Relaxed);
        let Some(start) = decode(region, extent, word)? else {
            continue;
        };
        let kept = unit.saturating_sub(shape.extent_start(extent)) * shape.stride;
        let size = shape.extent_size(extent);
        let kept = kept.min(size);
        clear(view, start + kept, size - kept)?;
    }
    Ok(())
}

/// Sets bytes back to zeros. No reader holds a reference into them: the file's run mark is of no
/// living boot.
fn clear(view: &View, offset: u64, size: u64) -> Result<(), CoordinatorError> {
    if size == 0 {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(view.map().file(), flags, offset, size)
        .map_err(|errno| CoordinatorError::io("space could not be cleared")(errno.into()))
}
/// Called after every [`PACE`] things that are looked at or copied: an error ends the work.
pub type Pace<'a> = &'a mut dyn FnMut() -> Result<(), CoordinatorError>;

/// Things between two calls of a [`Pace`].
pub const PACE: u64 = 4096;

impl Writer {
    /// Fills index, columns and adjacency from the records and edges of `self.now`.
    ///
    /// # Errors
    /// Damage; [`CoordinatorError::StorageFull`]; that of `pace`.
    pub fn rebuild_derived(&mut self, pace: Pace<'_>) -> Result<(), CoordinatorError> {
        self.roots = Roots::default();
        self.check_vectors(pace)?;
        self.rebuild_records(pace)?;
        self.rebuild_edges(pace)?;
        self.recover_graphs(pace)?;
        self.now.id_index_depth = self.roots.ids.depth.into();
        self.now.edge_index_depth = self.roots.edges.depth.into();
        Ok(())
    }

    /// Rows and their columns are as they were written, and the columns name what there is.
    fn check_vectors(&self, pace: Pace<'_>) -> Result<(), CoordinatorError> {
        let (view, slot) = (self.image.view(), &self.now);
        for space in 0..slot.spaces_count as usize {
            for row in 0..slot.spaces[space].count {
                if row.is_multiple_of(PACE) {
                    pace()?;
                }
                let column = view.vector_column(space, row, slot)?;
                check(row, "a vector column's checksum", column.is_whole())?;
                let vector = view.vector(space, row, slot)?;
                check(row, "a vector's checksum", column.matches(vector))?;
                check(row, "a vector's owner", u64::from(column.owner) < slot.concepts)?;
                let counts = slot.spaces.iter().map(|space| space.count);
                let mut rows = column.rows.iter().zip(counts);
                let is_there = rows.all(|(row, count)| u64::from(*row) <= count);
                check(row, "the rows of a vector's owner", is_there)?;
            }
        }
        Ok(())
    }

    fn rebuild_records(&mut self, pace: Pace<'_>) -> Result<(), CoordinatorError> {
        let image = self.image.clone();
        let slot = self.now;
        let mut concepts = 0;
        for ordinal in 0..slot.records {
            if ordinal.is_multiple_of(PACE) {
                pace()?;
            }
            let record = image.view().record(ordinal, &slot)?;
            check(ordinal, "a record's checksum", record.is_whole())?;
            check(ordinal, "the record before a record", record.previous <= ordinal)?;
            check(ordinal, "a record's concept", u64::from(record.concept_ordinal) <= concepts)?;
            concepts = concepts.max(u64::from(record.concept_ordinal) + 1);
            check_blob(&image, record.content.get(), &slot)?;
            for blob in [record.metadata.get(), record.name.get()].into_iter().filter(|at| *at != 0)
            {
                check_blob(&image, blob - 1, &slot)?;
            }
            image.ensure(Region::COLUMNS, concepts)?;
            let column = image.view().columns(record.concept_ordinal)?;
            column[NEWEST].store(ordinal + 1, Ordering::Release);
            self.index_record(ordinal, record.namespace, &record.id)?;
        }
        check(slot.records, "the number of concepts", concepts == slot.concepts)
    }

    /// Places each list as large as it will be: lists that grow entry by entry leave as much space
    /// behind as they take in the end, and lie where chance has put them.
    fn place_lists(&mut self, pace: Pace<'_>) -> Result<(), CoordinatorError> {
        let (image, slot) = (self.image.clone(), self.now);
        let mut counts = vec![[0u32; 2]; slot.concepts as usize];
        for ordinal in 0..slot.edges {
            if ordinal.is_multiple_of(PACE) {
                pace()?;
            }
            let edge = image.view().edge(ordinal, &slot)?;
            if edge.is_tombstone() {
                continue;
            }
            // What is damaged is named below.
            for (end, list) in [(edge.source, 0), (edge.target, 1)] {
                if let Some(counts) = counts.get_mut(end as usize) {
                    counts[list] += 1;
                }
            }
        }
        for (concept, counts) in (0..).zip(counts) {
            for (head, count) in [(OUT_HEAD, counts[0]), (IN_HEAD, counts[1])] {
                if count > 0 {
                    self.place_list(concept, head, count)?;
                }
            }
        }
        Ok(())
    }

    fn rebuild_edges(&mut self, pace: Pace<'_>) -> Result<(), CoordinatorError> {
        let image = self.image.clone();
        let slot = self.now;
        image.outgrown_units().store(0, Ordering::Relaxed);
        self.place_lists(pace)?;
        for ordinal in 0..slot.edges {
            if ordinal.is_multiple_of(PACE) {
                pace()?;
            }
            let edge = image.view().edge(ordinal, &slot)?;
            check(ordinal, "an edge's checksum", edge.is_whole())?;
            check(ordinal, "the edge before an edge", u64::from(edge.previous) <= ordinal)?;
            check(
                ordinal,
                "an edge's ends",
                u64::from(edge.source.max(edge.target)) < slot.concepts,
            )?;
            if let Some(properties) = edge.properties.get().checked_sub(1) {
                check_blob(&image, properties, &slot)?;
            }
            let number = ordinal as u32;
            self.index_edge(number, (edge.source, edge.target, edge.edge_type))?;
            if !edge.is_tombstone() {
                self.link(number, edge)?;
            }
            if let Some(older) = edge.previous.checked_sub(1) {
                self.end_entry(edge.source, OUT_HEAD, older, number)?;
                self.end_entry(edge.target, IN_HEAD, older, number)?;
            }
        }
        Ok(())
    }
}

fn check_blob(
    image: &Image,
    at: u64,
    slot: &sutra_layout::slot::Slot,
) -> Result<(), CoordinatorError> {
    let (head, bytes) = image.view().blob_with_head(at, slot)?;
    check(at, "a blob's checksum", head.matches(bytes))
}

fn check(ordinal: u64, what: &'static str, holds: bool) -> Result<(), CoordinatorError> {
    if holds {
        return Ok(());
    }
    Err(Damage::new(0, what, ordinal, "one that holds, at this ordinal").into())
}
