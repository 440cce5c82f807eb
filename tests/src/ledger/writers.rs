//! Writers that keep a ledger, and go on whatever happens to the coordinator.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sutra_client::{Client, ClientError, Level, Receipt};
use sutra_reader::Reader;

use super::{Frame, Ledger};
use crate::Random;
use crate::wait::DEADLINE;

/// How a writer deals with a coordinator that goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// It keeps one client, with many frames in flight, and leaves it to that to send them again.
    Pipelined,
    /// It sends one frame at a time and repeats it itself by its sequence number, over a new
    /// connection each time; now and then without need.
    Repeating,
}

/// What the writers share with whoever kills their coordinator.
#[derive(Debug)]
pub struct Sharing {
    store: PathBuf,
    ledgers: Vec<Mutex<Ledger>>,
    is_over: AtomicBool,
}

impl Sharing {
    /// For so many writers of the store in a directory.
    pub fn new(store: &Path, writers: usize) -> Sharing {
        let ledger = |number| Mutex::new(Ledger::new(&format!("w{number}")));
        Sharing {
            store: store.to_owned(),
            ledgers: (0..writers).map(ledger).collect(),
            is_over: AtomicBool::new(false),
        }
    }

    /// All ledgers as they are now.
    pub fn ledgers(&self) -> Vec<Ledger> {
        self.ledgers.iter().map(|ledger| lock(ledger).clone()).collect()
    }

    /// The writers are to get their last answers and end.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether they are to end.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("no writer panics with its ledger")
}

/// Writes by the ledger of writer `number` until the end.
///
/// # Errors
/// The first answer that is not what it must be.
pub fn write_until(
    sharing: &Sharing,
    number: usize,
    style: Style,
    random: Random,
) -> Result<(), String> {
    let mut writer = Writer {
        sharing,
        ledger: &sharing.ledgers[number],
        client_id: [number as u8 + 1; 16],
        random,
    };
    match style {
        Style::Pipelined => writer.write_pipelined(),
        Style::Repeating => writer.write_repeating(),
    }
}

struct Writer<'a> {
    sharing: &'a Sharing,
    ledger: &'a Mutex<Ledger>,
    client_id: [u8; 16],
    random: Random,
}

impl Writer<'_> {
    fn connect(&self, deadline: Duration, sequence: u64) -> Result<Client, ClientError> {
        Client::builder(&self.sharing.store)
            .client_id(self.client_id)
            .author("ledger")
            .deadline(deadline)
            .first_sequence(sequence)
            .connect()
    }

    /// Connects, however often that takes.
    fn connect_at_last(&self, deadline: Duration, sequence: u64) -> Result<Client, String> {
        let started_at = Instant::now();
        loop {
            match self.connect(deadline, sequence) {
                Ok(client) => return Ok(client),
                Err(error) if started_at.elapsed() > DEADLINE => return Err(error.to_string()),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn write_pipelined(&mut self) -> Result<(), String> {
        let mut client = self.connect_at_last(DEADLINE, 1)?;
        let mut in_flight: HashMap<u64, Frame> = HashMap::new();
        while !self.sharing.is_over() {
            for _ in 0..self.random.below(8) {
                let frame = lock(self.ledger).next_frame(&mut self.random);
                let request_id = match client.submit(&frame.batch, frame.level) {
                    Ok(request_id) | Err(ClientError::Unanswered { request_id, .. }) => request_id,
                    Err(error) => return Err(error.to_string()),
                };
                in_flight.insert(request_id, frame);
            }
            let left = self.random.index(24);
            self.take_answers(&mut client, &mut in_flight, left)?;
            self.rest();
        }
        self.take_answers(&mut client, &mut in_flight, 0)
    }

    fn take_answers(
        &self,
        client: &mut Client,
        in_flight: &mut HashMap<u64, Frame>,
        left: usize,
    ) -> Result<(), String> {
        while in_flight.len() > left {
            let answer = match client.next_receipt() {
                Ok(None) => return Err(format!("{} frames were never answered", in_flight.len())),
                Ok(Some(receipt)) => Ok(receipt),
                Err(error) => Err(error),
            };
            let request_id = match &answer {
                Ok(receipt) => receipt.request_id,
                Err(ClientError::Refused { request_id, .. }) => *request_id,
                Err(error) => return Err(error.to_string()),
            };
            let frame = in_flight.remove(&request_id);
            let frame = frame.ok_or("an answer to a frame that was answered before")?;
            lock(self.ledger).answered(&frame, &answer)?;
        }
        Ok(())
    }

    fn write_repeating(&mut self) -> Result<(), String> {
        let mut client = None;
        let mut reader = None;
        let mut sequence = 0;
        while !self.sharing.is_over() {
            sequence += 1;
            let frame = lock(self.ledger).next_frame(&mut self.random);
            if self.random.one_in(20) {
                // Sent, and the answer not waited for: it is not known whether it was applied.
                let mut lost = self.connect_at_last(Duration::from_secs(5), sequence)?;
                let _ = lost.submit(&frame.batch, frame.level);
                drop(lost);
                client = None;
            }
            let answer = self.repeat(&mut client, &frame, sequence)?;
            lock(self.ledger).answered(&frame, &answer)?;
            if let Ok(receipt) = &answer
                && frame.level == Level::Visible
            {
                self.check_visible(&mut reader, receipt)?;
            }
            self.rest();
        }
        Ok(())
    }

    /// Sends a frame until it is answered.
    fn repeat(
        &mut self,
        client: &mut Option<Client>,
        frame: &Frame,
        sequence: u64,
    ) -> Result<Result<Receipt, ClientError>, String> {
        let started_at = Instant::now();
        loop {
            let connected = match client.take() {
                Some(connected) => connected,
                None => self.connect_at_last(Duration::from_millis(200), sequence)?,
            };
            let connected = client.insert(connected);
            match connected.write(&frame.batch, frame.level) {
                answer @ (Ok(_) | Err(ClientError::Refused { .. })) => return Ok(answer),
                Err(error) if started_at.elapsed() > DEADLINE => return Err(error.to_string()),
                Err(_) => *client = None,
            }
        }
    }

    /// What was acknowledged as visible is seen by whoever looks after that.
    fn check_visible(&self, reader: &mut Option<Reader>, receipt: &Receipt) -> Result<(), String> {
        let reader = match reader.take() {
            Some(open) => reader.insert(open),
            None => {
                let open = Reader::open(&self.sharing.store);
                reader.insert(open.map_err(|error| error.to_string())?)
            }
        };
        let snapshot = reader.snapshot().map_err(|error| error.to_string())?;
        match snapshot.published_lsn() >= receipt.last_lsn {
            true => Ok(()),
            false => Err(format!(
                "{receipt:?} is visible, and a reader sees LSN {}",
                snapshot.published_lsn()
            )),
        }
    }

    /// Kills come at moments of silence too.
    fn rest(&mut self) {
        if self.random.one_in(3) {
            let pause_us = self.random.below(3000);
            std::thread::sleep(Duration::from_micros(pause_us));
        }
    }
}
