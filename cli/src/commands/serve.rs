//! `sutra serve`: the coordinator of a store, in the foreground.

use std::io::{IsTerminal, stderr};

use sutra_coordinator::args::ServeArgs as CoordinatorArgs;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::exit::{Exit, Failure, Outcome};

/// Serve a store: be its one writer until told to stop
///
/// Creates the store if there is none, recovers it if its last writer was killed, and takes writes
/// on STORE/coordinator.sock until SIGINT, SIGTERM or `sutra stop`. Readers need no server.
/// `sutra-coordinator` is the same thing as a daemon, with READY and watchdog for systemd.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "\
Examples:
  sutra serve knowledge
  sutra serve knowledge --vector-dim 384 --metric cosine
  sutra serve /dev/shm/scratch --sync off --reconcile-ms 1")]
pub struct ServeArgs {
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// Runs the command.
pub fn run(args: ServeArgs) -> Outcome {
    let mut options = args.coordinator.into_options().map_err(Failure::usage)?;
    options.program = "sutra serve".to_owned();
    log_to_stderr();
    sutra_coordinator::run(options).map_err(Failure::store)?;
    Ok(Exit::Done)
}

/// What the coordinator logs; RUST_LOG chooses, and without it everything from `info` up is shown.
fn log_to_stderr() {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    log.with_ansi(stderr().is_terminal()).init();
}
