//! From a key to the version that a snapshot sees. The reader looks with its slot, the coordinator
//! with the counts of what it has applied.

use std::sync::atomic::{Ordering, fence};

use crate::checksum::{edge_hash, id_hash};
use crate::column;
use crate::edge::EdgeRecord;
use crate::error::Damage;
use crate::index::{INDEX, find, guess};
use crate::record::ConceptRecord;
use crate::slot::Slot;
use crate::sync::AllFences;
use crate::version::{WALK_BUDGET, newest_below};
use crate::view::View;

/// The newest version in `slot` of the concept filed under (namespace, key), tombstones included,
/// and its ordinal.
#[inline]
pub fn find_concept<'a>(
    view: &'a View,
    slot: &Slot,
    namespace: u32,
    key: &[u8; 16],
) -> Result<Option<(u64, &'a ConceptRecord)>, Damage> {
    let hash = id_hash(view.superblock().hash_seed, namespace, key);
    find_hashed_concept(view, slot, hash, (namespace, key))
}

/// The same, where the hash is known already.
#[inline]
pub fn find_hashed_concept<'a>(
    view: &'a View,
    slot: &Slot,
    hash: u64,
    (namespace, key): (u32, &[u8; 16]),
) -> Result<Option<(u64, &'a ConceptRecord)>, Damage> {
    if slot.records == 0 {
        return Ok(None);
    }
    let mut steps_left = WALK_BUDGET;
    find(INDEX, &view.id_index(), AllFences, slot.id_index_depth as u32, hash, |ordinal| {
        let visible = visible_record(view, slot, ordinal, &mut steps_left)?;
        let Some(ordinal) = visible else {
            return Ok(None);
        };
        let record = view.record(ordinal, slot)?;
        let is_same = record.id == *key && record.namespace == namespace;
        Ok(is_same.then_some((ordinal, record)))
    })
}

/// Asks the processor for where [`find_concept`] begins to look for a key. The hash is what
/// [`prefetch_found`] takes once that has come.
#[inline(always)]
pub fn prefetch_concept(view: &View, slot: &Slot, namespace: u32, key: &[u8; 16]) -> u64 {
    let hash = id_hash(view.superblock().hash_seed, namespace, key);
    if slot.records > 0 {
        view.id_index().prefetch(slot.id_index_depth as u32, hash);
    }
    hash
}

/// Asks the processor for the version that a key of that hash is likely to lead to.
#[inline(always)]
pub fn prefetch_found(view: &View, slot: &Slot, hash: u64) {
    let depth = slot.id_index_depth as u32;
    if slot.records > 0
        && let Ok(Some(ordinal)) = guess(INDEX, &view.id_index(), AllFences, depth, hash)
    {
        view.prefetch_record(ordinal);
    }
}

/// Versions that a walk takes one by one before it looks for a shorter way.
const STEPS_BEFORE_SKIPS: u32 = 32;

/// The newest version at or before record `newest` that is in `slot`.
///
/// Above what is published by now, only `previous` may be loaded. Below it, and that is where most
/// of a long walk lies when the snapshot is an old one, records are final, and their skip pointers
/// make it logarithmic.
#[inline(always)]
fn visible_record(
    view: &View,
    slot: &Slot,
    newest: u64,
    steps_left: &mut u64,
) -> Result<Option<u64>, Damage> {
    if newest < slot.records {
        return Ok(Some(newest));
    }
    older_record(view, slot, newest, steps_left)
}

#[cold]
fn older_record(
    view: &View,
    slot: &Slot,
    newest: u64,
    steps_left: &mut u64,
) -> Result<Option<u64>, Damage> {
    let mut steps = 0;
    let mut published: Option<Slot> = None;
    newest_below(newest, slot.records, steps_left, |at| {
        steps += 1;
        if steps == STEPS_BEFORE_SKIPS {
            published = view.capture()?;
        }
        if let Some(published) = &published
            && at < published.records
            && let Some(skip) = view.record(at, published)?.skip.get().checked_sub(1)
            && skip >= slot.records
        {
            return Ok(skip + 1);
        }
        view.record_previous(at)
    })
}

/// The newest version in `slot` of the association (source, target, type), tombstones included, and
/// its ordinal.
pub fn find_edge<'a>(
    view: &'a View,
    slot: &Slot,
    (source, target, edge_type): (u32, u32, u16),
) -> Result<Option<(u32, &'a EdgeRecord)>, Damage> {
    if slot.edges == 0 {
        return Ok(None);
    }
    let mut steps_left = WALK_BUDGET;
    let hash = edge_hash(view.superblock().hash_seed, source, target, edge_type);
    find(INDEX, &view.edge_index(), AllFences, slot.edge_index_depth as u32, hash, |ordinal| {
        let previous_of = |at| view.edge_previous(at);
        let visible = newest_below(ordinal, slot.edges, &mut steps_left, previous_of)?;
        let Some(ordinal) = visible else {
            return Ok(None);
        };
        let edge = view.edge(ordinal, slot)?;
        let is_same = (edge.source, edge.target, edge.edge_type) == (source, target, edge_type);
        Ok(is_same.then_some((ordinal as u32, edge)))
    })
}

/// The newest version in `slot` of the concept with that ordinal, tombstones included, and its
/// record's ordinal; `None` if the concept came later.
#[inline]
pub fn newest_record<'a>(
    view: &'a View,
    slot: &Slot,
    concept_ordinal: u32,
) -> Result<Option<(u64, &'a ConceptRecord)>, Damage> {
    if u64::from(concept_ordinal) >= slot.concepts {
        return Ok(None);
    }
    let word = view.columns(concept_ordinal)?[column::NEWEST].load(Ordering::Relaxed);
    fence(Ordering::Acquire); // pairs with the release store of the column word
    let Some(newest) = word.checked_sub(1) else {
        let expected = "a record, as the concept is published";
        return Err(Damage::new(0, "a concept's newest record", word, expected));
    };
    let Some(ordinal) = visible_record(view, slot, newest, &mut { WALK_BUDGET })? else {
        return Ok(None);
    };
    let record = view.record(ordinal, slot)?;
    if record.concept_ordinal != concept_ordinal {
        let (found, expected) = (record.concept_ordinal.into(), concept_ordinal);
        return Err(Damage::new(0, "the concept of a record that a column names", found, expected));
    }
    Ok(Some((ordinal, record)))
}
