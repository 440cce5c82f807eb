//! A row of a vector space, whose it is, and its node in the graph: the code, without links. From
//! when on a row is no longer current is said here too; the links are the index thread's.

use sutra_client::protocol::F32s;
use sutra_layout::geometry::Region;
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::record::ConceptRecord;
use sutra_layout::vector_column::VectorColumn;
use sutra_vectors::{Graph, store_node, store_superseded};

use super::Writer;
use crate::error::CoordinatorError;

impl Writer {
    /// Appends a row for the concept of `record`, which is appended next and still has the rows of
    /// the version before. Its vectors in other spaces stay, the one that it had in this is over.
    /// Returns the row's ordinal in the space.
    pub(super) fn append_vector(
        &mut self,
        space: usize,
        record: &ConceptRecord,
        values: F32s<'_>,
    ) -> Result<u32, CoordinatorError> {
        let (rows, columns) = (Region::vectors(space), Region::vector_columns(space));
        let view = self.image.view();
        let shape = view.space(space)?.vector_shape();
        let ordinal = self.now.spaces[space].count;
        let limited =
            CoordinatorError::LimitReached { what: "a vector space", limit: u32::MAX.into() };
        let number = u32::try_from(ordinal).ok().filter(|n| *n < u32::MAX).ok_or(limited)?;
        for region in [rows, columns, Region::graph(space)] {
            self.image.ensure(region, ordinal + 1)?;
        }
        // On the wire as in the file, elements are little-endian f32.
        self.image.store_bytes(rows, shape, ordinal, values.as_bytes())?;
        let norm = values.iter().map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        let inverse_norm = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
        let known = self.rows_of(record)?;
        let mut current = known;
        current[space] = number + 1;
        let column = VectorColumn {
            owner: record.concept_ordinal,
            inverse_norm,
            rows: current,
            ..VectorColumn::default()
        };
        self.image.store_unit(columns, ordinal, &column.sealed(values.as_bytes()))?;
        let graph = Graph::capture(view, space, ordinal + 1)?;
        let mut code = Vec::with_capacity(values.len());
        store_node(&graph, number, values.iter(), inverse_norm, &mut code)?;
        if let Some(older) = known[space].checked_sub(1) {
            self.supersede(space, older)?;
        }
        self.now.spaces[space].count = ordinal + 1;
        Ok(number)
    }

    /// The rows of a version of a concept, in every space, are over with the record appended next.
    pub(super) fn supersede_rows(
        &mut self,
        record: &ConceptRecord,
    ) -> Result<(), CoordinatorError> {
        for (space, row) in self.rows_of(record)?.into_iter().enumerate() {
            if let Some(row) = row.checked_sub(1) {
                self.supersede(space, row)?;
            }
        }
        Ok(())
    }

    /// For each space, 1 + the row that a version of a concept has in it; 0: none.
    pub(crate) fn rows_of(
        &self,
        record: &ConceptRecord,
    ) -> Result<[u32; VECTOR_SPACES_MAX], CoordinatorError> {
        let mut rows = [0; VECTOR_SPACES_MAX];
        for (space, row) in rows.iter_mut().enumerate() {
            let known = self.image.view().row_of(record, space, &self.now)?;
            *row = known.map_or(0, |row| row + 1);
        }
        Ok(rows)
    }

    /// A reader whose snapshot ends before that record still takes the row for current.
    fn supersede(&mut self, space: usize, row: u32) -> Result<(), CoordinatorError> {
        let graph = Graph::capture(self.image.view(), space, u64::from(row) + 1)?;
        store_superseded(&graph, row, self.now.records + 1)?;
        self.now.dead_rows[space] += 1;
        Ok(())
    }
}
