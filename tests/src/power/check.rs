//! Whether what a cut left is the store that it must be: recovered, held against the ledger, and
//! written again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use sutra_client::Level;
use sutra_client::protocol::WriteReply;
use sutra_coordinator::{Offline, Options};
use sutra_reader::{OpenError, Reader, verify};

use super::driver::{CLIENT_ID, Expected};
use super::image::Image;
use crate::Random;
use crate::ledger::{Frame, count_versions, verify as hold};

/// An image, and what it must hold.
#[derive(Debug)]
pub struct Job {
    pub image: Image,
    pub expected: Arc<Expected>,
    /// Where it comes from.
    pub origin: String,
    pub seed: u64,
}

impl Job {
    /// Recovers the image in directory `path` and checks everything.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, path: &Path, options: &Options) -> Result<(), String> {
        let checked = catch_unwind(AssertUnwindSafe(|| self.check_all(path, options)));
        let checked = checked.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("panicked: {}", said.or(panic.downcast_ref().copied()).unwrap_or("?")))
        });
        checked.map_err(|problem| format!("{}: {problem}", self.origin))
    }

    fn check_all(&self, path: &Path, options: &Options) -> Result<(), String> {
        let mut random = Random::new(self.seed);
        self.image.write(path).map_err(|error| format!("the image: {error}"))?;
        let options = Options { store: path.to_owned(), ..options.clone() };
        let ledger = &self.expected.ledger;
        match Reader::open(path) {
            // It says that it was stopped cleanly: then it holds everything as it is.
            Ok(reader) => hold(&reader.snapshot().map_err(said)?, ledger, ledger)?,
            Err(OpenError::NeedsRecovery { .. } | OpenError::NotFound { .. }) => {}
            Err(error) => return Err(format!("a reader that comes first: {error}")),
        }
        let mut store = Offline::open(&options).map_err(|error| format!("recovery: {error}"))?;
        let reader = Reader::open(path).map_err(said)?;
        let snapshot = reader.snapshot().map_err(said)?;
        hold(&snapshot, ledger, ledger)?;
        count_versions(&snapshot)?;

        let settled = self.send_again(&mut store)?;
        store.publish().map_err(said)?;
        let snapshot = reader.snapshot().map_err(said)?;
        hold(&snapshot, &settled, &settled)?;
        if !random.one_in(8) {
            return Ok(());
        }
        if random.one_in(2) {
            store.checkpoint().map_err(said)?;
        }
        drop(store);
        drop(Offline::open(&options).map_err(|error| format!("a restart: {error}"))?);
        let snapshot = Reader::open(path).map_err(said)?.snapshot().map_err(said)?;
        hold(&snapshot, &settled, &settled)?;
        count_versions(&snapshot)?;
        let options = verify::DeepOptions::default();
        let report = verify::deep(path, options, &mut |_| {}).map_err(said)?;
        match report.is_sound() {
            true => Ok(()),
            false => Err(format!("the deep check: {report:?}")),
        }
    }

    /// The client asks again for the last answer that it had, and for those that it never got; gives
    /// its ledger after that.
    fn send_again(&self, store: &mut Offline) -> Result<crate::ledger::Ledger, String> {
        let mut ledger = self.expected.ledger.clone();
        if let Some((sequence, frame)) = &self.expected.answered {
            let reply = send(store, *sequence, frame)?;
            if !reply.already_applied {
                return Err(format!("frame {sequence} was answered, and is applied again"));
            }
        }
        for (sequence, frame) in &self.expected.in_flight {
            let reply = send(store, *sequence, frame)?;
            ledger.replied(frame, reply)?;
        }
        if !ledger.is_settled() {
            return Err("the ledger is not settled".to_owned());
        }
        Ok(ledger)
    }
}

fn send(store: &mut Offline, sequence: u64, frame: &Frame) -> Result<WriteReply, String> {
    let mut bytes = Vec::new();
    frame.batch.encode(1, sequence, Level::Durable, &mut bytes);
    store.write(CLIENT_ID, "ledger", &bytes).map_err(said)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
