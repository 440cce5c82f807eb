//! Learning: a new version of a concept, or its first.

use sutra_client::protocol::LearnOp;
use sutra_layout::U48;
use sutra_layout::id::{Id, IdForm};
use sutra_layout::lookup::find_concept;
use sutra_layout::record::{ConceptRecord, skip_of};
use sutra_layout::symbol::SymbolTable;

use super::{Context, Found, Writer};
use crate::error::CoordinatorError;

impl Writer {
    pub(super) fn learn(
        &mut self,
        context: Context,
        learn: &LearnOp<'_>,
        found: Found,
    ) -> Result<(), CoordinatorError> {
        let namespace = self.intern(SymbolTable::Namespace, learn.namespace)?;
        let key = learn.id.key(learn.namespace, learn.content.unwrap_or_default());
        let newest = self.newest_of(namespace, &key, found)?;
        let kind = match learn.kind {
            Some(kind) => Some(self.intern(SymbolTable::Kind, kind)? as u16),
            None => None,
        };
        let mut record = match newest {
            Some((ordinal, old)) => self.next_version(context, ordinal, &old)?,
            None => self.first_version(context, &learn.id, namespace, key)?,
        };
        self.name_again(&mut record, &learn.id)?;
        record.flags &= !ConceptRecord::PLACEHOLDER;
        if let Some(content) = learn.content
            && !self.has_content(&record, newest.is_some(), content)?
        {
            record.content = U48::new(self.append_blob(content.as_bytes())?);
        } else if learn.content.is_none() && newest.is_none_or(|(_, old)| old.is_tombstone()) {
            record.content = U48::new(self.append_blob(b"")?);
        }
        if let Some(metadata) = learn.metadata {
            record.metadata = U48::new(self.append_blob(metadata.as_bytes())? + 1);
        }
        if let Some((space, values)) = learn.embedding() {
            record.vector = self.append_vector(space.into(), &record, values)? + 1;
            record.space = space;
        }
        record.strength = learn.strength.unwrap_or(record.strength);
        record.confidence = learn.confidence.unwrap_or(record.confidence);
        record.kind = kind.unwrap_or(record.kind);
        record.expires_at = self.expiry_of(context, learn, &record);
        record.created_at = learn.created_at.unwrap_or(record.created_at);
        let is_new = newest.is_none_or(|(_, old)| old.is_tombstone());
        self.append_record(record)?;
        self.count_concept(&record, is_new);
        Ok(())
    }

    /// The concept's newest record, tombstones included: what deciding found, or a look-up.
    fn newest_of(
        &self,
        namespace: u32,
        key: &[u8; 16],
        found: Found,
    ) -> Result<Option<(u64, ConceptRecord)>, CoordinatorError> {
        let view = self.image.view();
        Ok(match found {
            Found::Record(None) => None,
            Found::Record(Some(ordinal)) => Some((ordinal, *view.record(ordinal, &self.now)?)),
            _ => find_concept(view, &self.now, namespace, key)?
                .map(|(ordinal, record)| (ordinal, *record)),
        })
    }

    /// When a version expires: as given; else after its namespace's time to live; else as before,
    /// unless that is over, for it was learnt anew.
    fn expiry_of(&self, context: Context, learn: &LearnOp<'_>, record: &ConceptRecord) -> u64 {
        let time_to_live = self.symbols.time_to_live(record.namespace);
        let before = Some(record.expires_at).filter(|at| *at > context.time);
        learn
            .expires_at
            .or(time_to_live.map(|time| context.time.saturating_add(time)))
            .or(before)
            .unwrap_or(0)
    }

    /// An empty concept for an association's missing end. Returns its ordinal.
    pub(super) fn create_placeholder(
        &mut self,
        context: Context,
        id: &Id<'_>,
        namespace: u32,
        key: [u8; 16],
    ) -> Result<u32, CoordinatorError> {
        let newest = self.newest_of(namespace, &key, Found::Unknown)?;
        let mut record = match newest {
            Some((ordinal, old)) => self.next_version(context, ordinal, &old)?,
            None => self.first_version(context, id, namespace, key)?,
        };
        self.name_again(&mut record, id)?;
        record.content = U48::new(self.append_blob(b"")?);
        record.flags |= ConceptRecord::PLACEHOLDER;
        self.append_record(record)?;
        self.count_concept(&record, true);
        Ok(record.concept_ordinal)
    }

    fn first_version(
        &mut self,
        context: Context,
        id: &Id<'_>,
        namespace: u32,
        key: [u8; 16],
    ) -> Result<ConceptRecord, CoordinatorError> {
        let limited =
            CoordinatorError::LimitReached { what: "the concepts", limit: u32::MAX.into() };
        let concept_ordinal =
            u32::try_from(self.now.concepts).ok().filter(|n| *n < u32::MAX - 1).ok_or(limited)?;
        let name = match id {
            Id::Text(text) => self.append_blob(text.as_bytes())? + 1,
            _ => 0,
        };
        Ok(ConceptRecord {
            id: key,
            lsn: context.lsn,
            born_lsn: context.lsn,
            created_at: context.time,
            updated_at: context.time,
            concept_ordinal,
            version: 1,
            strength: 1.0,
            confidence: 1.0,
            author: context.author,
            namespace,
            name: U48::new(name),
            flags: ConceptRecord::flags_of(id.form()),
            ..ConceptRecord::default()
        })
    }

    /// A concept whose name was purged has it again once somebody says it.
    fn name_again(
        &mut self,
        record: &mut ConceptRecord,
        id: &Id<'_>,
    ) -> Result<(), CoordinatorError> {
        if let Id::Text(text) = id
            && record.name.get() == 0
            && record.id_form() == IdForm::Text
        {
            record.name = U48::new(self.append_blob(text.as_bytes())? + 1);
        }
        Ok(())
    }

    /// The version after `old`, which is record `ordinal`: it keeps what is not given anew, unless
    /// the concept was forgotten.
    pub(super) fn next_version(
        &mut self,
        context: Context,
        ordinal: u64,
        old: &ConceptRecord,
    ) -> Result<ConceptRecord, CoordinatorError> {
        let view = self.image.view();
        let jump_of = |at: u64| {
            let record = view.record(at, &self.now).ok()?;
            let jump = record.skip.get().checked_sub(1)?;
            Some((jump, view.record(jump, &self.now).ok()?.version))
        };
        let mut record = *old;
        if old.is_tombstone() {
            record = ConceptRecord {
                id: old.id,
                namespace: old.namespace,
                name: old.name,
                concept_ordinal: old.concept_ordinal,
                created_at: context.time,
                born_lsn: context.lsn,
                strength: 1.0,
                confidence: 1.0,
                content: old.content,
                flags: ConceptRecord::flags_of(old.id_form()),
                ..ConceptRecord::default()
            };
        }
        if let Some(reinforced) = self.gathered.take(old.concept_ordinal)
            && !old.is_tombstone()
        {
            (record.strength, record.confidence) = (reinforced.strength, reinforced.confidence);
        }
        record.skip = U48::new(skip_of((ordinal, old.version), jump_of) + 1);
        record.previous = ordinal + 1;
        record.version = old.version.saturating_add(1);
        record.lsn = context.lsn;
        record.updated_at = context.time;
        record.author = context.author;
        Ok(record)
    }

    /// Whether the version already has this content, which then need not be stored again.
    fn has_content(
        &self,
        record: &ConceptRecord,
        is_update: bool,
        content: &str,
    ) -> Result<bool, CoordinatorError> {
        if !is_update {
            return Ok(false);
        }
        Ok(self.image.view().blob(record.content.get(), &self.now)? == content.as_bytes())
    }

    fn count_concept(&mut self, record: &ConceptRecord, is_new: bool) {
        self.now.concepts = self.now.concepts.max(u64::from(record.concept_ordinal) + 1);
        self.now.concepts_live += u64::from(is_new);
    }
}
