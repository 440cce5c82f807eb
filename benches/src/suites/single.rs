//! One write at a time without a sync, against a bare round trip and LMDB's commit; and single
//! writes in flight together.

use std::time::{Duration, Instant};

use sutra_client::{Batch, Client, Level};

use super::place::Place;
use super::writes::SUITE;
use super::{add_quantiles, repeat};
use crate::board::{Board, OURS, Unit};
use crate::echo::Echo;
use crate::host::Coordinator;
use crate::lmdb::Lmdb;
use crate::load::{self, NewConcepts};

/// Runs both.
pub fn run(place: &Place, board: &mut Board) -> anyhow::Result<()> {
    let duration = place.settings.duration();
    let coordinator = Coordinator::start_unsynced(&place.path("single-sutra"))?;
    let mut client = coordinator.connect()?;
    let lmdb = Lmdb::open(&place.path("single-lmdb"), false)?;
    let mut echo = Echo::start(&place.path("echo.sock"))?;
    let mut news = NewConcepts::new(place.workload, 0);
    for round in 0..place.settings.rounds {
        eprintln!("single writes: round {} of {}", round + 1, place.settings.rounds);
        let name = "one write, not synced";
        let mut nanos = repeat(duration, || write_one(&mut client, &mut news, Level::Accepted))?;
        add_quantiles(board, SUITE, name, OURS, &mut nanos);
        let mut nanos = repeat(duration, || echo.round_trip())?;
        add_quantiles(board, SUITE, name, "round trip", &mut nanos);
        let mut nanos = repeat(duration, || commit_one(&lmdb, &mut news))?;
        add_quantiles(board, SUITE, name, "lmdb", &mut nanos);

        let per_second = pipelined(&mut client, &mut news, duration)?;
        let name = "pipelined, not synced";
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

/// One commit of LMDB.
pub fn commit_one(lmdb: &Lmdb, news: &mut NewConcepts) -> anyhow::Result<Duration> {
    let (id, content) = news.next();
    let began = Instant::now();
    lmdb.write([(id, 0, content)])?;
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
