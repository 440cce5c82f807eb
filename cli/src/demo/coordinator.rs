//! The demo's coordinator: a process of its own, started until it answers.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use sutra_client::{Client, ClientError};

use super::stage::Stage;
use crate::exit::Failure;

/// How long a coordinator may take from its start to its first answer.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A coordinator that answers.
#[derive(Debug)]
pub struct Coordinator {
    /// Its process.
    pub pid: u32,
    /// From its start to its first answer.
    pub took: Duration,
    store: PathBuf,
}

impl Coordinator {
    /// Starts it, and waits until it answers.
    pub fn start(stage: &Stage) -> Result<Coordinator, Failure> {
        let started = Instant::now();
        let pid = stage.start_coordinator()?;
        let mut coordinator = Coordinator { pid, store: stage.store(), took: Duration::ZERO };
        loop {
            match coordinator.try_connect() {
                Ok(_) => break,
                Err(_) if stage.has_ended(pid) => {
                    return Err(Failure::store(format!(
                        "the coordinator (process {pid}) ended as soon as it was started"
                    )));
                }
                Err(error) if started.elapsed() > START_TIMEOUT => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
        coordinator.took = started.elapsed();
        Ok(coordinator)
    }

    fn try_connect(&self) -> Result<Client, ClientError> {
        Client::builder(&self.store).author("sutra demo").connect()
    }

    /// A connection to it.
    pub fn connect(&self) -> Result<Client, Failure> {
        Ok(self.try_connect()?)
    }

    /// Stops it cleanly, and waits until it is gone.
    pub fn stop(&self, stage: &Stage) -> Result<(), Failure> {
        self.connect()?.stop()?;
        stage.wait(self.pid)
    }
}
