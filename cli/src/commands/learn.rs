//! `sutra learn`: make a concept, or a new version of one.

use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sutra_client::Learn;
use sutra_layout::id::{Id, key_to_hex};
use sutra_layout::limits::CONTENT_SIZE_MAX;

use crate::args::{NamespaceArgs, duration_us, now_us, object};
use crate::exit::{Exit, Failure, Outcome};
use crate::npy::Rows;
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};
use crate::write::{ConditionArgs, WriteArgs, batch, write};

/// Learn a concept, or a new version of one
///
/// What is not given keeps the value that the concept has. Without --id the concept is filed under
/// the hash of its content, which is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra learn knowledge 'a wild dog that hunts in packs' --id wolf
  sutra learn knowledge --id wolf --strength 0.8
  sutra learn knowledge - --vector embedding.npy < note.txt
  sutra learn knowledge 'call back' --id todo-7 --namespace alice --kind note --expires-in 7d
  sutra learn knowledge --id wolf --metadata '{\"pos\": \"n\"}' --if-lsn 1204

Exit code 5: --if-lsn or --if-absent did not hold; the message names the LSN to read again.")]
pub struct LearnArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// The text; `-` is standard input
    #[arg(required_unless_present = "id")]
    content: Option<String>,
    /// The concept's id, 1 to 1,024 bytes
    #[arg(long)]
    id: Option<String>,
    /// 0 to 1
    #[arg(long)]
    strength: Option<f32>,
    /// 0 to 1
    #[arg(long)]
    confidence: Option<f32>,
    /// Its vector: a 1-D array of floats
    #[arg(long, value_name = "FILE.npy")]
    vector: Option<PathBuf>,
    /// The vector space of the vector, by name [default: the store's first]
    #[arg(long, value_name = "NAME", requires = "vector")]
    space: Option<String>,
    /// A JSON object for your own use, at most 64 KiB, kept as it is; filters see it as meta.PATH
    #[arg(long, value_name = "JSON", value_parser = object)]
    metadata: Option<String>,
    /// What sort of thing it is, such as note or person
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,
    /// How long until it is not found any more, such as 90s, 12h or 30d; `never` also lifts an end
    #[arg(long, value_name = "DURATION", value_parser = duration_us)]
    expires_in: Option<u64>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    condition: ConditionArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Learnt {
    id: String,
    lsn: u64,
}

/// Runs the command.
pub fn run(args: &LearnArgs) -> Outcome {
    let content = match args.content.as_deref() {
        Some("-") => Some(read_content()?),
        content => content.map(str::to_owned),
    };
    let embedding = args.vector.as_deref().map(read_vector).transpose()?;
    let id = args.id.as_deref().map_or(Id::Content, Id::from);
    let learn = Learn {
        id,
        content: content.as_deref(),
        strength: args.strength,
        confidence: args.confidence,
        embedding: embedding.as_deref(),
        space: store::space_to_write(&args.writer.store, args.space.as_deref())?,
        metadata: args.metadata.as_deref(),
        kind: args.kind.as_deref(),
        expires_at: args.expires_in.map(end_of_life),
        created_at: None,
        if_lsn: args.condition.lsn.if_lsn,
        if_absent: args.condition.if_absent,
    };
    let namespace = &args.namespace.namespace;
    let batch = batch(namespace, |batch| batch.learn(&learn))?;
    let lsn = write(&mut store::connect_or_make(&args.writer)?, &batch, args.write)?;
    let id = match id {
        Id::Content => key_to_hex(&id.key(namespace, content.as_deref().unwrap_or_default())),
        given => given.to_string(),
    };
    if args.output.json {
        output::json(&Learnt { id, lsn })?;
    } else {
        output::print(&format!("learnt {} at LSN {lsn}\n", output::plain(&id)))?;
    }
    Ok(Exit::Done)
}

/// When what lives for that long from now on ends; 0, which is never, for one without an end.
fn end_of_life(time_us: u64) -> u64 {
    if time_us == 0 { 0 } else { now_us().saturating_add(time_us) }
}

fn read_content() -> Result<String, Failure> {
    let mut content = String::new();
    stdin().take(CONTENT_SIZE_MAX as u64 + 1).read_to_string(&mut content).map_err(|error| {
        Failure::usage(format!("standard input cannot be read as UTF-8 ({error})"))
    })?;
    Ok(content)
}

fn read_vector(path: &Path) -> Result<Vec<f32>, Failure> {
    let file = File::open(path).map_err(|error| {
        Failure::usage(format!("{} cannot be read ({error}); give an .npy file", path.display()))
    })?;
    let mut rows =
        Rows::new(path.display().to_string(), BufReader::new(file)).map_err(Failure::usage)?;
    if rows.row_count() != 1 {
        let found = rows.row_count();
        return Err(Failure::usage(format!(
            "{} holds {found} vectors; expected one",
            path.display()
        )));
    }
    let mut row = Vec::new();
    rows.next_row(&mut row).map_err(Failure::usage)?;
    Ok(row)
}
