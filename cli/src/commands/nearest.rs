//! `sutra nearest`: the concepts whose vectors are nearest to one.

use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sutra_reader::{ExpandQuery, Hit, NearestQuery, Snapshot};

use super::expand::ExpansionRow;
use super::follow::{self, Way};
use crate::args::{AsOfArgs, FilterArgs, ScopeArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::npy::Rows;
use crate::output::{self, OutputArgs};
use crate::store::{self, ReaderArgs};

/// Print the concepts nearest to a vector
///
/// A larger score is nearer under every metric: the cosine, the dot product, or minus the Euclidean
/// distance. Scores are exact; of the nearest, the search may miss a few, the fewer the higher --ef.
/// --exact misses none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra nearest knowledge --like wolf.n.01
  sutra nearest knowledge --vector query.npy -k 5 --json
  embed 'a wild dog' | sutra nearest knowledge --vector -
  sutra nearest knowledge --like wolf.n.01 --filter 'meta.pos = v'
  sutra nearest knowledge --like wolf --space minilm-2 --namespace alice
  sutra nearest knowledge --vector query.npy -k 3 --expand 2 --limit 20
  sutra nearest knowledge --vector query.npy --ef 200 --min-score 0.5
  sutra nearest knowledge --vector query.npy --exact

A 1-D array gives one list; a 2-D array is many queries and gives a list of lists.
With a filter it still gives K where K exist. Exit code 1: there is no such concept, or it has no
vector.")]
pub struct NearestArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    query: Query,
    /// Concepts to print, at most
    #[arg(short, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// The vector space to search, by name [default: the store's first]
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Candidates that the search keeps [default: as the space was made]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ef: Option<u32>,
    /// Compare every vector in 32-bit floating point
    #[arg(long, conflicts_with = "ef")]
    exact: bool,
    /// Only concepts at least so near
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    min_score: Option<f32>,
    #[command(flatten)]
    around: AroundArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Query {
    /// Nearest to the vector of this concept, which itself is left out
    #[arg(long, value_name = "ID")]
    like: Option<String>,
    /// Nearest to the vectors in this file; `-` is standard input
    #[arg(long, value_name = "FILE.npy")]
    vector: Option<PathBuf>,
}

/// What surrounds the hits.
#[derive(Debug, clap::Args)]
struct AroundArgs {
    /// Also print what surrounds the K, up to so many associations away, ranked by similarity times
    /// the confidences along the path
    #[arg(long, value_name = "HOPS")]
    expand: Option<u32>,
    /// With --expand: concepts to print, at most
    #[arg(long, value_name = "N", default_value_t = 100, requires = "expand")]
    limit: usize,
    /// With --expand: which associations to follow
    #[arg(long, value_enum, default_value = "both", requires = "expand")]
    direction: Way,
    /// With --expand: only associations of this type, by name or number; may be given several times
    #[arg(long = "type", value_name = "T", requires = "expand")]
    types: Vec<String>,
}

/// A hit, as `--json` gives it.
#[derive(Debug, Serialize)]
pub struct HitRow<'s> {
    /// The concept.
    pub id: String,
    /// Larger is nearer.
    pub score: f32,
    /// Its content.
    pub content: &'s str,
}

impl<'s> HitRow<'s> {
    /// The row of one hit; none if it has expired.
    pub fn new(snapshot: &'s Snapshot, hit: &Hit) -> Result<Option<HitRow<'s>>, Failure> {
        let Some(concept) = snapshot.concept(hit.ordinal)? else {
            return Ok(None);
        };
        Ok(Some(HitRow {
            id: concept.id()?.to_string(),
            score: hit.score,
            content: concept.content()?,
        }))
    }
}

/// Runs the command.
pub fn run(args: &NearestArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let query = NearestQuery {
        k: args.k as usize,
        space: store::space(&snapshot, args.space.as_deref())?,
        namespaces: args.scope.namespaces(),
        filter: filter.as_ref(),
        ef: args.ef.map(|ef| ef as usize),
        exact: args.exact,
        min_score: args.min_score,
        ..NearestQuery::default()
    };
    if let Some(hops) = args.around.expand {
        return expand(&snapshot, args, hops, &query);
    }
    match (&args.query.like, &args.query.vector) {
        (Some(id), _) => {
            let rows = like(&snapshot, args, id, &query)?;
            if args.output.json { output::json(&rows)? } else { print_hits(rows)? }
        }
        (None, Some(path)) => {
            let mut queries = open(path)?;
            let is_list = queries.is_list();
            let (mut row, mut lists) = (Vec::new(), Vec::new());
            while queries.next_row(&mut row).map_err(Failure::usage)? {
                lists.push(search(&snapshot, &row, &query)?);
            }
            match (args.output.json, is_list) {
                (true, true) => output::json(&lists)?,
                (true, false) => output::json(&lists[0])?,
                (false, _) => lists.into_iter().enumerate().try_for_each(|(number, rows)| {
                    if is_list {
                        output::print(&format!("query {number}\n"))?;
                    }
                    print_hits(rows)
                })?,
            }
        }
        (None, None) => unreachable!("the parser requires one of --like and --vector"),
    }
    Ok(Exit::Done)
}

/// The nearest and what surrounds them, for one query.
fn expand(
    snapshot: &Snapshot,
    args: &NearestArgs,
    hops: u32,
    nearest: &NearestQuery<'_>,
) -> Outcome {
    let AroundArgs { limit, direction, types, .. } = &args.around;
    let types = types.iter().map(|name| follow::type_number(snapshot, name));
    let types = types.collect::<Result<Vec<u16>, Failure>>()?;
    let query = ExpandQuery {
        hops,
        limit: *limit,
        direction: (*direction).into(),
        types: (!types.is_empty()).then_some(types.as_slice()),
        filter: nearest.filter,
        ..ExpandQuery::default()
    };
    let found = match (&args.query.like, &args.query.vector) {
        (Some(id), _) => {
            let (concept, embedding) = embedding_of(snapshot, args, id, nearest.space)?;
            let nearest = NearestQuery { exclude: Some(concept), ..*nearest };
            snapshot.expand_nearest(embedding, &nearest, &query)?
        }
        (None, Some(path)) => {
            let mut queries = open(path)?;
            let mut row = Vec::new();
            if queries.is_list() || !queries.next_row(&mut row).map_err(Failure::usage)? {
                let message = "--expand takes one query: give a 1-D array";
                return Err(Failure::usage(message));
            }
            snapshot.expand_nearest(&row, nearest, &query)?
        }
        (None, None) => unreachable!("the parser requires one of --like and --vector"),
    };
    ExpansionRow::new(snapshot, &found)?.print(args.output.json)?;
    Ok(Exit::Done)
}

/// The nearest to a concept, without itself.
fn like<'s>(
    snapshot: &'s Snapshot,
    args: &NearestArgs,
    id: &str,
    query: &NearestQuery<'_>,
) -> Result<Vec<HitRow<'s>>, Failure> {
    let (concept, embedding) = embedding_of(snapshot, args, id, query.space)?;
    search(snapshot, embedding, &NearestQuery { exclude: Some(concept), ..*query })
}

/// The ordinal and the vector of the concept that others are to be like.
fn embedding_of<'s>(
    snapshot: &'s Snapshot,
    args: &NearestArgs,
    id: &str,
    space: usize,
) -> Result<(u32, &'s [f32]), Failure> {
    let concept = store::concept(snapshot, &args.reader.store, &args.scope.one.namespace, id)?;
    let embedding = concept.embedding_in(space)?.ok_or_else(|| {
        let place = match &args.space {
            Some(name) => format!(" in the vector space {name:?}"),
            None => String::new(),
        };
        let message = format!("the concept {id:?} has no vector{place}; give one with --vector");
        Failure::not_found(message)
    })?;
    Ok((concept.ordinal(), embedding))
}

fn search<'s>(
    snapshot: &'s Snapshot,
    vector: &[f32],
    query: &NearestQuery<'_>,
) -> Result<Vec<HitRow<'s>>, Failure> {
    snapshot
        .nearest(vector, query)?
        .iter()
        .filter_map(|hit| HitRow::new(snapshot, hit).transpose())
        .collect()
}

fn open(path: &Path) -> Result<Rows<BufReader<Box<dyn Read>>>, Failure> {
    let (name, reader): (_, Box<dyn Read>) = match path == Path::new("-") {
        true => ("standard input".to_owned(), Box::new(stdin())),
        false => {
            let file = File::open(path).map_err(|error| {
                Failure::usage(format!(
                    "{} cannot be read ({error}); give an .npy file",
                    path.display()
                ))
            })?;
            (path.display().to_string(), Box::new(file))
        }
    };
    Rows::new(name, BufReader::new(reader)).map_err(Failure::usage)
}

fn print_hits(rows: Vec<HitRow<'_>>) -> Result<(), Failure> {
    let rows = rows
        .into_iter()
        .map(|row| [format!("{:.4}", row.score), row.id, output::short(row.content, 100)]);
    output::table(["score", "id", "content"], rows)
}
