//! From a durable write to the moment when another process sees it.

use std::time::Duration;

use sutra_client::Level;

use super::add_quantiles;
use super::place::Place;
use super::single::write_one;
use super::writes::SUITE;
use crate::board::{Board, OURS};
use crate::clock::shared_ns;
use crate::host::Coordinator;
use crate::load::NewConcepts;
use crate::peers::Contender;
use crate::reading::ReaderProcess;

/// Writes of a round, each after a pause: an idle store.
const WRITES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(1);

/// Runs it.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let store = place.path("visible-sutra");
    let coordinator = Coordinator::start(&store)?;
    let mut client = coordinator.connect()?;
    let mut news = NewConcepts::new(place.workload, 2);
    write_one(&mut client, &mut news, Level::Visible)?;
    let mut reader = ReaderProcess::start(Contender::Sutra, &store, &place.workload, 0)?;
    for round in 0..place.settings.rounds {
        eprintln!("visibility: round {} of {}", round + 1, place.settings.rounds);
        reader.watch(client.last_lsn() + u64::from(WRITES))?;
        let mut written = Vec::new();
        for _ in 0..WRITES {
            std::thread::sleep(PAUSE);
            let began = shared_ns();
            write_one(&mut client, &mut news, Level::Durable)?;
            written.push((client.last_lsn(), began, shared_ns()));
        }
        let seen = reader.seen()?;
        let (mut since_sent, mut since_acknowledged) = (Vec::new(), Vec::new());
        for (lsn, began, acknowledged) in written {
            // Versions come in order; the first at or above it shows it.
            let at = seen.partition_point(|(seen_lsn, _)| *seen_lsn < lsn);
            if let Some((_, seen_at)) = seen.get(at) {
                since_sent.push(seen_at.saturating_sub(began));
                since_acknowledged.push(seen_at.saturating_sub(acknowledged));
            }
        }
        let name = "sent to visible";
        add_quantiles(board, SUITE, name, OURS, &mut since_sent);
        let name = "acknowledged to visible";
        add_quantiles(board, SUITE, name, OURS, &mut since_acknowledged);
    }
    drop(reader);
    coordinator.stop()
}
