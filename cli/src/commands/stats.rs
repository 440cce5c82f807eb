//! `sutra stats`: what a store holds, and how its writer is doing.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use sutra_client::{Client, WriterStats};
use sutra_reader::{NamespaceInfo, Reader};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs, rfc3339};
use crate::store::{self, WriterArgs};

/// How often `--watch` looks.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long a coordinator may take to answer before the store is asked alone.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// Print what a store holds and how its writer is doing
///
/// Works without a coordinator too: what only a running one knows is then as it was last published.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra stats knowledge
  sutra stats knowledge --json | jq .concepts
  sutra stats knowledge --watch")]
pub struct StatsArgs {
    #[command(flatten)]
    writer: WriterArgs,
    /// Print again every second until interrupted
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// The statistics, as `--json` gives them.
#[derive(Clone, Debug, Serialize)]
pub struct StatsRow {
    /// Live concepts.
    pub concepts: u64,
    /// Live associations.
    pub edges: u64,
    /// Vectors stored.
    pub vectors: u64,
    /// Vectors that the graph holds.
    pub indexed_vectors: u64,
    /// Vectors that were replaced, or are of forgotten concepts.
    pub dead_vectors: u64,
    /// Whether those are so many that a compaction is due.
    pub compaction_due: bool,
    /// Operations accepted since the coordinator started; with none running, since the store was made.
    pub written: u64,
    /// Always 0: overload slows writers, and drops nothing.
    pub dropped: u64,
    /// Operations accepted and not yet published.
    pub pending: u64,
    /// Publications, likewise.
    pub reconciliations: u64,
    /// The newest log entry that readers see.
    pub published_lsn: u64,
    /// The newest that is synced.
    pub durable_lsn: u64,
    /// The newest that the log is no longer needed for.
    pub checkpoint_lsn: u64,
    /// Publications ever.
    pub commit_seq: u64,
    /// When the last one was, in RFC 3339.
    pub published_at: String,
    /// How old what readers see may be.
    pub staleness_ms: u64,
    /// Processes that have the store open.
    pub readers: u64,
    /// Bytes of storage.dat.
    pub file_size: u64,
    /// Which copy of storage.dat.
    pub generation: u64,
    /// Bytes of it that a compaction would give back, about; null when no coordinator runs.
    pub dead_size: Option<u64>,
    /// When the running coordinator last compacted the store, in RFC 3339; null: it has not.
    pub compacted_at: Option<String>,
    /// The coordinator's process; 0 when there is none.
    pub writer_pid: u64,
    /// Every namespace, the one without a name first.
    pub namespaces: Vec<NamespaceRow>,
}

/// A namespace.
#[derive(Clone, Debug, Serialize)]
pub struct NamespaceRow {
    /// Empty: the default one.
    pub name: String,
    /// Concepts in it that are neither forgotten nor expired.
    pub concepts: u64,
    /// How long what is learnt in it lives; null: for ever.
    pub time_to_live: Option<String>,
}

impl From<NamespaceInfo> for NamespaceRow {
    fn from(info: NamespaceInfo) -> NamespaceRow {
        let NamespaceInfo { name, concepts, time_to_live } = info;
        NamespaceRow { name, concepts, time_to_live: time_to_live.map(output::duration) }
    }
}

/// Runs the command.
pub fn run(args: &StatsArgs) -> Outcome {
    let reader = store::open(&args.writer.store)?;
    loop {
        let row = collect(&reader, &args.writer)?;
        if args.output.json {
            output::json(&row)?;
        } else {
            if args.watch {
                output::print("\x1b[H\x1b[2J")?; // home, and clear what was there
            }
            print_row(&args.writer.store, &row)?;
        }
        if !args.watch {
            return Ok(Exit::Done);
        }
        thread::sleep(WATCH_INTERVAL);
    }
}

/// The snapshot's own statistics, and the coordinator's where it answers.
pub fn collect(reader: &Reader, args: &WriterArgs) -> Result<StatsRow, Failure> {
    let coordinator = ask_coordinator(args);
    let snapshot = reader.snapshot()?;
    let stats = snapshot.stats();
    let mut row = StatsRow {
        concepts: stats.concepts,
        edges: stats.edges,
        vectors: stats.vectors,
        indexed_vectors: stats.indexed_vectors,
        dead_vectors: stats.dead_vectors,
        compaction_due: stats.compaction_due,
        written: stats.written,
        dropped: stats.dropped,
        pending: stats.pending,
        reconciliations: stats.reconciliations,
        published_lsn: stats.published_lsn,
        durable_lsn: stats.durable_lsn,
        checkpoint_lsn: stats.checkpoint_lsn,
        commit_seq: stats.commit_seq,
        published_at: rfc3339(stats.published_at),
        staleness_ms: stats.staleness_ms,
        readers: stats.readers,
        file_size: stats.file_size,
        generation: stats.generation,
        dead_size: None,
        compacted_at: None,
        writer_pid: u64::from(stats.writer_pid),
        namespaces: snapshot.namespaces()?.into_iter().map(NamespaceRow::from).collect(),
    };
    if let Some(running) = coordinator {
        row.written = running.written;
        row.dropped = running.dropped;
        row.pending = running.pending;
        row.reconciliations = running.reconciliations;
        row.durable_lsn = row.durable_lsn.max(running.durable_lsn);
        row.checkpoint_lsn = row.checkpoint_lsn.max(running.checkpoint_lsn);
        row.writer_pid = running.writer_pid;
        row.dead_size = Some(running.dead_size);
        row.compacted_at = (running.compacted_at != 0).then(|| rfc3339(running.compacted_at));
    }
    Ok(row)
}

/// None when no coordinator runs, or it does not answer: the store is readable all the same.
fn ask_coordinator(args: &WriterArgs) -> Option<WriterStats> {
    let mut builder = Client::builder(&args.store).author("sutra stats").deadline(ANSWER_TIMEOUT);
    if let Some(socket) = &args.socket {
        builder = builder.socket(socket);
    }
    builder.connect().ok()?.stats().ok()
}

fn print_row(store: &Path, row: &StatsRow) -> Result<(), Failure> {
    let count = output::count;
    let writer = match row.writer_pid {
        0 => "none is running".to_owned(),
        pid => format!("pid {pid}"),
    };
    let dead = row.dead_size.map(|size| format!(", {} of it dead", output::size(size)));
    let compacted = row.compacted_at.as_ref().map(|time| format!(", compacted at {time}"));
    output::pairs([
        (
            "store",
            format!(
                "{}, generation {}, {}{}{}",
                store.display(),
                row.generation,
                output::size(row.file_size),
                dead.unwrap_or_default(),
                compacted.unwrap_or_default()
            ),
        ),
        ("concepts", count(row.concepts)),
        ("edges", count(row.edges)),
        (
            "vectors",
            format!(
                "{}, {} of them indexed, {} replaced or forgotten{}",
                count(row.vectors),
                count(row.indexed_vectors),
                count(row.dead_vectors),
                if row.compaction_due { ": a compaction is due" } else { "" }
            ),
        ),
        ("writer", writer),
        (
            "written",
            format!(
                "{}, {} pending, {} dropped",
                count(row.written),
                count(row.pending),
                count(row.dropped)
            ),
        ),
        ("reconciliations", count(row.reconciliations)),
        (
            "lsn",
            format!(
                "published {}, durable {}, checkpoint {}",
                count(row.published_lsn),
                count(row.durable_lsn),
                count(row.checkpoint_lsn)
            ),
        ),
        (
            "published_at",
            format!(
                "{}, {} ms stale, commit {}",
                row.published_at,
                row.staleness_ms,
                count(row.commit_seq)
            ),
        ),
        ("readers", count(row.readers)),
        ("namespaces", namespaces(&row.namespaces)),
    ])
}

/// In one line: `12 in the default namespace, 3 in alice (for 30days)`.
fn namespaces(rows: &[NamespaceRow]) -> String {
    let one = |row: &NamespaceRow| {
        let time = row.time_to_live.as_ref().map(|time| format!(" (for {time})"));
        let name = output::namespace(&row.name);
        format!("{} in {name}{}", output::count(row.concepts), time.unwrap_or_default())
    };
    rows.iter().map(one).collect::<Vec<String>>().join(", ")
}
