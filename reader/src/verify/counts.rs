//! Counts against extents and the file's size; the tables that are read whole.

use sutra_layout::slot::Slot;

use super::problem_of;
use crate::file::StoreFile;
use crate::symbols::Symbols;

/// The last unit of each region that the slot counts lies in an extent, and in the file.
pub(super) fn counts(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    file.check_counts(slot).map_err(problem_of)?;
    Ok(format!(
        "{} concepts in {} records, {} associations in {} edges, {} bytes of content",
        slot.concepts_live, slot.records, slot.edges_live, slot.edges, slot.content_size
    ))
}

pub(super) fn spaces(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let mut details = Vec::new();
    for at in 0..slot.spaces_count as usize {
        let space = file.view.space(at).map_err(problem_of)?;
        details.push(format!(
            "{at}: {} elements, {}, {} rows",
            space.dimension,
            space.metric.name(),
            slot.spaces[at].count
        ));
    }
    Ok(if details.is_empty() { "none yet".to_owned() } else { details.join("; ") })
}

pub(super) fn symbols(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let mut symbols = Symbols::default();
    symbols.extend(&file.view, slot).map_err(problem_of)?;
    Ok(format!("{} names", symbols.count()))
}
