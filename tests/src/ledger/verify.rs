//! Holding a store against ledgers.

use std::collections::{BTreeMap, HashMap};

use sutra_reader::{Concept, NeighborQuery, ReadError, Reader, Snapshot};

use super::{CONCEPTS, DIMENSION, EdgeKey, Ledger, REINFORCEMENT, TYPES, has_vector};
use crate::text::{vector_of, version_of};

type Verified<T> = Result<T, String>;

/// Holds a snapshot against what a writer's ledger was before it was taken, and is after: nothing
/// acknowledged before is missing, nothing is there that was not sent, each version is whole and
/// says its own number, and both ends of every association are there.
///
/// # Errors
/// What does not hold.
pub fn verify(snapshot: &Snapshot, before: &Ledger, after: &Ledger) -> Verified<()> {
    if snapshot.published_lsn() < before.lsn {
        return Err(format!(
            "{} was told of LSN {}, and LSN {} is published",
            before.writer,
            before.lsn,
            snapshot.published_lsn()
        ));
    }
    for at in 0..CONCEPTS {
        let name = after.name(at);
        let found = concept_version(snapshot, after, at)?;
        let least = before.concepts[at].0.acknowledged;
        within(&name, found, least, after.concepts[at].0.sent)?;
    }
    for (at, versions) in after.reinforced.iter().enumerate() {
        let found = strength(snapshot, after, at)?;
        let least = before.reinforced[at].acknowledged;
        within(&after.reinforced_name(at), found, least, versions.sent)?;
    }
    let found = edge_versions(snapshot, after)?;
    for (key, versions) in &after.edges {
        let version = found.get(key).copied().unwrap_or(0);
        let least = before.edges.get(key).map_or(0, |versions| versions.acknowledged);
        within(&edge_name(after, *key), version, least, versions.sent)?;
    }
    match found.keys().find(|key| !after.edges.contains_key(key)) {
        None => Ok(()),
        Some(key) => Err(format!("{} was never sent", edge_name(after, *key))),
    }
}

fn within(name: &str, found: u32, least: u32, most: u32) -> Verified<()> {
    if found < least {
        return Err(format!(
            "{name}: version {least} was acknowledged and is lost; version {found} is there"
        ));
    }
    if found > most {
        return Err(format!("{name}: version {found} is there, and only {most} were sent"));
    }
    Ok(())
}

fn edge_name(ledger: &Ledger, (source, target, kind): EdgeKey) -> String {
    let (source, target) = (ledger.name(source), ledger.name(target));
    format!("{source} -{}-> {target}", TYPES[kind])
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The version of a concept of the ledger, 0 if it is not there.
fn concept_version(snapshot: &Snapshot, ledger: &Ledger, at: usize) -> Verified<u32> {
    let name = ledger.name(at);
    let Some(concept) = snapshot.get(&name).map_err(said)? else {
        return Ok(0);
    };
    let text = concept.content().map_err(said)?;
    let is_empty = concept.version() == 1 && ledger.concepts[at].1;
    let told = if is_empty && text.is_empty() { 1 } else { version_of(&name, text)? };
    if has_vector(at) && !is_empty {
        let vector = concept.embedding().map_err(said)?;
        if vector != Some(&vector_of(&name, told, DIMENSION)[..]) {
            return Err(format!("{name} has the text of version {told} and the vector {vector:?}"));
        }
    }
    match told == concept.version() && concept.is_placeholder() == is_empty {
        true => Ok(told),
        false => Err(format!(
            "{name} has version {} and the text of version {told}: something was applied twice, or \
             not at all",
            concept.version()
        )),
    }
}

/// How often a concept was reinforced, by its strength.
fn strength(snapshot: &Snapshot, ledger: &Ledger, at: usize) -> Verified<u32> {
    let found = snapshot.get(&ledger.reinforced_name(at)).map_err(said)?;
    Ok(found.map_or(0, |concept| (concept.strength() / REINFORCEMENT) as u32))
}

/// The newest version of every association of the ledger's writer.
fn edge_versions(snapshot: &Snapshot, ledger: &Ledger) -> Verified<BTreeMap<EdgeKey, u32>> {
    let mut ordinals = HashMap::new();
    for at in 0..CONCEPTS {
        if let Some(concept) = snapshot.get(&ledger.name(at)).map_err(said)? {
            ordinals.insert(concept.ordinal(), (at, concept));
        }
    }
    let mut versions = BTreeMap::new();
    for (source, concept) in ordinals.values() {
        for neighbor in neighbors(snapshot, concept)? {
            let resolved = snapshot.concept(neighbor.ordinal).map_err(said)?;
            let target = resolved.and_then(|_| ordinals.get(&neighbor.ordinal));
            let Some((target, _)) = target else {
                return Err(format!("{} has the dangling {neighbor:?}", ledger.name(*source)));
            };
            let kind = snapshot.type_name(neighbor.edge_type).unwrap_or_default();
            let Some(kind) = TYPES.iter().position(|name| *name == kind) else {
                return Err(format!("{} has {neighbor:?}", ledger.name(*source)));
            };
            let key = (*source, *target, kind);
            let weight = snapshot.association(neighbor.edge).map_err(said)?.weight();
            if versions.insert(key, weight as u32).is_some() {
                return Err(format!("{} is listed twice", edge_name(ledger, key)));
            }
        }
    }
    Ok(versions)
}

fn neighbors(snapshot: &Snapshot, concept: &Concept<'_>) -> Verified<Vec<sutra_reader::Neighbor>> {
    let query = NeighborQuery::default();
    snapshot.neighbors(concept, &query).map_err(said)
}

/// Counts the versions of every association in the snapshot: each says by its weight which one it
/// is, and they follow each other from the first, or, where history was dropped, from the one that
/// stood then. So none was applied twice. Returns how many there are.
///
/// # Errors
/// Which association has one too many, or lacks one.
pub fn count_versions(snapshot: &Snapshot) -> Verified<u64> {
    let mut versions: HashMap<(u32, u32, u16), u32> = HashMap::new();
    let mut count = 0;
    for ordinal in 0.. {
        let edge = match snapshot.association(ordinal) {
            Err(ReadError::NoSuchAssociation { .. }) => break,
            edge => edge.map_err(said)?,
        };
        count += 1;
        let version = edge.weight() as u32;
        let key = (edge.source(), edge.target(), edge.edge_type());
        let may_begin = version == 1 || edge.lsn() <= snapshot.history_floor_lsn();
        let follows = match versions.insert(key, version) {
            None => may_begin,
            Some(before) => version == before + 1,
        };
        if !follows {
            return Err(format!(
                "{edge:?} says it is version {version} and does not follow the one before: one was \
                 applied twice, or lost"
            ));
        }
    }
    Ok(count)
}

/// What a reader that stays open has seen of all ledgers: nothing may ever go back.
#[derive(Debug, Default)]
pub struct LedgerWatch {
    commit_seq: u64,
    published_lsn: u64,
    concepts: HashMap<String, u32>,
    edges: HashMap<String, u32>,
    /// How often it has looked.
    pub looks: u64,
}

impl LedgerWatch {
    /// Remembers a version as seen, true or not: what a harness is told to show that it catches.
    pub fn remember(&mut self, name: &str, version: u32) {
        self.concepts.insert(name.to_owned(), version);
    }

    /// Takes a snapshot, and checks everything the writers of the ledgers wrote. The ledgers are
    /// asked for after that: then they have all that the snapshot can hold.
    ///
    /// # Errors
    /// What is broken, or went back, or any error of the reader.
    pub fn look(&mut self, reader: &Reader, ledgers: impl FnOnce() -> Vec<Ledger>) -> Verified<()> {
        let snapshot = reader.snapshot().map_err(said)?;
        let numbers = (snapshot.commit_seq(), snapshot.published_lsn());
        if numbers.0 < self.commit_seq || numbers.1 < self.published_lsn {
            return Err(format!(
                "publication {} at LSN {} was seen, and now {numbers:?}",
                self.commit_seq, self.published_lsn
            ));
        }
        (self.commit_seq, self.published_lsn) = numbers;
        self.looks += 1;
        for ledger in &ledgers() {
            for at in 0..CONCEPTS {
                let version = concept_version(&snapshot, ledger, at)?;
                not_back(&mut self.concepts, ledger.name(at), version)?;
            }
            for at in 0..ledger.reinforced.len() {
                let count = strength(&snapshot, ledger, at)?;
                not_back(&mut self.concepts, ledger.reinforced_name(at), count)?;
            }
            for (key, version) in edge_versions(&snapshot, ledger)? {
                not_back(&mut self.edges, edge_name(ledger, key), version)?;
            }
        }
        Ok(())
    }
}

fn not_back(seen: &mut HashMap<String, u32>, name: String, version: u32) -> Verified<()> {
    let before = seen.get(&name).copied().unwrap_or(0);
    if version < before {
        return Err(format!("{name} went back from version {before} to {version}"));
    }
    seen.insert(name, version);
    Ok(())
}
