//! `sutra serve`: the coordinator of a store, in the foreground.

use std::io::{IsTerminal, stderr};

use sutra_coordinator::Options;
use sutra_coordinator::args::ServeArgs as CoordinatorArgs;
use sutra_store::{ClientError, ListenOptions, Listening, StoreError};
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
  sutra serve knowledge --listen 127.0.0.1:50051
  sutra serve /dev/shm/scratch --sync off --reconcile-ms 1")]
pub struct ServeArgs {
    #[command(flatten)]
    coordinator: CoordinatorArgs,
    /// Also listen there by TCP, on the loopback interface, e.g. 127.0.0.1:50051
    ///
    /// For programs that cannot map the store's file: they write and read over the connection. Only
    /// this user, root, and whoever --allow-uid and --allow-gid name may connect.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Runs the command.
pub fn run(args: ServeArgs) -> Outcome {
    let mut options = args.coordinator.into_options().map_err(Failure::usage)?;
    options.program = "sutra serve".to_owned();
    log_to_stderr();
    let _listening = args.listen.map(|address| listen(&options, address)).transpose()?;
    sutra_coordinator::run(options).map_err(Failure::store)?;
    Ok(Exit::Done)
}

fn listen(options: &Options, address: String) -> Result<Listening, Failure> {
    let listening = Listening::start(&ListenOptions {
        store: options.store.clone(),
        socket: options.socket_path(),
        address,
        allow_uids: options.allow_uids.clone(),
        allow_gids: options.allow_gids.clone(),
    });
    listening.map_err(|error| match error {
        StoreError::Client(ClientError::NotLoopback { .. }) => Failure::usage(error),
        error => Failure::store(error),
    })
}

/// What the coordinator logs; RUST_LOG chooses, and without it everything from `info` up is shown.
fn log_to_stderr() {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    log.with_ansi(stderr().is_terminal()).init();
}
