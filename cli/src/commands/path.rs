//! `sutra path`: the shortest way from one concept to another.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use sutra_reader::{Best, BestPaths, BestQuery, Path, PathQuery, Snapshot};

use super::follow::{Follow, FollowArgs, Way, stopped_name, type_text};
use crate::args::{self, AsOfArgs, FilterArgs, NamespaceArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, ReaderArgs};

/// Print a shortest path between two concepts, or the best ones
///
/// A shortest path is found breadth-first. The best path (--best) has the largest product of
/// confidences, or the smallest sum of weights; of two that are equal, the one of fewer
/// associations. With --k N come the N best that go different ways and through no concept twice,
/// each with the associations that speak for it. A filter holds for every concept on the way, and
/// not for the two ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra path knowledge dog.n.01 cat.n.01
  sutra path knowledge dog.n.01 cat.n.01 --max-depth 4 --direction both --json
  sutra path knowledge dog.n.01 cat.n.01 --filter 'meta.pos = n' --type hypernym --type hyponym
  sutra path knowledge dog.n.01 democracy.n.01 --best --k 3
  sutra path knowledge home work --best --by weight --timeout 200ms
  sutra path knowledge ann acme --namespace alice --as-of 10m

Exit code 1: there is no such concept, or no path of that length.")]
pub struct PathArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// Where the path begins
    from: String,
    /// Where it ends
    to: String,
    /// Associations on a shortest path, at most
    #[arg(long, value_name = "N", default_value_t = 6, conflicts_with = "best")]
    max_depth: u32,
    /// The best path instead of a shortest one
    #[arg(long)]
    best: bool,
    /// With --best: so many of the best, at most
    #[arg(long, value_name = "N", default_value_t = 1, requires = "best")]
    k: u16,
    /// With --best: what makes a path better
    #[arg(long, value_enum, default_value = "confidence", requires = "best")]
    by: By,
    /// With --by strength: how long an unused concept takes to lose half of its strength
    #[arg(long, value_name = "DURATION", value_parser = args::duration, requires = "best")]
    half_life: Option<Duration>,
    /// Which associations to follow
    #[arg(long, value_enum, default_value = "out")]
    direction: Way,
    #[command(flatten)]
    follow: FollowArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What makes a path better, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// A larger product of confidences
    Confidence,
    /// A smaller sum of weights
    Weight,
    /// A larger product of confidences and of the concepts' effective strengths
    Strength,
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

impl AssociationRow {
    /// The row of an association.
    pub fn new(snapshot: &Snapshot, edge: u32) -> Result<AssociationRow, Failure> {
        let association = snapshot.association(edge)?;
        Ok(AssociationRow {
            source: id_of(snapshot, association.source())?,
            target: id_of(snapshot, association.target())?,
            kind: type_text(snapshot, association.edge_type()),
            confidence: association.confidence(),
            weight: association.weight(),
        })
    }
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
        let associations = path.edges.iter().map(|edge| AssociationRow::new(snapshot, *edge));
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
pub fn id_of(snapshot: &Snapshot, ordinal: u32) -> Result<String, Failure> {
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
    let follow = args.follow.of(&snapshot)?;
    if args.best {
        let query = best_query(args, &follow)?;
        let query = BestQuery { filter: filter.as_ref(), ..query };
        let found = snapshot.best_paths(&from, &to, &query)?;
        return print_best(&snapshot, args, &found);
    }
    let query = PathQuery {
        max_depth: args.max_depth,
        direction: args.direction.into(),
        types: follow.types(),
        min_confidence: follow.min_confidence,
        filter: filter.as_ref(),
        valid_at: follow.valid_at,
        budget: follow.budget,
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

fn best_query<'q>(args: &PathArgs, follow: &'q Follow) -> Result<BestQuery<'q>, Failure> {
    let by = match (args.by, args.half_life) {
        (By::Confidence, None) => Best::Confidence,
        (By::Weight, None) => Best::Weight,
        (By::Strength, Some(half_life)) => Best::Strength { half_life },
        (By::Strength, None) => {
            return Err(Failure::usage("--by strength needs --half-life, such as 30d"));
        }
        (_, Some(_)) => return Err(Failure::usage("--half-life goes with --by strength")),
    };
    Ok(BestQuery {
        k: args.k.into(),
        by,
        direction: args.direction.into(),
        types: follow.types(),
        min_confidence: follow.min_confidence,
        valid_at: follow.valid_at,
        budget: follow.budget,
        ..BestQuery::default()
    })
}

/// The best paths, as `--json` gives them.
#[derive(Debug, Serialize)]
struct BestRows {
    /// The best first.
    paths: Vec<BestRow>,
    /// Why it stopped early.
    stopped: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct BestRow {
    /// The product or sum that it is ranked by.
    score: f64,
    #[serde(flatten)]
    path: PathRow,
}

fn print_best(snapshot: &Snapshot, args: &PathArgs, found: &BestPaths) -> Outcome {
    let row = |best: &sutra_reader::BestPath| -> Result<BestRow, Failure> {
        Ok(BestRow { score: best.score, path: PathRow::new(snapshot, Some(&best.path))? })
    };
    let rows = BestRows {
        paths: found.paths.iter().map(row).collect::<Result<_, Failure>>()?,
        stopped: found.stopped.map(stopped_name),
    };
    let exit = if rows.paths.is_empty() { Exit::NotFound } else { Exit::Done };
    if args.output.json {
        output::json(&rows)?;
        return Ok(exit);
    }
    let mut text = String::new();
    let what = if args.by == By::Weight { "weight" } else { "score" };
    for (number, BestRow { score, path }) in rows.paths.iter().enumerate() {
        let length = path.associations.len();
        let _ = writeln!(text, "{}. {what} {score:.4}, length {length}", number + 1);
        let _ = writeln!(text, "   {}", path.nodes[0]);
        for (ends, association) in path.nodes.windows(2).zip(&path.associations) {
            let AssociationRow { kind, confidence, weight, .. } = association;
            let arrow = if association.source == ends[0] { "->" } else { "<-" };
            let (next, number) = match args.by {
                By::Weight => (&ends[1], format!("weight {weight}")),
                By::Confidence | By::Strength => (&ends[1], format!("confidence {confidence}")),
            };
            let _ = writeln!(text, "   {arrow} {kind:<18} {next}  ({number})");
        }
    }
    match found.stopped {
        Some(why) if rows.paths.is_empty() => {
            let _ = writeln!(text, "stopped early, as {why}; whether there is a path is not known");
        }
        Some(why) => {
            let _ = writeln!(text, "stopped early, as {why}; there may be more");
        }
        None if rows.paths.is_empty() => {
            let (from, to) = (&args.from, &args.to);
            let _ = writeln!(text, "no path leads from {from} to {to}; try --direction both");
        }
        None => {}
    }
    output::print(&output::plain(&text))?;
    Ok(exit)
}
