//! Frames to the coordinator, many in flight, and what it answers to each.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::Duration;

use sutra_client::{Client, Level, Receipt};

use super::frame::{Frame, Sort};
use super::rejects::Rejects;
use super::space::SpaceWanted;
use crate::exit::Failure;

/// Frames sent and not answered: enough to keep the coordinator busy, few enough that a bad line is
/// told soon.
const FRAMES_IN_FLIGHT_MAX: usize = 64;

/// How long the last sync and publication may take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(600);

/// What was applied so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Concepts that the coordinator took.
    pub concepts: u64,
    /// Associations that it took.
    pub associations: u64,
    /// Concepts among them that brought a vector.
    pub vectors: u64,
}

impl Tally {
    fn add(&mut self, sort: Sort) {
        match sort {
            Sort::Concept { has_vector } => {
                self.concepts += 1;
                self.vectors += u64::from(has_vector);
            }
            Sort::Association => self.associations += 1,
            Sort::Setting => {}
        }
    }
}

/// The sending end of one import.
#[derive(Debug)]
pub struct Sending<'a> {
    client: &'a mut Client,
    names: &'a [String],
    rejects: &'a mut Rejects,
    spare: Sender<Frame>,
    in_flight: HashMap<u64, Frame>,
    tally: Tally,
}

impl<'a> Sending<'a> {
    /// `names` are the inputs' names, for the rejects; answered frames go back through `spare`.
    pub fn new(
        client: &'a mut Client,
        names: &'a [String],
        rejects: &'a mut Rejects,
        spare: Sender<Frame>,
    ) -> Sending<'a> {
        Sending {
            client,
            names,
            rejects,
            spare,
            in_flight: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// What was applied so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Sends one frame, and waits for older ones if too many are on their way.
    ///
    /// At level accepted: the log's sync at the end covers all, and waiting for one per frame would
    /// leave the coordinator idle between them.
    pub fn send(&mut self, frame: Frame) -> Result<(), Failure> {
        let request_id = self.client.submit(&frame.batch, Level::Accepted)?;
        self.in_flight.insert(request_id, frame);
        while self.in_flight.len() > FRAMES_IN_FLIGHT_MAX {
            self.receive()?;
        }
        Ok(())
    }

    /// Writes a line that never became an operation to the rejects file.
    pub fn reject(
        &mut self,
        input: u32,
        line: u64,
        reason: &str,
        text: &[u8],
    ) -> Result<(), Failure> {
        let name = &self.names[input as usize];
        self.rejects.add(name, line, reason, text).map_err(|error| {
            Failure::usage(format!(
                "{} cannot be written ({error}); give another place with --rejects FILE",
                self.rejects.path().display()
            ))
        })
    }

    /// The number of a vector space, once all that was sent is answered.
    pub fn space(
        &mut self,
        wanted: &SpaceWanted,
        store: &Path,
    ) -> Result<Result<u8, String>, Failure> {
        while !self.in_flight.is_empty() {
            self.receive()?;
        }
        wanted.number(self.client, store)
    }

    /// Waits until everything sent is answered, durable and visible; gives the last LSN.
    pub fn finish(mut self) -> Result<(Tally, u64), Failure> {
        while !self.in_flight.is_empty() {
            self.receive()?;
        }
        self.rejects.flush().map_err(Failure::usage)?;
        let lsn = self.client.last_lsn();
        if lsn > 0 {
            self.client.wait(lsn, Level::Durable, FINISH_TIMEOUT)?;
            self.client.wait(lsn, Level::Visible, FINISH_TIMEOUT)?;
        }
        Ok((self.tally, lsn))
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let receipt = self.client.next_receipt()?.ok_or_else(|| {
            Failure::store("the coordinator left frames unanswered; run the import again")
        })?;
        let Some(mut frame) = self.in_flight.remove(&receipt.request_id) else {
            return Ok(());
        };
        self.count(&receipt, &frame)?;
        frame.clear();
        // Nobody takes it once the input has ended.
        let _ = self.spare.send(frame);
        Ok(())
    }

    fn count(&mut self, receipt: &Receipt, frame: &Frame) -> Result<(), Failure> {
        let mut errors = receipt.errors.iter().peekable();
        for (index, sort) in (0..).zip(frame.sorts()) {
            let Some(error) = errors.next_if(|error| error.index == index) else {
                self.tally.add(sort);
                continue;
            };
            if let Some(line) = frame.line(index) {
                self.reject(line.place.input, line.place.line, &error.message, line.text)?;
            }
        }
        Ok(())
    }
}
