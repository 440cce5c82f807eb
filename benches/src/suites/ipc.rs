//! Why writes go over a plain socket: the round trip of each way, in the sizes of one write.
//!
//! A durable write waits for a sync that takes ten times as long as the slowest of them. What is left
//! to choose by is what happens when an end dies, and there the socket alone says so to the other.

use super::place::Place;
use super::{add_quantiles, repeat};
use crate::board::{Board, OURS};
use crate::ipc::Way;

const SUITE: &str = "ipc";

/// Runs the suite.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let mut ends = Vec::new();
    for way in Way::ALL {
        match way.absence() {
            Some(why) => board.leave_out(SUITE, way.name(), why),
            None => ends.push((way, way.start(&place.path(""))?)),
        }
    }
    for round in 0..place.settings.rounds {
        eprintln!("ipc: round {} of {}", round + 1, place.settings.rounds);
        ends.rotate_left(1); // everyone is first in turn
        for (way, end) in &mut ends {
            let name = if *way == Way::Socket { OURS } else { way.name() };
            let mut nanos = repeat(place.settings.duration(), || end.round_trip())?;
            add_quantiles(board, SUITE, "round trip", name, &mut nanos);
        }
    }
    Ok(())
}
