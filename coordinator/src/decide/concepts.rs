//! Decisions about concepts: learn, forget, reinforce, touch.

use sutra_client::protocol::{ErrorCode, Forget, LearnOp, Reinforce, Touch};
use sutra_layout::checksum::id_hash;
use sutra_layout::id::Id;
use sutra_layout::lookup::find_hashed_concept;
use sutra_layout::record::ConceptRecord;
use sutra_layout::symbol::SymbolTable;

use super::{ConceptKey, Decider, Place, Stop, check_conditions, refuse};
use crate::apply::{Found, Writer};

/// What the operations before one in the same frame made of a concept, or those of a frame before it
/// that is not applied yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFrame {
    /// The log entry of that frame.
    pub lsn: u64,
    /// It is there after them.
    pub is_there: bool,
    /// One of them forgot it, and with it every association that it had.
    pub was_forgotten: bool,
}

/// A concept as an operation meets it.
#[derive(Clone, Copy)]
pub(super) struct Met<'a> {
    /// Its newest record among what is applied, tombstones included.
    pub newest: Option<(u64, &'a ConceptRecord)>,
    /// What operations before in this frame made of it, if any did.
    in_frame: Option<InFrame>,
}

impl<'a> Met<'a> {
    /// Whether it is there for this operation.
    pub fn is_there(&self) -> bool {
        self.in_frame.map_or_else(|| self.applied().is_some(), |in_frame| in_frame.is_there)
    }

    /// Whether operations before in this frame made or forgot it.
    pub fn is_in_frame(&self) -> bool {
        self.in_frame.is_some()
    }

    /// Whether one of them forgot it: its associations among what is applied are over.
    pub fn was_forgotten(&self) -> bool {
        self.in_frame.is_some_and(|in_frame| in_frame.was_forgotten)
    }

    /// Its record among what is applied, unless it is forgotten there.
    pub fn applied(&self) -> Option<&'a ConceptRecord> {
        self.newest.map(|(_, record)| record).filter(|record| !record.is_tombstone())
    }
}

impl Decider {
    /// A concept of a namespace that has a number: in the store, or in this frame.
    pub(super) fn concept_key(
        &self,
        writer: &Writer,
        namespace: &str,
        key: &[u8; 16],
    ) -> Option<ConceptKey> {
        let known = writer.symbols.number(SymbolTable::Namespace, namespace);
        let namespace = known.or_else(|| self.namespaces.get(namespace).copied())?;
        let hash = id_hash(writer.image.view().superblock().hash_seed, namespace, key);
        Some(ConceptKey { hash, namespace, key: *key })
    }

    pub(super) fn meet<'a>(
        &self,
        place: Place<'a>,
        namespace: &str,
        key: &[u8; 16],
    ) -> Result<Met<'a>, Stop> {
        let writer = place.writer;
        let known = place.keys.iter().flatten().find(|known| known.key == *key).copied();
        let concept = known.or_else(|| self.concept_key(writer, namespace, key));
        let Some(concept) = concept else {
            return Ok(Met { newest: None, in_frame: None });
        };
        let in_frame = self.concepts.get(&concept).copied();
        if in_frame.is_some_and(|in_frame| in_frame.lsn != place.lsn) {
            return Err(Stop::Depends);
        }
        let view = writer.image.view();
        let newest =
            find_hashed_concept(view, &writer.now, concept.hash, (concept.namespace, key))?;
        Ok(Met { newest, in_frame })
    }

    pub(super) fn note_concept(
        &mut self,
        place: Place<'_>,
        namespace: &str,
        key: [u8; 16],
        is_there: bool,
    ) {
        let known = place.keys.iter().flatten().find(|known| known.key == key).copied();
        let concept = known.or_else(|| self.concept_key(place.writer, namespace, &key));
        let concept = concept.unwrap_or_else(|| {
            // From the other end than the store's numbers.
            let number = u32::MAX - self.namespaces.len() as u32;
            self.namespaces.insert(namespace.to_owned(), number);
            let hash = id_hash(place.writer.image.view().superblock().hash_seed, number, &key);
            ConceptKey { hash, namespace: number, key }
        });
        let in_frame = self.concepts.entry(concept);
        let in_frame =
            in_frame.or_insert(InFrame { lsn: place.lsn, is_there, was_forgotten: false });
        in_frame.is_there = is_there;
        in_frame.was_forgotten |= !is_there;
    }

    /// The LSN that a condition is held against; 0 if the concept is not there.
    fn current(&self, place: Place<'_>, met: &Met<'_>) -> u64 {
        match met.in_frame {
            Some(InFrame { is_there: true, .. }) => place.lsn,
            Some(InFrame { is_there: false, .. }) => 0,
            None => met.applied().filter(|r| !is_over(r.expires_at, place.time)).map_or(0, |r| {
                let reinforced = place.writer.gathered.get(r.concept_ordinal);
                reinforced.map_or(r.lsn, |reinforced| reinforced.lsn)
            }),
        }
    }

    pub(super) fn learn(&mut self, place: Place<'_>, learn: &LearnOp<'_>) -> Result<Found, Stop> {
        let writer = place.writer;
        let content = learn.content.unwrap_or_default();
        let key =
            place.keys[0].map_or_else(|| learn.id.key(learn.namespace, content), |known| known.key);
        let met = self.meet(place, learn.namespace, &key)?;
        if let (Id::Text(text), Some((_, record))) = (&learn.id, met.newest)
            && let Some(name) = record.name.get().checked_sub(1)
            && writer.image.view().blob(name, &writer.now)? != text.as_bytes()
        {
            let message = format!("{text} has the same 128-bit hash as another id; choose another");
            return refuse(ErrorCode::InvalidId, 0, message);
        }
        check_conditions(learn.id, learn.if_lsn, learn.if_absent, self.current(place, &met))?;
        self.check_symbol(place, SymbolTable::Namespace, learn.namespace)?;
        if let Some(kind) = learn.kind {
            self.check_symbol(place, SymbolTable::Kind, kind)?;
        }
        if let Some((space, values)) = learn.embedding() {
            self.check_vector(place, space, values)?;
            self.need.vectors[usize::from(space)] += 1;
        }
        self.need.records += 1;
        self.need.blob(content.len());
        self.need.blob(learn.metadata.map_or(0, str::len));
        if let Id::Text(text) = learn.id {
            self.need.blob(text.len());
        }
        self.note_concept(place, learn.namespace, key, true);
        match met.is_in_frame() {
            true => Ok(Found::Unknown),
            false => Ok(Found::Record(met.newest.map(|(ordinal, _)| ordinal))),
        }
    }

    pub(super) fn forget(
        &mut self,
        place: Place<'_>,
        namespace: &str,
        forget: &Forget<'_>,
    ) -> Result<Found, Stop> {
        self.stand_alone()?;
        let key = forget.id.key(namespace, "");
        let met = self.meet_there(place, namespace, &forget.id, &key)?;
        check_conditions(forget.id, forget.if_lsn, false, self.current(place, &met))?;
        if let Some(record) = met.applied() {
            // A tombstone for each association, with its word in the index.
            self.need.edges += place.writer.live_edge_count(record.concept_ordinal)?;
        }
        self.need.records += 1;
        self.note_concept(place, namespace, key, false);
        self.note_forgotten(namespace, &key);
        Ok(Found::Unknown)
    }

    pub(super) fn reinforce(
        &mut self,
        place: Place<'_>,
        namespace: &str,
        reinforce: &Reinforce<'_>,
    ) -> Result<Found, Stop> {
        let key = reinforce.id.key(namespace, "");
        let met = self.meet_there(place, namespace, &reinforce.id, &key)?;
        check_conditions(reinforce.id, reinforce.if_lsn, false, self.current(place, &met))?;
        self.need.records += 1;
        self.note_concept(place, namespace, key, true);
        Ok(Found::Unknown)
    }

    pub(super) fn touch(
        &mut self,
        place: Place<'_>,
        namespace: &str,
        touch: &Touch<'_>,
    ) -> Result<Found, Stop> {
        let key = touch.id.key(namespace, "");
        self.meet_there(place, namespace, &touch.id, &key)?;
        Ok(Found::Unknown)
    }

    /// A concept that the operation needs.
    fn meet_there<'a>(
        &self,
        place: Place<'a>,
        namespace: &str,
        id: &Id<'_>,
        key: &[u8; 16],
    ) -> Result<Met<'a>, Stop> {
        let met = self.meet(place, namespace, key)?;
        if !met.is_there() {
            let message = format!("there is no concept {id}; ids are case-sensitive and exact");
            return refuse(ErrorCode::UnknownConcept, 0, message);
        }
        Ok(met)
    }
}

/// Whether a time that ends something, 0 for never, is over.
fn is_over(ends_at: u64, time: u64) -> bool {
    ends_at != 0 && ends_at <= time
}
