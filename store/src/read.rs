//! Reading: each call takes the newest snapshot and keeps it beside its answer.

use std::ops::Deref;

use sutra_client::WriterStats;
use sutra_layout::id::Id;
use sutra_reader::{
    Concept, Hit, Namespaces, NearestQuery, Neighbor, NeighborQuery, Path, PathQuery, ReadError,
    SearchHit, SearchQuery, Snapshot, SnapshotStats,
};

use crate::error::StoreError;
use crate::store::Store;

/// A concept, and the snapshot in which it lies; also after later writes, and after the store is
/// closed.
#[derive(Clone, Debug)]
pub struct Held {
    snapshot: Snapshot,
    ordinal: u32,
}

impl Held {
    /// The concept of that ordinal in a snapshot.
    pub fn new(snapshot: Snapshot, ordinal: u32) -> Held {
        Held { snapshot, ordinal }
    }

    /// The concept, borrowed where it lies.
    ///
    /// # Errors
    /// Damage, met since it was found.
    pub fn concept(&self) -> Result<Concept<'_>, StoreError> {
        let found = self.snapshot.concept(self.ordinal)?;
        found.ok_or_else(|| StoreError::UnknownConcept { id: format!("#{}", self.ordinal) })
    }

    /// The snapshot in which it lies.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// An answer, and the snapshot whose ordinals it names.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    snapshot: Snapshot,
    answer: T,
}

impl<T> Seen<T> {
    /// The snapshot that was asked.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl<T> Deref for Seen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.answer
    }
}

/// A store in figures.
#[derive(Clone, Debug)]
pub struct StoreStats {
    /// What a reader sees.
    pub snapshot: SnapshotStats,
    /// What the coordinator says; `None` if nobody writes and this process may not.
    pub writer: Option<WriterStats>,
    /// Whether this process hosts the coordinator.
    pub is_host: bool,
}

impl Store {
    /// The concept with that id, in the handle's namespace.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get<'i>(&self, id: impl Into<Id<'i>>) -> Result<Option<Held>, StoreError> {
        let snapshot = self.snapshot()?;
        let found = snapshot.get_in(&self.options.namespace, id)?;
        let ordinal = found.map(|concept| concept.ordinal());
        Ok(ordinal.map(|ordinal| Held { snapshot, ordinal }))
    }

    /// The concepts with those ids, in one snapshot; each at the place of its id.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get_many<'i>(
        &self,
        ids: impl IntoIterator<Item = Id<'i>>,
    ) -> Result<Vec<Option<Held>>, StoreError> {
        let snapshot = self.snapshot()?;
        let found = snapshot.get_many_in(&self.options.namespace, ids)?;
        let hold = |concept: Concept<'_>| Held::new(snapshot.clone(), concept.ordinal());
        Ok(found.into_iter().map(|concept| concept.map(hold)).collect())
    }

    /// Whether there is a concept with that id.
    ///
    /// # Errors
    /// Those of reading.
    pub fn contains<'i>(&self, id: impl Into<Id<'i>>) -> Result<bool, StoreError> {
        Ok(self.snapshot()?.get_in(&self.options.namespace, id)?.is_some())
    }

    /// The neighbors of a concept.
    ///
    /// # Errors
    /// [`StoreError::UnknownConcept`], and those of reading.
    pub fn neighbors<'i>(
        &self,
        id: impl Into<Id<'i>>,
        query: &NeighborQuery<'_>,
    ) -> Result<Seen<Vec<Neighbor>>, StoreError> {
        self.seen(|snapshot| Ok(snapshot.neighbors(&self.known(snapshot, id.into())?, query)?))
    }

    /// A shortest path between two concepts, if there is one.
    ///
    /// # Errors
    /// [`StoreError::UnknownConcept`], and those of reading.
    pub fn find_path<'i>(
        &self,
        from: impl Into<Id<'i>>,
        to: impl Into<Id<'i>>,
        query: &PathQuery<'_>,
    ) -> Result<Seen<Option<Path>>, StoreError> {
        self.seen(|snapshot| {
            let from = self.known(snapshot, from.into())?;
            let to = self.known(snapshot, to.into())?;
            Ok(snapshot.find_path(&from, &to, query)?)
        })
    }

    /// The concepts whose vectors are nearest to `vector`; in the handle's namespace, unless the
    /// query names others.
    ///
    /// # Errors
    /// Those of reading.
    pub fn nearest(
        &self,
        vector: &[f32],
        query: &NearestQuery<'_>,
    ) -> Result<Seen<Vec<Hit>>, StoreError> {
        let query = NearestQuery { namespaces: self.own(query.namespaces), ..*query };
        self.seen(|snapshot| Ok(snapshot.nearest(vector, &query)?))
    }

    /// The concepts whose content has all the words of `text`, likewise.
    ///
    /// # Errors
    /// Those of reading.
    pub fn search(
        &self,
        text: &str,
        query: &SearchQuery<'_>,
    ) -> Result<Seen<Vec<SearchHit>>, StoreError> {
        let query = SearchQuery { namespaces: self.own(query.namespaces), ..*query };
        self.seen(|snapshot| Ok(snapshot.search(text, &query)?))
    }

    /// The store in figures.
    ///
    /// # Errors
    /// Those of reading, and of the coordinator if there should be one.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let writer = self.writer_stats()?;
        let snapshot = self.snapshot()?.stats();
        Ok(StoreStats { snapshot, writer, is_host: self.is_host()? })
    }

    fn seen<T>(
        &self,
        ask: impl FnOnce(&Snapshot) -> Result<T, StoreError>,
    ) -> Result<Seen<T>, StoreError> {
        let snapshot = self.snapshot()?;
        let answer = ask(&snapshot)?;
        Ok(Seen { snapshot, answer })
    }

    fn known<'s>(&self, snapshot: &'s Snapshot, id: Id<'_>) -> Result<Concept<'s>, StoreError> {
        let found: Result<_, ReadError> = snapshot.get_in(&self.options.namespace, id);
        found?.ok_or_else(|| StoreError::UnknownConcept { id: id.to_string() })
    }

    /// The handle's namespace, where a query says nothing else.
    fn own<'q>(&'q self, asked: Namespaces<'q>) -> Namespaces<'q> {
        match asked == Namespaces::default() {
            true => Namespaces::One(&self.options.namespace),
            false => asked,
        }
    }
}
