//! Which operations of a frame are accepted. Nothing is stored here.
//!
//! Decided against what is applied, and against what the operations before in the same frame will
//! have made: frames are applied one by one, so there is nothing else in between. Space for all
//! that the frame can need is reserved before it is logged, so a full disk is an answer.

use std::collections::HashMap;

use sutra_client::protocol::{
    AssociateOp, ErrorCode, F32s, LearnOp, Operation, OperationError, TypeRef, Write,
};
use sutra_layout::blob::blob_space;
use sutra_layout::geometry::Region;
use sutra_layout::id::Id;
use sutra_layout::index::INDEX;
use sutra_layout::lookup::{find_concept, find_edge};
use sutra_layout::space::Metric;
use sutra_layout::symbol::{FIRST_OWN_TYPE, SYMBOL_HEAD_SIZE, SymbolTable};

use crate::apply::{Found, Writer};
use crate::error::CoordinatorError;

/// New symbols that one frame may bring for each table; more wait for the next frame.
const NEW_SYMBOLS_MAX: usize = 4096;

/// What was decided about a frame.
#[derive(Debug, Default)]
pub struct Decision {
    /// The operations that are refused, and why.
    pub errors: Vec<OperationError>,
    /// Their indices, ascending.
    pub rejected: Vec<u32>,
    /// For every operation, what was found out.
    pub found: Vec<Found>,
    /// Dimension and metric of the default vector space, if this frame makes it.
    pub new_space: Option<(u32, Metric)>,
    /// How many operations are accepted.
    pub accepted: usize,
}

/// A concept by namespace and key, as this frame may have made it.
type ConceptKey = (String, [u8; 16]);
/// An association by namespace, the keys of its ends, and its type.
type EdgeKey = (String, [u8; 16], [u8; 16], Result<u16, String>);

/// Decides frame after frame. Keeps its memory.
#[derive(Debug)]
pub struct Decider {
    metric: Metric,
    /// Concepts that operations before in this frame learn.
    fresh: HashMap<ConceptKey, ()>,
    /// Associations likewise; kept from the first one with a condition on.
    fresh_edges: HashMap<EdgeKey, ()>,
    tracks_edges: bool,
    need: Need,
    symbols: HashMap<(u8, String), ()>,
    decision: Decision,
}

/// The space that the accepted operations can take at most.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    records: u64,
    edges: u64,
    content: u64,
    symbols: u64,
    vectors: [u64; 4],
    largest_blob: u64,
}

/// Why an operation is refused.
struct Refused(ErrorCode, u64, String);

enum Stop {
    Refused(Refused),
    Failed(CoordinatorError),
}

impl<E: Into<CoordinatorError>> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop::Failed(error.into())
    }
}

fn refuse<T>(code: ErrorCode, detail: u64, message: String) -> Result<T, Stop> {
    Err(Stop::Refused(Refused(code, detail, message)))
}

impl Decider {
    /// One whose default vector space, if it comes to make it, has that metric.
    pub fn new(metric: Metric) -> Decider {
        Decider {
            metric,
            fresh: HashMap::new(),
            fresh_edges: HashMap::new(),
            tracks_edges: false,
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
        for (index, operation) in (0u32..).zip(write.operations) {
            let decided = match &operation {
                Err(fault) => {
                    self.refuse_operation(fault.at(index));
                    continue;
                }
                Ok(Operation::Learn(learn)) => self.learn(writer, learn, lsn),
                Ok(Operation::Associate(associate)) => {
                    if has_condition(associate) && !self.tracks_edges {
                        self.track_edges(writer, write, index);
                    }
                    self.associate(writer, associate, lsn)
                }
                Ok(Operation::Unsupported(code)) => refuse(
                    ErrorCode::Unsupported,
                    u64::from(*code),
                    format!("operation {code} is not known to this coordinator; use a newer one"),
                ),
            };
            match decided {
                Ok(found) => {
                    self.decision.found.push(found);
                    self.decision.accepted += 1;
                }
                Err(Stop::Refused(Refused(code, detail, message))) => {
                    self.refuse_operation(OperationError { index, code, detail, message });
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        let is_broken = write.atomic && !self.decision.errors.is_empty();
        if !is_broken && self.decision.accepted > 0 {
            match self.reserve(writer) {
                Ok(()) => return Ok(&self.decision),
                Err(CoordinatorError::StorageFull { region, source }) => {
                    let message =
                        format!("no space left for {region}: {source}; free space and send again");
                    self.refuse_all(
                        write.operations.len() as u32,
                        ErrorCode::StorageFull,
                        &message,
                    );
                }
                Err(error) => return Err(error),
            }
        }
        if is_broken {
            self.decision.accepted = 0;
        }
        Ok(&self.decision)
    }

    fn begin(&mut self) {
        self.fresh.clear();
        self.fresh_edges.clear();
        self.tracks_edges = false;
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

    fn refuse_all(&mut self, count: u32, code: ErrorCode, message: &str) {
        self.decision.accepted = 0;
        self.decision.rejected = (0..count).collect();
        let error = |index| OperationError { index, code, detail: 0, message: message.to_owned() };
        self.decision.errors = (0..count).map(error).collect();
    }

    fn learn(&mut self, writer: &Writer, learn: &LearnOp<'_>, lsn: u64) -> Result<Found, Stop> {
        let content = learn.content.unwrap_or_default();
        let key = learn.id.key(learn.namespace, content);
        let view = writer.image.view();
        let namespace = writer.symbols.number(SymbolTable::Namespace, learn.namespace);
        let newest = match namespace {
            Some(namespace) => find_concept(view, &writer.now, namespace, &key)?,
            None => None,
        };
        let is_fresh = self.is_fresh(learn.namespace, &key);
        if let (Id::Text(text), Some((_, record))) = (&learn.id, newest)
            && let Some(name) = record.name.get().checked_sub(1)
            && view.blob(name, &writer.now)? != text.as_bytes()
        {
            let message =
                format!("{text} has the same 128-bit hash as another id; choose another id");
            return refuse(ErrorCode::InvalidId, 0, message);
        }
        let live = newest.filter(|(_, record)| !record.is_tombstone());
        let current = if is_fresh { lsn } else { live.map_or(0, |(_, record)| record.lsn) };
        check_conditions(&learn.id, learn.if_lsn, learn.if_absent, current)?;
        self.check_symbol(writer, SymbolTable::Namespace, learn.namespace)?;
        if let Some(kind) = learn.kind {
            self.check_symbol(writer, SymbolTable::Kind, kind)?;
        }
        if let Some((space, values)) = learn.embedding() {
            self.check_vector(writer, space, values)?;
        }
        self.need.records += 1;
        self.need_blob(content.len());
        self.need_blob(learn.metadata.map_or(0, str::len));
        if let Id::Text(text) = learn.id {
            self.need_blob(text.len());
        }
        if let Some((space, _)) = learn.embedding() {
            self.need.vectors[usize::from(space)] += 1;
        }
        if is_fresh {
            return Ok(Found::Unknown);
        }
        self.fresh.insert((learn.namespace.to_owned(), key), ());
        Ok(Found::Record(newest.map(|(ordinal, _)| ordinal)))
    }

    fn associate(
        &mut self,
        writer: &Writer,
        associate: &AssociateOp<'_>,
        lsn: u64,
    ) -> Result<Found, Stop> {
        let name = associate.namespace;
        let keys = [associate.source.key(name, ""), associate.target.key(name, "")];
        let ids = [&associate.source, &associate.target];
        let namespace = writer.symbols.number(SymbolTable::Namespace, name);
        let mut ends = [None; 2];
        for ((end, key), id) in ends.iter_mut().zip(&keys).zip(ids) {
            if let Some(namespace) = namespace {
                let found = find_concept(writer.image.view(), &writer.now, namespace, key)?;
                *end = found.filter(|(_, r)| !r.is_tombstone()).map(|(_, r)| r.concept_ordinal);
            }
            let is_there = end.is_some() || associate.create_missing || self.is_fresh(name, key);
            if !is_there {
                let message = format!(
                    "there is no concept {id}; learn it first, or ask for missing ends to be made"
                );
                return refuse(ErrorCode::UnknownConcept, 0, message);
            }
        }
        let edge_type = self.check_type(writer, associate.kind)?;
        self.check_edge_conditions(writer, associate, (ends, edge_type), lsn)?;
        self.check_symbol(writer, SymbolTable::Namespace, name)?;
        if associate.create_missing {
            for ((end, key), id) in ends.iter().zip(&keys).zip(ids) {
                if end.is_none() && !self.is_fresh(name, key) {
                    self.need.records += 1;
                    self.need_blob(0);
                    if let Id::Text(text) = id {
                        self.need_blob(text.len());
                    }
                    self.fresh.insert((name.to_owned(), *key), ());
                }
            }
        }
        self.need.edges += 1;
        if let Some(properties) = associate.properties {
            self.need_blob(properties.len());
        }
        Ok(match ends {
            [Some(source), Some(target)] => Found::Ends(source, target),
            _ => Found::Unknown,
        })
    }

    fn is_fresh(&self, namespace: &str, key: &[u8; 16]) -> bool {
        !self.fresh.is_empty() && self.fresh.contains_key(&(namespace.to_owned(), *key))
    }

    /// The number of an association type, if it has one yet.
    fn check_type(&mut self, writer: &Writer, kind: TypeRef<'_>) -> Result<Option<u16>, Stop> {
        match kind {
            TypeRef::Name(name) => {
                self.check_symbol(writer, SymbolTable::Type, name)?;
                Ok(writer.symbols.number(SymbolTable::Type, name).map(|number| number as u16))
            }
            TypeRef::Number(number) if writer.symbols.has_type(number) => Ok(Some(number)),
            TypeRef::Number(number) => refuse(
                ErrorCode::InvalidType,
                number.into(),
                format!(
                    "no association type has number {number}; 0 to 4 are built in and own ones begin at \
                     {FIRST_OWN_TYPE}: give a name to make one"
                ),
            ),
        }
    }

    fn check_edge_conditions(
        &mut self,
        writer: &Writer,
        associate: &AssociateOp<'_>,
        (ends, edge_type): ([Option<u32>; 2], Option<u16>),
        lsn: u64,
    ) -> Result<(), Stop> {
        if !self.tracks_edges {
            return Ok(());
        }
        let key = edge_key(writer, associate);
        let mut current = 0;
        if self.fresh_edges.contains_key(&key) {
            current = lsn;
        } else if let ([Some(source), Some(target)], Some(edge_type)) = (ends, edge_type) {
            let edge = find_edge(writer.image.view(), &writer.now, (source, target, edge_type))?;
            current = edge.filter(|(_, edge)| !edge.is_tombstone()).map_or(0, |(_, edge)| edge.lsn);
        }
        check_conditions(&associate.source, associate.if_lsn, associate.if_absent, current)?;
        self.fresh_edges.insert(key, ());
        Ok(())
    }

    /// Notes the associations of the operations before `end`, as one with a condition follows.
    fn track_edges(&mut self, writer: &Writer, write: &Write<'_>, end: u32) {
        self.tracks_edges = true;
        for (index, operation) in (0..end).zip(write.operations) {
            if let Ok(Operation::Associate(associate)) = operation
                && self.decision.rejected.binary_search(&index).is_err()
            {
                self.fresh_edges.insert(edge_key(writer, &associate), ());
            }
        }
    }

    fn check_vector(&mut self, writer: &Writer, space: u8, values: F32s<'_>) -> Result<(), Stop> {
        let index = usize::from(space);
        let dimension = values.len() as u64;
        let known = if (index as u64) < writer.now.spaces_count {
            let space = writer.image.view().space(index)?;
            Some((space.dimension as u64, space.metric))
        } else if index == 0 {
            self.decision.new_space.map(|(dimension, metric)| (dimension.into(), metric))
        } else {
            let message = format!("there is no vector space {space}; use space 0");
            return refuse(ErrorCode::UnknownVectorSpace, space.into(), message);
        };
        let (expected, metric) = known.unwrap_or((dimension, self.metric));
        if dimension != expected {
            let message = format!(
                "the vector has {dimension} elements, and vector space {space} has {expected}; give vectors of \
                 one model, or make a new store for another"
            );
            return refuse(ErrorCode::DimensionMismatch, expected, message);
        }
        if metric == Metric::Cosine && values.iter().all(|x| x == 0.0) {
            let message =
                "a vector of zeros has no direction; give another, or use the dot or l2 metric";
            return refuse(ErrorCode::InvalidVector, dimension, message.to_owned());
        }
        if known.is_none() {
            self.decision.new_space = Some((dimension as u32, metric));
        }
        Ok(())
    }

    fn check_symbol(
        &mut self,
        writer: &Writer,
        table: SymbolTable,
        name: &str,
    ) -> Result<(), Stop> {
        if writer.symbols.number(table, name).is_some() {
            return Ok(());
        }
        let key = (table as u8, name.to_owned());
        if self.symbols.contains_key(&key) {
            return Ok(());
        }
        let new = self.symbols.keys().filter(|(number, _)| *number == table as u8).count();
        if new >= NEW_SYMBOLS_MAX || new as u32 >= writer.symbols.room(table) {
            let limit = table.number_max();
            let message = format!(
                "the name {name} would be one too many: {limit} are possible, {NEW_SYMBOLS_MAX} in one frame"
            );
            return refuse(ErrorCode::LimitReached, limit.into(), message);
        }
        self.need.symbols += SYMBOL_HEAD_SIZE + name.len() as u64 + 4;
        self.symbols.insert(key, ());
        Ok(())
    }

    fn need_blob(&mut self, size: usize) {
        let space = blob_space(size);
        self.need.content += space;
        self.need.largest_blob = self.need.largest_blob.max(space);
    }

    /// Reserves what the accepted operations can take at most.
    fn reserve(&self, writer: &Writer) -> Result<(), CoordinatorError> {
        let Need { records, edges, content, symbols, vectors, largest_blob } = self.need;
        let (image, now) = (&writer.image, &writer.now);
        image.ensure(Region::RECORDS, now.records + records)?;
        image.ensure(Region::COLUMNS, now.concepts + records)?;
        // A blob that does not fit into the rest of an extent begins with one that holds it, which
        // is less than twice its size further on.
        image.ensure(Region::CONTENT, now.content_size + content + 2 * largest_blob)?;
        image.ensure(Region::SYMBOLS, now.symbols_size + symbols + 512)?;
        image.ensure(Region::EDGES, now.edges + edges)?;
        for (space, count) in vectors.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            // The default space is made by the entry itself, and its rows reserved there.
            if (space as u64) < now.spaces_count {
                image.ensure(Region::vectors(space), now.spaces[space].count + count)?;
                image.ensure(Region::vector_columns(space), now.spaces[space].count + count)?;
            }
        }
        let words = |keys: u64| (keys / 64 + 8) * 2 * INDEX.segment_words();
        let segments = writer.roots;
        image.ensure(
            Region::ID_SEGMENTS,
            segments.ids.segments * INDEX.segment_words() + words(records),
        )?;
        image.ensure(Region::ID_DIRECTORY, 4 << segments.ids.depth)?;
        if edges > 0 {
            image.ensure(
                Region::EDGE_SEGMENTS,
                segments.edges.segments * INDEX.segment_words() + words(edges),
            )?;
            image.ensure(Region::EDGE_DIRECTORY, 4 << segments.edges.depth)?;
            // Both ends of an edge may need a block; a large one serves for many more edges.
            let end = image.live_end(Region::ADJACENCY).load(std::sync::atomic::Ordering::Relaxed);
            image.ensure(Region::ADJACENCY, end + 2 * edges + edges.min(64) * 128 + 128)?;
        }
        Ok(())
    }
}

fn has_condition(associate: &AssociateOp<'_>) -> bool {
    associate.if_lsn.is_some() || associate.if_absent
}

fn edge_key(writer: &Writer, associate: &AssociateOp<'_>) -> EdgeKey {
    let name = associate.namespace;
    let number = |kind| writer.symbols.number(SymbolTable::Type, kind).map(|number| number as u16);
    let edge_type = match associate.kind {
        TypeRef::Name(kind) => number(kind).ok_or_else(|| kind.to_owned()),
        TypeRef::Number(number) => Ok(number),
    };
    (name.to_owned(), associate.source.key(name, ""), associate.target.key(name, ""), edge_type)
}

fn check_conditions(
    id: &Id<'_>,
    if_lsn: Option<u64>,
    if_absent: bool,
    current: u64,
) -> Result<(), Stop> {
    if if_absent && current != 0 {
        let message = format!("{id} is there already, written by log entry {current}");
        return refuse(ErrorCode::Conflict, current, message);
    }
    if let Some(expected) = if_lsn
        && expected != current
    {
        let message =
            format!("{id} was last written by log entry {current}, not {expected}; read it again");
        return refuse(ErrorCode::Conflict, current, message);
    }
    Ok(())
}
