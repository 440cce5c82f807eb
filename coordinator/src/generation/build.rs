//! Copying truth into a new file, and deriving the rest from it.
//!
//! Records and edges are read in the order in which they were written, and written in it, so
//! ordinals go on ascending with the log's entries. A blob or row that several versions share is
//! copied once. Nothing is believed without its checksum: a copy under a new one would hide the
//! damage for ever.

use std::sync::atomic::{Ordering, fence};

use sutra_layout::access::{ACCESS_WORDS, STATE};
use sutra_layout::geometry::{HEADER_SIZE, PAGE_SIZE, Region, SPACES_OFFSET, SUPERBLOCK_OFFSET};
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::record::{ConceptRecord, skip_of};
use sutra_layout::slot::{Slot, SpaceCounts};
use sutra_layout::space::SpaceEntry;
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_layout::symbol::{SymbolTable, read_symbols};
use sutra_layout::vector_column::VectorColumn;
use sutra_layout::view::View;
use sutra_layout::{Damage, U48, sys};
use zerocopy::IntoBytes;

use super::plan::{Kept, Loss, OnLoss, Plan};
use crate::apply::{Gathered, Roots, Writer};
use crate::clients::Clients;
use crate::error::CoordinatorError;
use crate::image::Image;
use crate::index::build_graph;
use crate::rebuild::{PACE, Pace};
use crate::symbols::Symbols;

type Result<T> = std::result::Result<T, CoordinatorError>;

/// Makes the next generation of `source`, as of its version `slot`, in the empty file `file`. What
/// it returns is applied up to that version, and what is derived is whole; nothing of it is synced,
/// and nobody reads it.
///
/// # Errors
/// [`CoordinatorError::StorageFull`]; those of `on_loss` and `pace`.
pub fn build(
    source: &View,
    slot: &Slot,
    plan: &Plan,
    clients: Clients,
    file: std::fs::File,
    on_loss: OnLoss<'_>,
    pace: Pace<'_>,
) -> Result<Writer> {
    let image = begin(source, file)?;
    let now = Slot {
        records: 0,
        concepts: 0,
        edges: 0,
        content_size: 0,
        symbols_size: 0,
        concepts_live: 0,
        edges_live: 0,
        records_expiring: 0,
        edges_expiring: 0,
        spaces: [SpaceCounts::default(); VECTOR_SPACES_MAX],
        dead_rows: [0; VECTOR_SPACES_MAX],
        id_index_depth: 0,
        edge_index_depth: 0,
        flags: 0,
        history_floor_lsn: slot.history_floor_lsn.max(plan.horizon_lsn),
        ..*slot
    };
    image.begun_lsn().store(slot.published_lsn, Ordering::Relaxed);
    let symbols = Symbols::load(image.view(), &now)?;
    let (roots, gathered) = (Roots::default(), Gathered::default());
    let mut builder = Builder {
        source,
        slot,
        kept: Kept::new(plan, source, slot),
        concepts: vec![Copied::default(); slot.concepts as usize],
        edges: vec![0; slot.edges as usize],
        rows: std::array::from_fn(|space| vec![0; slot.spaces[space].count as usize]),
        writer: Writer { image, now, roots, symbols, clients, gathered },
        on_loss,
        pace,
    };
    builder.copy_symbols()?;
    builder.copy_spaces()?;
    builder.copy_records()?;
    builder.copy_edges()?;
    builder.copy_accesses()?;
    builder.count_live()?;
    let Builder { mut writer, pace, .. } = builder;
    pace()?;
    writer.rebuild_derived(&mut *pace)?;
    for space in 0..slot.spaces_count as usize {
        let counts = writer.now.spaces[space];
        let state = build_graph(&writer.image, space, &counts, &mut *pace)?;
        state.store(&mut writer.now.spaces[space]);
    }
    Ok(writer)
}

/// An image with nothing in it but what says whose it is.
fn begin(source: &View, file: std::fs::File) -> Result<Image> {
    use std::os::unix::fs::FileExt;
    let old = source.superblock();
    let generation = old.generation + 1;
    let block = UncheckedSuperblock::new(old.store_id, generation, old.created_at, old.hash_seed);
    let full = |source| CoordinatorError::StorageFull { region: "the header", source };
    sys::reserve(&file, 0, HEADER_SIZE).map_err(full)?;
    let failed = || CoordinatorError::io("the next generation of storage.dat could not be begun");
    file.write_all_at(block.as_bytes(), SUPERBLOCK_OFFSET).map_err(failed())?;
    let view =
        View::writable(file).map_err(|error| failed()(std::io::Error::other(error.to_string())))?;
    Image::new(view, &Slot::default())
}

/// What became of a concept.
#[derive(Clone, Copy, Debug, Default)]
struct Copied {
    /// 1 + its new ordinal; 0: nothing of it was copied yet.
    concept: u32,
    /// Its version copied last, in the source and in the copy.
    source: u64,
    copy: u64,
}

struct Builder<'a> {
    source: &'a View,
    slot: &'a Slot,
    kept: Kept<'a>,
    /// By concept of the source.
    concepts: Vec<Copied>,
    /// By edge of the source: 1 + the copy; 0: none.
    edges: Vec<u32>,
    /// By row of each space of the source, likewise.
    rows: [Vec<u32>; VECTOR_SPACES_MAX],
    writer: Writer,
    on_loss: OnLoss<'a>,
    pace: Pace<'a>,
}

/// Damage is a loss, which may be borne; any other error is not.
fn damage_of(error: CoordinatorError) -> Result<Damage> {
    match error {
        CoordinatorError::Damaged { damage, .. } => Ok(damage),
        other => Err(other),
    }
}

fn check(what: &'static str, ordinal: u64, holds: bool) -> std::result::Result<(), Damage> {
    if holds {
        return Ok(());
    }
    Err(Damage::new(0, what, ordinal, "one that holds, at this ordinal"))
}

impl Builder<'_> {
    /// Reports what could not be copied.
    fn bear(&mut self, what: &'static str, ordinal: u64, copied: Result<()>) -> Result<()> {
        if let Err(error) = copied {
            let damage = damage_of(error)?;
            (self.on_loss)(Loss { what, ordinal, damage })?;
        }
        if ordinal % PACE == PACE - 1 {
            (self.pace)()?;
        }
        Ok(())
    }

    /// Names keep their numbers; of times to live, the last of each namespace counts.
    fn copy_symbols(&mut self) -> Result<()> {
        let mut names = Vec::new();
        let read = read_symbols(self.source, 0, self.slot, |table, number, name| {
            if table == SymbolTable::TimeToLive {
                names.retain(|(other, same, _)| (*other, *same) != (table, number));
            }
            names.push((table, number, name.to_owned()));
        });
        for (table, number, name) in &names {
            self.writer.append_symbol(*table, *number, name)?;
        }
        let at = self.writer.now.symbols_size;
        self.bear("the names from there on", at, read.map(drop).map_err(Into::into))
    }

    fn copy_spaces(&mut self) -> Result<()> {
        for index in 0..self.slot.spaces_count as usize {
            let lsn_offset = std::mem::offset_of!(SpaceEntry, lsn) as u64;
            let lsn_offset = SPACES_OFFSET + index as u64 * PAGE_SIZE + lsn_offset;
            let lsn = self.source.header_word(lsn_offset).load(Ordering::Relaxed);
            self.writer.image.store_space(index, self.source.space(index)?, lsn)?;
        }
        Ok(())
    }

    fn copy_records(&mut self) -> Result<()> {
        for ordinal in 0..self.slot.records {
            let copied = self.copy_record(ordinal);
            self.bear("a version of a concept", ordinal, copied)?;
        }
        Ok(())
    }

    fn copy_record(&mut self, ordinal: u64) -> Result<()> {
        let (source, slot) = (self.source, self.slot);
        let old = source.record(ordinal, slot)?;
        check("a record's checksum", ordinal, old.is_whole())?;
        let number = old.concept_ordinal as usize;
        check("a record's concept", ordinal, number < self.concepts.len())?;
        if !self.kept.keeps_record(ordinal, old) {
            return Ok(());
        }
        let Copied { concept, source: older, copy: older_copy } = self.concepts[number];
        let is_first = concept == 0;
        let concept_ordinal = match concept.checked_sub(1) {
            Some(concept) => concept,
            None => self.writer.now.concepts as u32, // there are no more than in the source
        };
        let mut record = ConceptRecord { concept_ordinal, previous: 0, ..*old };
        record.skip = U48::new(0);
        let before = match is_first {
            true => None,
            false => {
                let copy = *self.writer.image.view().record(older_copy, &self.writer.now)?;
                Some((source.record(older, slot)?, copy))
            }
        };
        if self.kept.is_purged(ordinal, old) {
            record.flags |= ConceptRecord::PURGED;
            record.content = U48::new(self.writer.append_blob(b"")?);
            (record.metadata, record.name) = (U48::new(0), U48::new(0));
        } else {
            let content = before.map(|(old, copy)| (old.content.get() + 1, copy.content.get() + 1));
            let metadata = before.map(|(old, copy)| (old.metadata.get(), copy.metadata.get()));
            let name = before.map(|(old, copy)| (old.name.get(), copy.name.get()));
            record.content = U48::new(self.carry(old.content.get() + 1, content)? - 1);
            record.metadata = U48::new(self.carry(old.metadata.get(), metadata)?);
            record.name = U48::new(self.carry(old.name.get(), name)?);
        }
        if let Some(row) = old.vector.checked_sub(1) {
            record.vector = self.copy_row(old.space.into(), row, concept_ordinal, true)?;
        }
        if let Some((_, copy)) = before {
            let writer = &self.writer;
            let jump_of = |at: u64| {
                let record = writer.image.view().record(at, &writer.now).ok()?;
                let jump = record.skip.get().checked_sub(1)?;
                let jump_to = writer.image.view().record(jump, &writer.now).ok()?;
                Some((jump, jump_to.version))
            };
            record.previous = older_copy + 1;
            record.skip = U48::new(skip_of((older_copy, copy.version), jump_of) + 1);
        }
        let writer = &mut self.writer;
        let copy = writer.now.records;
        writer.image.ensure(Region::RECORDS, copy + 1)?;
        writer.image.store_unit(Region::RECORDS, copy, &record.sealed())?;
        writer.now.records = copy + 1;
        writer.now.concepts += u64::from(is_first);
        writer.now.records_expiring += u64::from(record.expires_at != 0);
        let concept = concept_ordinal + 1;
        self.concepts[number] = Copied { concept, source: ordinal, copy };
        Ok(())
    }

    /// The place of a blob in the copy. `at` is 1 + its place in the source, 0 for none; so is what
    /// is returned, and so are the places that the version before has in both.
    fn carry(&mut self, at: u64, before: Option<(u64, u64)>) -> Result<u64> {
        match (at.checked_sub(1), before) {
            (None, _) => Ok(0),
            (_, Some((old, copy))) if old == at => Ok(copy),
            (Some(place), _) => {
                let (head, bytes) = self.source.blob_with_head(place, self.slot)?;
                check("a blob's checksum", place, head.matches(bytes))?;
                Ok(self.writer.append_blob(bytes)? + 1)
            }
        }
    }

    /// 1 + the copy of a row, made if it is not there yet, with the rows that its column names in
    /// other spaces if it is the one that a version names.
    fn copy_row(&mut self, space: usize, row: u32, owner: u32, is_named: bool) -> Result<u32> {
        let known = self.rows.get(space).and_then(|rows| rows.get(row as usize)).copied();
        if known.is_some_and(|copy| copy != 0) {
            return Ok(known.unwrap_or_default());
        }
        let (source, slot) = (self.source, self.slot);
        let column = source.vector_column(space, row.into(), slot)?;
        check("a vector column's checksum", row.into(), column.is_whole())?;
        let vector = source.vector(space, row.into(), slot)?;
        check("a vector's checksum", row.into(), column.matches(vector))?;
        let mut rows = [0; VECTOR_SPACES_MAX];
        for (other, copy) in rows.iter_mut().enumerate().filter(|(other, _)| *other != space) {
            let Some(other_row) = column.rows[other].checked_sub(1) else { continue };
            *copy = match is_named {
                true => self.copy_row(other, other_row, owner, false)?,
                // Nobody asks the column of an older row for others.
                false => self.rows[other].get(other_row as usize).copied().unwrap_or(0),
            };
        }
        let shape = source.space(space)?.vector_shape();
        let writer = &mut self.writer;
        let ordinal = writer.now.spaces[space].count;
        rows[space] = ordinal as u32 + 1; // there are no more than in the source
        let copy = VectorColumn { owner, rows, ..*column }.sealed(vector.as_bytes());
        let (region, columns) = (Region::vectors(space), Region::vector_columns(space));
        writer.image.ensure(region, ordinal + 1)?;
        writer.image.ensure(columns, ordinal + 1)?;
        writer.image.store_bytes(region, shape, ordinal, vector.as_bytes())?;
        writer.image.store_unit(columns, ordinal, &copy)?;
        writer.now.spaces[space].count = ordinal + 1;
        self.rows[space][row as usize] = rows[space];
        Ok(rows[space])
    }

    fn copy_edges(&mut self) -> Result<()> {
        for ordinal in 0..self.slot.edges {
            let copied = self.copy_edge(ordinal);
            self.bear("a version of an association", ordinal, copied)?;
        }
        Ok(())
    }

    fn copy_edge(&mut self, ordinal: u64) -> Result<()> {
        let (source, slot) = (self.source, self.slot);
        let old = source.edge(ordinal, slot)?;
        check("an edge's checksum", ordinal, old.is_whole())?;
        check("the edge before an edge", ordinal, u64::from(old.previous) <= ordinal)?;
        if !self.kept.keeps_edge(ordinal, old) {
            return Ok(());
        }
        let end = |end: u32| {
            let concept = self.concepts.get(end as usize).and_then(|c| c.concept.checked_sub(1));
            concept.ok_or_else(|| Damage::new(0, "an edge's end", end.into(), "a concept"))
        };
        let mut edge = *old;
        (edge.source, edge.target) = (end(old.source)?, end(old.target)?);
        let before = old.previous.checked_sub(1);
        edge.previous = before.map_or(0, |before| self.edges[before as usize]);
        let older = match edge.previous.checked_sub(1) {
            Some(copy) => {
                let copy = *self.writer.image.view().edge(copy.into(), &self.writer.now)?;
                before.map(|old| source.edge(old.into(), slot)).transpose()?.map(|old| (old, copy))
            }
            None => None,
        };
        if edge.is_tombstone() && older.is_none() {
            return Ok(()); // it ends what was lost
        }
        let places = older.map(|(old, copy)| (old.properties.get(), copy.properties.get()));
        edge.properties = U48::new(self.carry(old.properties.get(), places)?);
        let was_live = older.is_some_and(|(_, copy)| !copy.is_tombstone());
        let writer = &mut self.writer;
        let copy = writer.now.edges;
        writer.image.ensure(Region::EDGES, copy + 1)?;
        writer.image.store_unit(Region::EDGES, copy, &edge.sealed())?;
        writer.now.edges = copy + 1;
        writer.now.edges_live += u64::from(!edge.is_tombstone() && !was_live);
        writer.now.edges_live -= u64::from(edge.is_tombstone() && was_live);
        writer.now.edges_expiring += u64::from(edge.valid_until != 0);
        self.edges[ordinal as usize] = copy as u32 + 1;
        Ok(())
    }

    /// Access counts, which may be changing meanwhile: an entry says itself which log entry it
    /// stands at, so what the log's tail adds is counted once.
    fn copy_accesses(&mut self) -> Result<()> {
        for ordinal in 0..self.concepts.len() {
            let Some(copy) = self.concepts[ordinal].concept.checked_sub(1) else { continue };
            let Some(words) = access_of(self.source, ordinal as u64) else { continue };
            let image = &self.writer.image;
            image.ensure(Region::ACCESS, u64::from(copy) + 1)?;
            let places = image.view().words(Region::ACCESS, copy.into(), ACCESS_WORDS)?;
            for (place, word) in places.iter().zip(words) {
                place.store(word, Ordering::Relaxed);
            }
            if (ordinal as u64).is_multiple_of(PACE) {
                (self.pace)()?;
            }
        }
        Ok(())
    }

    /// Counts what lives, and the rows that no newest version has.
    fn count_live(&mut self) -> Result<()> {
        let writer = &mut self.writer;
        let mut current = [0; VECTOR_SPACES_MAX];
        for Copied { concept, copy, .. } in &self.concepts {
            if *concept == 0 {
                continue;
            }
            let newest = writer.image.view().record(*copy, &writer.now)?;
            writer.now.concepts_live += u64::from(!newest.is_tombstone());
            for (space, count) in current.iter_mut().enumerate() {
                let row = writer.image.view().row_of(newest, space, &writer.now)?;
                *count += u64::from(row.is_some());
            }
        }
        for (space, current) in current.into_iter().enumerate() {
            writer.now.dead_rows[space] = writer.now.spaces[space].count.saturating_sub(current);
        }
        Ok(())
    }
}

/// The words of a concept's access counts, of one moment; `None` if it has none.
fn access_of(view: &View, concept: u64) -> Option<[u64; ACCESS_WORDS as usize]> {
    let words = view.words(Region::ACCESS, concept, ACCESS_WORDS).ok()?;
    loop {
        let state = words[STATE].load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let copy: [u64; ACCESS_WORDS as usize] =
            std::array::from_fn(|word| words[word].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if words[STATE].load(Ordering::Relaxed) == state && copy[STATE] == state {
            return (state != 0).then_some(copy);
        }
    }
}
