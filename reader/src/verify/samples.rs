//! Index roots, and a sample of records and edges held against all that is derived from them.

use std::sync::atomic::Ordering;

use sutra_layout::Damage;
use sutra_layout::adjacency::find_entry;
use sutra_layout::column::{IN_HEAD, OUT_HEAD};
use sutra_layout::index::{INDEX, IndexMemory};
use sutra_layout::index_view::IndexView;
use sutra_layout::lookup;
use sutra_layout::slot::Slot;

use super::problem_of;
use crate::file::StoreFile;

/// Places of one kind that are looked at, evenly spread.
const SAMPLES_MAX: u64 = 512;

/// Evenly spread numbers below `count`, the first and the last among them.
fn sample(count: u64) -> impl Iterator<Item = u64> {
    let samples = count.min(SAMPLES_MAX);
    (0..samples).map(move |n| match samples {
        1 => 0,
        _ => (u128::from(n) * u128::from(count - 1) / u128::from(samples - 1)) as u64,
    })
}

pub(super) fn index_roots(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let (id_depth, edge_depth) = (slot.id_index_depth, slot.edge_index_depth);
    if slot.records > 0 {
        index_root(file.view.id_index(), id_depth).map_err(problem_of)?;
    }
    if slot.edges > 0 {
        index_root(file.view.edge_index(), edge_depth).map_err(problem_of)?;
    }
    Ok(format!("id index of depth {id_depth}, edge index of depth {edge_depth}"))
}

/// Directory words name segments that are there.
fn index_root(index: IndexView<'_>, depth: u64) -> Result<(), Damage> {
    for at in sample(1 << depth) {
        let word = index.directory_word(at)?.load(Ordering::Relaxed);
        let segment = (word >> 8).checked_sub(1);
        let segment = segment.ok_or_else(|| index.damaged_directory(at, word))?;
        index.line(segment, INDEX.segment_lines - 1)?;
    }
    Ok(())
}

pub(super) fn concepts(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let mut count = 0;
    for ordinal in sample(slot.records) {
        concept(file, slot, ordinal)?;
        count += 1;
    }
    Ok(format!("{count} of {} records looked at", slot.records))
}

/// The record is whole, and its concept is found by ordinal and by key, at a version as new.
fn concept(file: &StoreFile, slot: &Slot, ordinal: u64) -> Result<(), String> {
    let view = &file.view;
    let record = view.record(ordinal, slot).map_err(problem_of)?;
    if !record.is_whole() {
        return Err(format!("record {ordinal} does not have its checksum"));
    }
    let newest = lookup::newest_record(view, slot, record.concept_ordinal).map_err(problem_of)?;
    let by_key =
        lookup::find_concept(view, slot, record.namespace, &record.id).map_err(problem_of)?;
    let found = [("concept columns", newest), ("id index", by_key)];
    for (place, found) in found {
        if found.is_none_or(|(newest, _)| newest < ordinal) {
            return Err(format!("record {ordinal} is not found through the {place}"));
        }
    }
    let blobs = [
        ("content", Some(record.content.get())),
        ("metadata", record.metadata.get().checked_sub(1)),
        ("name", record.name.get().checked_sub(1)),
    ];
    let is_bare = record.is_tombstone()
        || record.flags
            & (sutra_layout::record::ConceptRecord::PURGED
                | sutra_layout::record::ConceptRecord::PLACEHOLDER)
            != 0;
    if let Some(row) = record.vector.checked_sub(1) {
        vector(file, slot, record.space.into(), row.into())?;
    }
    for (what, offset) in blobs {
        if let Some(offset) = offset
            && !(is_bare && what == "content")
        {
            let (head, bytes) = view.blob_with_head(offset, slot).map_err(problem_of)?;
            if !head.matches(bytes) {
                return Err(format!("the {what} of record {ordinal} does not have its checksum"));
            }
        }
    }
    Ok(())
}

/// A row and its column are as they were written.
fn vector(file: &StoreFile, slot: &Slot, space: usize, row: u64) -> Result<(), String> {
    let column = file.view.vector_column(space, row, slot).map_err(problem_of)?;
    if !column.is_whole() {
        return Err(format!("the column of row {row} of space {space} does not have its checksum"));
    }
    if !column.matches(file.view.vector(space, row, slot).map_err(problem_of)?) {
        return Err(format!("row {row} of space {space} does not have its checksum"));
    }
    Ok(())
}

pub(super) fn associations(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let mut count = 0;
    for ordinal in sample(slot.edges) {
        association(file, slot, ordinal)?;
        count += 1;
    }
    Ok(format!("{count} of {} edges looked at", slot.edges))
}

/// The edge is whole, is found by its ends and type, and stands in the lists of both.
fn association(file: &StoreFile, slot: &Slot, ordinal: u64) -> Result<(), String> {
    let view = &file.view;
    let edge = view.edge(ordinal, slot).map_err(problem_of)?;
    if !edge.is_whole() {
        return Err(format!("edge {ordinal} does not have its checksum"));
    }
    let key = (edge.source, edge.target, edge.edge_type);
    let newest = lookup::find_edge(view, slot, key).map_err(problem_of)?;
    if newest.is_none_or(|(newest, _)| u64::from(newest) < ordinal) {
        return Err(format!("edge {ordinal} is not found through the edge index"));
    }
    if edge.is_tombstone() {
        return Ok(()); // it ended an entry and has none
    }
    for (list, end) in [(OUT_HEAD, edge.source), (IN_HEAD, edge.target)] {
        let head = view.columns(end).map_err(problem_of)?[list].load(Ordering::Relaxed);
        let entry = find_entry(view, head, ordinal as u32).map_err(problem_of)?;
        if entry.is_none() {
            return Err(format!("edge {ordinal} is not in the list of concept {end}"));
        }
    }
    Ok(())
}
