//! One version of a concept, borrowed where it lies.

use std::fmt;

use sutra_layout::Damage;
use sutra_layout::id::{IdForm, key_to_hex};
use sutra_layout::record::ConceptRecord;
use sutra_layout::symbol::SymbolTable;

use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// A concept as a snapshot sees it. Copies are three words; what it gives lives as long as the
/// snapshot.
#[derive(Clone, Copy)]
pub struct Concept<'s> {
    snapshot: &'s Snapshot,
    record: &'s ConceptRecord,
    /// As the record has it: kept here, since by the time it is asked for, the record's line may
    /// have left the cache again.
    ordinal: u32,
}

/// What a concept is called, in the form its id was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConceptId<'s> {
    /// Text, byte for byte.
    Text(&'s str),
    /// The key, given as 32 hexadecimal digits; or that of a text whose bytes were purged.
    Hex([u8; 16]),
    /// The key, given as 16 bytes.
    Raw([u8; 16]),
    /// The hash of the content, as no id was given.
    Content([u8; 16]),
}

impl fmt::Display for ConceptId<'_> {
    /// The text itself, or the key as 32 hexadecimal digits: either finds the concept again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConceptId::Text(text) => f.pad(text),
            ConceptId::Hex(key) | ConceptId::Raw(key) | ConceptId::Content(key) => {
                f.pad(&key_to_hex(key))
            }
        }
    }
}

impl<'s> Concept<'s> {
    #[inline]
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        record: &'s ConceptRecord,
    ) -> Result<Concept<'s>, ReadError> {
        Concept::of_record(snapshot, record).map_err(|damage| snapshot.damaged(damage))
    }

    #[inline]
    pub(crate) fn of_record(
        snapshot: &'s Snapshot,
        record: &'s ConceptRecord,
    ) -> Result<Concept<'s>, Damage> {
        if u64::from(record.concept_ordinal) >= snapshot.slot().concepts {
            return Err(Damage::new(
                0,
                "a record's concept ordinal",
                record.concept_ordinal.into(),
                format!("below {}", snapshot.slot().concepts),
            ));
        }
        Ok(Concept::of_checked(snapshot, record))
    }

    /// A version whose ordinal is known to be one of the snapshot's.
    pub(crate) fn of_checked(snapshot: &'s Snapshot, record: &'s ConceptRecord) -> Concept<'s> {
        Concept { snapshot, record, ordinal: record.concept_ordinal }
    }

    pub(crate) fn parts(&self) -> (&'s Snapshot, &'s ConceptRecord) {
        (self.snapshot, self.record)
    }

    /// Its dense number in the store, the same in every snapshot of a generation.
    #[inline]
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The 128-bit key that it is filed under.
    pub fn key(&self) -> [u8; 16] {
        self.record.id
    }

    /// What the caller called it.
    pub fn id(&self) -> Result<ConceptId<'s>, ReadError> {
        let key = self.record.id;
        Ok(match self.record.id_form() {
            IdForm::Text => match self.optional_text("a name", self.record.name.get())? {
                Some(text) => ConceptId::Text(text),
                None => ConceptId::Hex(key),
            },
            IdForm::Hex => ConceptId::Hex(key),
            IdForm::Raw => ConceptId::Raw(key),
            IdForm::Content => ConceptId::Content(key),
        })
    }

    /// Its content; empty if an association made it and nothing was learnt since.
    #[inline]
    pub fn content(&self) -> Result<&'s str, ReadError> {
        let content = borrow_content(self.snapshot, self.record);
        content.map_err(|damage| self.snapshot.damaged(damage))
    }

    /// Its metadata, as the caller gave it.
    pub fn metadata(&self) -> Result<Option<&'s str>, ReadError> {
        self.optional_text("metadata", self.record.metadata.get())
    }

    /// Its newest vector as it was given, in the space that [`Concept::space`] names.
    pub fn embedding(&self) -> Result<Option<&'s [f32]>, ReadError> {
        match self.space() {
            Some(space) => self.embedding_in(space),
            None => Ok(None),
        }
    }

    /// Its vector in a vector space, as it was given; `None` if it has none there.
    pub fn embedding_in(&self, space: usize) -> Result<Option<&'s [f32]>, ReadError> {
        let (view, slot) = (self.snapshot.view(), self.snapshot.slot());
        if space as u64 >= slot.spaces_count && self.space() != Some(space) {
            return Ok(None);
        }
        let row = view.row_of(self.record, space, slot);
        let vector = row.and_then(|row| match row {
            Some(row) => view.vector(space, row.into(), slot).map(Some),
            None => Ok(None),
        });
        vector.map_err(|damage| self.snapshot.damaged(damage))
    }

    /// The vector space of its newest vector; `None` if it has no vector.
    pub fn space(&self) -> Option<usize> {
        (self.record.vector != 0).then_some(usize::from(self.record.space))
    }

    /// Its namespace; empty: the default one.
    pub fn namespace(&self) -> &'s str {
        self.symbol(SymbolTable::Namespace, self.record.namespace).unwrap_or_default()
    }

    /// What kind of concept it is, if that was given.
    pub fn kind(&self) -> Option<&'s str> {
        self.symbol(SymbolTable::Kind, self.record.kind.into())
    }

    /// Who wrote this version, if that was given.
    pub fn author(&self) -> Option<&'s str> {
        self.symbol(SymbolTable::Author, self.record.author)
    }

    /// 0 to 1.
    pub fn strength(&self) -> f32 {
        self.record.strength
    }

    /// 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.record.confidence
    }

    /// When it was first learnt, in microseconds since the Unix epoch.
    pub fn created_at(&self) -> u64 {
        self.record.created_at
    }

    /// When this version was written, in microseconds since the Unix epoch.
    pub fn updated_at(&self) -> u64 {
        self.record.updated_at
    }

    /// When it will be absent, in microseconds since the Unix epoch.
    pub fn expires_at(&self) -> Option<u64> {
        Some(self.record.expires_at).filter(|at| *at != 0)
    }

    /// The log entry that wrote this version.
    pub fn lsn(&self) -> u64 {
        self.record.lsn
    }

    /// The log entry that learnt the concept, anew after it was forgotten.
    pub fn born_lsn(&self) -> u64 {
        self.record.born_lsn
    }

    /// 1 for the first version.
    pub fn version(&self) -> u32 {
        self.record.version
    }

    /// Whether it was made empty by an association that named it, and not learnt since.
    pub fn is_placeholder(&self) -> bool {
        self.record.flags & ConceptRecord::PLACEHOLDER != 0
    }

    /// Whether this version says that the concept was forgotten. Only [`Snapshot::history`],
    /// [`Snapshot::changes`] and [`Snapshot::last_version`] give such versions.
    pub fn is_forgotten(&self) -> bool {
        self.record.is_tombstone()
    }

    fn symbol(&self, table: SymbolTable, number: u32) -> Option<&'s str> {
        if number == 0 {
            return None;
        }
        self.snapshot.symbol(table, number)
    }

    fn optional_text(&self, what: &'static str, place: u64) -> Result<Option<&'s str>, ReadError> {
        let offset = place.checked_sub(1);
        offset.map(|offset| self.text(what, offset)).transpose()
    }

    #[inline]
    fn text(&self, what: &'static str, offset: u64) -> Result<&'s str, ReadError> {
        borrow_text(self.snapshot, what, offset).map_err(|damage| self.snapshot.damaged(damage))
    }
}

impl fmt::Debug for Concept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concept")
            .field("ordinal", &self.ordinal())
            .field("key", &key_to_hex(&self.record.id))
            .field("version", &self.version())
            .field("lsn", &self.lsn())
            .finish_non_exhaustive()
    }
}

/// The content of a version.
#[inline]
pub(crate) fn borrow_content<'s>(
    snapshot: &'s Snapshot,
    record: &ConceptRecord,
) -> Result<&'s str, Damage> {
    if record.flags & (ConceptRecord::PLACEHOLDER | ConceptRecord::PURGED) != 0 {
        return Ok("");
    }
    borrow_text(snapshot, "a content", record.content.get())
}

/// The blob at byte `offset` of the content region as text.
#[inline]
pub(crate) fn borrow_text<'s>(
    snapshot: &'s Snapshot,
    what: &'static str,
    offset: u64,
) -> Result<&'s str, Damage> {
    let bytes = snapshot.view().blob(offset, snapshot.slot())?;
    std::str::from_utf8(bytes).map_err(|error| {
        let found = u64::from(bytes[error.valid_up_to()]);
        Damage::new(0, what, found, "UTF-8 text")
    })
}
