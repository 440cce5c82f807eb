//! One version of an association, borrowed where it lies.

use std::fmt;

use sutra_layout::edge::EdgeRecord;
use sutra_layout::symbol::SymbolTable;

use crate::concept::borrow_text;
use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// An association as it was written. One that was replaced or ended since stays readable.
#[derive(Clone, Copy)]
pub struct Association<'s> {
    snapshot: &'s Snapshot,
    ordinal: u32,
    record: &'s EdgeRecord,
}

impl<'s> Association<'s> {
    pub(crate) fn new(
        snapshot: &'s Snapshot,
        ordinal: u32,
        record: &'s EdgeRecord,
    ) -> Association<'s> {
        Association { snapshot, ordinal, record }
    }

    /// Its dense number in the store.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The ordinal of the concept it comes from.
    pub fn source(&self) -> u32 {
        self.record.source
    }

    /// The ordinal of the concept it leads to.
    pub fn target(&self) -> u32 {
        self.record.target
    }

    /// Its type's number; see [`Snapshot::type_name`].
    pub fn edge_type(&self) -> u16 {
        self.record.edge_type
    }

    /// 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.record.confidence
    }

    /// As the caller gave it, 1 by default.
    pub fn weight(&self) -> f32 {
        self.record.weight
    }

    /// When it was made, in microseconds since the Unix epoch.
    pub fn created_at(&self) -> u64 {
        self.record.created_at
    }

    /// When it will be absent, in microseconds since the Unix epoch.
    pub fn valid_until(&self) -> Option<u64> {
        Some(self.record.valid_until).filter(|at| *at != 0)
    }

    /// The log entry that wrote this version.
    pub fn lsn(&self) -> u64 {
        self.record.lsn
    }

    /// Who wrote it, if that was given.
    pub fn author(&self) -> Option<&'s str> {
        let number = Some(self.record.author).filter(|number| *number != 0)?;
        self.snapshot.symbol(SymbolTable::Author, number)
    }

    /// Its properties, as the caller gave them.
    pub fn properties(&self) -> Result<Option<&'s str>, ReadError> {
        let Some(offset) = self.record.properties.get().checked_sub(1) else {
            return Ok(None);
        };
        let text = borrow_text(self.snapshot, "properties", offset);
        let text = text.map_err(|damage| self.snapshot.damaged(damage))?;
        Ok(Some(text))
    }

    /// The ordinal of the version before, if there is one; see [`Snapshot::association_history`].
    pub(crate) fn previous(&self) -> Option<u32> {
        self.record.previous.checked_sub(1)
    }

    /// Whether another version is one of the same association.
    pub(crate) fn is_of_same(&self, other: &Association<'_>) -> bool {
        let key = |of: &Association<'_>| (of.source(), of.target(), of.edge_type());
        key(self) == key(other)
    }

    /// Whether this version says that the association ended.
    pub fn is_tombstone(&self) -> bool {
        self.record.is_tombstone()
    }
}

impl fmt::Debug for Association<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("ordinal", &self.ordinal)
            .field("source", &self.source())
            .field("target", &self.target())
            .field("edge_type", &self.edge_type())
            .field("lsn", &self.lsn())
            .finish_non_exhaustive()
    }
}
