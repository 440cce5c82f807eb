//! Gets and snapshots: throughput in one process and in two, single operations.

use anyhow::ensure;

use super::place::Stores;
use crate::board::{Board, Unit};
use crate::peers::Contender;
use crate::reading::{Measured, Mode, ReaderProcess, Task};

const SUITE: &str = "reads";

/// Whom it measures.
pub const CONTENDERS: [Contender; 7] = Contender::STORES;

/// What is read, by its name in the table.
const TASKS: [(Task, &str); 5] = [
    (Task::Record, "get record"),
    (Task::RecordsOfMany, "get record, 256 ids a call"),
    (Task::Content, "get content"),
    (Task::Absent, "get absent"),
    (Task::View, "snapshot, nothing new"),
];

/// Runs the suite.
pub fn run(
    stores: &mut Stores<'_>,
    contenders: &[Contender],
    board: &mut Board,
) -> anyhow::Result<()> {
    let settings = &stores.place.settings;
    let mut readers = Vec::new();
    for &contender in contenders {
        let both = [stores.reader(contender, 0)?, stores.reader(contender, 1)?];
        readers.push((contender, both));
    }
    check(&mut readers)?;
    for round in 0..settings.rounds {
        eprintln!("reads: round {} of {}", round + 1, settings.rounds);
        readers.rotate_left(1); // everyone is first in turn
        for (task, name) in TASKS {
            for (contender, [reader, other]) in &mut readers {
                if task == Task::View && *contender == Contender::Redis {
                    continue; // it has no views that stay
                }
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

/// All stores give the same answers, or the figures mean nothing.
fn check(readers: &mut [(Contender, [ReaderProcess; 2])]) -> anyhow::Result<()> {
    for (task, name) in TASKS {
        if task == Task::View {
            continue;
        }
        let mut expected = None;
        for (contender, [reader, _]) in &mut *readers {
            let digest = reader.check(task)?;
            let expected = *expected.get_or_insert(digest);
            let who = contender.name();
            ensure!(digest == expected, "{name} of {who} is {digest}, of the first {expected}");
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
