//! Opening a store and getting one concept: in a new process, and again and again.

use super::place::Stores;
use crate::board::{Board, Unit};
use crate::peers::Contender;

const SUITE: &str = "open";

/// Whom it measures.
pub const CONTENDERS: [Contender; 7] = Contender::STORES;

/// Openings of a round.
const OPENINGS: u32 = 500;

/// Runs the suite.
pub fn run(
    stores: &mut Stores<'_>,
    contenders: &[Contender],
    board: &mut Board,
) -> anyhow::Result<()> {
    let settings = &stores.place.settings;
    for round in 0..settings.rounds {
        eprintln!("open: round {} of {}", round + 1, settings.rounds);
        for &contender in contenders {
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
        }
    }
    Ok(())
}
