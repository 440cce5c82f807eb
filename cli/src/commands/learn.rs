//! `sutra learn`: make a concept, or a new version of one.

use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use sutra_client::{Batch, Client, Learn, Level};
use sutra_layout::id::{Id, key_to_hex};
use sutra_layout::limits::CONTENT_SIZE_MAX;

use crate::exit::{Exit, Failure, Outcome};
use crate::npy::Rows;
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};

/// Learn a concept, or a new version of one
///
/// What is not given keeps the value that the concept has. Without --id the concept is filed under
/// the hash of its content, which is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra learn knowledge 'a wild dog that hunts in packs' --id wolf
  sutra learn knowledge --id wolf --strength 0.8
  sutra learn knowledge - --vector embedding.npy < note.txt")]
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
    /// Text for your own use, such as JSON, at most 64 KiB
    #[arg(long)]
    metadata: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How a single write ends.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct WriteArgs {
    /// What to wait for
    #[arg(long, value_enum, default_value = "visible")]
    level: Until,
}

/// An acknowledgement level, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Until {
    /// In the log: survives a kill of the coordinator
    Accepted,
    /// Synced: survives a power cut
    Durable,
    /// Synced, and seen by every reader
    Visible,
}

impl From<Until> for Level {
    fn from(until: Until) -> Level {
        match until {
            Until::Accepted => Level::Accepted,
            Until::Durable => Level::Durable,
            Until::Visible => Level::Visible,
        }
    }
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
        metadata: args.metadata.as_deref(),
        ..Learn::default()
    };
    let mut batch = Batch::new();
    batch.learn(&learn).map_err(Failure::usage)?;
    let lsn = write(&mut store::connect(&args.writer)?, &batch, args.write)?;
    let id = match id {
        Id::Content => key_to_hex(&id.key("", content.as_deref().unwrap_or_default())),
        given => given.to_string(),
    };
    if args.output.json {
        output::json(&Learnt { id, lsn })?;
    } else {
        output::print(&format!("learnt {} at LSN {lsn}\n", output::plain(&id)))?;
    }
    Ok(Exit::Done)
}

/// Writes a batch of one operation, and gives its LSN or the reason it was refused.
pub fn write(client: &mut Client, batch: &Batch, args: WriteArgs) -> Result<u64, Failure> {
    let receipt = client.write(batch, args.level.into())?;
    match receipt.errors.into_iter().next() {
        Some(error) => Err(error.into()),
        None => Ok(receipt.last_lsn),
    }
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
