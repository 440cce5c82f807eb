//! `sutra serve`: the coordinator of a store, in the foreground.

use sutra_coordinator::args::ServeArgs as CoordinatorArgs;

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
    let options = args.coordinator.into_options().map_err(Failure::usage)?;
    sutra_coordinator::run(options).map_err(Failure::store)?;
    Ok(Exit::Done)
}
