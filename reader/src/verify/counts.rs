//! Counts against extents and the file's size; the tables that are read whole.

use sutra_layout::Damage;
use sutra_layout::geometry::{Region, Shape};
use sutra_layout::slot::Slot;

use crate::file::StoreFile;
use crate::symbols::Symbols;

/// The last unit of each region that the slot counts lies in an extent, and in the file.
pub(super) fn counts(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let fixed = [
        (Region::RECORDS, slot.records),
        (Region::EDGES, slot.edges),
        (Region::CONTENT, slot.content_size),
        (Region::SYMBOLS, slot.symbols_size),
        (Region::COLUMNS, slot.concepts),
    ];
    for (region, count) in fixed {
        reaches(file, region, count).map_err(|damage| damage.to_string())?;
    }
    for at in 0..slot.spaces_count as usize {
        let count = slot.spaces[at].count;
        for region in [Region::vectors(at), Region::vector_columns(at)] {
            reaches(file, region, count).map_err(|damage| damage.to_string())?;
        }
    }
    Ok(format!(
        "{} concepts in {} records, {} associations in {} edges, {} bytes of content",
        slot.concepts_live, slot.records, slot.edges_live, slot.edges, slot.content_size
    ))
}

fn reaches(file: &StoreFile, region: Region, count: u64) -> Result<(), Damage> {
    let Some(last) = count.checked_sub(1) else {
        return Ok(());
    };
    let shape: Shape = file
        .view
        .shape(region)
        .ok_or_else(|| Damage::new(0, "a vector space", count, "made before its first row"))?;
    let offset = file.view.locate(region, shape, last)?;
    let end = offset + shape.stride;
    let size = file.view.map().extend().unwrap_or(0);
    if end > size {
        let expected = format!(
            "at most {size}, the file's size, at the end of {}",
            region.name()
        );
        return Err(Damage::new(offset, "the end of a region", end, expected));
    }
    Ok(())
}

pub(super) fn spaces(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let mut details = Vec::new();
    for at in 0..slot.spaces_count as usize {
        let space = file.view.space(at).map_err(|damage| damage.to_string())?;
        details.push(format!(
            "{at}: {} elements, {}, {} rows",
            space.dimension,
            space.metric.name(),
            slot.spaces[at].count
        ));
    }
    Ok(if details.is_empty() {
        "none yet".to_owned()
    } else {
        details.join("; ")
    })
}

pub(super) fn symbols(file: &StoreFile, slot: &Slot) -> Result<String, String> {
    let mut symbols = Symbols::default();
    symbols
        .extend(&file.view, slot)
        .map_err(|damage| damage.to_string())?;
    Ok(format!("{} names", symbols.count()))
}
