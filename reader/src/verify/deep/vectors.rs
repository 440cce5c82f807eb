//! Rows of the vector spaces, and the columns beside them.

use sutra_layout::checksum::{checksum, checksum_of};
use sutra_layout::geometry::Region;
use sutra_layout::vector_column::VectorColumn;

use zerocopy::IntoBytes;

use super::Deep;

/// How far a stored norm may be from the one computed here: the writer's rounding.
const NORM_ERROR_MAX: f32 = 1e-5;

impl Deep<'_> {
    pub(super) fn vectors(&mut self) -> String {
        let slot = self.slot;
        let counts: Vec<u64> =
            slot.spaces[..slot.spaces_count as usize].iter().map(|space| space.count).collect();
        for (space, count) in counts.iter().enumerate() {
            for row in 0..*count {
                self.advance(row, *count);
                self.row(space, row);
            }
        }
        format!("{} rows of {} vector spaces", counts.iter().sum::<u64>(), counts.len())
    }

    fn row(&mut self, space: usize, row: u64) {
        let (view, slot) = (self.view(), self.slot);
        let place = (Region::vector_columns(space), row);
        let column = match view.vector_column(space, row, &slot) {
            Ok(column) => column,
            Err(damage) => return self.damaged(place, &damage),
        };
        if !column.is_whole() {
            let expected = checksum_of(column);
            return self.found(place, "its checksum", column.checksum, expected);
        }
        if u64::from(column.owner) >= slot.concepts {
            self.found(place, "its owner", column.owner, format!("below {}", slot.concepts));
        }
        for (other, number) in column.rows.iter().enumerate() {
            let count = slot.spaces[other].count;
            let (found, least) = (u64::from(*number), if other == space { row + 1 } else { 0 });
            let most = if other == space { row + 1 } else { count };
            if found < least || found > most {
                let what = format!("its owner's row in space {other}");
                self.found(place, what, found, format!("{least} to {most}"));
            }
        }
        self.row_values(space, row, column);
    }

    fn row_values(&mut self, space: usize, row: u64, column: &VectorColumn) {
        let place = (Region::vectors(space), row);
        let values = match self.view().vector(space, row, &self.slot) {
            Ok(values) => values,
            Err(damage) => return self.damaged(place, &damage),
        };
        if !column.matches(values) {
            let expected = column.row_checksum;
            return self.found(place, "its checksum", checksum(values.as_bytes()), expected);
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return self.found(place, "an element", value, "a finite number");
        }
        let norm = values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        let expected = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
        let found = column.inverse_norm;
        let is_near = (found - expected).abs() <= NORM_ERROR_MAX * expected;
        if found != expected && !is_near {
            let place = (Region::vector_columns(space), row);
            self.found(place, "1 over the norm of its row", found, expected);
        }
    }
}
