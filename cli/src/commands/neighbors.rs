//! `sutra neighbors`: what a concept is associated with.

use clap::ValueEnum;
use serde::Serialize;
use sutra_reader::{Direction, Neighbor, NeighborQuery, Snapshot};

use crate::args::{AsOfArgs, FilterArgs, NamespaceArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, ReaderArgs};

/// Print what a concept is associated with, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra neighbors knowledge dog.n.01
  sutra neighbors knowledge dog.n.01 --direction in --type hypernym --limit 20
  sutra neighbors knowledge dog.n.01 --type 1 --json
  sutra neighbors knowledge dog.n.01 --filter 'meta.pos = n and strength >= 0.5'
  sutra neighbors knowledge todo-7 --namespace alice --as-of 1204

Exit code 1: there is no such concept, or no such type.")]
pub struct NeighborsArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// The concept's id
    id: String,
    /// Which associations to follow
    #[arg(long, value_enum, default_value = "out")]
    direction: Way,
    /// Only associations of this type, by name or number; may be given several times
    #[arg(long = "type", value_name = "T")]
    types: Vec<String>,
    /// Print so many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A direction, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Way {
    /// From the concept
    Out,
    /// To the concept
    In,
    /// Either
    Both,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Direction {
        match way {
            Way::Out => Direction::Out,
            Way::In => Direction::In,
            Way::Both => Direction::Both,
        }
    }
}

/// A neighbour, as `--json` gives it.
#[derive(Debug, Serialize)]
pub struct NeighborRow {
    /// The other concept.
    pub id: String,
    /// The type's name, or its number where it has none.
    #[serde(rename = "type")]
    pub kind: String,
    /// `out` or `in`.
    pub direction: &'static str,
    /// 0 to 1.
    pub confidence: f32,
    /// Any number.
    pub weight: f32,
}

impl NeighborRow {
    /// The row of one neighbour; none if it has expired.
    pub fn new(snapshot: &Snapshot, neighbor: &Neighbor) -> Result<Option<NeighborRow>, Failure> {
        let Some(concept) = snapshot.concept(neighbor.ordinal)? else {
            return Ok(None);
        };
        let association = snapshot.association(neighbor.edge)?;
        Ok(Some(NeighborRow {
            id: concept.id()?.to_string(),
            kind: type_text(snapshot, neighbor.edge_type),
            direction: match neighbor.direction {
                Direction::In => "in",
                _ => "out",
            },
            confidence: association.confidence(),
            weight: association.weight(),
        }))
    }
}

/// Runs the command.
pub fn run(args: &NeighborsArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let namespace = &args.namespace.namespace;
    let concept = store::concept(&snapshot, &args.reader.store, namespace, &args.id)?;
    let types = args
        .types
        .iter()
        .map(|name| type_number(&snapshot, name))
        .collect::<Result<Vec<u16>, _>>()?;
    let query = NeighborQuery {
        direction: args.direction.into(),
        types: (!types.is_empty()).then_some(types.as_slice()),
        limit: args.limit,
        filter: filter.as_ref(),
        ..NeighborQuery::default()
    };
    let neighbors = snapshot.neighbors(&concept, &query)?;
    let rows = neighbors
        .iter()
        .filter_map(|neighbor| NeighborRow::new(&snapshot, neighbor).transpose())
        .collect::<Result<Vec<NeighborRow>, Failure>>()?;
    if args.output.json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        output::print("no neighbours\n")?;
    } else {
        output::table(
            ["id", "type", "direction", "confidence", "weight"],
            rows.into_iter().map(|row| {
                [
                    row.id,
                    row.kind,
                    row.direction.to_owned(),
                    row.confidence.to_string(),
                    row.weight.to_string(),
                ]
            }),
        )?;
    }
    Ok(Exit::Done)
}

/// A type's name, or its number where it has none.
pub fn type_text(snapshot: &Snapshot, number: u16) -> String {
    snapshot.type_name(number).map_or_else(|| number.to_string(), str::to_owned)
}

fn type_number(snapshot: &Snapshot, text: &str) -> Result<u16, Failure> {
    snapshot.type_number(text).or_else(|| text.parse().ok()).ok_or_else(|| {
        let known: Vec<&str> = snapshot.types().into_iter().map(|(_, name)| name).collect();
        Failure::not_found(format!(
            "no association of this store has the type {text:?}; it has {}",
            known.join(", ")
        ))
    })
}
