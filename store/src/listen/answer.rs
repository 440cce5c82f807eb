//! One question answered.

use std::time::{Duration, Instant};

use sutra_client::protocol::found::{
    FoundConcept, FoundHit, FoundId, FoundNeighbor, FoundPath, FoundStats,
};
use sutra_client::protocol::read::FOUND_COUNT_MAX;
use sutra_client::protocol::{Fault, Found, FoundReply, Query, Read, Refusal, Way};
use sutra_client::{ErrorCode, Id};
use sutra_reader::{
    Budget, Concept, ConceptId, Direction, Filter, FilterError, Namespaces, NearestQuery,
    NeighborQuery, OpenError, PathQuery, ReadError, SearchQuery, Snapshot,
};

use super::Shared;

/// The longest that a question may take, what it asks for notwithstanding.
const PATIENCE_MAX: Duration = Duration::from_secs(10);
/// Concepts that a search for a path may reach.
const REACHED_MAX: u64 = 1 << 20;

/// Why a question has no answer.
enum Unanswered {
    Fault(Fault),
    Open(OpenError),
    Read(ReadError),
    Filter(FilterError),
    Unknown(String),
}

impl From<ReadError> for Unanswered {
    fn from(error: ReadError) -> Unanswered {
        Unanswered::Read(error)
    }
}

/// The answer to the question in a frame's body.
pub(super) fn answer(shared: &Shared, body: &[u8]) -> FoundReply {
    let asked = Read::decode(body).map_err(Unanswered::Fault);
    match asked.and_then(|read| look(shared, &read)) {
        Ok((lsn, found)) => FoundReply { lsn, outcome: Ok(found) },
        Err(why) => FoundReply { lsn: 0, outcome: Err(refusal(&why)) },
    }
}

fn look(shared: &Shared, read: &Read<'_>) -> Result<(u64, Found), Unanswered> {
    let deadline = Instant::now() + Duration::from_millis(read.timeout_ms.into()).min(PATIENCE_MAX);
    let reader = shared.reader().map_err(Unanswered::Open)?;
    let left = deadline.saturating_duration_since(Instant::now());
    let snapshot = reader.wait_for_lsn(read.min_lsn, left)?;
    let looking = Looking { snapshot: &snapshot, namespace: read.namespace, deadline };
    let found = shared.gate.through(|| looking.look(&read.query))?;
    Ok((snapshot.published_lsn(), found))
}

/// One version being asked.
struct Looking<'s> {
    snapshot: &'s Snapshot,
    namespace: &'s str,
    deadline: Instant,
}

impl Looking<'_> {
    fn look(&self, query: &Query<'_>) -> Result<Found, Unanswered> {
        Ok(match *query {
            Query::Get(id) => {
                let found = self.snapshot.get_in(self.namespace, id)?;
                Found::Get(found.map(|concept| found_concept(&concept)).transpose()?)
            }
            Query::Contains(id) => {
                Found::Contains(self.snapshot.get_in(self.namespace, id)?.is_some())
            }
            Query::Neighbors { id, way, limit } => {
                let query = NeighborQuery {
                    direction: direction(way),
                    limit: Some(limit as usize),
                    budget: self.budget(),
                    ..NeighborQuery::default()
                };
                let found = self.snapshot.neighbors(&self.known(id)?, &query)?;
                let found = found.into_iter().map(|neighbor| {
                    Ok(FoundNeighbor {
                        id: self.id(neighbor.ordinal)?,
                        way: if neighbor.direction == Direction::In { Way::In } else { Way::Out },
                        kind: self.type_name(neighbor.edge_type),
                        confidence: neighbor.confidence,
                    })
                });
                Found::Neighbors(found.collect::<Result<_, ReadError>>()?)
            }
            Query::Path { from, to, way, max_depth } => {
                let query = PathQuery {
                    max_depth: max_depth.min(FOUND_COUNT_MAX),
                    direction: direction(way),
                    budget: self.budget(),
                    ..PathQuery::default()
                };
                let (from, to) = (self.known(from)?, self.known(to)?);
                let found = self.snapshot.find_path(&from, &to, &query)?;
                Found::Path(found.map(|path| self.found_path(&path)).transpose()?)
            }
            Query::Nearest { k, ef, filter, vector } => {
                if self.snapshot.space_count() == 0 {
                    return Ok(Found::Nearest(Vec::new())); // no vector was learnt yet
                }
                let filter = parsed(filter)?;
                let query = NearestQuery {
                    k: k as usize,
                    ef: ef.map(|ef| ef as usize),
                    filter: filter.as_ref(),
                    namespaces: Namespaces::One(self.namespace),
                    ..NearestQuery::default()
                };
                let mut elements = Vec::new();
                vector.copy_to(&mut elements);
                let found = self.snapshot.nearest(&elements, &query)?;
                let hits = found.iter().map(|hit| self.hit(hit.ordinal, hit.score));
                Found::Nearest(hits.collect::<Result<_, _>>()?)
            }
            Query::Search { text, limit, filter } => {
                let filter = parsed(filter)?;
                let query = SearchQuery {
                    limit: limit as usize,
                    filter: filter.as_ref(),
                    namespaces: Namespaces::One(self.namespace),
                };
                let found = self.snapshot.search(text, &query)?;
                let hits = found.iter().map(|hit| self.hit(hit.ordinal, hit.whole_words as f32));
                Found::Search(hits.collect::<Result<_, _>>()?)
            }
            Query::Stats => {
                let stats = self.snapshot.stats();
                Found::Stats(FoundStats {
                    concepts: stats.concepts,
                    edges: stats.edges,
                    vectors: stats.vectors,
                    indexed_vectors: stats.indexed_vectors,
                    file_size: stats.file_size,
                })
            }
        })
    }

    fn budget(&self) -> Budget<'static> {
        Budget { concepts: REACHED_MAX, deadline: Some(self.deadline), cancelled: None }
    }

    fn known(&self, id: Id<'_>) -> Result<Concept<'_>, Unanswered> {
        let found = self.snapshot.get_in(self.namespace, id)?;
        found.ok_or_else(|| Unanswered::Unknown(format!("{id:?}")))
    }

    fn id(&self, ordinal: u32) -> Result<FoundId, ReadError> {
        let found = self.snapshot.concept(ordinal)?;
        found_id(&found.expect("what was found in a snapshot stays in it"))
    }

    fn hit(&self, ordinal: u32, score: f32) -> Result<FoundHit, ReadError> {
        Ok(FoundHit { id: self.id(ordinal)?, score })
    }

    fn type_name(&self, number: u16) -> String {
        self.snapshot.type_name(number).map_or_else(|| number.to_string(), str::to_owned)
    }

    fn found_path(&self, path: &sutra_reader::Path) -> Result<FoundPath, ReadError> {
        let kind = |edge: &u32| {
            let association = self.snapshot.association(*edge)?;
            Ok(self.type_name(association.edge_type()))
        };
        Ok(FoundPath {
            ids: path.nodes.iter().map(|node| self.id(*node)).collect::<Result<_, _>>()?,
            kinds: path.edges.iter().map(kind).collect::<Result<_, ReadError>>()?,
            confidence: path.confidence,
        })
    }
}

fn found_id(concept: &Concept<'_>) -> Result<FoundId, ReadError> {
    Ok(match concept.id()? {
        ConceptId::Text(text) => FoundId::Text(text.to_owned()),
        ConceptId::Raw(key) => FoundId::Raw(key),
        ConceptId::Hex(key) | ConceptId::Content(key) => FoundId::Hex(key),
    })
}

fn found_concept(concept: &Concept<'_>) -> Result<FoundConcept, ReadError> {
    Ok(FoundConcept {
        id: found_id(concept)?,
        content: concept.content()?.to_owned(),
        metadata: concept.metadata()?.map(str::to_owned),
        strength: concept.strength(),
        confidence: concept.confidence(),
        created_at: concept.created_at(),
        updated_at: concept.updated_at(),
        lsn: concept.lsn(),
        version: concept.version(),
        embedding: concept.embedding()?.unwrap_or_default().to_vec(),
    })
}

fn direction(way: Way) -> Direction {
    match way {
        Way::Out => Direction::Out,
        Way::In => Direction::In,
        Way::Both => Direction::Both,
    }
}

fn parsed(filter: &str) -> Result<Option<Filter>, Unanswered> {
    match filter {
        "" => Ok(None),
        text => Filter::parse(text).map(Some).map_err(Unanswered::Filter),
    }
}

fn refusal(why: &Unanswered) -> Refusal {
    let (code, detail, message) = match why {
        Unanswered::Fault(fault) => (fault.code, fault.detail, fault.to_string()),
        Unanswered::Open(error) => (ErrorCode::Internal, 0, error.to_string()),
        Unanswered::Read(error) => (code_of(error), 0, error.to_string()),
        Unanswered::Filter(error) => (ErrorCode::InvalidText, 0, error.to_string()),
        Unanswered::Unknown(id) => (
            ErrorCode::UnknownConcept,
            0,
            format!("there is no concept {id}; ids are case-sensitive and exact"),
        ),
    };
    Refusal { code, detail, message }
}

fn code_of(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::WrongDimension { .. } => ErrorCode::DimensionMismatch,
        ReadError::NotFinite { .. } | ReadError::ZeroVector => ErrorCode::InvalidVector,
        ReadError::InvalidId(_) | ReadError::NoId => ErrorCode::InvalidId,
        ReadError::NoWords => ErrorCode::InvalidText,
        ReadError::StoppedEarly { .. } | ReadError::Timeout { .. } => ErrorCode::StoppedEarly,
        _ => ErrorCode::Internal,
    }
}
