//! A small writer of stores, made of the layout crate alone: no log, no locks, one thread.
//!
//! It speaks the domain (learn, associate, forget, publish) and stores in the order that a reader
//! may rely on: truth, then what is derived from it, then the slot.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod everything;
mod memory;
pub mod random;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use sutra_layout::access::{ACCESS_WORDS, LAST_ACCESS, STATE, count_word, next_state};
use sutra_layout::blob::{BlobHead, blob_space};
use sutra_layout::checksum::{edge_hash, id_hash};
use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::{
    DURABLE_SLOTS_OFFSET, HEADER_SIZE, HEARTBEAT_OFFSET, PAGE_SIZE, RUN_MARK_OFFSET, Region,
    SPACES_OFFSET, SUPERSEDED_BY_OFFSET, Shape,
};
use sutra_layout::id::Id;
use sutra_layout::index::{INDEX, IndexRoot, upsert};
use sutra_layout::lookup;
use sutra_layout::record::{ConceptRecord, skip_of};
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::space::{Metric, Space, SpaceEntry};
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::symbol::{SymbolTable, encode_symbol};
use sutra_layout::sync::AllFences;
use sutra_layout::sys::clock;
use sutra_layout::vector_column::VectorColumn;
use sutra_layout::{Damage, U48, View, column};
use sutra_vectors::{Graph, GraphState, Inserter, store_node, store_superseded};

use memory::{Memory, TestIndex, bytes_of};

/// A store being written, in a directory of its own.
pub struct Writer {
    directory: tempfile::TempDir,
    memory: Memory,
    id_root: IndexRoot,
    edge_root: IndexRoot,
    /// The counts of all that is written; `publish` makes them visible.
    pub slot: Slot,
    /// The time of what was written last, in microseconds since the Unix epoch.
    pub now: u64,
    /// Whether operations share the LSN of the one before.
    is_together: bool,
}

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

/// An association to make.
#[derive(Clone, Copy)]
pub struct Associate<'a> {
    pub edge_type: u16,
    pub confidence: f32,
    pub weight: f32,
    pub properties: Option<&'a str>,
    pub valid_until: u64,
    pub flags: u16,
}

impl Default for Associate<'_> {
    fn default() -> Self {
        Associate {
            edge_type: 0,
            confidence: 1.0,
            weight: 1.0,
            properties: None,
            valid_until: 0,
            flags: 0,
        }
    }
}

impl Writer {
    /// An empty store, published once, with a run mark of this boot and no clean flag.
    pub fn create() -> Writer {
        let directory = tempfile::tempdir().unwrap();
        let file = create_file(&directory.path().join("storage.dat"), 1);
        Writer::over(directory, file)
    }

    fn over(directory: tempfile::TempDir, file: File) -> Writer {
        let mut writer = Writer {
            directory,
            memory: Memory::new(file),
            id_root: IndexRoot::default(),
            edge_root: IndexRoot::default(),
            slot: Slot::default(),
            now: 1_700_000_000_000_000,
            is_together: false,
        };
        writer.mark_run(RunMark::default());
        writer.publish();
        writer.checkpoint(0);
        writer
    }

    /// The store's directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The store's file.
    pub fn file_path(&self) -> PathBuf {
        self.path().join("storage.dat")
    }

    /// The writer's own view.
    pub fn view(&self) -> &View {
        &self.memory.view
    }

    /// Stores `bytes` at a byte of the file.
    pub fn put(&self, offset: u64, bytes: &[u8]) {
        self.memory.put(offset, bytes);
    }

    /// The byte of a unit of a region.
    pub fn locate(&self, region: Region, ordinal: u64) -> u64 {
        let shape = self.view().shape(region).unwrap();
        self.view().locate(region, shape, ordinal).unwrap()
    }

    /// Writes a run mark of this boot and inode, with the flags of `mark`.
    pub fn mark_run(&self, mark: RunMark) {
        let metadata = std::fs::metadata(self.file_path()).unwrap();
        let mark = RunMark {
            boot_id: clock::boot_id().unwrap(),
            device: metadata.dev(),
            inode: metadata.ino(),
            writer_epoch: 1,
            ..mark
        };
        self.put(RUN_MARK_OFFSET, bytes_of(&mark.sealed()));
    }

    /// The heartbeat of a coordinator with that pid, `age_ns` ago.
    pub fn beat(&self, pid: u64, age_ns: u64) {
        let beat = clock::boottime_ns() - age_ns;
        let words = self.view().map().words(HEARTBEAT_OFFSET, 2).unwrap();
        words[1].store(pid, Ordering::Relaxed);
        words[0].store(beat, Ordering::Relaxed);
    }

    /// Makes all that was written visible.
    pub fn publish(&mut self) -> u64 {
        self.slot.commit_seq += 1;
        self.slot.published_lsn = self.slot.operations;
        self.slot.published_at = self.now;
        self.slot.id_index_depth = self.id_root.depth.into();
        self.slot.edge_index_depth = self.edge_root.depth.into();
        self.publish_slot(self.slot)
    }

    /// Publishes a slot as it is given, but for its checksum.
    pub fn publish_slot(&self, slot: Slot) -> u64 {
        let ring = self.view().ring();
        let commit_seq = ring.commit_seq() + 1;
        let slot = Slot { commit_seq, ..slot }.sealed();
        ring.publish(commit_seq, &slot.to_words());
        let word = self.view().map().half_word(sutra_layout::geometry::COMMIT_SEQ_OFFSET);
        sutra_layout::sys::wait::wake_all(word.unwrap());
        commit_seq
    }

    /// Writes the durable slot that is due, with those flags.
    pub fn checkpoint(&self, flags: u64) {
        let slot = Slot { flags, ..self.slot }.sealed();
        let offset = DURABLE_SLOTS_OFFSET + slot.commit_seq % 2 * PAGE_SIZE;
        self.put(offset, bytes_of(&slot));
    }

    /// Says that generation `by` replaces this file.
    pub fn supersede(&self, by: u64) {
        let word = self.view().header_word(SUPERSEDED_BY_OFFSET);
        word.store(by, Ordering::Release);
        let map = self.view().map();
        let word = map.half_word(sutra_layout::geometry::COMMIT_SEQ_OFFSET);
        sutra_layout::sys::wait::wake_all(word.unwrap());
    }

    /// Makes the next vector space.
    pub fn make_space(&mut self, dimension: usize, metric: Metric) -> usize {
        self.make_named_space("", "none", dimension, metric)
    }

    /// Makes the next vector space, with a name.
    pub fn make_named_space(
        &mut self,
        name: &str,
        model: &str,
        dimension: usize,
        metric: Metric,
    ) -> usize {
        let at = self.slot.spaces_count as usize;
        let space = Space {
            metric,
            name: name.into(),
            model: model.into(),
            ..Space::of_default_name(dimension)
        };
        let entry = SpaceEntry::new(at, &space, 0);
        self.put(SPACES_OFFSET + at as u64 * PAGE_SIZE, bytes_of(&entry));
        self.slot.spaces_count += 1;
        at
    }

    /// Names number `number`.
    pub fn name_symbol(&mut self, table: SymbolTable, number: u32, name: &str) {
        let bytes = encode_symbol(table, number, name);
        let shape = Shape::fixed(Region::SYMBOLS).unwrap();
        let size = bytes.len() as u64;
        let at = shape.fit(self.slot.symbols_size, size).unwrap();
        let offset = self.memory.place(Region::SYMBOLS, at, size);
        self.put(offset, &bytes);
        self.slot.symbols_size = at + size;
    }

    /// What `write` does becomes one log entry: an atomic batch.
    pub fn together(&mut self, write: impl FnOnce(&mut Writer)) {
        if !self.is_together {
            self.step();
        }
        let before = std::mem::replace(&mut self.is_together, true);
        write(self);
        self.is_together = before;
    }

    /// The next log entry's LSN.
    fn step(&mut self) -> u64 {
        if !self.is_together {
            self.slot.operations += 1;
            self.now += 1;
        }
        self.slot.operations
    }

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

    fn append_blob(&mut self, bytes: &[u8]) -> u64 {
        let shape = Shape::fixed(Region::CONTENT).unwrap();
        let size = blob_space(bytes.len());
        let at = shape.fit(self.slot.content_size, size).unwrap();
        let offset = self.memory.place(Region::CONTENT, at, size);
        self.put(offset, bytes_of(&BlobHead::of(bytes)));
        self.put(offset + 8, bytes);
        self.slot.content_size = at + size;
        at
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

    /// Associates two concepts by ordinal, or a new version of it; the edge's ordinal.
    pub fn associate(&mut self, source: u32, target: u32, associate: Associate<'_>) -> u32 {
        let key = (source, target, associate.edge_type);
        let before = lookup::find_edge(self.view(), &self.slot, key).unwrap();
        let before = before.map(|(ordinal, edge)| (ordinal, edge.is_tombstone()));
        let lsn = self.step();
        let properties = associate.properties.map_or(0, |p| self.append_blob(p.as_bytes()) + 1);
        let edge = EdgeRecord {
            lsn,
            created_at: self.now,
            valid_until: associate.valid_until,
            source,
            target,
            previous: before.map_or(0, |(ordinal, _)| ordinal + 1),
            confidence: associate.confidence,
            weight: associate.weight,
            properties: U48::new(properties),
            edge_type: associate.edge_type,
            flags: associate.flags,
            ..EdgeRecord::default()
        };
        let ordinal = self.slot.edges as u32;
        let offset = self.memory.place(Region::EDGES, ordinal.into(), 1);
        self.put(offset, bytes_of(&edge.sealed()));
        self.slot.edges += 1;
        self.slot.edges_expiring += u64::from(edge.valid_until != 0);
        self.slot.edges_live += u64::from(!edge.is_tombstone());
        self.slot.edges_live -= u64::from(before.is_some_and(|(_, is_tombstone)| !is_tombstone));
        self.index_edge(ordinal);
        if let Some((before, false)) = before {
            self.memory.end_entries((source, target), before, ordinal);
        }
        if !edge.is_tombstone() {
            self.memory.append_entries(ordinal, &edge);
        }
        ordinal
    }

    fn index_edge(&mut self, ordinal: u32) {
        let seed = self.view().superblock().hash_seed;
        let (memory, slot) = (&self.memory, &self.slot);
        let key_of = |ordinal| {
            let edge = memory.view.edge(ordinal, slot)?;
            Ok((edge.source, edge.target, edge.edge_type))
        };
        let hash_of = |ordinal| {
            let (source, target, edge_type) = key_of(ordinal)?;
            Ok(edge_hash(seed, source, target, edge_type))
        };
        let ordinal = u64::from(ordinal);
        let key = key_of(ordinal).unwrap();
        upsert(
            INDEX,
            &TestIndex::edges(memory),
            AllFences,
            &mut self.edge_root,
            (hash_of(ordinal).unwrap(), ordinal),
            |old| Ok(key_of(old)? == key),
            hash_of,
        )
        .unwrap();
        self.slot.edge_index_depth = self.edge_root.depth.into();
    }

    /// Ends an association, if it lives.
    pub fn disassociate(&mut self, source: u32, target: u32, edge_type: u16) {
        let before = lookup::find_edge(self.view(), &self.slot, (source, target, edge_type));
        if before.unwrap().is_some_and(|(_, edge)| !edge.is_tombstone()) {
            let associate =
                Associate { edge_type, flags: EdgeRecord::TOMBSTONE, ..Associate::default() };
            self.associate(source, target, associate);
        }
    }

    /// A new, empty file of the next generation in this one's place, as a compaction would put it.
    pub fn replaced(self) -> (Writer, Writer) {
        let path = self.file_path();
        let new = self.path().join("storage.dat.next");
        let file = create_file(&new, self.view().superblock().generation + 1);
        std::fs::rename(&new, &path).unwrap();
        let Writer { directory, memory, id_root, edge_root, slot, now, is_together } = self;
        let next = Writer::over(directory, file);
        let old = Writer {
            directory: tempfile::tempdir().unwrap(),
            memory,
            id_root,
            edge_root,
            slot,
            now,
            is_together,
        };
        (old, next)
    }
}

/// A file with a superblock and an otherwise empty header.
fn create_file(path: &Path, generation: u64) -> File {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(path).unwrap();
    let block = UncheckedSuperblock::new([9; 16], generation, 1, 0x5eed);
    file.set_len(HEADER_SIZE).unwrap();
    file.write_all_at(bytes_of(&block), 0).unwrap();
    file
}
