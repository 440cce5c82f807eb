//! `sutra import`: NDJSON through the socket, in any order, in large pieces.
//!
//! One thread reads, parses and encodes ([`feed`]); this one sends and receives ([`send`]). The
//! coordinator's cores are the other half of the pipeline.

mod feed;
mod frame;
mod held;
mod input;
mod keys;
mod line;
mod outlet;
mod rejects;
mod send;
mod space;
mod values;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::thread;
use std::time::Instant;

use serde::Serialize;
use sutra_client::Client;

use crate::exit::{Exit, Failure, Outcome};
use crate::npy::Rows;
use crate::output::{self, OutputArgs};
use crate::progress::Progress;
use crate::store::{self, WriterArgs};
use feed::Feed;
use input::Input;
pub use outlet::FeedOptions;
use outlet::{Fed, FeedReport, Vectors};
use rejects::Rejects;
use send::{Sending, Tally};

/// Frames between the two threads.
const FRAMES_QUEUED_MAX: usize = 8;

/// Import concepts and associations from NDJSON
///
/// A line is a concept, {"content": …, "id"?, "strength"?, "confidence"?, "embedding"?, "space"?,
/// "namespace"?, "metadata"?, "kind"?, "created_at"?, "expires_at"?}, or an association,
/// {"source": …, "target": …, "type": …, "confidence"?, "weight"?, "namespace"?, "properties"?,
/// "created_at"?, "valid_until"?}; in any order: an association waits for its ends until the input
/// ends. An id that exists gets a new version. Two settings may stand between them:
/// {"vector_space": …, "dimension": …, "model"?, "metric"?, "graph"?} and {"namespace": …, "time_to_live": …}.
/// This is what `sutra export` writes. Times are RFC 3339; metadata and properties are objects.
///
/// Lines that cannot be used go to a rejects file with line number and reason, and the exit code
/// is 4. When the command ends, everything imported is durable and visible.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra import knowledge concepts.ndjson associations.ndjson
  sutra import knowledge concepts.ndjson --vectors embeddings.f16.npy
  zcat dump.ndjson.gz | sutra import knowledge -
  sutra import knowledge notes.ndjson --namespace alice --atomic
  sutra export knowledge | sutra import copy -
  jq -r .text dump.ndjson.rejects.ndjson | sutra import knowledge -   # once they are corrected")]
pub struct ImportArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// NDJSON files, read one after the other; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Vectors, float16 or float32: row n belongs to the n-th concept line
    #[arg(long, value_name = "FILE.npy")]
    vectors: Option<PathBuf>,
    /// Operations of one write frame, at most
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// The namespace of lines that name none [default: the one without a name]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    namespace: String,
    /// All lines or none, at one moment: at most 65,536 of them and 16 MiB
    #[arg(long, conflicts_with = "batch")]
    atomic: bool,
    /// Where rejected lines go [default: the first file's name and `.rejects.ndjson`, in the current directory]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What an import did, as `--json` gives it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Concepts learnt, new versions of known ones included.
    pub concepts: u64,
    /// Associations made, likewise.
    pub associations: u64,
    /// Concepts that had a vector.
    pub vectors: u64,
    /// Lines in the rejects file.
    pub rejects: u64,
    /// The rejects file, if there is one.
    pub rejects_file: Option<PathBuf>,
    /// Rows of `--vectors` beyond the last concept line.
    pub vectors_unused: u64,
    /// Keys that no line may have.
    pub ignored_keys: Vec<String>,
    /// From the first byte read to the last one durable and visible.
    pub seconds: f64,
    /// Concepts and associations in each of them.
    pub operations_per_second: f64,
    /// The last log entry.
    pub lsn: u64,
}

/// Runs the command.
pub fn run(args: &ImportArgs) -> Outcome {
    let mut client = store::connect_or_make(&args.writer)?;
    let rejects_path = args.rejects.clone().unwrap_or_else(|| rejects_path(&args.files[0]));
    let import = Import {
        store: &args.writer.store,
        files: &args.files,
        vectors: args.vectors.as_deref(),
        options: FeedOptions {
            batch_count: args.batch as usize,
            namespace: args.namespace.clone(),
            is_atomic: args.atomic,
        },
        rejects: rejects_path,
        shows_progress: true,
    };
    let summary = import.run(&mut client)?;
    if args.output.json {
        output::json(&summary)?;
    } else {
        output::print(&describe(&summary))?;
    }
    for warning in warnings(&summary) {
        eprintln!("warning: {warning}");
    }
    Ok(if summary.rejects > 0 { Exit::Rejects } else { Exit::Done })
}

/// What to import, and how.
#[derive(Debug)]
pub struct Import<'a> {
    /// The store's directory.
    pub store: &'a Path,
    /// NDJSON files; `-` is standard input.
    pub files: &'a [PathBuf],
    /// Vectors of the concept lines.
    pub vectors: Option<&'a Path>,
    /// How the files are read.
    pub options: FeedOptions,
    /// Where rejected lines go.
    pub rejects: PathBuf,
    /// Whether to draw a bar, if standard error is a terminal.
    pub shows_progress: bool,
}

impl Import<'_> {
    /// Imports everything through `client`.
    pub fn run(&self, client: &mut Client) -> Result<Summary, Failure> {
        let started = Instant::now();
        let mut inputs =
            self.files.iter().map(|path| open(path)).collect::<Result<Vec<Input>, _>>()?;
        let vectors = self.vectors.map(open_vectors).transpose()?;
        let names: Vec<String> = inputs.iter().map(|input| input.name().to_owned()).collect();
        let sizes: Option<u64> = inputs.iter().map(Input::size).sum();
        let mut progress = Progress::new(sizes, self.shows_progress);
        let bytes_read = Arc::new(AtomicU64::new(0));
        let mut rejects = Rejects::new(self.rejects.clone());

        let (output, fed) = sync_channel(FRAMES_QUEUED_MAX);
        let (spare_sender, spare) = channel();
        let options = self.options.clone();
        let feed = Feed::new(options, vectors, Arc::clone(&bytes_read), output, spare);
        let feeding = thread::spawn(move || feed.run(&mut inputs));
        // Should sending fail, the other thread is left to itself: it may sit in a read of standard
        // input that never returns, and the process ends anyway.
        let sending = Sending::new(client, &names, &mut rejects, spare_sender);
        let (tally, lsn) = send_all(sending, self.store, fed, |tally| {
            progress.update(bytes_read.load(Ordering::Relaxed), || {
                format!(
                    "{} concepts, {} associations",
                    output::count(tally.concepts),
                    output::count(tally.associations)
                )
            });
        })?;
        let report = feeding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let report: FeedReport = report.map_err(|error| {
            Failure::usage(format!(
                "{error}; imported so far: {} concepts and {} associations",
                output::count(tally.concepts),
                output::count(tally.associations)
            ))
        })?;
        progress.finish();

        let seconds = started.elapsed().as_secs_f64();
        Ok(Summary {
            concepts: tally.concepts,
            associations: tally.associations,
            vectors: tally.vectors,
            rejects: rejects.count(),
            rejects_file: (rejects.count() > 0).then(|| rejects.path().to_owned()),
            vectors_unused: report.vectors_unused,
            ignored_keys: report.ignored_keys.into_keys().collect(),
            seconds,
            operations_per_second: (tally.concepts + tally.associations) as f64 / seconds,
            lsn,
        })
    }
}

fn send_all(
    mut sending: Sending<'_>,
    store: &Path,
    fed: Receiver<Fed>,
    mut on_progress: impl FnMut(Tally),
) -> Result<(Tally, u64), Failure> {
    for item in fed {
        match item {
            Fed::Frame(frame) => {
                sending.send(frame)?;
                on_progress(sending.tally());
            }
            Fed::Reject { place, reason, text } => {
                sending.reject(place.input, place.line, &reason, &text)?;
            }
            Fed::Space { wanted, answer } => {
                // The other thread may have given up; it tells why at the end.
                let _ = answer.send(sending.space(&wanted, store)?);
            }
        }
    }
    sending.finish()
}

fn open(path: &Path) -> Result<Input, Failure> {
    Input::open(path).map_err(|error| {
        Failure::usage(format!(
            "{} cannot be read ({error}); give NDJSON files, or - for standard input",
            path.display()
        ))
    })
}

fn open_vectors(path: &Path) -> Result<Vectors, Failure> {
    let file = File::open(path).map_err(|error| {
        Failure::usage(format!("{} cannot be read ({error}); give an .npy file", path.display()))
    })?;
    let reader = BufReader::with_capacity(1 << 20, file);
    let rows = Rows::new(path.display().to_string(), reader).map_err(Failure::usage)?;
    Ok(rows)
}

fn rejects_path(first: &Path) -> PathBuf {
    let name = match first.file_name() {
        Some(name) if first != Path::new("-") => name.to_owned(),
        _ => "import".into(),
    };
    let mut name = name;
    name.push(".rejects.ndjson");
    PathBuf::from(name)
}

fn describe(summary: &Summary) -> String {
    let vectors = match summary.vectors {
        0 => String::new(),
        vectors => format!(" ({} with a vector)", output::count(vectors)),
    };
    let rejects = match &summary.rejects_file {
        None => String::new(),
        Some(path) => format!(
            "{} lines were rejected; line numbers and reasons are in {}\n",
            output::count(summary.rejects),
            path.display()
        ),
    };
    format!(
        "{} concepts{vectors} and {} associations in {:.2} s, {} a second\n\
         all durable and visible at LSN {}\n{rejects}",
        output::count(summary.concepts),
        output::count(summary.associations),
        summary.seconds,
        output::count(summary.operations_per_second as u64),
        summary.lsn,
    )
}

fn warnings(summary: &Summary) -> Vec<String> {
    let mut warnings = Vec::new();
    if summary.vectors_unused > 0 {
        warnings.push(format!(
            "--vectors has {} rows more than there were concept lines; are they the vectors of these concepts?",
            output::count(summary.vectors_unused)
        ));
    }
    if !summary.ignored_keys.is_empty() {
        warnings.push(format!(
            "keys that an import does not know were passed over: {}",
            summary.ignored_keys.join(", ")
        ));
    }
    warnings
}
