//! What the reading end of an import hands to the sending end, and how it ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::sync::mpsc::{Receiver, Sender, SyncSender};

use sutra_client::{Batch, BatchError};

use super::frame::Frame;
use super::held::Place;
use super::space::SpaceWanted;
use crate::npy::{NpyError, Rows};

/// The rows of `--vectors`.
pub type Vectors = Rows<BufReader<File>>;

/// What goes to the thread that sends.
#[derive(Debug)]
pub enum Fed {
    /// Operations to send.
    Frame(Frame),
    /// A line that is no operation.
    Reject {
        /// Where it stands.
        place: Place,
        /// Why.
        reason: String,
        /// As it was read.
        text: Box<[u8]>,
    },
    /// A vector space that is needed by number, once all before it is applied.
    Space {
        /// Which.
        wanted: SpaceWanted,
        /// Takes its number, or why there is none.
        answer: Sender<Result<u8, String>>,
    },
}

/// How an import is read.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// Operations of one frame, at most.
    pub batch_count: usize,
    /// The namespace of lines that name none.
    pub namespace: String,
    /// All lines in one frame, or none.
    pub is_atomic: bool,
}

/// What the input held besides operations.
#[derive(Debug, Default)]
pub struct FeedReport {
    /// Rows of `--vectors` that no concept line took.
    pub vectors_unused: u64,
    /// Keys that no line may have, and on how many lines.
    pub ignored_keys: BTreeMap<String, u64>,
}

/// Input that ended an import before its end.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A file could not be read on.
    #[error("{name} cannot be read after line {line} ({source}); import it again from there")]
    Input {
        /// The input.
        name: String,
        /// The last line that was read.
        line: u64,
        /// What reading said.
        source: std::io::Error,
    },
    /// A row of `--vectors` could not be read.
    #[error(transparent)]
    Vectors(#[from] NpyError),
    /// One line spoils an import that is to be whole.
    #[error("line {line} of {name}: {reason}; nothing was imported, as --atomic asks")]
    Spoilt {
        /// The input.
        name: String,
        /// The line.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// More than one frame takes.
    #[error(
        "the lines are too many for one frame (65,536 operations, 16 MiB); nothing was imported: \
         leave --atomic out, or import fewer"
    )]
    TooManyForOneFrame,
    /// The thread that sends has ended; it knows why.
    #[error("the import was given up")]
    GivenUp,
}

/// Where frames go: the parts of a feed that a line which borrows its parser leaves free.
pub struct Outlet<'f> {
    /// Takes frames.
    pub output: &'f SyncSender<Fed>,
    /// Gives emptied ones back.
    pub spare: &'f Receiver<Frame>,
    /// How the import is read.
    pub options: &'f FeedOptions,
}

impl Outlet<'_> {
    /// Adds an operation, to the next frame if this one is full.
    pub fn add(
        &self,
        frame: &mut Frame,
        namespace: &str,
        add: impl Fn(&mut Batch) -> Result<(), BatchError>,
    ) -> Result<Result<(), BatchError>, FeedError> {
        frame.batch.atomic(self.options.is_atomic);
        match add(frame.batch.namespace(namespace)) {
            Err(BatchError::Full { .. }) if self.options.is_atomic => {
                Err(FeedError::TooManyForOneFrame)
            }
            Err(BatchError::Full { .. }) => {
                self.emit(frame)?;
                Ok(add(frame.batch.namespace(namespace)))
            }
            added => Ok(added),
        }
    }

    /// Sends what the frame holds.
    pub fn emit(&self, frame: &mut Frame) -> Result<(), FeedError> {
        if frame.batch.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(frame, self.spare.try_recv().unwrap_or_default());
        self.output.send(Fed::Frame(full)).map_err(|_| FeedError::GivenUp)
    }
}
