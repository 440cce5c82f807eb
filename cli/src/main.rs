//! `sutra`: serve, fill, ask and inspect a store.

mod args;
mod commands;
mod demo;
mod doctor;
mod exit;
mod graph;
mod import;
mod npy;
mod output;
mod progress;
mod store;
mod write;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use exit::{Exit, Outcome};

/// One live knowledge store, shared by many processes on one machine
///
/// A store is a directory. One process writes it (`sutra serve`); any number read it, each by
/// mapping the file, with no server in between. Commands that read never create, host or write.
#[derive(Debug, Parser)]
#[command(
    name = "sutra",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  sutra demo                                     # everything, on WordNet's animals, in under a minute
  sutra serve knowledge &
  sutra learn knowledge 'a wild dog that hunts in packs' --id wolf
  sutra import knowledge concepts.ndjson --vectors embeddings.f16.npy
  sutra nearest knowledge --like wolf --json
  sutra stop knowledge

Exit codes: 0 done; 1 not found, or damage found; 2 usage; 3 store or
connection; 4 done, with rejects; 5 a condition (--if-lsn, --if-absent) did not hold."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(commands::serve::ServeArgs),
    Stop(commands::stop::StopArgs),
    Import(import::ImportArgs),
    Export(commands::export::ExportArgs),
    Learn(commands::learn::LearnArgs),
    Associate(commands::associate::AssociateArgs),
    Reinforce(commands::reinforce::ReinforceArgs),
    Touch(commands::touch::TouchArgs),
    Forget(commands::forget::ForgetArgs),
    Disassociate(commands::disassociate::DisassociateArgs),
    Get(commands::get::GetArgs),
    List(commands::list::ListArgs),
    Search(commands::search::SearchArgs),
    Neighbors(commands::neighbors::NeighborsArgs),
    Path(commands::path::PathArgs),
    Expand(commands::expand::ExpandArgs),
    Nearest(commands::nearest::NearestArgs),
    History(commands::history::HistoryArgs),
    Tail(commands::tail::TailArgs),
    Watch(commands::watch::WatchArgs),
    Wait(commands::wait::WaitArgs),
    Stats(commands::stats::StatsArgs),
    Space(commands::space::SpaceArgs),
    Ttl(commands::ttl::TtlArgs),
    Verify(commands::verify::VerifyArgs),
    Backup(commands::backup::BackupArgs),
    Restore(commands::restore::RestoreArgs),
    Compact(commands::compact::CompactArgs),
    Repair(commands::repair::RepairArgs),
    Doctor(doctor::DoctorArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
    #[command(hide = true)]
    DemoReader(demo::reader::DemoReaderArgs),
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Stop(args) => commands::stop::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Learn(args) => commands::learn::run(&args),
        Command::Associate(args) => commands::associate::run(&args),
        Command::Reinforce(args) => commands::reinforce::run(&args),
        Command::Touch(args) => commands::touch::run(&args),
        Command::Forget(args) => commands::forget::run(&args),
        Command::Disassociate(args) => commands::disassociate::run(&args),
        Command::Get(args) => commands::get::run(&args),
        Command::List(args) => commands::list::run(&args),
        Command::Search(args) => commands::search::run(&args),
        Command::Neighbors(args) => commands::neighbors::run(&args),
        Command::Path(args) => commands::path::run(&args),
        Command::Expand(args) => commands::expand::run(&args),
        Command::Nearest(args) => commands::nearest::run(&args),
        Command::History(args) => commands::history::run(&args),
        Command::Tail(args) => commands::tail::run(&args),
        Command::Watch(args) => commands::watch::run(&args),
        Command::Wait(args) => commands::wait::run(&args),
        Command::Stats(args) => commands::stats::run(&args),
        Command::Space(args) => commands::space::run(&args),
        Command::Ttl(args) => commands::ttl::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Backup(args) => commands::backup::run(&args),
        Command::Restore(args) => commands::restore::run(&args),
        Command::Compact(args) => commands::compact::run(&args),
        Command::Repair(args) => commands::repair::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
        Command::DemoReader(args) => demo::reader::run(&args),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if failure.exit != Exit::Done {
                eprintln!("sutra: {failure}");
            }
            failure.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help_with_examples() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no help");
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains(&format!("sutra {name}")), "{name} has no examples");
        }
    }
}
