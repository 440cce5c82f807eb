//! Figures that anyone can reproduce, with peers beside us.
//!
//! `cargo run --release -p sutra-benches -- reads` makes the workload from a seed, loads it through
//! the socket of a real coordinator process and into the peer, and measures both in reader
//! processes, in rounds that alternate between them. It prints one table: medians, and the ratio of
//! ours to theirs, which holds also where the machine is busy with other things.

mod board;
mod clock;
mod host;
mod ipc;
mod load;
mod memory;
mod nearest;
mod peers;
mod reading;
mod report;
mod settings;
mod suites;
mod targets;

use clap::{Parser, Subcommand};
use sutra_benches::workload;

use board::Board;
use report::Circumstances;
use settings::Settings;
use suites::Suite;

/// Measures a Sutra store beside its peers
#[derive(Debug, Parser)]
#[command(
    name = "sutra-benches",
    after_help = "\
Examples:
  sutra-benches reads
  sutra-benches writes --concepts 1000000 --json writes.json
  sutra-benches all --rounds 9 --dir /var/tmp

Figures are of the machine as it is: stop what else runs on it, or look at the ratios alone."
)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = false)]
struct Program {
    /// What to measure
    #[arg(required = true)]
    suite: Option<Suite>,

    #[command(flatten)]
    settings: Settings,

    #[command(subcommand)]
    part: Option<Part>,
}

/// The processes that a run starts.
#[derive(Debug, Subcommand)]
enum Part {
    /// The coordinator
    #[command(hide = true)]
    Serve(host::ServeArgs),
    /// A reader
    #[command(hide = true)]
    Reader(reading::ReaderArgs),
    /// The other end of a round trip
    #[command(hide = true)]
    Echo(ipc::EchoArgs),
    /// A searcher of vectors
    #[command(hide = true)]
    Nearest(nearest::NearestArgs),
}

fn main() -> anyhow::Result<()> {
    let program = Program::parse();
    match program.part {
        Some(Part::Serve(args)) => host::serve(&args, program.settings.nearest.graph()),
        Some(Part::Reader(args)) => reading::run(&args, program.settings.workload()),
        Some(Part::Echo(args)) => ipc::run(&args),
        Some(Part::Nearest(args)) => nearest::run(&args),
        None => measure(program.suite.unwrap_or(Suite::All), &program.settings),
    }
}

fn measure(suite: Suite, settings: &Settings) -> anyhow::Result<()> {
    let circumstances = Circumstances::now(&settings.folder());
    let mut board = Board::default();
    suites::run(suite, settings, &mut board)?;
    println!("{}", report::table(&board, &circumstances, settings));
    if let Some(path) = &settings.json {
        report::write_json(path, &board, &circumstances, settings)?;
    }
    Ok(())
}
