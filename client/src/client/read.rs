//! Questions over the wire, for programs that cannot map the store's file: to a coordinator that
//! listens with `sutra serve --listen`. Each is asked of the newest version that has this client's
//! own writes.

use super::Client;
use crate::error::ClientError;
use crate::protocol::found::{
    Found, FoundConcept, FoundHit, FoundNeighbor, FoundPath, FoundReply, FoundStats,
};
use crate::protocol::read::{FOUND_COUNT_MAX, Query, Read, Way};
use crate::protocol::{F32s, Refusal, Reply};
use crate::{BatchError, Id};

impl Client {
    /// Asks a question in a namespace; the answer is of that question.
    ///
    /// # Errors
    /// [`ClientError::Refused`] says why it was not answered; others as for any question.
    pub fn read(&mut self, namespace: &str, query: Query<'_>) -> Result<Found, ClientError> {
        self.link.begin(self.deadline)?;
        let request_id = self.link.next_request_id();
        let timeout_ms = u32::try_from(self.deadline.as_millis()).unwrap_or(u32::MAX);
        let min_lsn = self.link.last_lsn;
        let mut frame = Vec::new();
        Read { min_lsn, timeout_ms, namespace, query }.encode(request_id, &mut frame);
        match self.link.ask(request_id, frame)? {
            Reply::Found(FoundReply { outcome: Ok(found), .. }) => Ok(found),
            Reply::Found(FoundReply { outcome: Err(refusal), .. }) => {
                let Refusal { code, detail, message } = refusal;
                Err(ClientError::Refused { request_id, code, detail, message })
            }
            other => Err(self.link.unexpected(&other)),
        }
    }

    /// The concept with that id.
    ///
    /// # Errors
    /// As of [`Client::read`].
    pub fn get(
        &mut self,
        namespace: &str,
        id: Id<'_>,
    ) -> Result<Option<FoundConcept>, ClientError> {
        match self.read(namespace, Query::Get(checked(id)?))? {
            Found::Get(found) => Ok(found),
            other => Err(self.other_answer(other)),
        }
    }

    /// Whether there is a concept with that id.
    ///
    /// # Errors
    /// As of [`Client::read`].
    pub fn contains(&mut self, namespace: &str, id: Id<'_>) -> Result<bool, ClientError> {
        match self.read(namespace, Query::Contains(checked(id)?))? {
            Found::Contains(is_there) => Ok(is_there),
            other => Err(self.other_answer(other)),
        }
    }

    /// What a concept is joined with, by newest association first; at most 10,000.
    ///
    /// # Errors
    /// As of [`Client::read`]; an unknown concept is refused as such.
    pub fn neighbors(
        &mut self,
        namespace: &str,
        id: Id<'_>,
        way: Way,
        limit: u32,
    ) -> Result<Vec<FoundNeighbor>, ClientError> {
        let limit = limit.min(FOUND_COUNT_MAX);
        match self.read(namespace, Query::Neighbors { id: checked(id)?, way, limit })? {
            Found::Neighbors(found) => Ok(found),
            other => Err(self.other_answer(other)),
        }
    }

    /// A shortest path of at most `max_depth` associations.
    ///
    /// # Errors
    /// As of [`Client::read`]; an unknown concept is refused as such.
    pub fn find_path(
        &mut self,
        namespace: &str,
        (from, to): (Id<'_>, Id<'_>),
        way: Way,
        max_depth: u32,
    ) -> Result<Option<FoundPath>, ClientError> {
        let (from, to) = (checked(from)?, checked(to)?);
        match self.read(namespace, Query::Path { from, to, way, max_depth })? {
            Found::Path(found) => Ok(found),
            other => Err(self.other_answer(other)),
        }
    }

    /// The concepts nearest to a vector, at most 10,000. A filter is text as for
    /// `sutra list --filter`; empty: all.
    ///
    /// # Errors
    /// As of [`Client::read`].
    pub fn nearest(
        &mut self,
        namespace: &str,
        vector: &[f32],
        k: u32,
        ef: Option<u32>,
        filter: &str,
    ) -> Result<Vec<FoundHit>, ClientError> {
        let elements: Vec<[u8; 4]> = vector.iter().map(|element| element.to_le_bytes()).collect();
        let vector = F32s::new(elements.as_flattened()).expect("whole elements");
        let (k, ef) = (k.min(FOUND_COUNT_MAX), ef.map(|ef| ef.min(FOUND_COUNT_MAX)));
        match self.read(namespace, Query::Nearest { k, ef, filter, vector })? {
            Found::Nearest(found) => Ok(found),
            other => Err(self.other_answer(other)),
        }
    }

    /// The concepts whose contents have all words of a text, at most 10,000.
    ///
    /// # Errors
    /// As of [`Client::read`].
    pub fn search(
        &mut self,
        namespace: &str,
        text: &str,
        limit: u32,
        filter: &str,
    ) -> Result<Vec<FoundHit>, ClientError> {
        let limit = limit.min(FOUND_COUNT_MAX);
        match self.read(namespace, Query::Search { text, limit, filter })? {
            Found::Search(found) => Ok(found),
            other => Err(self.other_answer(other)),
        }
    }

    /// The store in figures, as a reader sees it; those of the coordinator are [`Client::stats`].
    ///
    /// # Errors
    /// As of [`Client::read`].
    pub fn read_stats(&mut self) -> Result<FoundStats, ClientError> {
        match self.read("", Query::Stats)? {
            Found::Stats(found) => Ok(found),
            other => Err(self.other_answer(other)),
        }
    }

    fn other_answer(&self, found: Found) -> ClientError {
        self.link.unexpected(&Reply::Found(FoundReply { lsn: 0, outcome: Ok(found) }))
    }
}

fn checked(id: Id<'_>) -> Result<Id<'_>, ClientError> {
    id.check().map_err(BatchError::from)?;
    Ok(id)
}
