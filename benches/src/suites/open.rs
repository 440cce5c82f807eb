//! Opening a store, and what an open store takes of a process.

use super::place::Stores;
use crate::board::{Board, Unit};
use crate::reading::{Contender, Mode, Task};

const SUITE: &str = "open";

/// Openings of a round.
const OPENINGS: u32 = 500;

/// Runs the suite.
pub fn run(stores: &Stores<'_>, board: &mut Board) -> anyhow::Result<()> {
    let settings = &stores.place.settings;
    for round in 0..settings.rounds {
        eprintln!("open: round {} of {}", round + 1, settings.rounds);
        for contender in Contender::ALL {
            let mut add = |name: &str, unit, value| {
                board.add(SUITE, name, unit, contender.name(), value);
            };
            let mut process = stores.reader(contender, 0)?;
            let first = process.open(1)?;
            let in_fresh = "open + first get, new process";
            add(in_fresh, Unit::Nanoseconds, first.p50_ns);
            let again = process.open(OPENINGS)?;
            add("open + first get p50", Unit::Nanoseconds, again.p50_ns);
            add("open + first get p99", Unit::Nanoseconds, again.p99_ns);

            let mut process = stores.reader(contender, 0)?;
            let before = process.memory()?;
            process.open_and_hold()?;
            let opened = process.memory()?;
            process.read(Task::Content, Mode::Throughput, settings.millis)?;
            let after = process.memory()?;
            let more = |now: u64, before: u64| now.saturating_sub(before) as f64;
            for (when, now) in [("opened", opened), ("after many reads", after)] {
                let private = more(now.private_bytes, before.private_bytes);
                add(&format!("private memory, {when}"), Unit::Bytes, private);
                let tables = more(now.page_table_bytes, before.page_table_bytes);
                add(&format!("page tables, {when}"), Unit::Bytes, tables);
            }
        }
    }
    Ok(())
}
