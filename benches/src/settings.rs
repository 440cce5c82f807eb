//! What a run is to measure, and where.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::nearest::DataArgs;
use crate::peers::Contender;
use crate::workload::Workload;

/// The size and length of a run.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Concepts of the workload; the targets are those of 1,000,000
    #[arg(long, global = true, value_name = "N", default_value_t = 200_000,
        value_parser = clap::value_parser!(u32).range(1_000..=20_000_000))]
    pub concepts: u32,

    /// What the workload is made from
    #[arg(long, global = true, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,

    /// How often each thing is measured; the median counts
    #[arg(long, global = true, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,

    /// How long one measurement of a round takes, in milliseconds
    #[arg(long, global = true, value_name = "MS", default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub millis: u64,

    /// Where to put the stores, in a folder that is removed again [default: the system's temporary
    /// folder]; its disk is what syncs are measured on
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// The largest store of the suite `growth`
    #[arg(long, global = true, value_name = "N", default_value_t = 1_000_000)]
    pub up_to: u32,

    /// Keep filled stores in this folder, and use those that are there; the suite `load` fills them
    #[arg(long, global = true, value_name = "DIR")]
    pub stores: Option<PathBuf>,

    /// Beside whom to measure, separated by commas [default: all that this build has and that are
    /// installed]
    #[arg(long, global = true, value_name = "PEERS", value_delimiter = ',')]
    pub peers: Vec<Contender>,

    /// Also write every figure and round to this file
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Leave the temporary stores where they are
    #[arg(long, global = true)]
    pub keep: bool,

    /// The vectors of the suite of that name
    #[command(flatten)]
    pub nearest: DataArgs,
}

impl Settings {
    /// The workload.
    pub fn workload(&self) -> Workload {
        Workload { concepts: self.concepts, seed: self.seed }
    }

    /// Where stores are made.
    pub fn folder(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// How long one measurement of a round takes.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.millis)
    }
}
