//! One write at a time without a sync, against a bare round trip and peers' commits; and single
//! writes in flight together.

use std::time::{Duration, Instant};

use sutra_client::{Batch, Client, Level};

use super::place::Place;
use super::writes::{SINGLE, SUITE};
use super::{add_quantiles, repeat};
use crate::board::{Board, OURS, Unit};
use crate::host::Coordinator;
use crate::ipc::{Echo, RoundTrip};
use crate::load::{self, NewConcepts};
use crate::peers::{Concept, Contender, Writing};

/// Bytes that a pipelining client sends by one call of the system.
const GATHERED_SIZE: usize = 16 << 10;

/// Runs both.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let duration = place.settings.duration();
    let coordinator = Coordinator::start_unsynced(&place.path("single-sutra"))?;
    let mut client = coordinator.connect()?;
    let mut peers = open_peers(place, board, false)?;
    let mut echo = Echo::start(&place.path("echo.sock"))?;
    let mut news = NewConcepts::new(place.workload, 0);
    for round in 0..place.settings.rounds {
        eprintln!("single writes: round {} of {}", round + 1, place.settings.rounds);
        let name = "one write, not synced";
        let mut nanos = repeat(duration, || write_one(&mut client, &mut news, Level::Accepted))?;
        add_quantiles(board, SUITE, name, OURS, &mut nanos);
        let mut nanos = repeat(duration, || echo.round_trip())?;
        add_quantiles(board, SUITE, name, "round trip", &mut nanos);
        for (contender, peer) in &mut peers {
            let mut nanos = repeat(duration, || commit_one(&mut **peer, &mut news))?;
            add_quantiles(board, SUITE, name, contender.name(), &mut nanos);
        }

        let mut gathering = coordinator.connect_gathering(GATHERED_SIZE)?;
        let per_second = pipelined(&mut gathering, &mut news, duration)?;
        let name = "pipelined, not synced";
        board.add(SUITE, name, Unit::PerSecond, OURS, per_second);
        let per_second = pipelined(&mut client, &mut news, duration)?;
        let name = "pipelined, not synced, each sent at once";
        board.add(SUITE, name, Unit::PerSecond, OURS, per_second);
    }
    coordinator.stop()
}

/// One write of ours, from its encoding to its acknowledgement.
pub fn write_one(
    client: &mut Client,
    news: &mut NewConcepts,
    level: Level,
) -> anyhow::Result<Duration> {
    let (id, content) = news.next();
    let began = Instant::now();
    let mut batch = Batch::new();
    load::learn(&mut batch, id, content)?;
    client.write(&batch, level)?;
    Ok(began.elapsed())
}

/// Opens an empty store of each peer that can write one concept.
pub fn open_peers(
    place: &Place,
    board: &mut Board,
    is_synced: bool,
) -> anyhow::Result<Vec<(Contender, Box<dyn Writing>)>> {
    let kind = if is_synced { "durable" } else { "single" };
    let open = |contender: Contender| {
        let dir = place.path(&format!("{kind}-{}", contender.name()));
        Ok((contender, contender.open_to_write(&dir, is_synced)?))
    };
    place.choose_peers(SUITE, &SINGLE, board).into_iter().map(open).collect()
}

/// One commit of a peer.
pub fn commit_one(peer: &mut dyn Writing, news: &mut NewConcepts) -> anyhow::Result<Duration> {
    let (id, content) = news.next();
    let began = Instant::now();
    peer.write(&[Concept { id, ordinal: 0, content }])?;
    Ok(began.elapsed())
}

/// Frames of one write each, as many in flight as the client allows; acknowledged ones a second.
fn pipelined(
    client: &mut Client,
    news: &mut NewConcepts,
    duration: Duration,
) -> anyhow::Result<f64> {
    let mut batch = Batch::new();
    let (began, mut count) = (Instant::now(), 0u32);
    while began.elapsed() < duration {
        let (id, content) = news.next();
        batch.clear();
        load::learn(&mut batch, id, content)?;
        client.submit(&batch, Level::Accepted)?;
        count += 1;
        if count.is_multiple_of(4096) {
            client.drain()?; // answers are kept until they are asked for
        }
    }
    client.drain()?;
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
