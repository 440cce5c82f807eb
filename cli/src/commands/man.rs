//! `sutra man`: man pages, from the same definitions as `--help`.

use std::path::PathBuf;

use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Write man pages to a directory
///
/// One page for sutra and one for each command: sutra.1, sutra-learn.1, …
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra man ~/.local/share/man/man1 && man sutra-learn
  sutra man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Where to write them; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Runs the command; `command` is the whole of `sutra`.
pub fn run(args: &ManArgs, command: clap::Command) -> Outcome {
    let failed = |error| {
        Failure::usage(format!(
            "{} cannot be written ({error}); give a directory that you may write to",
            args.directory.display()
        ))
    };
    std::fs::create_dir_all(&args.directory).map_err(failed)?;
    let command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.directory).map_err(failed)?;
    output::print(&format!("man pages are in {}\n", args.directory.display()))?;
    Ok(Exit::Done)
}
