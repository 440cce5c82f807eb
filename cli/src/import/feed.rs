//! From lines to frames: the thread that reads, parses and encodes while another one sends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel};

use sutra_client::{Associate, Learn, TimeToLive, TypeRef};
use sutra_layout::id::Id;

use super::frame::{Frame, Sort};
use super::held::{Held, HeldLine, Key, Place};
use super::input::{Input, LINE_SIZE_MAX, Next};
use super::line::{
    AssociationLine, ConceptLine, Line, Parser, SpaceLine, TimeToLiveLine, Type,
    looks_like_a_concept,
};
use super::outlet::{Fed, FeedError, FeedOptions, FeedReport, Outlet, Vectors};
use super::space::SpaceWanted;

/// A frame is sent when its operations have this many bytes, however few they are: enough that a
/// frame's fixed cost vanishes, little enough that the coordinator starts at once.
const FRAME_SIZE_TARGET: usize = 256 << 10;

/// The state of one import's reading end.
#[derive(Debug)]
pub struct Feed {
    options: FeedOptions,
    parser: Parser,
    held: Held,
    vectors: Option<Vectors>,
    row: Vec<f32>,
    frame: Frame,
    spaces: HashMap<String, u8>,
    names: Vec<String>,
    report: FeedReport,
    bytes_read: Arc<AtomicU64>,
    output: SyncSender<Fed>,
    spare: Receiver<Frame>,
}

impl Feed {
    /// Sends to `output`, takes emptied frames from `spare`, and counts in `bytes_read`.
    pub fn new(
        options: FeedOptions,
        vectors: Option<Vectors>,
        bytes_read: Arc<AtomicU64>,
        output: SyncSender<Fed>,
        spare: Receiver<Frame>,
    ) -> Feed {
        Feed {
            options,
            parser: Parser::default(),
            held: Held::default(),
            vectors,
            row: Vec::new(),
            frame: Frame::default(),
            spaces: HashMap::new(),
            names: Vec::new(),
            report: FeedReport::default(),
            bytes_read,
            output,
            spare,
        }
    }

    /// Reads all inputs to their end, then sends what still waits.
    pub fn run(mut self, inputs: &mut [Input]) -> Result<FeedReport, FeedError> {
        self.names = inputs.iter().map(|input| input.name().to_owned()).collect();
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
        self.report.ignored_keys = self.parser.ignored_keys().clone();
        Ok(self.report)
    }

    fn read(&mut self, number: u32, input: &mut Input) -> Result<(), FeedError> {
        let read_before = self.bytes_read.load(Ordering::Relaxed);
        let mut text = Vec::new();
        loop {
            if !self.options.is_atomic && !self.frame.batch.is_empty() && input.would_wait() {
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
            Ok(Line::Association(association)) => match self.missing_end(&association) {
                Some(missing) => {
                    self.held.hold(missing, HeldLine { place, text: text.into() });
                    Ok(())
                }
                None => self.association(place, text, &association),
            },
            Ok(Line::Space(space)) => self.make_space(place, text, &space),
            Ok(Line::TimeToLive(time_to_live)) => self.time_to_live(place, text, &time_to_live),
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
        if let (Some(vectors), Some(_)) = (&mut self.vectors, &line.content) {
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
        let space = match line.space.as_deref().map(|name| self.space_number(name)).transpose()? {
            None => 0,
            Some(Ok(number)) => number,
            Some(Err(reason)) => return self.reject(place, reason, text),
        };
        let namespace = line.namespace.as_deref().unwrap_or(&self.options.namespace);
        let id = line.id(namespace);
        let learn = Learn {
            id,
            content: line.content.as_deref(),
            strength: line.strength,
            confidence: line.confidence,
            embedding: match (has_row, line.has_embedding) {
                (true, _) => Some(self.row.as_slice()),
                (false, true) => Some(self.parser.embedding()),
                (false, false) => None,
            },
            space,
            metadata: line.metadata.as_deref(),
            kind: line.kind.as_deref(),
            expires_at: line.expires_at,
            created_at: line.created_at,
            ..Learn::default()
        };
        let has_vector = learn.embedding.is_some();
        let out = Outlet { output: &self.output, spare: &self.spare, options: &self.options };
        match out.add(&mut self.frame, namespace, |batch| batch.learn(&learn))? {
            Ok(()) => {}
            Err(error) => return self.reject(place, error.to_string(), text),
        }
        let content = line.content.as_deref().unwrap_or_default();
        let waiting = self.held.arrived(namespace, id, content);
        // A further vector of a concept that was counted.
        let sort = match line.content {
            Some(_) => Sort::Concept { has_vector },
            None => Sort::Setting,
        };
        self.frame.note(place, text, sort);
        self.emit_if_full()?;
        waiting.into_iter().try_for_each(|line| self.reconsider(line))
    }

    /// One end of a held line came: send it, or let it wait for the other.
    fn reconsider(&mut self, waiting: HeldLine) -> Result<(), FeedError> {
        match self.parser.parse(&waiting.text) {
            Ok(Line::Association(association)) => match self.missing_end(&association) {
                Some(missing) => {
                    drop(association);
                    self.held.hold(missing, waiting);
                    Ok(())
                }
                None => self.association(waiting.place, &waiting.text, &association),
            },
            parsed => unreachable!("a held line was an association before and now is {parsed:?}"),
        }
    }

    fn missing_end(&self, line: &AssociationLine<'_>) -> Option<Key> {
        let namespace = line.namespace.as_deref().unwrap_or(&self.options.namespace);
        self.held.missing_end(namespace, &line.source, &line.target)
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
        let namespace = line.namespace.as_deref().unwrap_or(&self.options.namespace);
        let associate = Associate {
            source: Id::from(line.source.as_ref()),
            target: Id::from(line.target.as_ref()),
            kind: match &line.edge_type {
                Type::Name(name) => TypeRef::Name(name),
                Type::Number(number) => TypeRef::Number(*number),
            },
            confidence: line.confidence,
            weight: line.weight,
            properties: line.properties.as_deref(),
            valid_until: line.valid_until,
            created_at: line.created_at,
            ..Associate::default()
        };
        let out = Outlet { output: &self.output, spare: &self.spare, options: &self.options };
        match out.add(&mut self.frame, namespace, |batch| batch.associate(&associate))? {
            Ok(()) => {}
            Err(error) => return self.reject(place, error.to_string(), text),
        }
        self.frame.note(place, text, Sort::Association);
        self.emit_if_full()
    }

    fn time_to_live(
        &mut self,
        place: Place,
        text: &[u8],
        line: &TimeToLiveLine<'_>,
    ) -> Result<(), FeedError> {
        let namespace = line.namespace.as_deref().unwrap_or(&self.options.namespace);
        let time_to_live = TimeToLive { namespace, time_us: line.time_us };
        let out = Outlet { output: &self.output, spare: &self.spare, options: &self.options };
        match out.add(&mut self.frame, namespace, |batch| batch.time_to_live(&time_to_live))? {
            Ok(()) => {}
            Err(error) => return self.reject(place, error.to_string(), text),
        }
        self.frame.note(place, text, Sort::Setting);
        self.emit_if_full()
    }

    fn make_space(
        &mut self,
        place: Place,
        text: &[u8],
        line: &SpaceLine<'_>,
    ) -> Result<(), FeedError> {
        match self.ask(SpaceWanted::make(line))? {
            Ok(number) => {
                self.spaces.insert(line.name.clone().into_owned(), number);
                Ok(())
            }
            Err(reason) => self.reject(place, reason, text),
        }
    }

    fn space_number(&mut self, name: &str) -> Result<Result<u8, String>, FeedError> {
        if name.is_empty() {
            return Ok(Ok(0));
        }
        if let Some(number) = self.spaces.get(name) {
            return Ok(Ok(*number));
        }
        let found = self.ask(SpaceWanted::find(name))?;
        if let Ok(number) = found {
            self.spaces.insert(name.to_owned(), number);
        }
        Ok(found)
    }

    /// Has the other thread apply all so far, and look for a space.
    fn ask(&mut self, wanted: SpaceWanted) -> Result<Result<u8, String>, FeedError> {
        if self.options.is_atomic {
            return Ok(Err("a vector space cannot be made or named with --atomic".to_owned()));
        }
        self.emit()?;
        let (answer, number) = channel();
        self.output.send(Fed::Space { wanted, answer }).map_err(|_| FeedError::GivenUp)?;
        number.recv().map_err(|_| FeedError::GivenUp)
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
        if self.options.is_atomic {
            let name = self.names[place.input as usize].clone();
            return Err(FeedError::Spoilt { name, line: place.line, reason });
        }
        self.output
            .send(Fed::Reject { place, reason, text: text.into() })
            .map_err(|_| FeedError::GivenUp)
    }

    fn emit_if_full(&mut self) -> Result<(), FeedError> {
        let batch = &self.frame.batch;
        let is_full = batch.len() >= self.options.batch_count || batch.size() >= FRAME_SIZE_TARGET;
        if is_full && !self.options.is_atomic {
            self.emit()?;
        }
        Ok(())
    }

    fn emit(&mut self) -> Result<(), FeedError> {
        let out = Outlet { output: &self.output, spare: &self.spare, options: &self.options };
        out.emit(&mut self.frame)
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
