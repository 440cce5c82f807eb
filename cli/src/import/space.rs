//! Vector spaces of an import: lines name them, and writes need their numbers.

use std::path::Path;

use sutra_client::{Batch, Client, Level, MakeSpace};
use sutra_reader::{Metric, Reader};

use super::line::SpaceLine;
use crate::exit::Failure;

/// A vector space that a line names.
#[derive(Debug)]
pub struct SpaceWanted {
    name: String,
    /// Model, dimension and metric of one to make.
    make: Option<(String, u32, Metric)>,
}

impl SpaceWanted {
    /// One that shall be there.
    pub fn find(name: &str) -> SpaceWanted {
        SpaceWanted { name: name.to_owned(), make: None }
    }

    /// One to make, unless the same is there.
    pub fn make(line: &SpaceLine<'_>) -> SpaceWanted {
        let make = (line.model.clone().into_owned(), line.dimension, line.metric);
        SpaceWanted { name: line.name.clone().into_owned(), make: Some(make) }
    }

    /// Its number, or why there is none. Nothing may be in flight.
    pub fn number(&self, client: &mut Client, store: &Path) -> Result<Result<u8, String>, Failure> {
        if let Some((model, dimension, metric)) = &self.make {
            let (dimension, metric) = (*dimension, *metric);
            if self.name.is_empty() {
                return check_default(store, dimension, metric);
            }
            let space = MakeSpace { name: &self.name, model, dimension, metric };
            let mut batch = Batch::new();
            if let Err(error) = batch.make_space(&space) {
                return Ok(Err(error.to_string()));
            }
            if let Some(error) = client.write(&batch, Level::Visible)?.errors.into_iter().next() {
                return Ok(Err(error.message));
            }
        }
        let snapshot = Reader::open(store)?.snapshot()?;
        let missing = || format!("there is no vector space {:?}; make it first", self.name);
        let number = snapshot.space_number(&self.name)?;
        Ok(number.map(|number| number as u8).ok_or_else(missing))
    }
}

/// The default space is made by the first vector, measured as the coordinator was told to: whether
/// that will be, or is, as the line says.
fn check_default(
    store: &Path,
    dimension: u32,
    metric: Metric,
) -> Result<Result<u8, String>, Failure> {
    let spaces = Reader::open(store)?.snapshot()?.spaces()?;
    let fits = match spaces.first() {
        Some(space) => space.dimension == dimension as usize && space.metric == metric,
        None => metric == Metric::default(),
    };
    let metric = metric.name();
    let remedy = || {
        format!(
            "the default vector space is not one of {dimension} elements measured by {metric}; \
             serve a new store with --vector-dim {dimension} --metric {metric}"
        )
    };
    Ok(if fits { Ok(0) } else { Err(remedy()) })
}
