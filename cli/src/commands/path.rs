//! `sutra path`: the shortest way from one concept to another.

use serde::Serialize;
use sutra_reader::{Path, PathQuery, Snapshot};

use super::neighbors::{Way, type_text};
use crate::args::{AsOfArgs, FilterArgs, NamespaceArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, ReaderArgs};

/// Print a shortest path between two concepts
///
/// Found breadth-first; the confidence of a path is the product of its associations'. A filter
/// holds for every concept on the way, and not for the two ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra path knowledge dog.n.01 cat.n.01
  sutra path knowledge dog.n.01 cat.n.01 --max-depth 4 --direction both --json
  sutra path knowledge dog.n.01 cat.n.01 --filter 'meta.pos = n'
  sutra path knowledge ann acme --namespace alice --as-of 10m

Exit code 1: there is no such concept, or no path of that length.")]
pub struct PathArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// Where the path begins
    from: String,
    /// Where it ends
    to: String,
    /// Associations on the path, at most
    #[arg(long, value_name = "N", default_value_t = 6)]
    max_depth: u32,
    /// Which associations to follow
    #[arg(long, value_enum, default_value = "out")]
    direction: Way,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A path, as `--json` gives it; without one `length` and `confidence` are null.
#[derive(Debug, Serialize)]
pub struct PathRow {
    /// Whether there is one.
    pub found: bool,
    /// Associations on it.
    pub length: Option<usize>,
    /// The concepts on it, both ends included.
    pub nodes: Vec<String>,
    /// The associations between them, each as it is stored, whichever way it was followed.
    pub associations: Vec<AssociationRow>,
    /// The product of theirs.
    pub confidence: Option<f32>,
}

/// An association of a path.
#[derive(Debug, Serialize)]
pub struct AssociationRow {
    /// Where it starts.
    pub source: String,
    /// Where it leads.
    pub target: String,
    /// The type's name, or its number where it has none.
    #[serde(rename = "type")]
    pub kind: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Any number.
    pub weight: f32,
}

impl PathRow {
    /// The row of a path, or of its absence.
    pub fn new(snapshot: &Snapshot, path: Option<&Path>) -> Result<PathRow, Failure> {
        let Some(path) = path else {
            return Ok(PathRow {
                found: false,
                length: None,
                nodes: Vec::new(),
                associations: Vec::new(),
                confidence: None,
            });
        };
        let nodes = path.nodes.iter().map(|ordinal| id_of(snapshot, *ordinal));
        let associations = path.edges.iter().map(|edge| {
            let association = snapshot.association(*edge)?;
            Ok(AssociationRow {
                source: id_of(snapshot, association.source())?,
                target: id_of(snapshot, association.target())?,
                kind: type_text(snapshot, association.edge_type()),
                confidence: association.confidence(),
                weight: association.weight(),
            })
        });
        Ok(PathRow {
            found: true,
            length: Some(path.edges.len()),
            nodes: nodes.collect::<Result<_, Failure>>()?,
            associations: associations.collect::<Result<_, Failure>>()?,
            confidence: Some(path.confidence),
        })
    }

    /// The path in one line: `dog.n.01 -hypernym-> canine.n.02`.
    pub fn describe(&self) -> String {
        let mut text = self.nodes.first().cloned().unwrap_or_default();
        for (ends, association) in self.nodes.windows(2).zip(&self.associations) {
            let kind = &association.kind;
            let arrow = match association.source == ends[0] {
                true => format!(" -{kind}-> "),
                false => format!(" <-{kind}- "),
            };
            text += &arrow;
            text += &ends[1];
        }
        text
    }
}

/// The id of a concept on a path; searching has just been there.
fn id_of(snapshot: &Snapshot, ordinal: u32) -> Result<String, Failure> {
    match snapshot.concept(ordinal)? {
        Some(concept) => Ok(concept.id()?.to_string()),
        None => Err(Failure::store(format!(
            "the path leads over concept number {ordinal}, which is not there"
        ))),
    }
}

/// Runs the command.
pub fn run(args: &PathArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let (store, namespace) = (&args.reader.store, &args.namespace.namespace);
    let from = store::concept(&snapshot, store, namespace, &args.from)?;
    let to = store::concept(&snapshot, store, namespace, &args.to)?;
    let query = PathQuery {
        max_depth: args.max_depth,
        direction: args.direction.into(),
        filter: filter.as_ref(),
        ..PathQuery::default()
    };
    let path = snapshot.find_path(&from, &to, &query)?;
    let row = PathRow::new(&snapshot, path.as_ref())?;
    if args.output.json {
        output::json(&row)?;
    } else if let (Some(length), Some(confidence)) = (row.length, row.confidence) {
        output::print(&format!(
            "{}\nlength {length}, confidence {confidence}\n",
            output::plain(&row.describe())
        ))?;
    } else {
        output::print(&format!(
            "no path of at most {} associations leads from {} to {}; try --max-depth or --direction both\n",
            args.max_depth, args.from, args.to
        ))?;
    }
    Ok(if row.found { Exit::Done } else { Exit::NotFound })
}
