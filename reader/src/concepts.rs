//! All concepts of a snapshot, one after the other.

use std::ops::Range;

use sutra_layout::Damage;

use crate::concept::Concept;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::names::{Namespaces, Scope};
use crate::snapshot::Snapshot;

/// Which concepts are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConceptQuery<'q> {
    /// Concepts to keep; `None`: all.
    pub filter: Option<&'q Filter>,
    /// The namespaces that are looked into; by default the one without a name.
    pub namespaces: Namespaces<'q>,
}

impl Snapshot {
    /// The concepts of the default namespace, by ascending ordinal.
    pub fn concepts(&self) -> Concepts<'_> {
        self.concepts_where(&ConceptQuery::default())
    }

    /// The concepts asked for, by ascending ordinal.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sutra_reader::{ConceptQuery, Filter, Namespaces, Reader};
    ///
    /// let snapshot = Reader::open("knowledge")?.snapshot()?;
    /// let sure = Filter::parse("confidence >= 0.9 and exists meta.source")?;
    /// let query = ConceptQuery { filter: Some(&sure), namespaces: Namespaces::All };
    /// for concept in snapshot.concepts_where(&query) {
    ///     println!("{}", concept?.id()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn concepts_where<'s>(&'s self, query: &ConceptQuery<'s>) -> Concepts<'s> {
        let scope = self.scope(query.namespaces);
        let end = if scope == Scope::Nothing { 0 } else { self.slot().concepts };
        Concepts {
            snapshot: self,
            ordinals: 0..end,
            scope,
            filter: query.filter,
            damage_left: DAMAGE_BUDGET,
        }
    }
}

/// Damaged concepts that an iteration reports before it ends.
const DAMAGE_BUDGET: u32 = 1000;

/// Concepts of a snapshot, by ascending ordinal. After damage it goes on with the next concept, up
/// to a thousand times.
#[derive(Debug)]
pub struct Concepts<'s> {
    snapshot: &'s Snapshot,
    ordinals: Range<u64>,
    scope: Scope,
    filter: Option<&'s Filter>,
    damage_left: u32,
}

impl<'s> Concepts<'s> {
    fn read(&self, ordinal: u32) -> Result<Option<Concept<'s>>, Damage> {
        let record = self.snapshot.present_record(ordinal)?;
        let Some(record) = record.filter(|record| self.scope.takes(record)) else {
            return Ok(None);
        };
        if let Some(filter) = self.filter
            && !filter.takes(self.snapshot, record)?
        {
            return Ok(None);
        }
        Ok(Some(Concept::of_checked(self.snapshot, record)))
    }
}

impl<'s> Iterator for Concepts<'s> {
    type Item = Result<Concept<'s>, ReadError>;

    fn next(&mut self) -> Option<Result<Concept<'s>, ReadError>> {
        while let Some(ordinal) = self.ordinals.next() {
            match self.read(ordinal as u32) {
                Ok(None) => {}
                Ok(Some(concept)) => return Some(Ok(concept)),
                Err(damage) => {
                    self.damage_left -= 1;
                    if self.damage_left == 0 {
                        self.ordinals = 0..0;
                    }
                    return Some(Err(self.snapshot.damaged(damage)));
                }
            }
        }
        None
    }
}
