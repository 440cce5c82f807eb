//! Doing again in one store what the changes of another tell, and what must then be equal.

use std::collections::{BTreeMap, BTreeSet};

use sutra_client::{Associate, Batch, Client, Disassociate, ErrorCode, Forget, Learn, Level};
use sutra_reader::{
    Association, Change, ChangeKind, Concept, ConceptId, Direction, Id, NeighborQuery, Snapshot,
};

use crate::model::ConceptKey;
use crate::store::all_concepts;

/// Checks that changes come in the order of the log and that each says what it is: nothing comes to
/// be twice, and only what lives is updated or ends. After each log entry, as many live as the
/// store as it was says.
///
/// # Errors
/// What does not hold.
pub fn check_changes(snapshot: &Snapshot, since_lsn: u64) -> Result<Vec<u64>, String> {
    let mut lsns: Vec<u64> = Vec::new();
    let (mut concepts, mut associations) = (BTreeSet::new(), BTreeSet::new());
    for change in snapshot.changes(since_lsn).map_err(said)? {
        let change = change.map_err(said)?;
        let last = lsns.last().copied().unwrap_or(since_lsn);
        if change.lsn < last || change.lsn <= since_lsn || change.lsn > snapshot.published_lsn() {
            return Err(format!("{change:?} comes after LSN {last}"));
        }
        if since_lsn == 0 && last > 0 && change.lsn > last {
            check_counts(snapshot, last, concepts.len(), associations.len())?;
        }
        lsns.push(change.lsn);
        let was_as_told = match (change.kind, change.association()) {
            (ChangeKind::ConceptLearnt, None) => concepts.insert(change.ordinal),
            (ChangeKind::ConceptUpdated, None) => concepts.contains(&change.ordinal),
            (ChangeKind::ConceptForgotten, None) => concepts.remove(&change.ordinal),
            (ChangeKind::Associated, Some(edge)) => associations.insert(ends_of(&edge)),
            (ChangeKind::AssociationUpdated, Some(edge)) => associations.contains(&ends_of(&edge)),
            (ChangeKind::Disassociated, Some(edge)) => associations.remove(&ends_of(&edge)),
            _ => false,
        };
        if since_lsn == 0 && !was_as_told {
            return Err(format!("{change:?} cannot be"));
        }
    }
    if since_lsn == 0 {
        let last = snapshot.published_lsn();
        check_counts(snapshot, last, concepts.len(), associations.len())?;
    }
    Ok(lsns)
}

fn ends_of(edge: &Association<'_>) -> (u32, u32, u16) {
    (edge.source(), edge.target(), edge.edge_type())
}

fn check_counts(
    snapshot: &Snapshot,
    lsn: u64,
    concepts: usize,
    associations: usize,
) -> Result<(), String> {
    let then = snapshot.as_of(lsn).map_err(said)?;
    let found = (then.concept_count(), then.association_count());
    match found == (concepts as u64, associations as u64) {
        true => Ok(()),
        false => Err(format!(
            "as of LSN {lsn} the store counts {found:?}, and its changes {concepts} concepts and \
             {associations} associations"
        )),
    }
}

/// Does in another store what the changes of a snapshot tell, one frame for each log entry, and
/// waits until all is visible.
///
/// # Errors
/// Those of either store.
pub fn replay(snapshot: &Snapshot, client: &mut Client) -> Result<(), String> {
    let mut batch = Batch::new();
    let mut batch_lsn = 0;
    for change in snapshot.changes(0).map_err(said)? {
        let change = change.map_err(said)?;
        if change.lsn != batch_lsn && !batch.is_empty() {
            send(&batch, Level::Accepted, client)?;
            batch.clear();
        }
        batch_lsn = change.lsn;
        add(snapshot, &change, &mut batch)?;
    }
    if batch.is_empty() {
        return Ok(());
    }
    send(&batch, Level::Visible, client)
}

fn send(batch: &Batch, level: Level, client: &mut Client) -> Result<(), String> {
    let receipt = client.write(batch, level).map_err(said)?;
    // Of one log entry the concepts come first: what was associated and forgotten within it has no
    // ends any more, and the associations of what was forgotten are gone already.
    let is_known = |code| matches!(code, ErrorCode::UnknownConcept | ErrorCode::UnknownAssociation);
    match receipt.errors.iter().find(|error| !is_known(error.code)) {
        Some(error) => Err(format!("replaying: {error:?}")),
        None => Ok(()),
    }
}

fn add(snapshot: &Snapshot, change: &Change<'_>, batch: &mut Batch) -> Result<(), String> {
    if let Some(concept) = change.concept() {
        batch.namespace(concept.namespace());
        let id = id_of(&concept)?;
        if change.kind == ChangeKind::ConceptForgotten {
            return batch.forget(&Forget { id, if_lsn: None }).map_err(said);
        }
        let learn = Learn {
            id,
            content: Some(concept.content().map_err(said)?),
            strength: Some(concept.strength()),
            confidence: Some(concept.confidence()),
            embedding: concept.embedding().map_err(said)?,
            metadata: concept.metadata().map_err(said)?,
            kind: concept.kind(),
            expires_at: concept.expires_at(),
            created_at: Some(concept.created_at()),
            ..Learn::default()
        };
        return batch.learn(&learn).map_err(said);
    }
    let edge = change.association().ok_or("a change of nothing")?;
    let end = |ordinal| {
        let found = snapshot.last_version_of(ordinal).map_err(said)?;
        found.ok_or_else(|| format!("an association names {ordinal}, which never was"))
    };
    let (source, target) = (end(edge.source())?, end(edge.target())?);
    let kind = snapshot.type_name(edge.edge_type()).ok_or("a type has no name")?.into();
    let (source_id, target_id) = (Id::Raw(source.key()), Id::Raw(target.key()));
    batch.namespace(source.namespace());
    if change.kind == ChangeKind::Disassociated {
        let (source, target, kind) = (source_id, target_id, Some(kind));
        return batch
            .disassociate(&Disassociate { source, target, kind, if_lsn: None })
            .map_err(said);
    }
    let associate = Associate {
        source: source_id,
        target: target_id,
        kind,
        confidence: Some(edge.confidence()),
        weight: Some(edge.weight()),
        properties: edge.properties().map_err(said)?,
        valid_until: edge.valid_until(),
        created_at: Some(edge.created_at()),
        ..Associate::default()
    };
    batch.associate(&associate).map_err(said)
}

fn id_of<'s>(concept: &Concept<'s>) -> Result<Id<'s>, String> {
    Ok(match concept.id().map_err(said)? {
        ConceptId::Text(text) => Id::Text(text),
        ConceptId::Hex(key) => Id::Hex(key),
        ConceptId::Raw(key) => Id::Raw(key),
        ConceptId::Content(key) if concept.is_forgotten() => Id::Raw(key),
        ConceptId::Content(_) => Id::Content,
    })
}

/// What a concept says, and its associations both ways, newest first: all but what tells how often
/// and in which log entry it was written.
pub type Living = BTreeMap<ConceptKey, (String, Vec<String>)>;

/// All that lives in a snapshot, however it came about.
///
/// # Errors
/// Those of the reader.
pub fn living(snapshot: &Snapshot) -> Result<Living, String> {
    let mut living = Living::new();
    for concept in all_concepts(snapshot) {
        let said_of = format!(
            "{:?} {:?} {:?} {:?} {:?} {} {} {} {:?}",
            concept.id().map_err(said)?,
            concept.content().map_err(said)?,
            concept.metadata().map_err(said)?,
            concept.embedding().map_err(said)?,
            concept.kind(),
            concept.strength(),
            concept.confidence(),
            concept.created_at(),
            concept.expires_at(),
        );
        let query = NeighborQuery { direction: Direction::Both, ..NeighborQuery::default() };
        let mut neighbors = Vec::new();
        for neighbor in snapshot.neighbors(&concept, &query).map_err(said)? {
            let edge = snapshot.association(neighbor.edge).map_err(said)?;
            let other = snapshot.concept(neighbor.ordinal).map_err(said)?;
            neighbors.push(format!(
                "{:?} {:?} {:?} {} {} {:?} {} {:?}",
                neighbor.direction,
                other.map(|other| (other.namespace(), other.key())),
                snapshot.type_name(edge.edge_type()),
                edge.confidence(),
                edge.weight(),
                edge.properties().map_err(said)?,
                edge.created_at(),
                edge.valid_until(),
            ));
        }
        let key = (concept.namespace().to_owned(), concept.key());
        if living.insert(key, (said_of, neighbors)).is_some() {
            return Err(format!("{concept:?} comes twice"));
        }
    }
    Ok(living)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
