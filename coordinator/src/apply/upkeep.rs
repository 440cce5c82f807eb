//! Reinforcing and touching, which happen often and must cost little.
//!
//! Reinforcements gather in memory, and become one version of each concept when a *settling* entry
//! of the log says so; one precedes every publication. So however many there were, a publication
//! has one version, and the same log still gives the same truth.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use sutra_client::protocol::{Reinforce, Touch};
use sutra_layout::access::{self, ACCESS_WORDS, LAST_ACCESS, STATE};
use sutra_layout::geometry::Region;
use sutra_layout::lookup::{find_concept, newest_record};
use sutra_layout::record::ConceptRecord;
use sutra_layout::symbol::SymbolTable;

use super::{Context, Writer};
use crate::error::CoordinatorError;

/// What a concept's next version will say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reinforced {
    /// Its strength.
    pub strength: f32,
    /// Its confidence.
    pub confidence: f32,
    /// The log entry of the last reinforcement.
    pub lsn: u64,
    author: u32,
}

/// What waits for the next settling, and for the end of an entry.
#[derive(Debug, Default)]
pub struct Gathered {
    /// By concept ordinal.
    reinforced: BTreeMap<u32, Reinforced>,
    /// Count and last access by concept ordinal.
    touched: BTreeMap<u32, (u64, u64)>,
}

impl Gathered {
    /// Concepts that wait for their version.
    pub fn len(&self) -> usize {
        self.reinforced.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.reinforced.is_empty()
    }

    /// What waits for a concept.
    pub fn get(&self, concept: u32) -> Option<&Reinforced> {
        self.reinforced.get(&concept)
    }

    /// The concept gets a version by other means, or none.
    pub(super) fn take(&mut self, concept: u32) -> Option<Reinforced> {
        self.reinforced.remove(&concept)
    }
}

impl Writer {
    pub(super) fn reinforce(
        &mut self,
        context: Context,
        namespace: &str,
        reinforce: &Reinforce<'_>,
    ) -> Result<(), CoordinatorError> {
        let Some(record) = self.live_record(namespace, &reinforce.id)? else { return Ok(()) };
        let entry = self.gathered.reinforced.entry(record.concept_ordinal);
        let now = entry.or_insert(Reinforced {
            strength: record.strength,
            confidence: record.confidence,
            lsn: context.lsn,
            author: context.author,
        });
        now.strength = moved(now.strength, reinforce.strength);
        now.confidence = moved(now.confidence, reinforce.confidence);
        (now.lsn, now.author) = (context.lsn, context.author);
        Ok(())
    }

    pub(super) fn touch(
        &mut self,
        context: Context,
        namespace: &str,
        touch: &Touch<'_>,
    ) -> Result<(), CoordinatorError> {
        let Some(record) = self.live_record(namespace, &touch.id)? else { return Ok(()) };
        let (count, last) = self.gathered.touched.entry(record.concept_ordinal).or_default();
        *count += u64::from(touch.count);
        *last = (*last).max(touch.at.unwrap_or(context.time));
        Ok(())
    }

    /// Stores what the entry's touches add up to, unless that was done before.
    pub(super) fn store_touched(&mut self, lsn: u64) -> Result<(), CoordinatorError> {
        let has_touches = !self.gathered.touched.is_empty();
        while let Some((concept, (count, last))) = self.gathered.touched.pop_first() {
            self.image.ensure(Region::ACCESS, u64::from(concept) + 1)?;
            let words = self.image.view().words(Region::ACCESS, concept.into(), ACCESS_WORDS)?;
            let state = words[STATE].load(Ordering::Relaxed);
            if access::lsn_of(state) >= lsn {
                continue; // applied before a kill
            }
            let next = access::next_state(state, lsn);
            let counted = words[access::count_word(state)].load(Ordering::Relaxed);
            let last = words[LAST_ACCESS].load(Ordering::Relaxed).max(last);
            let count = counted.saturating_add(count);
            words[access::count_word(next)].store(count, Ordering::Relaxed);
            words[LAST_ACCESS].store(last, Ordering::Relaxed);
            words[STATE].store(next, Ordering::Release);
        }
        if has_touches {
            self.image.note_touches();
        }
        Ok(())
    }

    /// Gives every concept that was reinforced its version.
    pub(super) fn settle(&mut self, lsn: u64, time: u64) -> Result<(), CoordinatorError> {
        while let Some((concept, reinforced)) = self.gathered.reinforced.pop_first() {
            let found = newest_record(self.image.view(), &self.now, concept)?;
            let Some((ordinal, old)) = found else { continue };
            let old = *old;
            let context = Context { lsn, time, author: reinforced.author };
            let mut record = self.next_version(context, ordinal, &old)?;
            (record.strength, record.confidence) = (reinforced.strength, reinforced.confidence);
            self.append_record(record)?;
        }
        Ok(())
    }

    fn live_record(
        &self,
        namespace: &str,
        id: &sutra_layout::id::Id<'_>,
    ) -> Result<Option<ConceptRecord>, CoordinatorError> {
        let Some(number) = self.symbols.number(SymbolTable::Namespace, namespace) else {
            return Ok(None);
        };
        let found = find_concept(self.image.view(), &self.now, number, &id.key(namespace, ""))?;
        Ok(found.map(|(_, record)| *record).filter(|record| !record.is_tombstone()))
    }
}

fn moved(value: f32, step: Option<f32>) -> f32 {
    (value + step.unwrap_or(0.0)).clamp(0.0, 1.0)
}
