//! `sutra stop`: end a coordinator cleanly.

use serde::Serialize;

use crate::exit::{Exit, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::{self, WriterArgs};

/// Stop the coordinator of a store
///
/// It finishes what it accepted, brings everything to storage.dat and sets the clean flag. Readers
/// are not disturbed: the store stays readable.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra stop knowledge
  sutra stop knowledge --json")]
pub struct StopArgs {
    #[command(flatten)]
    writer: WriterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Stopped {
    writer_pid: u32,
}

/// Runs the command.
pub fn run(args: &StopArgs) -> Outcome {
    let mut client = store::connect_to_running(&args.writer)?;
    let writer_pid = client.writer_pid();
    client.stop()?;
    if args.output.json {
        output::json(&Stopped { writer_pid })?;
    } else {
        let store = args.writer.store.display();
        output::print(&format!("the coordinator of {store} (pid {writer_pid}) has stopped\n"))?;
    }
    Ok(Exit::Done)
}
