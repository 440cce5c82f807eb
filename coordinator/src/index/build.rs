//! A whole graph at once: of a new generation, before it takes the old one's place.

use sutra_layout::geometry::Region;
use sutra_layout::slot::SpaceCounts;
use sutra_vectors::{GraphState, Inserter};

use crate::error::CoordinatorError;
use crate::image::Image;
use crate::rebuild::Pace;

/// Rows between two calls of a [`Pace`]: some ten milliseconds.
const PACE: u64 = 64;

/// Links every row that `counts` says there is, from where it says that the graph stands, and sees
/// that each can be reached. Rows and their nodes are there, as applying stores them. Takes about an
/// eighth of a millisecond a row.
///
/// # Errors
/// [`CoordinatorError::StorageFull`]; those of `pace`.
pub fn build_graph(
    image: &Image,
    space: usize,
    counts: &SpaceCounts,
    pace: Pace<'_>,
) -> Result<GraphState, CoordinatorError> {
    let view = image.view();
    let mut inserter = Inserter::open(view, space, GraphState::of(counts), counts.count)?;
    let mut reserve = |units| image.take_units(Region::graph_levels(space), units);
    while inserter.insert_next(view, counts.count, &mut reserve)? {
        if inserter.state().indexed_count.is_multiple_of(PACE) {
            pace()?;
        }
    }
    inserter.mend(view)?;
    Ok(inserter.state())
}
