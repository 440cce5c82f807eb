//! What a person reads, and the same as JSON.

use std::path::Path;

use anyhow::Context;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

use crate::board::{Board, Figure, OURS, Unit};
use crate::clock::Stopwatch;
use crate::settings::Settings;
use crate::targets::{self, Target};

/// Where and how the figures came about.
#[derive(Clone, Debug)]
pub struct Circumstances {
    began_at: String,
    processor: String,
    cores: usize,
    memory_bytes: u64,
    kernel: String,
    filesystem: String,
    load_before: String,
    clock: &'static str,
    clock_overhead_ns: f64,
}

impl Circumstances {
    /// Those of now, where the stores are to be in `folder`.
    pub fn now(folder: &Path) -> Circumstances {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let stopwatch = Stopwatch::new();
        Circumstances {
            began_at: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            processor: model
                .and_then(|line| line.split(':').nth(1))
                .unwrap_or("unknown")
                .trim()
                .to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: memory_of(&read("/proc/meminfo")),
            filesystem: filesystem_of(folder, &read("/proc/self/mounts")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg").trim().to_owned(),
            clock: stopwatch.name(),
            clock_overhead_ns: stopwatch.overhead_ns(),
        }
    }

    fn heading(&self, settings: &Settings) -> String {
        format!(
            "{} concepts, seed {}, {} rounds; {} ({} cores), Linux {}, {}\n\
             load before: {}; latencies by {} ({:.0} ns included); medians of interleaved rounds",
            settings.concepts,
            settings.seed,
            settings.rounds,
            self.processor,
            self.cores,
            self.kernel,
            self.began_at,
            self.load_before,
            self.clock,
            self.clock_overhead_ns,
        )
    }

    fn to_json(&self, settings: &Settings) -> Value {
        json!({
            "began_at": self.began_at,
            "processor": self.processor,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "kernel": self.kernel,
            "filesystem": self.filesystem,
            "load_before": self.load_before,
            "clock": self.clock,
            "clock_overhead_ns": self.clock_overhead_ns,
            "concepts": settings.concepts,
            "up_to": settings.up_to,
            "seed": settings.seed,
            "rounds": settings.rounds,
            "millis": settings.millis,
        })
    }
}

/// Bytes of memory of the whole machine.
fn memory_of(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|rest| rest.split_whitespace().next());
    kilobytes.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The type of the file system that a folder is on.
fn filesystem_of(folder: &Path, mounts: &str) -> String {
    let Ok(folder) = folder.canonicalize() else {
        return "unknown".to_owned();
    };
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        Some((words.next()?, words.next()?))
    });
    let holding = mounts.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| at.len());
    holding.map_or("unknown", |(_, kind)| kind).to_owned()
}

/// The board as one table.
pub fn table(board: &Board, circumstances: &Circumstances, settings: &Settings) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "suite",
        "figure",
        "sutra",
        "peer",
        "theirs",
        "ours/peer",
        "target",
        "holds",
    ]);
    for figure in board.figures() {
        let peers: Vec<&str> = figure.peers().collect();
        let has_ours = figure.median(OURS).is_some();
        let first = peers.first().copied().filter(|_| has_ours || peers.len() == 1);
        table.add_row(row(figure, first, true));
        for peer in peers.iter().skip(usize::from(first.is_some())) {
            table.add_row(row(figure, Some(peer), false));
        }
    }
    for (suite, contender, why) in board.left_out() {
        table.add_row([suite, "all", "", contender, why, "", "", ""]);
    }
    for column in [2, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n{table}", circumstances.heading(settings))
}

fn row(figure: &Figure, peer: Option<&str>, is_first: bool) -> [String; 8] {
    let value = |contender: &str| {
        let median = figure.median(contender);
        median.map_or(String::new(), |value| format_value(figure.unit, value))
    };
    let only_first = |text: String| if is_first { text } else { String::new() };
    let target = targets::of(figure).filter(|_| is_first);
    let holds = target.and_then(|target| target.holds(figure));
    [
        only_first(figure.suite.to_owned()),
        only_first(figure.name.clone()),
        only_first(value(OURS)),
        peer.unwrap_or_default().to_owned(),
        peer.map(value).unwrap_or_default(),
        peer.and_then(|peer| figure.ratio(peer)).map_or(String::new(), format_ratio),
        target.map_or(String::new(), |target| format_target(figure.unit, target)),
        match holds {
            Some(true) => "yes".to_owned(),
            Some(false) => "NO".to_owned(),
            None => String::new(),
        },
    ]
}

/// Two digits behind the point, or those that are not zeros.
fn format_ratio(ratio: f64) -> String {
    match ratio {
        0.1.. => format!("{ratio:.2}"),
        _ => format!("{ratio:.4}"),
    }
}

fn format_target(unit: Unit, target: Target) -> String {
    match target {
        Target::Least(bound) => format!(">= {}", format_value(unit, bound)),
        Target::Most(bound) => format!("<= {}", format_value(unit, bound)),
        Target::MostTimes(peer, times) => format!("<= {times} x {peer}"),
    }
}

fn format_value(unit: Unit, value: f64) -> String {
    let scaled = |steps: &[(f64, &str)]| {
        let (size, name) =
            steps.iter().find(|(size, _)| value >= *size).unwrap_or(&steps[steps.len() - 1]);
        let value = value / size;
        match value {
            100.0.. => format!("{value:.0} {name}"),
            10.0.. => format!("{value:.1} {name}"),
            _ => format!("{value:.2} {name}"),
        }
    };
    match unit {
        Unit::PerSecond => scaled(&[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")]),
        Unit::Nanoseconds => scaled(&[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")]),
        Unit::Bytes => scaled(&[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")]),
        Unit::Share | Unit::Times => format!("{value:.2}"),
    }
}

/// Writes the board to a file as JSON: circumstances, and each figure with its rounds.
pub fn write_json(
    path: &Path,
    board: &Board,
    circumstances: &Circumstances,
    settings: &Settings,
) -> anyhow::Result<()> {
    let figure = |figure: &Figure| {
        let of = |value: &dyn Fn(&str) -> Option<f64>| -> Value {
            let named = figure
                .rounds
                .iter()
                .filter_map(|(name, _)| Some((name.clone(), json!(value(name)?))));
            Value::Object(named.collect())
        };
        let rounds = figure.rounds.iter().cloned();
        json!({
            "suite": figure.suite,
            "figure": figure.name,
            "unit": figure.unit,
            "median": of(&|name| figure.median(name)),
            "ratio": of(&|name| figure.ratio(name).filter(|_| name != OURS)),
            "target": targets::of(figure).map(|target| format_target(figure.unit, target)),
            "holds": targets::of(figure).and_then(|target| target.holds(figure)),
            "rounds": rounds.map(|(name, values)| (name, json!(values))).collect::<serde_json::Map<_, _>>(),
        })
    };
    let report = json!({
        "circumstances": circumstances.to_json(settings),
        "left_out": board.left_out(),
        "figures": board.figures().iter().map(figure).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&report)?;
    std::fs::write(path, text + "\n")
        .with_context(|| format!("the figures could not be written to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_deepest_mount() {
        let folder = Path::new("/proc/self");
        let mounts = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\n";
        assert_eq!(filesystem_of(folder, mounts), "proc");
        assert_eq!(filesystem_of(Path::new("/"), mounts), "ext4");
        assert_eq!(filesystem_of(Path::new("/no such folder"), mounts), "unknown");
    }

    #[test]
    fn a_ratio_keeps_two_digits_however_small() {
        assert_eq!(format_ratio(12.345), "12.35");
        assert_eq!(format_ratio(0.0123), "0.0123");
        assert_eq!(memory_of("MemTotal:   2048 kB\n"), 2 << 20);
    }
}
