//! `sutra completions`: what a shell needs to complete commands and options.

use clap_complete::Shell;

use crate::exit::{Exit, Outcome};
use crate::output;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra completions bash > ~/.local/share/bash-completion/completions/sutra
  sutra completions zsh > ~/.zfunc/_sutra
  sutra completions fish > ~/.config/fish/completions/sutra.fish")]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command; `command` is the whole of `sutra`.
pub fn run(args: &CompletionsArgs, mut command: clap::Command) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "sutra", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
