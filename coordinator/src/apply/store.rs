//! Appending truth: blobs, symbols, rows, records, edges.

use std::sync::atomic::Ordering;

use sutra_client::protocol::{MakeSpace, TimeToLive};
use sutra_layout::blob::blob_space;
use sutra_layout::edge::EdgeRecord;
use sutra_layout::geometry::{Region, Shape};
use sutra_layout::record::ConceptRecord;
use sutra_layout::space::Space;
use sutra_layout::symbol::{SYMBOL_HEAD_SIZE, SymbolTable, encode_symbol};

use super::Writer;
use crate::error::CoordinatorError;

const BYTES: Shape = Shape::new(1);

impl Writer {
    /// Appends a blob and returns its byte in the content region.
    pub(crate) fn append_blob(&mut self, bytes: &[u8]) -> Result<u64, CoordinatorError> {
        let size = blob_space(bytes.len());
        let at = fit(Region::CONTENT, BYTES, self.now.content_size, size)?;
        self.image.ensure(Region::CONTENT, at + size)?;
        self.image.store_blob(at, bytes)?;
        self.now.content_size = at + size;
        Ok(at)
    }

    /// The number of a name, which becomes a symbol if it is new.
    pub(super) fn intern(
        &mut self,
        table: SymbolTable,
        name: &str,
    ) -> Result<u32, CoordinatorError> {
        if let Some(number) = self.symbols.number(table, name) {
            return Ok(number);
        }
        let limit = CoordinatorError::LimitReached {
            what: "a symbol table",
            limit: table.number_max().into(),
        };
        let number = self.symbols.next(table).ok_or(limit)?;
        self.append_symbol(table, number, name)?;
        Ok(number)
    }

    /// How long the concepts of a namespace live unless told otherwise, from now on.
    pub(super) fn set_time_to_live(
        &mut self,
        time_to_live: &TimeToLive<'_>,
    ) -> Result<(), CoordinatorError> {
        let namespace = self.intern(SymbolTable::Namespace, time_to_live.namespace)?;
        self.append_symbol(SymbolTable::TimeToLive, namespace, &time_to_live.time_us.to_string())
    }

    pub(crate) fn append_symbol(
        &mut self,
        table: SymbolTable,
        number: u32,
        name: &str,
    ) -> Result<(), CoordinatorError> {
        let bytes = encode_symbol(table, number, name);
        let end = self.now.symbols_size;
        let at = fit(Region::SYMBOLS, BYTES, end, bytes.len() as u64)?;
        self.image.ensure(Region::SYMBOLS, at + bytes.len() as u64)?;
        if at > end {
            // Who reads on from `end` must find no head there.
            let zeros = (at - end).min(SYMBOL_HEAD_SIZE) as usize;
            let zeros = &[0; SYMBOL_HEAD_SIZE as usize][..zeros];
            self.image.store_bytes(Region::SYMBOLS, BYTES, end, zeros)?;
        }
        self.image.store_bytes(Region::SYMBOLS, BYTES, at, &bytes)?;
        self.now.symbols_size = at + bytes.len() as u64;
        self.symbols.add(table, number, name);
        Ok(())
    }

    /// Makes a named vector space, unless there is one of that name.
    pub(super) fn make_named_space(
        &mut self,
        made: &MakeSpace<'_>,
        lsn: u64,
    ) -> Result<(), CoordinatorError> {
        let count = self.now.spaces_count as usize;
        for index in 0..count {
            if self.image.view().space(index)?.name == made.name {
                return Ok(());
            }
        }
        let space = Space {
            dimension: made.dimension as usize,
            metric: made.metric,
            graph: made.graph,
            name: made.name.to_owned(),
            model: made.model.to_owned(),
        };
        self.image.store_space(count, &space, lsn)?;
        self.now.spaces_count = count as u64 + 1;
        Ok(())
    }

    /// Makes the default vector space.
    pub fn make_space(&mut self, space: &Space, lsn: u64) -> Result<(), CoordinatorError> {
        self.image.store_space(0, space, lsn)?;
        self.now.spaces_count = self.now.spaces_count.max(1);
        Ok(())
    }

    /// Appends a record, names it in its concept's column and in the id index.
    pub(super) fn append_record(&mut self, record: ConceptRecord) -> Result<(), CoordinatorError> {
        let ordinal = self.now.records;
        self.image.ensure(Region::RECORDS, ordinal + 1)?;
        self.image.ensure(Region::COLUMNS, u64::from(record.concept_ordinal) + 1)?;
        self.image.store_unit(Region::RECORDS, ordinal, &record.sealed())?;
        let column = self.image.view().columns(record.concept_ordinal)?;
        // Pairs with the fence behind a reader's load of the column.
        column[sutra_layout::column::NEWEST].store(ordinal + 1, Ordering::Release);
        self.index_record(ordinal, record.namespace, &record.id)?;
        self.now.records = ordinal + 1;
        self.now.records_expiring += u64::from(record.expires_at != 0);
        Ok(())
    }

    /// Appends an edge and names it in the edge index. Returns its ordinal.
    pub(super) fn append_edge(&mut self, edge: EdgeRecord) -> Result<u32, CoordinatorError> {
        let limited = CoordinatorError::LimitReached { what: "the edges", limit: u32::MAX.into() };
        let ordinal =
            u32::try_from(self.now.edges).ok().filter(|n| *n < u32::MAX - 1).ok_or(limited)?;
        self.image.ensure(Region::EDGES, u64::from(ordinal) + 1)?;
        self.image.store_unit(Region::EDGES, ordinal.into(), &edge.sealed())?;
        self.index_edge(ordinal, (edge.source, edge.target, edge.edge_type))?;
        self.now.edges_expiring += u64::from(edge.valid_until != 0);
        Ok(ordinal)
    }
}

fn fit(region: Region, shape: Shape, end: u64, size: u64) -> Result<u64, CoordinatorError> {
    let limited =
        CoordinatorError::LimitReached { what: region.name(), limit: sutra_layout::U48::MAX };
    shape.fit(end, size).filter(|at| at + size < sutra_layout::U48::MAX).ok_or(limited)
}
