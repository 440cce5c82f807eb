//! What happened, in the order of the log.

use std::ops::Range;

use crate::association::Association;
use crate::concept::Concept;
use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// One change: a version of a concept or of an association that was written.
#[derive(Clone, Copy, Debug)]
pub struct Change<'s> {
    /// The log entry that made it.
    pub lsn: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The ordinal of the concept ([`Snapshot::concept`]) or, of an association, that of the version
    /// ([`Snapshot::association`]).
    pub ordinal: u32,
    version: Changed<'s>,
}

#[derive(Clone, Copy, Debug)]
enum Changed<'s> {
    Concept(Concept<'s>),
    Association(Association<'s>),
}

/// What happened to a concept or an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A concept came to be, for the first time or after it was forgotten.
    ConceptLearnt,
    /// It got another version, by being learnt again or reinforced.
    ConceptUpdated,
    /// It was forgotten.
    ConceptForgotten,
    /// An association came to be, for the first time or after it ended.
    Associated,
    /// It got another version.
    AssociationUpdated,
    /// It ended, by itself or with one of its concepts.
    Disassociated,
}

impl<'s> Change<'s> {
    /// The version of the concept that this change wrote; `None` for an association's.
    pub fn concept(&self) -> Option<Concept<'s>> {
        match self.version {
            Changed::Concept(concept) => Some(concept),
            Changed::Association(_) => None,
        }
    }

    /// The version of the association that this change wrote; `None` for a concept's.
    pub fn association(&self) -> Option<Association<'s>> {
        match self.version {
            Changed::Association(association) => Some(association),
            Changed::Concept(_) => None,
        }
    }
}

impl Snapshot {
    /// What was written after log entry `since_lsn` and is in this snapshot, by ascending LSN.
    ///
    /// Of one log entry, its concepts come first and then its associations, each in the order of
    /// its operations. So whoever takes over the changes since 0, concept by concept and association
    /// by association, has all that lives: of each one the last change counts. To go on later, give
    /// the [`Snapshot::published_lsn`] of this snapshot to the next. Nothing is written when a
    /// concept expires, nor by touching it.
    ///
    /// After a compaction, 0 still gives all that is there, and what was forgotten before its
    /// horizon is not told any more: so another LSN below the horizon is refused.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sutra_reader::{ChangeKind, Reader};
    ///
    /// let snapshot = Reader::open("knowledge")?.snapshot()?;
    /// for change in snapshot.changes(0)? {
    ///     let change = change?;
    ///     if let (ChangeKind::ConceptLearnt, Some(concept)) = (change.kind, change.concept()) {
    ///         println!("LSN {}: {}", change.lsn, concept.id()?);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn changes(&self, since_lsn: u64) -> Result<Changes<'_>, ReadError> {
        if since_lsn > 0 {
            self.check_history(since_lsn)?;
        }
        let starts = || Ok((self.records_end(since_lsn)?, self.edges_end(since_lsn)?));
        let (record, edge) = starts().map_err(|damage| self.damaged(damage))?;
        let slot = self.slot();
        Ok(Changes {
            snapshot: self,
            records: record..slot.records,
            edges: edge..slot.edges,
            next_concept: None,
            next_association: None,
        })
    }
}

/// The changes of a snapshot; see [`Snapshot::changes`]. It ends after damage.
#[derive(Debug)]
pub struct Changes<'s> {
    snapshot: &'s Snapshot,
    records: Range<u64>,
    edges: Range<u64>,
    next_concept: Option<Change<'s>>,
    next_association: Option<Change<'s>>,
}

impl<'s> Changes<'s> {
    fn advance(&mut self) -> Result<Option<Change<'s>>, ReadError> {
        if self.next_concept.is_none() {
            let record = self.records.next();
            self.next_concept = record.map(|record| self.concept_change(record)).transpose()?;
        }
        if self.next_association.is_none() {
            let edge = self.edges.next();
            self.next_association = edge.map(|edge| self.association_change(edge)).transpose()?;
        }
        let is_concept = match (&self.next_concept, &self.next_association) {
            (Some(concept), Some(association)) => concept.lsn <= association.lsn,
            (concept, _) => concept.is_some(),
        };
        let next = if is_concept { &mut self.next_concept } else { &mut self.next_association };
        Ok(next.take())
    }

    fn concept_change(&self, record: u64) -> Result<Change<'s>, ReadError> {
        let snapshot = self.snapshot;
        let (view, slot) = (snapshot.view(), snapshot.slot());
        let read = |record| view.record(record, slot).map_err(|damage| snapshot.damaged(damage));
        let found = read(record)?;
        let was_there = match found.previous.checked_sub(1) {
            Some(previous) => !read(previous)?.is_tombstone(),
            None => false,
        };
        let kind = match (found.is_tombstone(), was_there) {
            (true, _) => ChangeKind::ConceptForgotten,
            (false, true) => ChangeKind::ConceptUpdated,
            (false, false) => ChangeKind::ConceptLearnt,
        };
        let version = Changed::Concept(Concept::new(snapshot, found)?);
        Ok(Change { lsn: found.lsn, kind, ordinal: found.concept_ordinal, version })
    }

    fn association_change(&self, edge: u64) -> Result<Change<'s>, ReadError> {
        let ordinal = edge as u32; // below the snapshot's count, which fits
        let found = self.snapshot.association(ordinal)?;
        let was_there = match found.previous() {
            Some(previous) => !self.snapshot.association(previous)?.is_tombstone(),
            None => false,
        };
        let kind = match (found.is_tombstone(), was_there) {
            (true, _) => ChangeKind::Disassociated,
            (false, true) => ChangeKind::AssociationUpdated,
            (false, false) => ChangeKind::Associated,
        };
        Ok(Change { lsn: found.lsn(), kind, ordinal, version: Changed::Association(found) })
    }
}

impl<'s> Iterator for Changes<'s> {
    type Item = Result<Change<'s>, ReadError>;

    fn next(&mut self) -> Option<Result<Change<'s>, ReadError>> {
        let change = self.advance();
        if change.is_err() {
            (self.records, self.edges) = (0..0, 0..0);
            (self.next_concept, self.next_association) = (None, None);
        }
        change.transpose()
    }
}
