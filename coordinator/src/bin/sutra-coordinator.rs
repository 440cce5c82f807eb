//! `sutra-coordinator`: the single writer of a store, as a daemon.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use clap::error::ErrorKind;
use sutra_coordinator::args::ServeArgs;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The store cannot be opened or made, or the coordinator had to stop.
const EXIT_STORE: u8 = 3;

/// The single writer of a Sutra store
///
/// Creates the store if there is none, recovers it if its last writer was killed, and takes writes
/// on STORE/coordinator.sock until SIGINT, SIGTERM or `sutra stop`. Readers need no coordinator:
/// they map the store. Tells systemd READY, STOPPING and the watchdog's beat if asked to.
#[derive(Debug, Parser)]
#[command(
    name = "sutra-coordinator",
    version,
    after_help = "\
Examples:
  sutra-coordinator /var/lib/sutra/store
  sutra-coordinator knowledge --vector-dim 384 --metric cosine
  sutra-coordinator /dev/shm/scratch --sync off --reconcile-ms 1
  RUST_LOG=debug sutra-coordinator knowledge

Exit codes: 0 stopped in good order; 2 usage; 3 store."
)]
struct Daemon {
    #[command(flatten)]
    args: ServeArgs,
}

fn main() -> ExitCode {
    let daemon = Daemon::parse();
    log_to_stderr();

    let mut options = match daemon.args.into_options() {
        Ok(options) => options,
        Err(error) => {
            use clap::CommandFactory;
            Daemon::command().error(ErrorKind::InvalidValue, error).exit()
        }
    };
    options.program = "sutra-coordinator".to_owned();

    let store = options.store.display().to_string();
    match sutra_coordinator::run(options).with_context(|| format!("cannot serve {store}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sutra-coordinator: {}", in_full(&error));
            ExitCode::from(EXIT_STORE)
        }
    }
}

/// The error and its causes; most messages already hold theirs, and nothing is said twice.
fn in_full(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// RUST_LOG chooses what is logged; without it everything from `info` up is.
fn log_to_stderr() {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
