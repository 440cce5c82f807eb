//! What `sutra-test-host` can be, by its first argument.
//!
//! Every role ends with the process that started it, however that ends.

use std::ffi::OsString;
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sutra_client::{Client, ClientError, ErrorCode};
use sutra_coordinator::{Options, SyncMode};
use sutra_layout::space::Metric;
use sutra_reader::{Direction, NearestQuery, NeighborQuery, Reader};

use crate::Random;
use crate::world::{Watch, World};

/// The arguments of a coordinator with these options.
pub fn coordinate(options: &Options) -> Vec<OsString> {
    let sync = match options.sync {
        SyncMode::Always => "always".to_owned(),
        SyncMode::Off => "off".to_owned(),
        SyncMode::Interval(interval) => interval.as_micros().to_string(),
    };
    let dimension = options.vector_dimension.unwrap_or(0);
    let numbers = [
        u64::from(dimension),
        options.metric as u64,
        options.reconcile_interval.as_micros() as u64,
        options.memory_threshold,
        options.checkpoint_log_size,
        options.log_segment_size,
        options.client_memory_size as u64,
        options.compact_dead_size,
        options.history_keep.map_or(u64::MAX, |kept| kept.as_micros() as u64),
    ];
    let mut arguments =
        vec!["coordinate".into(), options.store.clone().into_os_string(), sync.into()];
    arguments.extend(numbers.map(|number| number.to_string().into()));
    arguments
}

/// Likewise, of one that waits for a line before it begins.
pub fn traced(options: &Options) -> Vec<OsString> {
    let mut arguments = coordinate(options);
    arguments[0] = "traced".into();
    arguments
}

/// The arguments of a reader that watches a [`World`] of so many keys.
pub fn watch(store: &Path, keys: u32, duration: Duration, seed: u64) -> Vec<OsString> {
    vec![
        "watch".into(),
        store.into(),
        keys.to_string().into(),
        duration.as_millis().to_string().into(),
        seed.to_string().into(),
    ]
}

/// The arguments of a client that connects by a socket, and says `connected`, or why it is not
/// allowed to.
pub fn connect(socket: &Path) -> Vec<OsString> {
    vec!["connect".into(), socket.into()]
}

/// The arguments of a reader that reads all of a store, says `ready`, and waits to be told to end.
pub fn hold(store: &Path) -> Vec<OsString> {
    vec!["hold".into(), store.into()]
}

/// The arguments of a reader that looks for the nearest to vector after vector, and holds each answer
/// against every row, until its input ends.
pub fn search(store: &Path, seed: u64) -> Vec<OsString> {
    vec!["search".into(), store.into(), seed.to_string().into()]
}

/// Plays the role that the arguments ask for.
pub fn run(arguments: Vec<String>) -> ExitCode {
    // Set by the child: whoever started it may be gone already, and then its parent is another.
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let played = match arguments.as_slice() {
        ["coordinate", store, sync, numbers @ ..] => coordinator(store, sync, numbers),
        ["traced", store, sync, numbers @ ..] => {
            let waited = std::io::stdin().lock().read_line(&mut String::new());
            waited.map_err(anyhow::Error::new).and_then(|_| coordinator(store, sync, numbers))
        }
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        ["steps", store, version] => version
            .parse()
            .map_err(anyhow::Error::new)
            .and_then(|version| crate::steps::write_between_stops(store, version)),
        ["watch", store, keys, duration_ms, seed] => watcher(store, keys, duration_ms, seed),
        ["search", store, seed] => crate::searching::play(store, seed),
        ["hold", store] => holder(store),
        ["connect", socket] => connector(socket),
        ["agent", store, mode, deadline_ms] => crate::agent::play(store, mode, deadline_ms),
        other => Err(anyhow::anyhow!("no role has the arguments {other:?}")),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(3)
        }
    }
}

fn coordinator(store: &str, sync: &str, numbers: &[&str]) -> Result<()> {
    let numbers: Vec<u64> =
        numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
    let [
        dimension,
        metric,
        reconcile_us,
        memory_threshold,
        checkpoint_log_size,
        log_segment_size,
        client_memory_size,
        dead_size,
        kept_us,
    ] = numbers[..]
    else {
        bail!("a coordinator takes nine numbers, not {}", numbers.len());
    };
    let mut options = Options::new(store);
    options.vector_dimension = u32::try_from(dimension).ok().filter(|n| *n > 0);
    options.metric = Metric::from_number(metric as u8).context("an unknown metric")?;
    options.reconcile_interval = Duration::from_micros(reconcile_us);
    options.sync = match sync {
        "always" => SyncMode::Always,
        "off" => SyncMode::Off,
        interval => SyncMode::Interval(Duration::from_micros(interval.parse()?)),
    };
    options.memory_threshold = memory_threshold;
    options.checkpoint_log_size = checkpoint_log_size;
    options.log_segment_size = log_segment_size;
    options.client_memory_size = client_memory_size as usize;
    options.compact_dead_size = dead_size;
    options.history_keep = (kept_us != u64::MAX).then(|| Duration::from_micros(kept_us));
    options.program = "sutra-test-host".to_owned();
    Ok(sutra_coordinator::run(options)?)
}

fn watcher(store: &str, keys: &str, duration_ms: &str, seed: &str) -> Result<()> {
    let duration = Duration::from_millis(duration_ms.parse()?);
    let reader = Reader::open(store)?;
    let mut watch = Watch::new(World::new(keys.parse()?), Random::new(seed.parse()?));
    println!("ready");
    let started_at = Instant::now();
    while started_at.elapsed() < duration {
        watch.look(&reader).map_err(anyhow::Error::msg)?;
    }
    println!("{}", watch.summary());
    Ok(())
}

fn connector(socket: &str) -> Result<()> {
    match Client::builder("/").socket(socket).connect() {
        Ok(_) => println!("connected"),
        Err(ClientError::Disconnected { code: ErrorCode::NotAllowed, message }) => {
            println!("not allowed: {message}");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn holder(store: &str) -> Result<()> {
    let reader = Reader::open(store)?;
    let snapshot = reader.snapshot()?;
    let everywhere = NeighborQuery { direction: Direction::Both, ..NeighborQuery::default() };
    let mut content_size = 0;
    for concept in snapshot.concepts() {
        let concept = concept?;
        content_size += concept.content()?.len();
        snapshot.neighbors(&concept, &everywhere)?;
    }
    if snapshot.space_count() > 0 {
        let query = vec![1.0; snapshot.space(0)?.dimension];
        snapshot.nearest(&query, &NearestQuery::default())?;
    }
    println!("ready: {} bytes of content", content_size);
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(())
}
