//! The versions of one concept or association, newest first.

use sutra_layout::Damage;
use sutra_layout::id::Id;
use sutra_layout::lookup;

use crate::association::Association;
use crate::concept::Concept;
use crate::error::ReadError;
use crate::snapshot::Snapshot;

impl Snapshot {
    /// The newest version of a concept, also if it says that the concept was forgotten
    /// ([`Concept::is_forgotten`]) or is expired; `None` if there never was such a concept.
    pub fn last_version<'i>(
        &self,
        namespace: &str,
        id: impl Into<Id<'i>>,
    ) -> Result<Option<Concept<'_>>, ReadError> {
        match self.namespace_number(namespace) {
            Some(number) => {
                let found = self.find_filed(number, namespace, id.into())?;
                found.map(|record| Concept::new(self, record)).transpose()
            }
            None => {
                id.into().check()?;
                Ok(None)
            }
        }
    }

    /// The newest version of the concept with that ordinal, likewise.
    pub fn last_version_of(&self, ordinal: u32) -> Result<Option<Concept<'_>>, ReadError> {
        let found = lookup::newest_record(self.view(), self.slot(), ordinal);
        let found = found.map_err(|damage| self.damaged(damage))?;
        found.map(|(_, record)| Concept::new(self, record)).transpose()
    }

    /// All versions of a concept that this snapshot has, newest first, whichever version is given.
    ///
    /// Those that say it was forgotten are among them. A version has its author
    /// ([`Concept::author`]), its time ([`Concept::updated_at`]) and its log entry
    /// ([`Concept::lsn`]). A compaction drops old ones.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let snapshot = sutra_reader::Reader::open("knowledge")?.snapshot()?;
    /// if let Some(wolf) = snapshot.last_version("", "wolf.n.01")? {
    ///     for version in snapshot.history(&wolf) {
    ///         let version = version?;
    ///         println!("{} at LSN {}", version.version(), version.lsn());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn history(&self, concept: &Concept<'_>) -> History<'_> {
        let ordinal = concept.ordinal();
        let newest = lookup::newest_record(self.view(), self.slot(), ordinal);
        let next = newest.map(|newest| newest.map_or(0, |(record, _)| record + 1));
        History { snapshot: self, ordinal, next: Some(next) }
    }

    /// The newest version of the association from one concept to another of that type, also if it
    /// says that the association ended ([`Association::is_tombstone`]).
    pub fn association_between(
        &self,
        source: u32,
        target: u32,
        edge_type: u16,
    ) -> Result<Option<Association<'_>>, ReadError> {
        let found = lookup::find_edge(self.view(), self.slot(), (source, target, edge_type));
        let found = found.map_err(|damage| self.damaged(damage))?;
        Ok(found.map(|(ordinal, record)| Association::new(self, ordinal, record)))
    }

    /// All versions of an association that this snapshot has, newest first, whichever version's
    /// ordinal is given. Those that say it ended are among them ([`Association::is_tombstone`]).
    pub fn association_history(&self, edge: u32) -> Result<AssociationHistory<'_>, ReadError> {
        let given = self.association(edge)?;
        let newest = self.association_between(given.source(), given.target(), given.edge_type())?;
        Ok(AssociationHistory { snapshot: self, next: newest.or(Some(given)) })
    }
}

/// The versions of a concept; see [`Snapshot::history`]. It ends after damage.
#[derive(Debug)]
pub struct History<'s> {
    snapshot: &'s Snapshot,
    ordinal: u32,
    /// 1 + the next record, 0: there is none; `None` when it has ended.
    next: Option<Result<u64, Damage>>,
}

impl<'s> History<'s> {
    fn read(&mut self, record: u64) -> Result<Concept<'s>, Damage> {
        let found = self.snapshot.view().record(record, self.snapshot.slot())?;
        if found.concept_ordinal != self.ordinal {
            let expected = format!("a version of concept {}", self.ordinal);
            let ordinal = found.concept_ordinal.into();
            return Err(Damage::new(0, "the version before", ordinal, expected));
        }
        check_older("a version's previous", found.previous, record)?;
        self.next = (found.previous > 0).then_some(Ok(found.previous));
        Ok(Concept::of_checked(self.snapshot, found))
    }
}

impl<'s> Iterator for History<'s> {
    type Item = Result<Concept<'s>, ReadError>;

    fn next(&mut self) -> Option<Result<Concept<'s>, ReadError>> {
        let version = match self.next.take()? {
            Ok(next) => self.read(next.checked_sub(1)?),
            Err(damage) => Err(damage),
        };
        Some(version.map_err(|damage| self.snapshot.damaged(damage)))
    }
}

/// The versions of an association; see [`Snapshot::association_history`]. It ends after damage.
#[derive(Debug)]
pub struct AssociationHistory<'s> {
    snapshot: &'s Snapshot,
    next: Option<Association<'s>>,
}

impl<'s> AssociationHistory<'s> {
    fn before(&self, version: &Association<'s>) -> Result<Option<Association<'s>>, ReadError> {
        let Some(previous) = version.previous() else { return Ok(None) };
        let damaged = |damage| self.snapshot.damaged(damage);
        let (at, what) = (u64::from(version.ordinal()), "an edge's previous");
        check_older(what, u64::from(previous) + 1, at).map_err(damaged)?;
        let before = self.snapshot.association(previous)?;
        if !before.is_of_same(version) {
            let expected = "an edge with the same ends and type";
            return Err(damaged(Damage::new(0, what, previous.into(), expected)));
        }
        Ok(Some(before))
    }
}

impl<'s> Iterator for AssociationHistory<'s> {
    type Item = Result<Association<'s>, ReadError>;

    fn next(&mut self) -> Option<Result<Association<'s>, ReadError>> {
        let version = self.next.take()?;
        match self.before(&version) {
            Ok(before) => {
                self.next = before;
                Some(Ok(version))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Checks that 1 + an ordinal is that of something before `at`, so that every walk ends.
fn check_older(what: &'static str, previous: u64, at: u64) -> Result<(), Damage> {
    if previous <= at {
        return Ok(());
    }
    Err(Damage::new(0, what, previous, format!("at most {at}")))
}
