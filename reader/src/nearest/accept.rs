//! Which rows count in a snapshot, for a query.

use sutra_layout::Damage;

use super::NearestQuery;
use crate::concept::Concept;
use crate::names::Scope;
use crate::snapshot::Snapshot;

/// What a row is held against.
pub(super) struct Accept<'s> {
    snapshot: &'s Snapshot,
    query: &'s NearestQuery<'s>,
    scope: Scope,
    /// The concepts to look among, a bit each.
    among: Option<Box<[u64]>>,
    /// Whether a row counts by what its node says alone.
    looks_at_records: bool,
}

impl<'s> Accept<'s> {
    pub(super) fn new(snapshot: &'s Snapshot, query: &'s NearestQuery<'s>) -> Accept<'s> {
        let slot = snapshot.slot();
        let scope = snapshot.scope(query.namespaces);
        let takes_all = match scope {
            Scope::All => true,
            // While no namespace has a name, all concepts are in the one without.
            Scope::One(number) => number == 0 && !snapshot.has_named_namespaces(),
            Scope::Nothing => false,
        };
        let looks_at_records = !takes_all
            || query.filter.is_some()
            || query.among.is_some()
            || query.predicate.is_some()
            || slot.records_expiring > 0
            || snapshot.is_as_of(); // which has later rows too
        let among = query.among.map(|among| {
            let mut bits = vec![0u64; slot.concepts.div_ceil(64) as usize];
            for ordinal in among.iter().map(|ordinal| *ordinal as usize) {
                if let Some(word) = bits.get_mut(ordinal / 64) {
                    *word |= 1 << (ordinal % 64);
                }
            }
            bits.into_boxed_slice()
        });
        Accept { snapshot, query, scope, among, looks_at_records }
    }

    /// Whether no row can count.
    pub(super) fn is_nothing(&self) -> bool {
        self.scope == Scope::Nothing
    }

    /// Whether more than a row's node must be looked at.
    pub(super) fn looks_at_records(&self) -> bool {
        self.looks_at_records
    }

    /// Whether a row counts whose node says that it is over since record `superseded_at - 1`; 0: that
    /// it is not.
    #[inline(always)]
    pub(super) fn takes(&self, row: u32, superseded_at: u64) -> Result<bool, Damage> {
        if superseded_at != 0 && superseded_at <= self.snapshot.slot().records {
            return Ok(false);
        }
        if !self.looks_at_records {
            return Ok(true);
        }
        let (view, slot) = (self.snapshot.view(), self.snapshot.slot());
        let owner = view.vector_column(self.query.space, row.into(), slot)?.owner;
        self.takes_owned(row, owner)
    }

    /// Whether a row counts that is its owner's.
    #[inline(never)]
    pub(super) fn takes_owned(&self, row: u32, owner: u32) -> Result<bool, Damage> {
        let snapshot = self.snapshot;
        // A store as it was has later rows too, of concepts that it does not have.
        let newest = snapshot.as_of_state().map_or(snapshot.slot(), |as_of| &as_of.newest);
        let concepts = newest.concepts;
        if u64::from(owner) >= concepts {
            let expected = format!("below {concepts}");
            return Err(Damage::new(0, "the owner of a vector", owner.into(), expected));
        }
        if let Some(among) = &self.among {
            let word = among.get(owner as usize / 64).copied().unwrap_or(0);
            if word & 1 << (owner % 64) == 0 {
                return Ok(false);
            }
        }
        let record = snapshot.present_record(owner)?;
        let Some(record) = record.filter(|record| self.scope.takes(record)) else {
            return Ok(false);
        };
        let current = snapshot.view().row_of(record, self.query.space, snapshot.slot())?;
        if current != Some(row) {
            return Ok(false);
        }
        if let Some(filter) = self.query.filter
            && !filter.takes(snapshot, record)?
        {
            return Ok(false);
        }
        let Some(predicate) = self.query.predicate else { return Ok(true) };
        Ok(predicate.0(&Concept::of_record(snapshot, record)?))
    }
}
