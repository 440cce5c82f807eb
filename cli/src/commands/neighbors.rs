//! `sutra neighbors`: what a concept is associated with.

use serde::Serialize;
use sutra_reader::{Direction, Neighbor, NeighborQuery, Snapshot};

use super::follow::{FollowArgs, Way, type_text};
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
  sutra neighbors knowledge dog.n.01 --type 1 --min-confidence 0.8 --json
  sutra neighbors knowledge entity.n.01 --limit 1000 --after 48211
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
    #[command(flatten)]
    follow: FollowArgs,
    /// Print so many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Go on after this association: the next page, by the `edge` of the last one before
    #[arg(long, value_name = "EDGE")]
    after: Option<u32>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
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
    /// The association's number, which `--after` takes.
    pub edge: u32,
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
            edge: neighbor.edge,
        }))
    }
}

/// Runs the command.
pub fn run(args: &NeighborsArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let namespace = &args.namespace.namespace;
    let concept = store::concept(&snapshot, &args.reader.store, namespace, &args.id)?;
    let follow = args.follow.of(&snapshot)?;
    let query = NeighborQuery {
        direction: args.direction.into(),
        types: follow.types(),
        limit: args.limit,
        after: args.after,
        min_confidence: follow.min_confidence,
        filter: filter.as_ref(),
        valid_at: follow.valid_at,
        budget: follow.budget,
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
