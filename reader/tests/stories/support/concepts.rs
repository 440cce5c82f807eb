//! Concepts: learnt, touched, forgotten.

use std::sync::atomic::Ordering;

use sutra_layout::access::{ACCESS_WORDS, LAST_ACCESS, STATE, count_word, next_state};
use sutra_layout::checksum::id_hash;
use sutra_layout::geometry::Region;
use sutra_layout::id::Id;
use sutra_layout::index::{INDEX, upsert};
use sutra_layout::lookup;
use sutra_layout::record::{ConceptRecord, skip_of};
use sutra_layout::sync::AllFences;
use sutra_layout::vector_column::VectorColumn;
use sutra_layout::{Damage, U48, column};
use sutra_vectors::{Graph, GraphState, Inserter, store_node, store_superseded};

use super::Writer;
use super::memory::{TestIndex, bytes_of};

/// A concept to learn. What is not given keeps its default, not its former value.
#[derive(Clone, Copy, Default)]
pub struct Learn<'a> {
    pub namespace: (&'a str, u32),
    pub content: &'a str,
    pub metadata: Option<&'a str>,
    pub vector: Option<&'a [f32]>,
    pub space: usize,
    pub kind: u16,
    pub author: u32,
    pub expires_at: u64,
    pub flags: u16,
    pub strength: Option<f32>,
    pub confidence: Option<f32>,
}

impl Writer {
    /// Learns a concept in the default namespace, or a new version of it; its ordinal.
    pub fn learn(&mut self, id: &str, content: &str) -> u32 {
        self.learn_as(id.into(), Learn { content, ..Learn::default() })
    }

    /// Learns a concept, or a new version of it; its ordinal.
    pub fn learn_as(&mut self, id: Id<'_>, learn: Learn<'_>) -> u32 {
        let (namespace_name, namespace) = learn.namespace;
        let key = id.key(namespace_name, learn.content);
        let before = lookup::find_concept(self.view(), &self.slot, namespace, &key).unwrap();
        let before = before.map(|(ordinal, record)| (ordinal, *record));
        let ordinal = self.slot.records;
        let vector = learn.vector.map_or(0, |vector| {
            let before = before.map(|(_, record)| record);
            self.append_vector(learn.space, vector, before) + 1
        });
        let name = match id {
            Id::Text(text) => self.append_blob(text.as_bytes()) + 1,
            _ => 0,
        };
        let lsn = self.step();
        let live = before.filter(|(_, old)| !old.is_tombstone());
        self.slot.records_expiring += u64::from(learn.expires_at != 0);
        let mut record = ConceptRecord {
            id: key,
            lsn,
            born_lsn: live.map_or(lsn, |(_, old)| old.born_lsn),
            previous: before.map_or(0, |(ordinal, _)| ordinal + 1),
            created_at: live.map_or(self.now, |(_, old)| old.created_at),
            updated_at: self.now,
            expires_at: learn.expires_at,
            concept_ordinal: self.slot.concepts as u32,
            version: before.map_or(1, |(_, old)| old.version + 1),
            strength: learn.strength.unwrap_or(0.5),
            confidence: learn.confidence.unwrap_or(0.75),
            vector,
            author: learn.author,
            namespace,
            content: U48::new(self.append_blob(learn.content.as_bytes())),
            metadata: U48::new(learn.metadata.map_or(0, |m| self.append_blob(m.as_bytes()) + 1)),
            name: U48::new(name),
            kind: learn.kind,
            flags: ConceptRecord::flags_of(id.form()) | learn.flags,
            space: learn.space as u8,
            ..ConceptRecord::default()
        };
        if let Some((previous, old)) = before {
            let version_of = |at| self.view().record(at, &self.slot).unwrap();
            let jump_of = |at| {
                let jump = version_of(at).skip.get().checked_sub(1)?;
                Some((jump, version_of(jump).version))
            };
            record.skip = U48::new(skip_of((previous, old.version), jump_of) + 1);
        }
        let is_live = !record.is_tombstone();
        let was_live = live.is_some();
        match before {
            Some((_, old)) => record.concept_ordinal = old.concept_ordinal,
            None => self.slot.concepts += 1,
        }
        self.slot.concepts_live += u64::from(is_live);
        self.slot.concepts_live -= u64::from(was_live);
        if let Some((_, old)) = before {
            self.supersede_rows(&old, &record, ordinal);
        }
        self.append_record(ordinal, record.sealed());
        record.concept_ordinal
    }

    fn append_record(&mut self, ordinal: u64, record: ConceptRecord) {
        let offset = self.memory.place(Region::RECORDS, ordinal, 1);
        self.put(offset, bytes_of(&record));
        self.slot.records = ordinal + 1;
        let seed = self.view().superblock().hash_seed;
        let (memory, slot) = (&self.memory, &self.slot);
        let record_of = |ordinal| memory.view.record(ordinal, slot);
        upsert(
            INDEX,
            &TestIndex::ids(memory),
            AllFences,
            &mut self.id_root,
            (id_hash(seed, record.namespace, &record.id), ordinal),
            |old| {
                let old = record_of(old)?;
                Ok((old.id, old.namespace) == (record.id, record.namespace))
            },
            |value| {
                let record = record_of(value)?;
                Ok(id_hash(seed, record.namespace, &record.id))
            },
        )
        .unwrap();
        self.slot.id_index_depth = self.id_root.depth.into();
        self.memory.place(Region::COLUMNS, record.concept_ordinal.into(), 1);
        let columns = self.view().columns(record.concept_ordinal).unwrap();
        columns[column::NEWEST].store(ordinal + 1, Ordering::Release);
    }

    /// The row keeps the ones that `before` had in other spaces.
    fn append_vector(
        &mut self,
        space: usize,
        vector: &[f32],
        before: Option<ConceptRecord>,
    ) -> u32 {
        let row = self.slot.spaces[space].count;
        let offset = self.memory.place(Region::vectors(space), row, 1);
        let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.put(offset, &bytes);
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        let rows_before = before.and_then(|record| {
            let row = record.vector.checked_sub(1)?;
            let column = self.view().vector_column(record.space.into(), row.into(), &self.slot);
            Some(column.unwrap().rows)
        });
        let mut column = VectorColumn {
            owner: before.map_or(self.slot.concepts as u32, |record| record.concept_ordinal),
            inverse_norm: if norm == 0.0 { 0.0 } else { 1.0 / norm },
            rows: rows_before.unwrap_or_default(),
            ..VectorColumn::default()
        };
        column.rows[space] = row as u32 + 1;
        let column = column.sealed(&bytes);
        let offset = self.memory.place(Region::vector_columns(space), row, 1);
        self.put(offset, bytes_of(&column));
        self.memory.place(Region::graph(space), row, 1);
        let graph = Graph::capture(self.view(), space, row + 1).unwrap();
        let elements = vector.iter().copied();
        store_node(&graph, row as u32, elements, column.inverse_norm, &mut Vec::new()).unwrap();
        self.slot.spaces[space].count += 1;
        row as u32
    }

    /// Says that the rows of a version that the next one, record `ordinal`, does not have are over.
    fn supersede_rows(&mut self, old: &ConceptRecord, new: &ConceptRecord, ordinal: u64) {
        for space in 0..self.slot.spaces_count as usize {
            let row = |record| self.view().row_of(record, space, &self.slot).unwrap();
            let Some(row) = row(old).filter(|before| row(new) != Some(*before)) else { continue };
            let graph = Graph::capture(self.view(), space, u64::from(row) + 1).unwrap();
            store_superseded(&graph, row, ordinal + 1).unwrap();
            self.slot.dead_rows[space] += 1;
        }
    }

    /// Puts the rows of a space below `count` into its graph. The next publication says so.
    pub fn index(&mut self, space: usize, count: u64) {
        let counts = self.slot.spaces[space];
        assert!(count <= counts.count);
        let view = self.view();
        let mut inserter =
            Inserter::open(view, space, GraphState::of(&counts), counts.count).unwrap();
        let mut reserve = |units| Ok::<u64, Damage>(self.memory.take_level_units(space, units));
        while inserter.insert_next(view, count, &mut reserve).unwrap() {}
        inserter.mend(view).unwrap();
        inserter.state().store(&mut self.slot.spaces[space]);
    }

    /// Forgets a concept and ends its associations.
    pub fn forget(&mut self, id: &str) {
        self.forget_in(("", 0), id);
    }

    /// Forgets a concept of a namespace and ends its associations, in one log entry.
    pub fn forget_in(&mut self, namespace: (&str, u32), id: &str) {
        self.together(|store| {
            let flags = ConceptRecord::TOMBSTONE;
            let ordinal = store.learn_as(id.into(), Learn { namespace, flags, ..Learn::default() });
            for edge in 0..store.slot.edges {
                let edge = *store.view().edge(edge, &store.slot).unwrap();
                if edge.source == ordinal || edge.target == ordinal {
                    store.disassociate(edge.source, edge.target, edge.edge_type);
                }
            }
        });
    }

    /// Counts accesses of a concept, the last one at `at`.
    pub fn touch(&mut self, ordinal: u32, count: u64, at: u64) {
        let lsn = self.step();
        self.memory.place(Region::ACCESS, ordinal.into(), 1);
        let words = self.view().words(Region::ACCESS, ordinal.into(), ACCESS_WORDS).unwrap();
        let state = words[STATE].load(Ordering::Relaxed);
        let next = next_state(state, lsn);
        let count = words[count_word(state)].load(Ordering::Relaxed) + count;
        words[count_word(next)].store(count, Ordering::Relaxed);
        words[LAST_ACCESS].store(at, Ordering::Relaxed);
        words[STATE].store(next, Ordering::Release);
    }
}
