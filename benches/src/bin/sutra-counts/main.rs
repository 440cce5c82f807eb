//! Guards the number of instructions of what runs most often.
//!
//! `scripts/check-counts` runs each task under callgrind, which
//! counts its instructions, and holds the counts against those in `benches/counts.json`. They do not
//! depend on how busy the machine is, and hardly on which it is; they do depend on the compiler, so
//! that `--update` follows a new one. A count says nothing of memory: that is what the suites are for.

mod tasks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

use tasks::Task;

/// How far a count may be from the one that is kept, as a share of it.
const TOLERANCE: f64 = 0.03;

/// Guards the number of instructions of what runs most often
#[derive(Debug, Parser)]
struct Args {
    /// Write the counts down instead of checking them
    #[arg(long)]
    update: bool,

    /// Where they are written down
    #[arg(long, value_name = "FILE", default_value_os_t = counts_file())]
    counts: PathBuf,

    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// One task, to be run under callgrind
    #[command(hide = true)]
    Run { task: Task },
}

fn counts_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.json")
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(Part::Run { task }) = args.part {
        task.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    if cfg!(debug_assertions) {
        bail!("counts of a debug build mean nothing; use cargo run --release");
    }
    if !cfg!(feature = "counts") {
        bail!(
            "this build cannot run under valgrind; use --features counts, or scripts/check-counts"
        );
    }
    let counted = count_all()?;
    if args.update {
        let text = serde_json::to_string_pretty(&counted)? + "\n";
        std::fs::write(&args.counts, text)?;
        println!("{} counts written to {}", counted.len(), args.counts.display());
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&args.counts)
        .with_context(|| format!("{}: write it by --update", args.counts.display()))?;
    let kept: BTreeMap<String, u64> = serde_json::from_str(&text)?;
    Ok(if hold(&counted, &kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn count_all() -> anyhow::Result<BTreeMap<String, u64>> {
    let folder = tempfile::tempdir()?;
    tasks::fill(folder.path())?;
    let mut counted = BTreeMap::new();
    for task in Task::ALL {
        counted.insert(task.title(), count(task, folder.path())?);
    }
    Ok(counted)
}

/// Instructions of one operation of a task.
fn count(task: Task, folder: &Path) -> anyhow::Result<u64> {
    let out = folder.join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["-q", "--tool=callgrind", "--collect-atstart=no"])
        .arg("--toggle-collect=*counted_operation*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args(["run", &task.name()])
        .env(tasks::FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("valgrind could not be started; is it installed?")?;
    if !status.success() {
        bail!("{} ended under valgrind with {status}", task.name());
    }
    let text = std::fs::read_to_string(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let total: u64 = total.context("callgrind wrote no summary")?.trim().parse()?;
    if total == 0 {
        bail!("callgrind counted nothing of {}", task.name());
    }
    Ok(total / u64::from(tasks::OPERATIONS))
}

/// Prints both counts of each task; whether all are near enough.
fn hold(counted: &BTreeMap<String, u64>, kept: &BTreeMap<String, u64>) -> bool {
    let mut is_well = true;
    println!("{:<44} {:>10} {:>10} {:>8}", "instructions of", "kept", "now", "change");
    for (title, &now) in counted {
        let Some(&kept) = kept.get(title) else {
            println!("{title:<44} {:>10} {now:>10}   NOT KEPT: write it down by --update", "");
            is_well = false;
            continue;
        };
        let change = now as f64 / kept as f64 - 1.0;
        let verdict = match change {
            _ if change.abs() <= TOLERANCE => "",
            _ if change > 0.0 => "  MORE than before: find out why, or accept it by --update",
            _ => "  fewer than before: keep that by --update",
        };
        is_well &= verdict.is_empty();
        println!("{title:<44} {kept:>10} {now:>10} {:>7.1}%{verdict}", change * 100.0);
    }
    is_well
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_moved_either_way_is_told() {
        let counts = |count| BTreeMap::from([("a get".to_owned(), count)]);
        assert!(hold(&counts(1000), &counts(1000)));
        assert!(hold(&counts(1029), &counts(1000)));
        assert!(!hold(&counts(1031), &counts(1000)));
        assert!(!hold(&counts(969), &counts(1000)));
        assert!(!hold(&counts(1000), &BTreeMap::new()));
    }
}
