//! A fixed view of one published version.

use std::sync::Arc;

use sutra_layout::Damage;
use sutra_layout::id::Id;
use sutra_layout::lookup;
use sutra_layout::record::ConceptRecord;
use sutra_layout::slot::Slot;
use sutra_layout::space::Space;
use sutra_layout::symbol::SymbolTable;
use sutra_layout::view::View;

use crate::as_of::AsOf;
use crate::association::Association;
use crate::concept::Concept;
use crate::error::ReadError;
use crate::file::StoreFile;
use crate::many::key_of;
use crate::symbols::Symbols;

/// One captured slot of one file, and the names it has.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) file: Arc<StoreFile>,
    pub(crate) slot: Slot,
    pub(crate) symbols: Arc<Symbols>,
    /// Only of a store as it was.
    pub(crate) as_of: Option<Box<AsOf>>,
}

/// One published version of the store: whatever is written later, it stays as it is.
///
/// A clone is cheap and shares the version. It keeps its file mapped, also after a compaction
/// replaced it, and costs the writer nothing. Concepts that expire after it was taken stay in it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    version: Arc<Version>,
    read_time: u64,
}

impl Snapshot {
    pub(crate) fn new(version: Arc<Version>, read_time: u64) -> Snapshot {
        Snapshot { version, read_time }
    }

    /// The number of the publication that made this version.
    pub fn commit_seq(&self) -> u64 {
        self.slot().commit_seq
    }

    /// Every log entry up to it is in this version.
    pub fn published_lsn(&self) -> u64 {
        self.slot().published_lsn
    }

    /// When this version was published, in microseconds since the Unix epoch; of a store as it was,
    /// the time of then.
    pub fn published_at(&self) -> u64 {
        self.slot().published_at
    }

    /// When this snapshot was taken, in microseconds since the Unix epoch: what expired before is
    /// not in it. Of a store as it was, the time of then.
    pub fn read_time(&self) -> u64 {
        self.read_time
    }

    /// Concepts that are not forgotten, in all namespaces, expired ones too. Of a store as it was,
    /// the first call of this or of [`Snapshot::association_count`] goes once over all that was
    /// written since.
    pub fn concept_count(&self) -> u64 {
        self.live_counts().0
    }

    /// Associations that have not ended, likewise.
    pub fn association_count(&self) -> u64 {
        self.live_counts().1
    }

    /// The concept with that id in the default namespace. 32 lower-case hexadecimal digits, or 16
    /// bytes, are the key itself; other text is looked up by its hash.
    #[inline]
    pub fn get<'i>(&self, id: impl Into<Id<'i>>) -> Result<Option<Concept<'_>>, ReadError> {
        match id.into() {
            Id::Raw(key) | Id::Hex(key) => self.get_keyed(0, &key),
            id => self.get_filed(0, "", id),
        }
    }

    /// The concept with that id in a namespace.
    pub fn get_in<'i>(
        &self,
        namespace: &str,
        id: impl Into<Id<'i>>,
    ) -> Result<Option<Concept<'_>>, ReadError> {
        if namespace.is_empty() {
            return self.get(id);
        }
        let id = id.into();
        id.check()?;
        match self.namespace_number(namespace) {
            Some(number) => self.get_filed(number, namespace, id),
            None => Ok(None),
        }
    }

    #[inline]
    fn get_filed(
        &self,
        number: u32,
        namespace: &str,
        id: Id<'_>,
    ) -> Result<Option<Concept<'_>>, ReadError> {
        self.seen(self.find_filed(number, namespace, id)?)
    }

    #[inline]
    pub(crate) fn get_keyed(
        &self,
        number: u32,
        key: &[u8; 16],
    ) -> Result<Option<Concept<'_>>, ReadError> {
        self.seen(self.find_keyed(number, key)?)
    }

    /// The concept of a record, if it is there to be seen.
    #[inline]
    fn seen<'s>(
        &'s self,
        record: Option<&'s ConceptRecord>,
    ) -> Result<Option<Concept<'s>>, ReadError> {
        match record {
            Some(record) if self.is_present(record) => Ok(Some(Concept::new(self, record)?)),
            _ => Ok(None),
        }
    }

    /// The newest version of a concept in this snapshot, whatever it says.
    #[inline]
    pub(crate) fn find_filed(
        &self,
        number: u32,
        namespace: &str,
        id: Id<'_>,
    ) -> Result<Option<&ConceptRecord>, ReadError> {
        self.find_keyed(number, &key_of(namespace, id)?)
    }

    #[inline]
    fn find_keyed(&self, number: u32, key: &[u8; 16]) -> Result<Option<&ConceptRecord>, ReadError> {
        let found = lookup::find_concept(self.view(), self.slot(), number, key);
        let found = found.map_err(|damage| self.damaged(damage))?;
        Ok(found.map(|(_, record)| record))
    }

    /// Whether there is a concept with that id in the default namespace.
    pub fn contains<'i>(&self, id: impl Into<Id<'i>>) -> Result<bool, ReadError> {
        Ok(self.get(id)?.is_some())
    }

    /// The concept with that ordinal; `None` if it is forgotten, expired, or came later.
    pub fn concept(&self, ordinal: u32) -> Result<Option<Concept<'_>>, ReadError> {
        let found = self.present_record(ordinal);
        match found.map_err(|damage| self.damaged(damage))? {
            Some(record) => Ok(Some(Concept::new(self, record)?)),
            None => Ok(None),
        }
    }

    /// The association with that ordinal, as [`crate::Neighbor::edge`] and [`crate::Path::edges`]
    /// give it.
    pub fn association(&self, edge: u32) -> Result<Association<'_>, ReadError> {
        let count = self.slot().edges;
        if u64::from(edge) >= count {
            let ordinal = edge;
            return Err(ReadError::NoSuchAssociation { ordinal, count });
        }
        let record = self.view().edge(edge.into(), self.slot());
        let record = record.map_err(|damage| self.damaged(damage))?;
        Ok(Association::new(self, edge, record))
    }

    /// The name of an association type.
    pub fn type_name(&self, number: u16) -> Option<&str> {
        let symbols = &self.version.symbols;
        symbols.name(SymbolTable::Type, number.into())
    }

    /// The number of an association type.
    pub fn type_number(&self, name: &str) -> Option<u16> {
        let number = self.version.symbols.number(SymbolTable::Type, name)?;
        u16::try_from(number).ok()
    }

    /// All association types of this version, built-in ones included, by ascending number.
    pub fn types(&self) -> Vec<(u16, &str)> {
        let all = self.version.symbols.all(SymbolTable::Type);
        all.into_iter()
            .filter_map(|(number, name)| Some((u16::try_from(number).ok()?, name)))
            .collect()
    }

    /// Vector spaces of this version.
    pub fn space_count(&self) -> usize {
        self.slot().spaces_count as usize
    }

    /// A vector space: its dimension, its metric, and the model that made the vectors.
    pub fn space(&self, space: usize) -> Result<&Space, ReadError> {
        let count = self.slot().spaces_count;
        if space as u64 >= count {
            return Err(ReadError::NoSuchSpace { space, count });
        }
        let found = self.view().space(space);
        found.map_err(|damage| self.damaged(damage))
    }

    pub(crate) fn file(&self) -> &StoreFile {
        &self.version.file
    }

    #[inline]
    pub(crate) fn view(&self) -> &View {
        &self.version.file.view
    }

    #[inline]
    pub(crate) fn slot(&self) -> &Slot {
        &self.version.slot
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    #[inline]
    pub(crate) fn as_of_state(&self) -> Option<&AsOf> {
        self.version.as_of.as_deref()
    }

    pub(crate) fn symbols(&self) -> &Symbols {
        &self.version.symbols
    }

    pub(crate) fn symbol(&self, table: SymbolTable, number: u32) -> Option<&str> {
        self.version.symbols.name(table, number)
    }

    #[cold]
    pub(crate) fn damaged(&self, damage: Damage) -> ReadError {
        self.version.file.damaged(damage)
    }

    /// Whether a newest version of a concept is there to be seen.
    #[inline]
    pub(crate) fn is_present(&self, record: &ConceptRecord) -> bool {
        !record.is_tombstone() && !self.is_over(record.expires_at)
    }

    /// Whether a time limit (0: none) was reached when this snapshot was taken.
    #[inline]
    pub(crate) fn is_over(&self, limit: u64) -> bool {
        limit != 0 && limit <= self.read_time
    }

    /// The newest version of the concept with that ordinal, if it is there to be seen.
    #[inline]
    pub(crate) fn present_record(&self, ordinal: u32) -> Result<Option<&ConceptRecord>, Damage> {
        let newest = lookup::newest_record(self.view(), self.slot(), ordinal)?;
        Ok(newest.map(|(_, record)| record).filter(|record| self.is_present(record)))
    }
}
