//! What the next generation leaves out, and what is done about what cannot be read.

use std::collections::HashMap;

use sutra_layout::Damage;
use sutra_layout::edge::EdgeRecord;
use sutra_layout::record::ConceptRecord;
use sutra_layout::slot::Slot;
use sutra_layout::view::View;

use crate::error::CoordinatorError;

/// What the next generation leaves out.
///
/// Of history before the horizon nothing stays but what lived at it: the newest version of each
/// concept and association of then. So the store can be read as of the horizon and anything after.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The log entry before which history is dropped; 0: all of it stays.
    pub horizon_lsn: u64,
    /// Forgotten concepts of which nothing is to stay, whenever it was written, by ordinal: with the
    /// record that says so. That one stays for those who follow the changes, and names the key alone.
    pub purged: HashMap<u32, u64>,
}

/// Something of the source that cannot be copied.
#[derive(Clone, Debug)]
pub struct Loss {
    /// What it is.
    pub what: &'static str,
    /// Its ordinal in the source; of a name, the byte from which on names cannot be read.
    pub ordinal: u64,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is done about a loss: an error ends the build, else the thing is left out.
pub type OnLoss<'a> = &'a mut dyn FnMut(Loss) -> Result<(), CoordinatorError>;

/// Nothing may be lost: for a file that is to take the place of a sound one.
///
/// # Errors
/// Always.
pub fn refuse(loss: Loss) -> Result<(), CoordinatorError> {
    tracing::error!(ordinal = loss.ordinal, "{} cannot be copied", loss.what);
    Err(loss.damage.into())
}

/// Which versions stay, by the order in which they were written.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    plan: &'a Plan,
    /// By concept: 1 + its newest record at the horizon; empty without a horizon.
    newest: Vec<u64>,
    /// By edge: a bit for those that another one at or before the horizon replaced or ended.
    replaced: Vec<u64>,
    /// The log entries in which purged concepts were forgotten.
    purged_at: HashMap<u32, u64>,
}

impl<'a> Kept<'a> {
    /// Looks through the history before the horizon. What cannot be read counts for nothing.
    pub fn new(plan: &'a Plan, source: &View, slot: &Slot) -> Kept<'a> {
        let purged_at = plan.purged.iter().filter_map(|(concept, record)| {
            Some((*concept, source.record(*record, slot).ok()?.lsn))
        });
        let purged_at = purged_at.collect();
        let mut kept = Kept { plan, newest: Vec::new(), replaced: Vec::new(), purged_at };
        if plan.horizon_lsn == 0 {
            return kept;
        }
        kept.newest = vec![0; slot.concepts as usize];
        for ordinal in 0..slot.records {
            let Some(record) = source.record(ordinal, slot).ok().filter(|r| r.is_whole()) else {
                continue;
            };
            if record.lsn > plan.horizon_lsn {
                break;
            }
            if let Some(newest) = kept.newest.get_mut(record.concept_ordinal as usize) {
                *newest = ordinal + 1;
            }
        }
        kept.replaced = vec![0; slot.edges.div_ceil(64) as usize];
        for ordinal in 0..slot.edges {
            let Some(edge) = source.edge(ordinal, slot).ok().filter(|e| e.is_whole()) else {
                continue;
            };
            if edge.lsn > plan.horizon_lsn {
                break;
            }
            if let Some(older) = u64::from(edge.previous).checked_sub(1).filter(|o| *o < ordinal) {
                kept.replaced[(older / 64) as usize] |= 1 << (older % 64);
            }
        }
        kept
    }

    /// Whether a record stays.
    pub fn keeps_record(&self, ordinal: u64, record: &ConceptRecord) -> bool {
        match self.plan.purged.get(&record.concept_ordinal) {
            Some(&tombstone) if ordinal < tombstone => return false,
            _ => {}
        }
        record.lsn > self.plan.horizon_lsn
            || (!record.is_tombstone()
                && self.newest.get(record.concept_ordinal as usize) == Some(&(ordinal + 1)))
    }

    /// Whether a record is the one that says of a purged concept that it was forgotten.
    pub fn is_purged(&self, ordinal: u64, record: &ConceptRecord) -> bool {
        self.plan.purged.get(&record.concept_ordinal) == Some(&ordinal)
    }

    /// Whether an edge stays.
    pub fn keeps_edge(&self, ordinal: u64, edge: &EdgeRecord) -> bool {
        let was_purged = |end| self.purged_at.get(&end).is_some_and(|lsn| edge.lsn <= *lsn);
        if !self.purged_at.is_empty() && (was_purged(edge.source) || was_purged(edge.target)) {
            return false;
        }
        if edge.lsn > self.plan.horizon_lsn {
            return true;
        }
        let word = self.replaced.get((ordinal / 64) as usize).copied().unwrap_or(0);
        !edge.is_tombstone() && word >> (ordinal % 64) & 1 == 0
    }
}
