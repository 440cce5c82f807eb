//! Which operations of a frame are accepted. Nothing is stored here.
//!
//! Decided against what is applied, and against what the operations before in the same frame will
//! have made: frames are applied one by one, so there is nothing else in between. Space for all
//! that the frame can need is reserved before it is logged, so a full disk is an answer.

mod associations;
mod concepts;
mod names;
mod space;

use std::collections::HashMap;

use sutra_client::protocol::{ErrorCode, Operation, OperationError, Write};
use sutra_layout::space::{GraphSettings, Metric, Space};

use crate::apply::{Found, Writer};
use crate::error::CoordinatorError;
use associations::EdgeKey;
use concepts::InFrame;
use space::Need;

/// What was decided about a frame.
#[derive(Debug, Default)]
pub struct Decision {
    /// The operations that are refused, and why.
    pub errors: Vec<OperationError>,
    /// Their indices, ascending.
    pub rejected: Vec<u32>,
    /// For every operation, what was found out.
    pub found: Vec<Found>,
    /// The default vector space, if this frame makes it.
    pub new_space: Option<Space>,
    /// How many operations are accepted.
    pub accepted: usize,
}

/// A concept by namespace and key, as this frame may have made or forgotten it.
type ConceptKey = (String, [u8; 16]);

/// Decides frame after frame. Keeps its memory.
#[derive(Debug)]
pub struct Decider {
    metric: Metric,
    graph: GraphSettings,
    /// What operations before in this frame made of concepts.
    concepts: HashMap<ConceptKey, InFrame>,
    /// Associations likewise; kept from the first operation on that depends on them.
    edges: HashMap<EdgeKey, bool>,
    tracks_edges: bool,
    makes_space: bool,
    need: Need,
    symbols: HashMap<(u8, String), ()>,
    decision: Decision,
}

/// Why an operation is not accepted.
enum Stop {
    Refused(ErrorCode, u64, String),
    Failed(CoordinatorError),
}

impl<E: Into<CoordinatorError>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Failed(error.into())
    }
}

fn refuse<T>(code: ErrorCode, detail: u64, message: String) -> Result<T, Stop> {
    Err(Stop::Refused(code, detail, message))
}

/// Where an operation stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    writer: &'a Writer,
    write: &'a Write<'a>,
    index: u32,
    /// The log entry that the frame would be.
    lsn: u64,
    /// The time that it would have, about.
    time: u64,
}

impl Decider {
    /// One whose default vector space, if it comes to make it, has that metric and that graph.
    pub fn new(metric: Metric, graph: GraphSettings) -> Decider {
        Decider {
            metric,
            graph,
            concepts: HashMap::new(),
            edges: HashMap::new(),
            tracks_edges: false,
            makes_space: false,
            need: Need::default(),
            symbols: HashMap::new(),
            decision: Decision::default(),
        }
    }

    /// Decides the operations of one frame, which would be log entry `lsn`, and reserves the space
    /// of those accepted. An atomic frame is accepted whole or not at all.
    ///
    /// # Errors
    /// Only what ends the coordinator: damage that was met.
    pub fn decide(
        &mut self,
        writer: &Writer,
        write: &Write<'_>,
        lsn: u64,
    ) -> Result<&Decision, CoordinatorError> {
        self.begin();
        let time = sutra_layout::sys::clock::now_us();
        for (index, operation) in (0u32..).zip(write.operations) {
            let place = Place { writer, write, index, lsn, time };
            let decided = match &operation {
                Err(fault) => {
                    self.refuse_operation(fault.at(index));
                    continue;
                }
                Ok(operation) => self.operation(place, operation),
            };
            match decided {
                Ok(found) => {
                    self.decision.found.push(found);
                    self.decision.accepted += 1;
                }
                Err(Stop::Refused(code, detail, message)) => {
                    self.refuse_operation(OperationError { index, code, detail, message });
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        if write.atomic && !self.decision.errors.is_empty() {
            self.decision.accepted = 0;
        } else if self.decision.accepted > 0 {
            match self.need.reserve(writer) {
                Ok(()) => {}
                Err(CoordinatorError::StorageFull { region, source }) => {
                    let message =
                        format!("no space left for {region}: {source}; free space and send again");
                    self.refuse_all(write.operations.len() as u32, &message);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(&self.decision)
    }

    fn operation(&mut self, place: Place<'_>, operation: &Operation<'_>) -> Result<Found, Stop> {
        match operation {
            Operation::Learn(learn) => self.learn(place, learn),
            Operation::Associate(associate) => self.associate(place, associate),
            Operation::Forget(namespace, forget) => self.forget(place, namespace, forget),
            Operation::Disassociate(namespace, disassociate) => {
                self.disassociate(place, namespace, disassociate)
            }
            Operation::Reinforce(namespace, reinforce) => {
                self.reinforce(place, namespace, reinforce)
            }
            Operation::Touch(namespace, touch) => self.touch(place, namespace, touch),
            Operation::MakeSpace(space) => self.make_space(place, space),
            Operation::TimeToLive(time_to_live) => self.time_to_live(place, time_to_live),
            Operation::Unsupported(code) => refuse(
                ErrorCode::Unsupported,
                u64::from(*code),
                format!("operation {code} is not known to this coordinator; use a newer one"),
            ),
        }
    }

    fn begin(&mut self) {
        self.concepts.clear();
        self.edges.clear();
        self.tracks_edges = false;
        self.makes_space = false;
        self.symbols.clear();
        self.need = Need::default();
        self.decision.errors.clear();
        self.decision.rejected.clear();
        self.decision.found.clear();
        self.decision.new_space = None;
        self.decision.accepted = 0;
    }

    fn refuse_operation(&mut self, error: OperationError) {
        self.decision.found.push(Found::Unknown);
        self.decision.rejected.push(error.index);
        self.decision.errors.push(error);
    }

    fn refuse_all(&mut self, count: u32, message: &str) {
        let error = |index| OperationError {
            index,
            code: ErrorCode::StorageFull,
            detail: 0,
            message: message.to_owned(),
        };
        self.decision.accepted = 0;
        self.decision.rejected = (0..count).collect();
        self.decision.errors = (0..count).map(error).collect();
    }
}

/// Holds the conditions of an operation against the LSN that its object has, 0 if it is not there.
fn check_conditions(
    object: impl std::fmt::Display,
    if_lsn: Option<u64>,
    if_absent: bool,
    current: u64,
) -> Result<(), Stop> {
    if if_absent && current != 0 {
        let message = format!("{object} is there already, written by log entry {current}");
        return refuse(ErrorCode::Conflict, current, message);
    }
    if let Some(expected) = if_lsn
        && expected != current
    {
        let message = match current {
            0 => format!("{object} is not there, and log entry {expected} was expected"),
            _ => format!(
                "{object} was last written by log entry {current}, not {expected}; read it again"
            ),
        };
        return refuse(ErrorCode::Conflict, current, message);
    }
    Ok(())
}
