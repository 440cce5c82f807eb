//! A reader that is stopped with a snapshot in its hands, or was killed: what it costs the writer.
//!
//! A saturating writer replaces concepts again and again, alone, beside a stopped reader, and after
//! one was killed. Each kind has a store of its own with the same concepts in it.

use std::time::Instant;

use sutra_client::{Batch, Client, Level};

use super::place::Place;
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::load::{self, OPERATIONS_PER_FRAME};
use crate::peers::Contender;
use crate::reading::{Mode, ReaderProcess, Task};
use crate::workload::Contents;

const SUITE: &str = "pinned";

/// How a reader stands beside the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    None,
    Stopped,
    Killed,
}

const KINDS: [(Reader, &str); 3] = [
    (Reader::None, "alone"),
    (Reader::Stopped, "beside a stopped reader"),
    (Reader::Killed, "after a killed reader"),
];

/// Runs it.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let contents = Contents::new(&place.workload);
    for round in 0..place.settings.rounds {
        let mut alone = 0.0;
        for (kind, name) in KINDS {
            eprintln!("pinned: round {} of {}: {name}", round + 1, place.settings.rounds);
            let store = place.path("pinned-sutra");
            let coordinator = Coordinator::start(&store)?;
            let mut client = coordinator.connect()?;
            load::concepts(&mut client, &place.workload, &contents)?;
            client.flush()?;
            let reader = match kind {
                Reader::None => None,
                Reader::Stopped | Reader::Killed => {
                    let mut reader =
                        ReaderProcess::start(Contender::Sutra, &store, &place.workload, 0)?;
                    // Stopped or killed in the middle of it.
                    reader.begin(Task::FreshContent, Mode::Throughput, place.settings.millis)?;
                    reader.signal(if kind == Reader::Stopped { "STOP" } else { "KILL" })?;
                    Some(reader)
                }
            };
            let size_before = client.stats()?.storage_size;
            let (per_second, written) = write(place, &mut client)?;
            client.flush()?;
            let grown = client.stats()?.storage_size - size_before;
            let mut add = |figure: &str, unit, value| board.add(SUITE, figure, unit, OURS, value);
            add(&format!("the writer's records {name}"), Unit::PerSecond, per_second);
            add(&format!("growth over data written, {name}"), Unit::Times, grown as f64 / written);
            match kind {
                Reader::None => alone = per_second,
                _ => add(&format!("slower {name}"), Unit::Times, alone / per_second),
            }
            if let Some(reader) = reader {
                reader.end()?;
            }
            drop((client, coordinator));
            std::fs::remove_dir_all(store)?;
        }
    }
    Ok(())
}

/// Replaces concepts for as long as a measurement takes; records a second, and the bytes of their
/// operations.
fn write(place: &Place, client: &mut Client) -> anyhow::Result<(f64, f64)> {
    let mut random = place.workload.random(4);
    let (mut batch, mut content) = (Batch::new(), String::new());
    let (began, mut records, mut size) = (Instant::now(), 0, 0);
    while began.elapsed() < place.settings.duration() {
        batch.clear();
        for _ in 0..OPERATIONS_PER_FRAME {
            let ordinal = random.below(place.workload.concepts.into()) as u32;
            content.clear();
            place.workload.content(ordinal, records + 1, &mut content);
            load::learn(&mut batch, place.workload.id(ordinal), &content)?;
            records += 1;
        }
        size += batch.size();
        client.submit(&batch, Level::Accepted)?;
    }
    client.drain()?;
    Ok((records as f64 / began.elapsed().as_secs_f64(), size as f64))
}
