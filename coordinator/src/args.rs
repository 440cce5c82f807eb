//! What `sutra serve` and `sutra-coordinator` take from the command line and the environment.
//!
//! A flag goes before the environment, and that before the default. Each variable has an older
//! name without `SUTRA_`, which counts where the newer one is not set.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use sutra_layout::limits::VECTOR_DIMENSION_MAX;
use sutra_layout::space::{EF_RANGE, GraphSettings, M_RANGE, Metric, Quantization};

use crate::options::{Options, SyncMode};

const PREFIX: &str = "SUTRA_";
/// Where the store is.
pub const STORAGE_PATH: &str = "SUTRA_STORAGE_PATH";
/// How the store is opened.
pub const STORAGE_MODE: &str = "SUTRA_STORAGE_MODE";
/// Elements of a vector.
pub const VECTOR_DIMENSION: &str = "SUTRA_VECTOR_DIMENSION";
/// The longest that a write waits to become visible.
pub const RECONCILE_INTERVAL_MS: &str = "SUTRA_RECONCILE_INTERVAL_MS";
/// New records between checkpoints.
pub const MEMORY_THRESHOLD: &str = "SUTRA_MEMORY_THRESHOLD";
const ALLOW_UID: &str = "SUTRA_ALLOW_UID";
const ALLOW_GID: &str = "SUTRA_ALLOW_GID";
const CLIENT_MEMORY_MIB: &str = "SUTRA_CLIENT_MEMORY_MIB";

/// A minute between publications is a store that looks frozen.
const RECONCILE_INTERVAL_MS_MAX: u64 = 60_000;
/// As long as a loss of power may take back what was acknowledged.
const SYNC_INTERVAL_MS_MAX: u64 = 60_000;

/// How to serve a store.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// The store's directory; made if it is not there
    #[arg(value_name = "STORE", env = variable(STORAGE_PATH))]
    pub store: PathBuf,

    /// Dimension of the vectors, e.g. 384 [default: that of the store, or of the first vector]
    #[arg(
        long,
        value_name = "N",
        env = variable(VECTOR_DIMENSION),
        value_parser = clap::value_parser!(u32).range(1..=VECTOR_DIMENSION_MAX as i64)
    )]
    pub vector_dim: Option<u32>,

    /// How vectors are compared, in a store that has none yet
    #[arg(long, value_name = "METRIC", default_value = "cosine", value_parser = metrics())]
    pub metric: Metric,

    /// The longest that a write may wait to become visible, in milliseconds
    ///
    /// A ceiling, not a tick: an idle store publishes at once, a busy one in batches. Where the log is
    /// always synced, each sync ends with a publication.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 10,
        env = variable(RECONCILE_INTERVAL_MS),
        value_parser = clap::value_parser!(u64).range(1..=RECONCILE_INTERVAL_MS_MAX)
    )]
    pub reconcile_ms: u64,

    /// When the log is synced to disk: always, every MS milliseconds, or off
    ///
    /// `always` (before a write is acknowledged as durable), a number such as 100 (that often: a
    /// loss of power may take what was acknowledged since), or `off` (when the system sees fit:
    /// for a store on /dev/shm). A killed process loses nothing in any mode.
    #[arg(long, value_name = "WHEN", default_value = "always", value_parser = parse_sync)]
    pub sync: SyncMode,

    /// Where to listen [default: STORE/coordinator.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Permissions of the socket, in octal: 0660 lets the group write, 0600 only this user
    #[arg(long, value_name = "MODE", default_value = "0660", value_parser = parse_mode)]
    pub mode: u32,

    /// Make a checkpoint after so many new versions of concepts
    ///
    /// Between checkpoints the log grows; after a loss of power it is replayed.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50_000,
        env = variable(MEMORY_THRESHOLD),
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub memory_threshold: u64,

    /// How the graph of vectors is built, in a store that has none yet
    #[command(flatten)]
    pub graph: GraphArgs,

    /// Serve this user, by number; may be given again
    ///
    /// Where users or groups are named, only they may write, and the user that serves the store.
    /// Where none are, the permissions of the socket decide.
    #[arg(long, value_name = "UID", env = ALLOW_UID, value_delimiter = ',')]
    pub allow_uid: Vec<u32>,

    /// Serve the members of this group, by number; may be given again
    #[arg(long, value_name = "GID", env = ALLOW_GID, value_delimiter = ',')]
    pub allow_gid: Vec<u32>,

    /// What all clients together may keep in memory, in MiB; above it the greedy ones wait
    #[arg(
        long,
        value_name = "MIB",
        default_value_t = 256,
        env = CLIENT_MEMORY_MIB,
        value_parser = clap::value_parser!(u32).range(16..=65_536)
    )]
    pub client_memory_mib: u32,

    /// Keep the log in DIR, beside backups: then a store can be restored to any point after one
    ///
    /// A segment of the log is copied there before it is used again, so the directory grows as the
    /// store is written. Delete what is older than the oldest backup you keep.
    #[arg(long, value_name = "DIR")]
    pub keep_log: Option<PathBuf>,

    /// Compact the store by itself once that share of storage.dat is dead, and 64 MiB; or never
    ///
    /// Dead are outgrown parts of the indexes and, with --history-keep, versions that are older.
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = parse_share)]
    pub compact_dead_share: f64,

    /// Compactions keep history of so long, such as 30d; or all
    #[arg(long, value_name = "DURATION", default_value = "all", value_parser = parse_kept)]
    pub history_keep: Kept,
}

/// How much history compactions keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it.
    All,
    /// Of so long.
    For(Duration),
}

/// How the graph of a vector space is built and searched.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct GraphArgs {
    /// Links of a vector in the graph of its space, which must be a new one
    ///
    /// More find more and cost 8 bytes each, and time; see docs/VECTORS.md for all of these.
    #[arg(
        long,
        value_name = "N",
        default_value_t = GraphSettings::default().m,
        value_parser = within(M_RANGE)
    )]
    pub m: u16,

    /// Candidates that the graph looks at for each vector that it takes up
    #[arg(
        long,
        value_name = "N",
        default_value_t = GraphSettings::default().ef_construction,
        value_parser = within(EF_RANGE)
    )]
    pub ef_construction: u16,

    /// Candidates that a search looks at unless it is told otherwise
    #[arg(
        long,
        value_name = "N",
        default_value_t = GraphSettings::default().ef_search,
        value_parser = within(EF_RANGE)
    )]
    pub ef: u16,

    /// What the graph keeps of a vector: int8, a byte an element, or none, which reads its row
    #[arg(
        long,
        value_name = "KIND",
        default_value = GraphSettings::default().quantization.name(),
        value_parser = quantizations()
    )]
    pub quantization: Quantization,
}

impl GraphArgs {
    /// The settings that the arguments stand for.
    pub fn settings(self) -> GraphSettings {
        let GraphArgs { m, ef_construction, ef, quantization } = self;
        GraphSettings { m, ef_construction, ef_search: ef, quantization }
    }
}

/// Arguments that the parser accepts, and that cannot be served nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgsError {
    /// The mode is one of a later version.
    #[error(
        "{STORAGE_MODE}=sharded comes with a later version: one store has one writer for now; set \
         it to auto, or unset it"
    )]
    Sharded,
    /// The mode is none at all.
    #[error(
        "{STORAGE_MODE}={found:?} is unknown; set it to auto, embedded, single or server, or unset it"
    )]
    UnknownMode {
        /// What the environment says.
        found: String,
    },
}

impl ServeArgs {
    /// The options that the arguments stand for.
    ///
    /// # Errors
    /// If the environment asks for a way of storage that there is not.
    pub fn into_options(self) -> Result<Options, ArgsError> {
        check_mode(std::env::var_os(variable(STORAGE_MODE)).as_deref())?;
        Ok(self.options())
    }

    fn options(self) -> Options {
        let mut options = Options::new(self.store);
        options.socket = self.socket;
        options.socket_mode = self.mode;
        options.vector_dimension = self.vector_dim;
        options.metric = self.metric;
        options.reconcile_interval = Duration::from_millis(self.reconcile_ms);
        options.sync = self.sync;
        options.memory_threshold = self.memory_threshold;
        options.keep_log = self.keep_log;
        options.graph = self.graph.settings();
        options.allow_uids = self.allow_uid;
        options.allow_gids = self.allow_gid;
        options.client_memory_size = (self.client_memory_mib as usize) << 20;
        options.compact_dead_share = self.compact_dead_share;
        options.history_keep = match self.history_keep {
            Kept::All => None,
            Kept::For(time) => Some(time),
        };
        options
    }
}

/// The variable to read: `name`, or its older name if only that one is set.
pub fn variable(name: &'static str) -> &'static str {
    variable_among(name, |name| std::env::var_os(name).is_some())
}

fn variable_among(name: &'static str, is_set: impl Fn(&str) -> bool) -> &'static str {
    match name.strip_prefix(PREFIX) {
        Some(older) if !is_set(name) && is_set(older) => older,
        _ => name,
    }
}

/// Whether a mode, as the environment says it, is one that there is.
///
/// # Errors
/// If it comes later, or is none at all.
pub fn check_mode(mode: Option<&OsStr>) -> Result<(), ArgsError> {
    match mode.map(OsStr::to_string_lossy).as_deref() {
        // To serve is to be the coordinator that any of these modes looks for.
        None | Some("" | "auto" | "embedded" | "single" | "server") => Ok(()),
        Some("sharded") => Err(ArgsError::Sharded),
        Some(found) => Err(ArgsError::UnknownMode { found: found.to_owned() }),
    }
}

fn within(range: RangeInclusive<u16>) -> impl TypedValueParser<Value = u16> {
    clap::value_parser!(u16).range(i64::from(*range.start())..=i64::from(*range.end()))
}

fn quantizations() -> impl TypedValueParser<Value = Quantization> {
    const KINDS: [Quantization; 2] = [Quantization::Int8, Quantization::None];
    PossibleValuesParser::new(KINDS.map(Quantization::name)).map(|name| {
        // The parser lets no other name through.
        KINDS.into_iter().find(|kind| kind.name() == name).unwrap_or_default()
    })
}

/// The metrics by their names.
pub fn metrics() -> impl TypedValueParser<Value = Metric> {
    const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];
    PossibleValuesParser::new(METRICS.map(Metric::name)).map(|name| {
        // The parser lets no other name through.
        METRICS.into_iter().find(|metric| metric.name() == name).unwrap_or_default()
    })
}

fn parse_sync(text: &str) -> Result<SyncMode, String> {
    match text {
        "always" => Ok(SyncMode::Always),
        "off" => Ok(SyncMode::Off),
        _ => match text.parse() {
            Ok(ms @ 1..=SYNC_INTERVAL_MS_MAX) => Ok(SyncMode::Interval(Duration::from_millis(ms))),
            _ => Err(format!(
                "expected `always`, `off`, or milliseconds from 1 to {SYNC_INTERVAL_MS_MAX}"
            )),
        },
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text {
        "never" => Ok(f64::INFINITY),
        _ => match text.parse() {
            Ok(share) if (0.05..=1.0).contains(&share) => Ok(share),
            _ => Err("expected a share from 0.05 to 1, or never".to_owned()),
        },
    }
}

fn parse_kept(text: &str) -> Result<Kept, String> {
    if text == "all" {
        return Ok(Kept::All);
    }
    let expected = || "expected `all`, or a duration such as 90s, 12h or 30d".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(seconds).map(|s| Kept::For(Duration::from_secs(s))).ok_or_else(expected)
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        // A sign is a digit to nobody else.
        Ok(mode @ 0..=0o777) if !digits.starts_with('+') => Ok(mode),
        _ => Err("expected permissions in octal, from 0000 to 0777, e.g. 0660".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let arguments = std::iter::once("serve").chain(arguments.iter().copied());
        let program = Program::try_parse_from(arguments).map_err(|error| error.to_string())?;
        Ok(program.args.options())
    }

    #[test]
    fn a_store_alone_is_served_with_the_defaults() {
        let options = parse(&["knowledge"]).unwrap();
        let defaults = Options::new("knowledge");
        assert_eq!(format!("{options:?}"), format!("{defaults:?}"));
    }

    #[test]
    fn every_flag_reaches_the_options() {
        let options = parse(&[
            "knowledge",
            "--vector-dim",
            "384",
            "--metric",
            "l2",
            "--reconcile-ms",
            "25",
            "--sync",
            "100",
            "--socket",
            "/run/k.sock",
            "--mode",
            "0600",
            "--memory-threshold",
            "7",
            "--keep-log",
            "kept",
            "--m",
            "8",
            "--ef-construction",
            "90",
            "--ef",
            "30",
            "--quantization",
            "none",
            "--allow-uid",
            "1000",
            "--allow-uid",
            "1001,1002",
            "--allow-gid",
            "100",
            "--client-memory-mib",
            "64",
            "--compact-dead-share",
            "0.25",
            "--history-keep",
            "30d",
        ])
        .unwrap();
        assert_eq!(options.store, PathBuf::from("knowledge"));
        assert_eq!(options.vector_dimension, Some(384));
        assert_eq!(options.metric, Metric::L2);
        assert_eq!(options.reconcile_interval, Duration::from_millis(25));
        assert_eq!(options.sync, SyncMode::Interval(Duration::from_millis(100)));
        assert_eq!(options.socket, Some(PathBuf::from("/run/k.sock")));
        assert_eq!(options.socket_mode, 0o600);
        assert_eq!(options.memory_threshold, 7);
        assert_eq!(options.keep_log, Some(PathBuf::from("kept")));
        let graph = GraphSettings {
            m: 8,
            ef_construction: 90,
            ef_search: 30,
            quantization: Quantization::None,
        };
        assert_eq!(options.graph, graph);
        assert_eq!(options.allow_uids, [1000, 1001, 1002]);
        assert_eq!(options.allow_gids, [100]);
        assert_eq!(options.client_memory_size, 64 << 20);
        assert_eq!(options.compact_dead_share, 0.25);
        assert_eq!(options.history_keep, Some(Duration::from_secs(30 * 24 * 3600)));
        assert_eq!(
            parse(&["k", "--compact-dead-share", "never"]).unwrap().compact_dead_share,
            f64::INFINITY
        );
    }

    #[test]
    fn sync_is_a_word_or_milliseconds() {
        assert_eq!(parse_sync("always"), Ok(SyncMode::Always));
        assert_eq!(parse_sync("off"), Ok(SyncMode::Off));
        assert_eq!(parse_sync("1"), Ok(SyncMode::Interval(Duration::from_millis(1))));
        for wrong in ["", "0", "-1", "60001", "never", "10ms"] {
            assert!(parse_sync(wrong).unwrap_err().contains("always"), "{wrong:?}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        for (text, mode) in [("0660", 0o660), ("660", 0o660), ("0o600", 0o600), ("777", 0o777)] {
            assert_eq!(parse_mode(text), Ok(mode));
        }
        for wrong in ["", "0999", "1777", "+660", "rw-rw----", "-660"] {
            assert!(parse_mode(wrong).unwrap_err().contains("0660"), "{wrong:?}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (flag, value) in [
            ("--vector-dim", "0"),
            ("--vector-dim", "4097"),
            ("--metric", "hamming"),
            ("--reconcile-ms", "0"),
            ("--reconcile-ms", "60001"),
            ("--memory-threshold", "0"),
            ("--m", "1"),
            ("--ef-construction", "0"),
            ("--ef", "4097"),
            ("--quantization", "int4"),
            ("--allow-uid", "4294967296"),
            ("--client-memory-mib", "15"),
            ("--compact-dead-share", "0"),
            ("--compact-dead-share", "1.5"),
            ("--history-keep", "30"),
            ("--history-keep", "soon"),
        ] {
            let error = parse(&["knowledge", flag, value]).unwrap_err();
            assert!(error.contains(flag) && error.contains(value), "{error}");
        }
    }

    #[test]
    fn the_older_name_of_a_variable_counts_where_the_newer_is_not_set() {
        let among = |set: &[&str]| variable_among(STORAGE_PATH, |name| set.contains(&name));
        assert_eq!(among(&[]), "SUTRA_STORAGE_PATH");
        assert_eq!(among(&["STORAGE_PATH"]), "STORAGE_PATH");
        assert_eq!(among(&["SUTRA_STORAGE_PATH", "STORAGE_PATH"]), "SUTRA_STORAGE_PATH");
    }

    #[test]
    fn shards_are_refused_until_they_come() {
        let check = |mode: &str| check_mode(Some(OsStr::new(mode)));
        assert_eq!(check_mode(None), Ok(()));
        for mode in ["", "auto", "embedded", "single", "server"] {
            assert_eq!(check(mode), Ok(()));
        }
        assert!(check("sharded").unwrap_err().to_string().contains("later version"));
        assert!(check("clustered").unwrap_err().to_string().contains("\"clustered\" is unknown"));
    }

    #[test]
    fn the_help_is_well_formed() {
        use clap::CommandFactory;
        Program::command().debug_assert();
    }
}
