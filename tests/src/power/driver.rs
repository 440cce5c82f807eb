//! The client of the traced coordinator: it writes by a ledger, whatever becomes of its coordinator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sutra_client::protocol::Horizon;
use sutra_client::{Client, ClientError, Level};

use crate::Random;
use crate::ledger::{Frame, Ledger};
use crate::raw::{Session, compact};

/// The client's id.
pub const CLIENT_ID: [u8; 16] = [9; 16];
/// Who asks for compactions.
const COMPACTING_ID: [u8; 16] = [8; 16];
/// Between two compactions the client looks for answers so often, about.
const TURNS_PER_COMPACTION: u64 = 25;

/// What a store must hold, as its client knows.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What was sent and what was acknowledged as durable.
    pub ledger: Ledger,
    /// Frames sent and not answered, by sequence number.
    pub in_flight: BTreeMap<u64, Frame>,
    /// The last frame that was answered.
    pub answered: Option<(u64, Frame)>,
}

/// Shared between the client's thread and whoever cuts the power.
#[derive(Debug)]
pub struct Driver {
    store: PathBuf,
    deadline: Duration,
    expected: Mutex<Expected>,
    is_over: AtomicBool,
    last: Mutex<Last>,
}

/// The end of the client, and the coordinator that is to end after it.
#[derive(Debug, Default)]
struct Last {
    has_ended: bool,
    coordinator: Option<Pid>,
}

impl Driver {
    /// Of the store in that directory; it waits for a coordinator for so long.
    pub fn new(store: PathBuf, deadline: Duration) -> Driver {
        let ledger = Ledger::new("w0");
        let expected = Expected { ledger, in_flight: BTreeMap::new(), answered: None };
        Driver {
            store,
            deadline,
            expected: Mutex::new(expected),
            is_over: AtomicBool::new(false),
            last: Mutex::default(),
        }
    }

    /// What the store must hold now.
    pub fn expected(&self) -> Expected {
        self.lock().clone()
    }

    /// The client is to get its last answers and end.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// That coordinator is stopped when the client has ended.
    pub fn stop_with_client(&self, coordinator: Pid) {
        let mut last = self.last.lock().expect("nobody panics with it");
        last.coordinator = Some(coordinator);
        stop(&last);
    }

    fn lock(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().expect("nobody panics with it")
    }

    /// Writes until the end.
    ///
    /// # Errors
    /// The first answer that is not what it must be.
    pub fn write(&self, random: Random) -> Result<(), String> {
        let wrote = self.write_until_told(random);
        let mut last = self.last.lock().expect("nobody panics with it");
        last.has_ended = true;
        stop(&last);
        wrote
    }

    fn write_until_told(&self, mut random: Random) -> Result<(), String> {
        let Some(mut client) = self.connect()? else { return Ok(()) };
        let mut by_request = BTreeMap::new();
        while !self.is_over.load(Ordering::Relaxed) {
            for _ in 0..1 + random.below(6) {
                let mut expected = self.lock();
                let mut frame = expected.ledger.next_frame(&mut random);
                frame.level = *random.pick(&[Level::Durable, Level::Visible]);
                let sequence = client.next_sequence();
                expected.in_flight.insert(sequence, frame.clone());
                drop(expected);
                match client.submit(&frame.batch, frame.level) {
                    Ok(id) | Err(ClientError::Unanswered { request_id: id, .. }) => {
                        by_request.insert(id, sequence);
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
            let left = if random.one_in(3) { 0 } else { random.index(6) };
            self.take_answers(&mut client, &mut by_request, left)?;
            if random.one_in(40) {
                let _ = client.flush(); // asked again next time if the coordinator went away
            }
            if random.one_in(TURNS_PER_COMPACTION) {
                self.ask_for_compaction(&mut random, client.last_lsn());
            }
        }
        self.take_answers(&mut client, &mut by_request, 0)
    }

    /// Asks for a compaction, whose answer nobody waits for: writing goes on beside it.
    fn ask_for_compaction(&self, random: &mut Random, last_lsn: u64) {
        let horizons = [Horizon::AsServed, Horizon::Lsn(last_lsn), Horizon::Time(u64::MAX)];
        if let Some(mut session) = Session::try_greeted(&self.store, COMPACTING_ID) {
            session.send(&compact(*random.pick(&horizons), 2));
        }
    }

    /// Connects, however often that takes.
    fn connect(&self) -> Result<Option<Client>, String> {
        let started_at = Instant::now();
        loop {
            let builder = Client::builder(&self.store).client_id(CLIENT_ID).author("ledger");
            match builder.deadline(self.deadline).first_sequence(1).connect() {
                Ok(client) => return Ok(Some(client)),
                Err(_) if self.is_over.load(Ordering::Relaxed) => return Ok(None),
                Err(error) if started_at.elapsed() > self.deadline => return Err(error.to_string()),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn take_answers(
        &self,
        client: &mut Client,
        by_request: &mut BTreeMap<u64, u64>,
        left: usize,
    ) -> Result<(), String> {
        while by_request.len() > left {
            let answer = match client.next_receipt() {
                Ok(None) => return Err(format!("{} frames were never answered", by_request.len())),
                Ok(Some(receipt)) => Ok(receipt),
                Err(error) => Err(error),
            };
            let request_id = match &answer {
                Ok(receipt) => receipt.request_id,
                Err(ClientError::Refused { request_id, .. }) => *request_id,
                // Nobody starts another coordinator after the last.
                Err(_) if self.is_over.load(Ordering::Relaxed) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            let sequence = by_request.remove(&request_id);
            let sequence = sequence.ok_or("an answer to a frame that was answered before")?;
            let mut expected = self.lock();
            let frame = expected.in_flight.remove(&sequence).ok_or("a frame is answered twice")?;
            expected.ledger.answered(&frame, &answer)?;
            expected.answered = Some((sequence, frame));
        }
        Ok(())
    }
}

/// The coordinator lives until it is told this, so its pid is its own.
fn stop(last: &Last) {
    if let Last { has_ended: true, coordinator: Some(pid) } = last {
        let _ = nix::sys::signal::kill(*pid, Signal::SIGTERM);
    }
}
