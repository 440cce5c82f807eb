//! From lines to frames: the thread that reads, parses and encodes while another one sends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use sutra_client::{Associate, BatchError, Learn, TypeRef};
use sutra_layout::id::Id;

use super::frame::{Frame, Sort};
use super::held::{Held, HeldLine, Place};
use super::input::{Input, LINE_SIZE_MAX, Next};
use super::line::{AssociationLine, ConceptLine, Kind, Line, Parser, looks_like_a_concept};
use crate::npy::{NpyError, Rows};

/// A frame is sent when its operations have this many bytes, however few they are: enough that a
/// frame's fixed cost vanishes, little enough that the coordinator starts at once.
const FRAME_SIZE_TARGET: usize = 256 << 10;

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
    /// The thread that sends has ended; it knows why.
    #[error("the import was given up")]
    GivenUp,
}

/// The state of one import's reading end.
#[derive(Debug)]
pub struct Feed {
    parser: Parser,
    held: Held,
    vectors: Option<Vectors>,
    row: Vec<f32>,
    frame: Frame,
    batch_count: usize,
    report: FeedReport,
    bytes_read: Arc<AtomicU64>,
    output: SyncSender<Fed>,
    spare: Receiver<Frame>,
}

impl Feed {
    /// Sends to `output`, takes emptied frames from `spare`, and counts in `bytes_read`.
    pub fn new(
        vectors: Option<Vectors>,
        batch_count: usize,
        bytes_read: Arc<AtomicU64>,
        output: SyncSender<Fed>,
        spare: Receiver<Frame>,
    ) -> Feed {
        Feed {
            parser: Parser::default(),
            held: Held::default(),
            vectors,
            row: Vec::new(),
            frame: Frame::default(),
            batch_count,
            report: FeedReport::default(),
            bytes_read,
            output,
            spare,
        }
    }

    /// Reads all inputs to their end, then sends what still waits.
    pub fn run(mut self, inputs: &mut [Input]) -> Result<FeedReport, FeedError> {
        for (number, input) in inputs.iter_mut().enumerate() {
            self.read(number as u32, input)?;
        }
        for line in self.held.take_all() {
            self.release(line)?;
        }
        self.emit()?;
        if let Some(vectors) = &self.vectors {
            self.report.vectors_unused = vectors.rows_left();
        }
        self.report.ignored_keys = self.parser.ignored_keys;
        Ok(self.report)
    }

    fn read(&mut self, number: u32, input: &mut Input) -> Result<(), FeedError> {
        let read_before = self.bytes_read.load(Ordering::Relaxed);
        let mut text = Vec::new();
        loop {
            if !self.frame.batch.is_empty() && input.would_wait() {
                self.emit()?; // a slow producer's lines are not kept back for the sake of a full frame
            }
            let next = input.next_line(&mut text).map_err(|source| FeedError::Input {
                name: input.name().to_owned(),
                line: input.line_number(),
                source,
            })?;
            self.bytes_read.store(read_before + input.bytes_read(), Ordering::Relaxed);
            let place = Place { input: number, line: input.line_number() };
            match next {
                Next::End => return Ok(()),
                Next::Line if text.trim_ascii().is_empty() => {}
                Next::Line => self.line(place, &text)?,
                Next::TooLong => {
                    self.skip_row(&text)?;
                    self.reject(
                        place,
                        format!("the line is longer than {LINE_SIZE_MAX} bytes"),
                        b"",
                    )?;
                }
            }
        }
    }

    fn line(&mut self, place: Place, text: &[u8]) -> Result<(), FeedError> {
        match self.parser.parse(text) {
            Ok(Line::Concept(concept)) => self.concept(place, text, &concept),
            Ok(Line::Association(association)) => {
                match self.held.missing_end(&association.source, &association.target) {
                    Some(missing) => self.held.hold(missing, HeldLine { place, text: text.into() }),
                    None => self.association(place, text, &association)?,
                }
                Ok(())
            }
            Err(reason) => {
                self.skip_row(text)?;
                self.reject(place, reason, text)
            }
        }
    }

    fn concept(
        &mut self,
        place: Place,
        text: &[u8],
        line: &ConceptLine<'_>,
    ) -> Result<(), FeedError> {
        let mut has_row = false;
        if let Some(vectors) = &mut self.vectors {
            has_row = vectors.next_row(&mut self.row)?;
            let row_count = vectors.row_count();
            if !has_row {
                let reason =
                    format!("no vector is left for this concept: --vectors has {row_count} rows");
                return self.reject(place, reason, text);
            }
            if line.has_embedding {
                let reason = "two vectors: the line's embedding and its row of --vectors; give one";
                return self.reject(place, reason.to_owned(), text);
            }
        }
        let embedding = match (has_row, line.has_embedding) {
            (true, _) => Some(self.row.as_slice()),
            (false, true) => Some(self.parser.embedding.as_slice()),
            (false, false) => None,
        };
        let learn = Learn {
            id: line.id(),
            content: Some(&line.content),
            strength: line.strength,
            confidence: line.confidence,
            embedding,
            ..Learn::default()
        };
        let mut added = self.frame.batch.learn(&learn);
        if let Err(BatchError::Full { .. }) = added {
            emit(&mut self.frame, &self.output, &self.spare)?;
            added = self.frame.batch.learn(&learn);
        }
        if let Err(error) = added {
            return self.reject(place, error.to_string(), text);
        }
        let has_vector = embedding.is_some();
        self.frame.note(place, text, Sort::Concept { has_vector });
        self.emit_if_full()?;
        for waiting in self.held.arrived(line.id(), &line.content) {
            self.reconsider(waiting)?;
        }
        Ok(())
    }

    /// One end of a held line came: send it, or let it wait for the other.
    fn reconsider(&mut self, waiting: HeldLine) -> Result<(), FeedError> {
        match self.parser.parse(&waiting.text) {
            Ok(Line::Association(association)) => {
                match self.held.missing_end(&association.source, &association.target) {
                    Some(missing) => {
                        drop(association);
                        self.held.hold(missing, waiting);
                        Ok(())
                    }
                    None => self.association(waiting.place, &waiting.text, &association),
                }
            }
            parsed => unreachable!("a held line was an association before and now is {parsed:?}"),
        }
    }

    /// The input is at its end: send a held line whether its ends came or not.
    fn release(&mut self, waiting: HeldLine) -> Result<(), FeedError> {
        match self.parser.parse(&waiting.text) {
            Ok(Line::Association(association)) => {
                self.association(waiting.place, &waiting.text, &association)
            }
            parsed => unreachable!("a held line was an association before and now is {parsed:?}"),
        }
    }

    fn association(
        &mut self,
        place: Place,
        text: &[u8],
        line: &AssociationLine<'_>,
    ) -> Result<(), FeedError> {
        let associate = Associate {
            source: Id::from(line.source.as_ref()),
            target: Id::from(line.target.as_ref()),
            kind: match &line.kind {
                Kind::Name(name) => TypeRef::Name(name),
                Kind::Number(number) => TypeRef::Number(*number),
            },
            confidence: line.confidence,
            weight: line.weight,
            ..Associate::default()
        };
        let mut added = self.frame.batch.associate(&associate);
        if let Err(BatchError::Full { .. }) = added {
            emit(&mut self.frame, &self.output, &self.spare)?;
            added = self.frame.batch.associate(&associate);
        }
        if let Err(error) = added {
            return self.reject(place, error.to_string(), text);
        }
        self.frame.note(place, text, Sort::Association);
        self.emit_if_full()
    }

    /// A line that cannot be read, but was meant as a concept, takes its row with it.
    fn skip_row(&mut self, text: &[u8]) -> Result<(), FeedError> {
        if let Some(vectors) = &mut self.vectors
            && looks_like_a_concept(text)
        {
            vectors.next_row(&mut self.row)?;
        }
        Ok(())
    }

    fn reject(&mut self, place: Place, reason: String, text: &[u8]) -> Result<(), FeedError> {
        self.output
            .send(Fed::Reject { place, reason, text: text.into() })
            .map_err(|_| FeedError::GivenUp)
    }

    fn emit_if_full(&mut self) -> Result<(), FeedError> {
        let batch = &self.frame.batch;
        if batch.len() >= self.batch_count || batch.size() >= FRAME_SIZE_TARGET {
            self.emit()?;
        }
        Ok(())
    }

    fn emit(&mut self) -> Result<(), FeedError> {
        emit(&mut self.frame, &self.output, &self.spare)
    }
}

/// A function of its parts, so that a learn that borrows the parser can call it.
fn emit(
    frame: &mut Frame,
    output: &SyncSender<Fed>,
    spare: &Receiver<Frame>,
) -> Result<(), FeedError> {
    if frame.batch.is_empty() {
        return Ok(());
    }
    let full = std::mem::replace(frame, spare.try_recv().unwrap_or_default());
    output.send(Fed::Frame(full)).map_err(|_| FeedError::GivenUp)
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
