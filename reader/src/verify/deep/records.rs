//! Records, their chains of versions, and the blobs that they name.

use sutra_layout::blob::BlobHead;
use sutra_layout::geometry::Region;
use sutra_layout::id::{Id, IdForm};
use sutra_layout::record::{ConceptRecord, skip_of};
use sutra_layout::symbol::{SymbolTable, is_lost_name};

use super::{Bits, Deep};

const RECORDS: Region = Region::RECORDS;

impl<'a> Deep<'a> {
    pub(super) fn records(&mut self) -> String {
        let (view, slot) = (self.view(), self.slot);
        let mut seen = Bits::new(slot.concepts);
        let (mut last_lsn, mut expiring) = (0, 0);
        for ordinal in 0..slot.records {
            self.advance(ordinal, slot.records);
            let record = match view.record(ordinal, &slot) {
                Ok(record) if record.is_whole() => record,
                Ok(record) => {
                    let expected = record.sealed().checksum;
                    self.found((RECORDS, ordinal), "its checksum", record.checksum, expected);
                    self.records.broken.set(ordinal);
                    continue;
                }
                Err(damage) => {
                    self.damaged((RECORDS, ordinal), &damage);
                    self.records.broken.set(ordinal);
                    continue;
                }
            };
            self.in_order(RECORDS, ordinal, record.lsn, &mut last_lsn);
            expiring += u64::from(record.expires_at != 0);
            let older = self.older_record(ordinal, record, &mut seen);
            self.record_fields(ordinal, record);
            self.record_blobs(ordinal, record, older);
        }
        let live = self.note_live_concepts();
        if self.records.are_whole() {
            for concept in 0..slot.concepts {
                if !seen.get(concept) {
                    self.found((Region::COLUMNS, concept), "the first record", "none", "one");
                }
            }
            self.compare_count("the number of live concepts", slot.concepts_live, live);
            let what = "the number of records that expire";
            self.compare_count(what, slot.records_expiring, expiring);
        }
        format!("{} of {} concepts, with their blobs", slot.records, slot.concepts)
    }

    /// LSNs never go back, and end with the version's own.
    pub(super) fn in_order(&mut self, region: Region, ordinal: u64, lsn: u64, last_lsn: &mut u64) {
        let end = self.slot.published_lsn;
        if lsn < *last_lsn || lsn > end {
            let expected = format!("{last_lsn} to {end}");
            self.found((region, ordinal), "its log entry", lsn, expected);
            return; // those that follow go on from the last one that holds
        }
        *last_lsn = lsn;
    }

    /// Checks what ties a record to the version before, and gives that one.
    fn older_record(
        &mut self,
        ordinal: u64,
        record: &ConceptRecord,
        seen: &mut Bits,
    ) -> Option<ConceptRecord> {
        let (view, slot) = (self.view(), self.slot);
        let place = (RECORDS, ordinal);
        let concept = u64::from(record.concept_ordinal);
        if concept >= slot.concepts {
            self.found(place, "its concept", concept, format!("below {}", slot.concepts));
        }
        let was_seen = seen.set(concept);
        let Some(previous) = record.previous.checked_sub(1) else {
            if was_seen {
                self.found(place, "the version before", "none", "one, as its concept has one");
            }
            if record.skip.get() != 0 {
                self.found(place, "its skip pointer", record.skip.get(), "0, as it is the first");
            }
            return None;
        };
        if previous >= ordinal {
            self.found(place, "the version before", previous, format!("below {ordinal}"));
            return None;
        }
        if self.records.broken.get(previous) {
            self.records.superseded.set(previous);
            return None;
        }
        let older = *view.record(previous, &slot).ok()?;
        let same = (older.concept_ordinal, older.namespace, older.id)
            == (record.concept_ordinal, record.namespace, record.id);
        if !same {
            self.found(place, "the version before", previous, "a record of the same concept");
            return None;
        }
        if self.records.superseded.set(previous) {
            let expected = "one that no other record follows";
            self.found(place, "the version before", previous, expected);
        }
        // A repair may have left versions between out.
        if record.version <= older.version && record.version != u32::MAX {
            let expected = format!("above {}", older.version);
            self.found(place, "its version", record.version, expected);
        }
        let jump_of = |at: u64| {
            let record = view.record(at, &slot).ok()?;
            let jump = record.skip.get().checked_sub(1)?;
            Some((jump, view.record(jump, &slot).ok()?.version))
        };
        let skip = skip_of((previous, older.version), jump_of) + 1;
        if record.skip.get() != skip && self.records.are_whole() {
            self.found(place, "its skip pointer", record.skip.get(), skip);
        }
        Some(older)
    }

    fn record_fields(&mut self, ordinal: u64, record: &ConceptRecord) {
        let place = (RECORDS, ordinal);
        if record.born_lsn > record.lsn {
            let expected = format!("at most {}", record.lsn);
            self.found(place, "the entry that learnt it", record.born_lsn, expected);
        }
        for (what, value) in
            [("its strength", record.strength), ("its confidence", record.confidence)]
        {
            if !value.is_finite() {
                self.found(place, what, value, "a finite number");
            }
        }
        for (what, table, number) in [
            ("its namespace", SymbolTable::Namespace, record.namespace),
            ("its author", SymbolTable::Author, record.author),
            ("its kind", SymbolTable::Kind, record.kind.into()),
        ] {
            if number != 0 && !self.is_named(table, number) {
                self.found(place, what, number, "the number of a name");
            }
        }
        if let Some(row) = record.vector.checked_sub(1) {
            self.record_vector(ordinal, record, row);
        }
    }

    fn record_vector(&mut self, ordinal: u64, record: &ConceptRecord, row: u32) {
        let (view, slot) = (self.view(), self.slot);
        let place = (RECORDS, ordinal);
        let space = usize::from(record.space);
        if space as u64 >= slot.spaces_count {
            let expected = format!("below {}", slot.spaces_count);
            return self.found(place, "its vector space", space, expected);
        }
        match view.vector_column(space, row.into(), &slot) {
            Ok(column) if column.owner != record.concept_ordinal => {
                let expected = format!("{}, as its record says", record.concept_ordinal);
                let place = (Region::vector_columns(space), row.into());
                self.found(place, "its owner", column.owner, expected);
            }
            Ok(_) => {}
            Err(damage) => self.damaged(place, &damage),
        }
    }

    /// Checks the blobs that the version before did not have.
    fn record_blobs(&mut self, ordinal: u64, record: &ConceptRecord, older: Option<ConceptRecord>) {
        let is_purged = record.flags & ConceptRecord::PURGED != 0;
        let content = record.content.get();
        if !is_purged && older.is_none_or(|older| older.content.get() != content) {
            self.blob((RECORDS, ordinal), "its content", content);
        }
        let metadata = record.metadata.get();
        if older.is_none_or(|older| older.metadata.get() != metadata)
            && let Some(at) = metadata.checked_sub(1)
        {
            self.blob((RECORDS, ordinal), "its metadata", at);
        }
        if is_purged || older.is_some_and(|older| older.name.get() == record.name.get()) {
            return;
        }
        let Some(at) = record.name.get().checked_sub(1) else {
            if record.id_form() == IdForm::Text {
                self.found((RECORDS, ordinal), "its name", "none", "one, as its id is a text");
            }
            return;
        };
        if let Some(text) = self.blob((RECORDS, ordinal), "its name", at) {
            let symbols = self.symbols.as_ref();
            // A namespace without a name was told above, or by the repair that lost it.
            let namespace = match record.namespace {
                0 => Some(""),
                number => symbols.and_then(|names| names.name(SymbolTable::Namespace, number)),
            };
            let namespace = namespace.filter(|namespace| !is_lost_name(namespace));
            if namespace.is_some_and(|namespace| Id::Text(text).key(namespace, "") != record.id) {
                let key = sutra_layout::id::key_to_hex(&record.id);
                self.found((RECORDS, ordinal), "its key", key, "the hash of its name");
            }
        }
    }

    /// Checks a blob, and gives its text.
    pub(super) fn blob(&mut self, place: (Region, u64), what: &str, at: u64) -> Option<&'a str> {
        let (head, bytes) = match self.view().blob_with_head(at, &self.slot) {
            Ok(found) => found,
            Err(damage) => {
                self.damaged(place, &damage);
                return None;
            }
        };
        let (region, ordinal) = place;
        if !head.matches(bytes) {
            let what = format!("the checksum of {what} ({} {ordinal})", region.name());
            let expected = BlobHead::of(bytes).checksum;
            self.found((Region::CONTENT, at), what, head.checksum, expected);
            return None;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                self.found((Region::CONTENT, at), format!("{what} as text"), error, "UTF-8");
                None
            }
        }
    }

    /// Notes which concepts live, once it is known which records are newest; how many that are.
    fn note_live_concepts(&mut self) -> u64 {
        let mut count = 0;
        for ordinal in 0..self.slot.records {
            if self.records.is_newest(ordinal)
                && let Ok(record) = self.view().record(ordinal, &self.slot)
                && !record.is_tombstone()
            {
                self.live_concepts.set(record.concept_ordinal.into());
                count += 1;
            }
        }
        count
    }
}
