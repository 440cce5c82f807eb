//! From kill -9 of a writing coordinator until another serves, and that nothing acknowledged is
//! lost.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sutra_client::{Batch, Client, Level};
use sutra_reader::Reader;

use super::add_quantiles;
use super::place::Stores;
use crate::board::{Board, OURS};
use crate::load;
use crate::peers::Contender;
use crate::workload::Workload;

const SUITE: &str = "recovery";

/// Kills of a round.
const KILLS: u32 = 5;
/// How long the writer writes before it loses its coordinator.
const WRITING: Duration = Duration::from_millis(150);
/// Operations of a frame.
const OPERATIONS: u32 = 256;
/// Frames that are sent and not acknowledged.
const FRAMES_IN_FLIGHT: usize = 16;
/// How long what was acknowledged may take to become visible.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the suite.
pub fn run(stores: &mut Stores<'_>, _: &[Contender], board: &mut Board) -> anyhow::Result<()> {
    stores.touch(Contender::Sutra)?;
    let settings = stores.place.settings.clone();
    let mut spans: [(&str, Vec<u64>); 3] = [
        ("kill to gone", Vec::new()),
        ("kill to serving", Vec::new()),
        ("kill to next acknowledgement", Vec::new()),
    ];
    for round in 0..settings.rounds {
        eprintln!("recovery: round {} of {}", round + 1, settings.rounds);
        for kill in 0..KILLS {
            let first = (round * KILLS + kill) * 1_000_000;
            let took = kill_once(stores, first)?;
            for ((_, nanos), took) in spans.iter_mut().zip(took) {
                nanos.push(took.as_nanos() as u64);
            }
        }
    }
    for (name, nanos) in &mut spans {
        add_quantiles(board, SUITE, name, OURS, nanos);
    }
    Ok(())
}

/// Kills the coordinator under a writer. Gives the time until it is gone, until another answers, and
/// until that one has acknowledged a write.
fn kill_once(stores: &mut Stores<'_>, first: u32) -> anyhow::Result<[Duration; 3]> {
    let workload = stores.place.workload;
    let mut client = stores.coordinator.connect()?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&is_over, &mut client, &workload, first));
        std::thread::sleep(WRITING);
        let restart = stores.coordinator.kill_and_restart();
        is_over.store(true, Ordering::Relaxed);
        let written = match writer.join() {
            Ok(written) => written?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        written.check(&stores.path(Contender::Sutra), &workload)?;
        let restart = restart?;
        let acknowledged = written.acknowledged_again_at - restart.killed_at;
        Ok([restart.gone, restart.serving, acknowledged])
    })
}

/// What a writer knows at its end.
struct Written {
    last_lsn: u64,
    /// One concept of each acknowledged frame.
    ordinals: Vec<u32>,
    /// The first acknowledgement by another coordinator than at first.
    acknowledged_again_at: Instant,
}

/// Writes as fast as it can, until it is over and another coordinator has acknowledged something.
fn write_until(
    is_over: &AtomicBool,
    client: &mut Client,
    workload: &Workload,
    first: u32,
) -> anyhow::Result<Written> {
    let epoch = client.writer_epoch();
    let (mut batch, mut content) = (Batch::new(), String::new());
    let mut acknowledged_again_at = None;
    let (mut ordinals, mut in_flight) = (Vec::new(), VecDeque::new());
    let mut ordinal = first;
    loop {
        let is_enough = is_over.load(Ordering::Relaxed) && acknowledged_again_at.is_some();
        if !is_enough {
            batch.clear();
            for _ in 0..OPERATIONS {
                content.clear();
                workload.content(ordinal, 1, &mut content);
                load::learn(&mut batch, workload.absent_id(ordinal.into()), &content)?;
                ordinal += 1;
            }
            client.submit(&batch, Level::Accepted)?;
            in_flight.push_back(ordinal - 1);
        }
        while client.in_flight() > if is_enough { 0 } else { FRAMES_IN_FLIGHT } {
            let receipt = client.next_receipt()?.context("a frame is unanswered")?;
            ensure!(receipt.errors.is_empty(), "a write was refused");
            ordinals.extend(in_flight.pop_front());
            if receipt.writer_epoch != epoch && acknowledged_again_at.is_none() {
                acknowledged_again_at = Some(Instant::now());
            }
        }
        if is_enough && let Some(acknowledged_again_at) = acknowledged_again_at {
            ordinals.extend(in_flight);
            return Ok(Written { last_lsn: client.last_lsn(), ordinals, acknowledged_again_at });
        }
    }
}

impl Written {
    /// Fails if something acknowledged is lost.
    fn check(&self, store: &Path, workload: &Workload) -> anyhow::Result<()> {
        let reader = Reader::open(store)?;
        let snapshot = reader.wait_for_lsn(self.last_lsn, VISIBLE_TIMEOUT)?;
        let mut content = String::new();
        for &ordinal in &self.ordinals {
            content.clear();
            workload.content(ordinal, 1, &mut content);
            let concept = snapshot.get(workload.absent_id(ordinal.into()))?;
            let concept = concept.context("an acknowledged write is lost")?;
            ensure!(concept.content()? == content, "a write came out wrong");
        }
        Ok(())
    }
}
