//! `sutra space`: the vector spaces of a store.

use clap::Subcommand;
use serde::Serialize;
use sutra_client::MakeSpace;
use sutra_coordinator::args::{GraphArgs, metrics};
use sutra_layout::limits::VECTOR_DIMENSION_MAX;
use sutra_reader::{Metric, SpaceInfo};

use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, ReaderArgs, WriterArgs};
use crate::write::{WriteArgs, batch, write};

/// List the vector spaces of a store, or make one
///
/// A store's first space is its default one; without being made, it takes the dimension of the
/// first vector. A second one lets a new model move in while the old one still answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra space list knowledge
  sutra space make knowledge minilm-2 --dimension 384 --model all-MiniLM-L6-v2
  sutra learn knowledge --id wolf --vector wolf.npy --space minilm-2
  sutra nearest knowledge --like wolf --space minilm-2")]
pub struct SpaceArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(ListArgs),
    Make(MakeArgs),
}

/// List the vector spaces of a store
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra space list knowledge
  sutra space list knowledge --json | jq '.[].name'")]
struct ListArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Make a vector space
///
/// The same again changes nothing; a space of that name with another model, dimension, metric or
/// graph is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra space make knowledge minilm-2 --dimension 384 --model all-MiniLM-L6-v2
  sutra space make knowledge images --dimension 512 --metric dot --json
  sutra space make knowledge precise --dimension 768 --m 24 --ef-construction 400 --ef 128")]
struct MakeArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// Its name, 1 to 64 bytes
    name: String,
    /// Elements of a vector
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=VECTOR_DIMENSION_MAX as i64))]
    dimension: u32,
    /// The model that makes its vectors, as you call it
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    model: String,
    /// How nearness is measured
    #[arg(long, default_value = "cosine", value_parser = metrics())]
    metric: Metric,
    #[command(flatten)]
    graph: GraphArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A vector space, as `--json` gives it.
#[derive(Serialize)]
struct SpaceRow {
    number: usize,
    name: String,
    model: String,
    dimension: usize,
    metric: &'static str,
    m: u16,
    ef_construction: u16,
    ef: u16,
    quantization: &'static str,
    vectors: u64,
    indexed: u64,
}

#[derive(Serialize)]
struct SpaceMade<'a> {
    name: &'a str,
    model: &'a str,
    dimension: u32,
    metric: &'static str,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &SpaceArgs) -> Outcome {
    match &args.action {
        Action::List(args) => list(args),
        Action::Make(args) => make(args),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let rows: Vec<SpaceRow> =
        args.reader.snapshot()?.spaces()?.into_iter().map(SpaceRow::from).collect();
    if args.output.json {
        output::json(&rows)?;
    } else if rows.is_empty() {
        output::print("no vector space yet; the first vector makes one\n")?;
    } else {
        output::table(
            ["number", "name", "model", "dimension", "metric", "graph", "vectors", "indexed"],
            rows.into_iter().map(|row| {
                [
                    row.number.to_string(),
                    if row.name.is_empty() { "(default)".to_owned() } else { row.name },
                    if row.model.is_empty() { "-".to_owned() } else { row.model },
                    row.dimension.to_string(),
                    row.metric.to_owned(),
                    format!(
                        "M {}, ef {}/{}, {}",
                        row.m, row.ef_construction, row.ef, row.quantization
                    ),
                    output::count(row.vectors),
                    output::count(row.indexed),
                ]
            }),
        )?;
    }
    Ok(Exit::Done)
}

fn make(args: &MakeArgs) -> Outcome {
    let MakeArgs { name, model, dimension, metric, .. } = args;
    let graph = args.graph.settings();
    let space = MakeSpace { name, model, dimension: *dimension, metric: *metric, graph };
    let batch = batch("", |batch| batch.make_space(&space))?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    if args.output.json {
        let (dimension, metric) = (*dimension, metric.name());
        output::json(&SpaceMade { name, model, dimension, metric, lsn })?;
    } else {
        output::print(&output::plain(&format!("made the vector space {name} at LSN {lsn}\n")))?;
    }
    Ok(Exit::Done)
}

impl From<SpaceInfo> for SpaceRow {
    fn from(space: SpaceInfo) -> SpaceRow {
        SpaceRow {
            number: space.number,
            name: space.name,
            model: space.model,
            dimension: space.dimension,
            metric: space.metric.name(),
            m: space.graph.m,
            ef_construction: space.graph.ef_construction,
            ef: space.graph.ef_search,
            quantization: space.graph.quantization.name(),
            vectors: space.count,
            indexed: space.indexed,
        }
    }
}
