//! `sutra expand`: what surrounds some concepts.

use serde::Serialize;
use sutra_reader::{ExpandQuery, Expansion, Seed, Snapshot};

use super::follow::{Follow, FollowArgs, Way, stopped_name, type_text};
use super::path::AssociationRow;
use crate::args::{AsOfArgs, FilterArgs, NamespaceArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, ReaderArgs};

/// Print what surrounds one or more concepts, the best first
///
/// A concept's score is the product of the confidences along the best path to it from one of those
/// given, and of two that are equal the one that fewer associations lead to comes first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra expand knowledge dog.n.01
  sutra expand knowledge dog.n.01 cat.n.01 --hops 3 --per-hop 20 --limit 50
  sutra expand knowledge dog.n.01 --direction out --type hypernym --hops 9 --json
  sutra expand knowledge dog.n.01 --filter 'meta.pos = n' --timeout 50ms

With --json, also the associations between the concepts found. Exit code 1: there is no such
concept, or no such type.")]
pub struct ExpandArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// The concepts to begin at
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    reach: ReachArgs,
    /// Associations away, at most
    #[arg(long, value_name = "N", default_value_t = 2)]
    hops: u32,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How much of the surroundings is wanted.
#[derive(Clone, Debug, clap::Args)]
pub struct ReachArgs {
    /// Concepts to print, at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Concepts at each number of associations, at most
    #[arg(long, value_name = "N")]
    per_hop: Option<usize>,
    /// Which associations to follow
    #[arg(long, value_enum, default_value = "both")]
    direction: Way,
    #[command(flatten)]
    follow: FollowArgs,
}

impl ReachArgs {
    /// Looks the types up. The time begins to run.
    pub fn of(&self, snapshot: &Snapshot) -> Result<Follow, Failure> {
        self.follow.of(snapshot)
    }

    /// The query.
    pub fn query<'q>(&self, hops: u32, follow: &'q Follow) -> ExpandQuery<'q> {
        ExpandQuery {
            hops,
            per_hop: self.per_hop.unwrap_or(usize::MAX),
            limit: self.limit,
            direction: self.direction.into(),
            types: follow.types(),
            min_confidence: follow.min_confidence,
            valid_at: follow.valid_at,
            budget: follow.budget,
            ..ExpandQuery::default()
        }
    }
}

/// The surroundings, as `--json` gives them.
#[derive(Debug, Serialize)]
pub struct ExpansionRow<'s> {
    /// The best first.
    concepts: Vec<ConceptRow<'s>>,
    /// The associations between them.
    associations: Vec<AssociationRow>,
    /// Whether a limit left some out.
    cut: bool,
    /// Why it stopped early.
    stopped: Option<&'static str>,
}

/// A concept found.
#[derive(Debug, Serialize)]
pub struct ConceptRow<'s> {
    id: String,
    score: f64,
    hops: u32,
    /// Where the path to it begins.
    seed: String,
    /// The concept before it on the path, and the type of the association from or to there.
    from: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    content: &'s str,
}

impl<'s> ExpansionRow<'s> {
    /// The rows of what was found.
    pub fn new(snapshot: &'s Snapshot, found: &Expansion) -> Result<ExpansionRow<'s>, Failure> {
        let id = |ordinal| super::path::id_of(snapshot, ordinal);
        let concepts = found.concepts.iter().map(|concept| {
            let via = concept.via.map(|(edge, from)| -> Result<_, Failure> {
                Ok((id(from)?, type_text(snapshot, snapshot.association(edge)?.edge_type())))
            });
            let (from, kind) = via.transpose()?.unzip();
            let content = match snapshot.concept(concept.ordinal)? {
                Some(concept) => concept.content()?,
                None => "",
            };
            let (score, hops) = (concept.score, concept.hops);
            let (id, seed) = (id(concept.ordinal)?, id(concept.seed)?);
            Ok(ConceptRow { id, score, hops, seed, from, kind, content })
        });
        let associations =
            found.associations.iter().map(|edge| AssociationRow::new(snapshot, *edge));
        Ok(ExpansionRow {
            concepts: concepts.collect::<Result<_, Failure>>()?,
            associations: associations.collect::<Result<_, Failure>>()?,
            cut: found.is_cut,
            stopped: found.stopped.map(stopped_name),
        })
    }

    /// Prints them.
    pub fn print(self, as_json: bool) -> Result<(), Failure> {
        if as_json {
            return output::json(&self);
        }
        let rows = self.concepts.into_iter().map(|row| {
            let via = row.from.zip(row.kind).map(|(from, kind)| format!("{kind}, {from}"));
            let score = format!("{:.4}", row.score);
            let hops = row.hops.to_string();
            [score, hops, row.id, via.unwrap_or_default(), output::short(row.content, 60)]
        });
        output::table(["score", "hops", "id", "by", "content"], rows)?;
        if let Some(why) = self.stopped {
            output::print(&format!("stopped early ({why}): there may be better ones\n"))?;
        } else if self.cut {
            output::print("there are more; --limit and --per-hop say how many are wanted\n")?;
        }
        Ok(())
    }
}

/// Runs the command.
pub fn run(args: &ExpandArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let (store, namespace) = (&args.reader.store, &args.namespace.namespace);
    let mut seeds = Vec::new();
    for id in &args.ids {
        let concept = store::concept(&snapshot, store, namespace, id)?;
        seeds.push(Seed { ordinal: concept.ordinal(), score: 1.0 });
    }
    let follow = args.reach.of(&snapshot)?;
    let query = ExpandQuery { filter: filter.as_ref(), ..args.reach.query(args.hops, &follow) };
    let found = snapshot.expand(&seeds, &query)?;
    ExpansionRow::new(&snapshot, &found)?.print(args.output.json)?;
    Ok(Exit::Done)
}
