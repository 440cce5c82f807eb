//! Which operations of a frame are accepted. Nothing is stored here.
//!
//! Decided against what is applied, and against what the operations before in the same frame will
//! have made. Frames may wait to be logged together, and are applied one by one after that: one
//! that meets what those before it touch is not decided before they are applied. Space for all
//! that the frames can need is reserved before they are logged, so a full disk is an answer.

mod associations;
mod concepts;
mod names;
mod space;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use sutra_client::protocol::{ErrorCode, Operation, OperationError, Write};
use sutra_layout::lookup::prefetch_found;
use sutra_layout::space::{GraphSettings, Metric, Space};

use crate::ahead::Ahead;
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
    /// Frames after this one can only be decided once it is applied.
    pub stands_alone: bool,
}

/// A concept by namespace and key, with the hash that the id index has for it. Only this hash, made
/// with the store's own seed, is hashed again for a table: nobody can prepare keys that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConceptKey {
    hash: u64,
    namespace: u32,
    key: [u8; 16],
}

impl Hash for ConceptKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes a hash for what it is.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        unreachable!("{} bytes that are not a hash", bytes.len());
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Decides frame after frame. Keeps its memory.
#[derive(Debug)]
pub struct Decider {
    metric: Metric,
    graph: GraphSettings,
    /// What operations before in this frame made of concepts, and those of frames that wait.
    concepts: HashMap<ConceptKey, InFrame, BuildHasherDefault<AsItIs>>,
    /// Numbers of this frame's own for the namespaces that it brings.
    namespaces: HashMap<String, u32>,
    /// Associations likewise; kept from the first operation on that depends on them.
    edges: HashMap<EdgeKey, bool>,
    tracks_edges: bool,
    makes_space: bool,
    /// Of this frame and of those that wait.
    need: Need,
    /// Some frame waits.
    has_waiting: bool,
    symbols: HashMap<(u8, String), ()>,
    decision: Decision,
}

/// Why an operation is not accepted.
enum Stop {
    /// It depends on a frame that waits.
    Depends,
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
    keys: Keys,
}

/// The concepts that a learning or an association names, where they have keys before it is decided.
type Keys = [Option<ConceptKey>; 2];

impl Decider {
    /// One whose default vector space, if it comes to make it, has that metric and that graph.
    pub fn new(metric: Metric, graph: GraphSettings) -> Decider {
        Decider {
            metric,
            graph,
            concepts: HashMap::default(),
            namespaces: HashMap::new(),
            edges: HashMap::new(),
            tracks_edges: false,
            makes_space: false,
            need: Need::default(),
            has_waiting: false,
            symbols: HashMap::new(),
            decision: Decision::default(),
        }
    }

    /// Decides the operations of one frame, which would be log entry `lsn` of that time, and
    /// reserves the space
    /// of those accepted. An atomic frame is accepted whole or not at all. `None`: what waits must
    /// be applied first, and [`Decider::applied`] be called.
    ///
    /// # Errors
    /// Only what ends the coordinator: damage that was met.
    pub fn decide(
        &mut self,
        writer: &Writer,
        write: &Write<'_>,
        (lsn, time): (u64, u64),
    ) -> Result<Option<()>, CoordinatorError> {
        self.begin();
        let need_before = self.need;
        let (mut ahead, mut next_index) = (Ahead::new(write.operations), 0);
        while let Some((operation, keys)) =
            ahead.next(|_, operation| self.warm(writer, operation.ok()))
        {
            if let Some(keys) = ahead.some_way_on() {
                let view = writer.image.view();
                keys.iter().flatten().for_each(|key| prefetch_found(view, &writer.now, key.hash));
            }
            let index = next_index;
            next_index += 1;
            let place = Place { writer, write, index, lsn, time, keys };
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
                Err(Stop::Depends) => return Ok(None),
                Err(Stop::Refused(code, detail, message)) => {
                    self.refuse_operation(OperationError { index, code, detail, message });
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        if write.atomic && !self.decision.errors.is_empty() {
            self.decision.accepted = 0;
            self.need = need_before;
        } else if self.decision.accepted > 0 {
            match self.need.reserve(writer) {
                Ok(()) => {}
                Err(CoordinatorError::StorageFull { .. }) if self.has_waiting => return Ok(None),
                Err(CoordinatorError::StorageFull { region, source }) => {
                    let message =
                        format!("no space left for {region}: {source}; free space and send again");
                    self.refuse_all(write.operations.len() as u32, &message);
                    self.need = need_before;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(()))
    }

    /// What was decided last.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The frame that was decided last waits, and others may be decided before it is applied.
    pub fn waits(&mut self) {
        debug_assert!(!self.decision.stands_alone, "nothing can be decided before it is applied");
        self.has_waiting = true;
    }

    /// Every frame that was decided is applied, or given up.
    pub fn applied(&mut self) {
        self.concepts.clear();
        self.need = Need::default();
        self.has_waiting = false;
    }

    /// What the operation does cannot be told to the frames after this one, or it depends on more
    /// than the concepts that it names: this frame is applied alone.
    fn stand_alone(&mut self) -> Result<(), Stop> {
        if self.has_waiting {
            return Err(Stop::Depends);
        }
        self.decision.stands_alone = true;
        Ok(())
    }

    /// Finds out which concepts an operation names, and asks the processor for where they are filed.
    fn warm(&self, writer: &Writer, operation: Option<&Operation<'_>>) -> Keys {
        let (view, depth) = (writer.image.view(), writer.now.id_index_depth as u32);
        let key_of = |namespace: &str, key: [u8; 16]| {
            let key = self.concept_key(writer, namespace, &key)?;
            if writer.now.records > 0 {
                view.id_index().prefetch(depth, key.hash);
            }
            Some(key)
        };
        match operation {
            Some(Operation::Learn(learn)) => {
                let key = learn.id.key(learn.namespace, learn.content.unwrap_or_default());
                [key_of(learn.namespace, key), None]
            }
            Some(Operation::Associate(associate)) => {
                let name = associate.namespace;
                [&associate.source, &associate.target].map(|id| key_of(name, id.key(name, "")))
            }
            _ => [None; 2],
        }
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
        self.namespaces.clear();
        self.edges.clear();
        self.tracks_edges = false;
        self.makes_space = false;
        self.symbols.clear();
        self.decision.errors.clear();
        self.decision.rejected.clear();
        self.decision.found.clear();
        self.decision.new_space = None;
        self.decision.accepted = 0;
        self.decision.stands_alone = false;
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
