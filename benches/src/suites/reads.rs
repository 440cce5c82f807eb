//! Get, neighbors, paths and snapshots: throughput in one process and in two, single operations.

use anyhow::ensure;

use super::place::Stores;
use crate::board::{Board, Unit};
use crate::reading::{Contender, Measured, Mode, ReaderProcess, Task};

const SUITE: &str = "reads";

/// What is read, by its name in the table.
const TASKS: [(Task, &str); 9] = [
    (Task::Record, "get record"),
    (Task::RecordsOfMany, "get record, 256 ids a call"),
    (Task::Content, "get content"),
    (Task::Absent, "get absent"),
    (Task::Neighbors, "neighbors"),
    (Task::NeighborsOfMany, "neighbors, 256 concepts a call"),
    (Task::PathForward, "path of 3, forward"),
    (Task::PathBoth, "path of 3, both ends"),
    (Task::View, "snapshot, nothing new"),
];

/// Runs the suite.
pub fn run(stores: &Stores<'_>, board: &mut Board) -> anyhow::Result<()> {
    let settings = &stores.place.settings;
    let start = |contender| -> anyhow::Result<[ReaderProcess; 2]> {
        Ok([stores.reader(contender, 0)?, stores.reader(contender, 1)?])
    };
    let [sutra, lmdb] = Contender::ALL;
    let mut readers = [(sutra, start(sutra)?), (lmdb, start(lmdb)?)];
    check(&mut readers)?;
    for round in 0..settings.rounds {
        eprintln!("reads: round {} of {}", round + 1, settings.rounds);
        readers.reverse(); // whoever was second is first
        for (task, name) in TASKS {
            for (contender, [reader, other]) in &mut readers {
                let mut add = |name: &str, unit, value| {
                    board.add(SUITE, name, unit, contender.name(), value);
                };
                let measured = reader.read(task, Mode::Throughput, settings.millis)?;
                add(name, Unit::PerSecond, measured.per_second);
                let by_cpu = format!("{name}, by processor time");
                add(&by_cpu, Unit::PerSecond, measured.per_cpu_second);
                if matches!(task, Task::Record | Task::Content) {
                    let both = read_at_once(reader, other, task, settings.millis)?;
                    let sum = both[0].per_second + both[1].per_second;
                    add(&format!("{name}, 2 processes"), Unit::PerSecond, sum);
                    let over_one = format!("{name}, 2 processes over 1");
                    add(&over_one, Unit::Share, sum / measured.per_second);
                }
                if task.is_of_many() {
                    continue;
                }
                let measured = reader.read(task, Mode::Latency, settings.millis)?;
                add(&format!("{name} p50"), Unit::Nanoseconds, measured.p50_ns);
                add(&format!("{name} p99"), Unit::Nanoseconds, measured.p99_ns);
            }
        }
    }
    Ok(())
}

/// Both stores give the same answers, or the figures mean nothing.
fn check(readers: &mut [(Contender, [ReaderProcess; 2]); 2]) -> anyhow::Result<()> {
    let [(_, [sutra, _]), (_, [lmdb, _])] = readers;
    for (task, name) in TASKS {
        if task != Task::View {
            let (ours, theirs) = (sutra.check(task)?, lmdb.check(task)?);
            ensure!(ours == theirs, "{name} gives other answers in LMDB: {ours} and {theirs}");
        }
    }
    Ok(())
}

fn read_at_once(
    reader: &mut ReaderProcess,
    other: &mut ReaderProcess,
    task: Task,
    millis: u64,
) -> anyhow::Result<[Measured; 2]> {
    reader.begin(task, Mode::Throughput, millis)?;
    other.begin(task, Mode::Throughput, millis)?;
    Ok([reader.measured()?, other.measured()?])
}
