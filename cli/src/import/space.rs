//! Vector spaces of an import: lines name them, and writes need their numbers.

use std::path::Path;

use sutra_client::{Batch, Client, Level, MakeSpace};
use sutra_layout::space::GraphSettings;
use sutra_reader::{Metric, Reader};

use super::line::SpaceLine;
use crate::exit::Failure;

/// A vector space that a line names.
#[derive(Debug)]
pub struct SpaceWanted {
    name: String,
    /// One to make.
    make: Option<Wanted>,
}

/// What a vector space is to be.
#[derive(Debug)]
struct Wanted {
    model: String,
    dimension: u32,
    metric: Metric,
    graph: Option<GraphSettings>,
}

impl SpaceWanted {
    /// One that shall be there.
    pub fn find(name: &str) -> SpaceWanted {
        SpaceWanted { name: name.to_owned(), make: None }
    }

    /// One to make, unless the same is there.
    pub fn make(line: &SpaceLine<'_>) -> SpaceWanted {
        let &SpaceLine { dimension, metric, graph, .. } = line;
        let make = Wanted { model: line.model.clone().into_owned(), dimension, metric, graph };
        SpaceWanted { name: line.name.clone().into_owned(), make: Some(make) }
    }

    /// Its number, or why there is none. Nothing may be in flight.
    pub fn number(&self, client: &mut Client, store: &Path) -> Result<Result<u8, String>, Failure> {
        if let Some(wanted) = &self.make {
            if self.name.is_empty() {
                return check_default(store, wanted);
            }
            let &Wanted { ref model, dimension, metric, graph } = wanted;
            let graph = graph.unwrap_or_default();
            let space = MakeSpace { name: &self.name, model, dimension, metric, graph };
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
fn check_default(store: &Path, wanted: &Wanted) -> Result<Result<u8, String>, Failure> {
    let &Wanted { dimension, metric, graph, .. } = wanted;
    let spaces = Reader::open(store)?.snapshot()?.spaces()?;
    let fits = match spaces.first() {
        Some(space) => {
            space.dimension == dimension as usize
                && space.metric == metric
                && graph.is_none_or(|graph| space.graph == graph)
        }
        None => {
            metric == Metric::default()
                && graph.is_none_or(|graph| graph == GraphSettings::default())
        }
    };
    let metric = metric.name();
    let remedy = || {
        let GraphSettings { m, ef_construction, ef_search, quantization } =
            graph.unwrap_or_default();
        let quantization = quantization.name();
        format!(
            "the default vector space is not one of {dimension} elements measured by {metric} with \
             such a graph; serve a new store with --vector-dim {dimension} --metric {metric} --m {m} \
             --ef-construction {ef_construction} --ef {ef_search} --quantization {quantization}"
        )
    };
    Ok(if fits { Ok(0) } else { Err(remedy()) })
}
