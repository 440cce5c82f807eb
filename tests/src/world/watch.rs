//! Who watches a world, and knows what must be true of it.

use std::collections::HashMap;
use std::time::Duration;

use sutra_reader::{Concept, Direction, NearestQuery, NeighborQuery, Reader, Snapshot};

use super::{DIMENSION, World, metadata_name};
use crate::Random;
use crate::text::{vector_of, version_of};

/// Looks at the world through one reader, again and again.
#[derive(Debug)]
pub struct Watch {
    world: World,
    random: Random,
    commit_seq: u64,
    published_lsn: u64,
    /// The highest version seen of each name, and weight of each link.
    versions: HashMap<String, u32>,
    held: Option<(Snapshot, String)>,
    looks: u64,
    publications: u64,
}

type Looked<T> = Result<T, String>;

impl Watch {
    /// One that has seen nothing yet.
    pub fn new(world: World, random: Random) -> Watch {
        Watch {
            world,
            random,
            commit_seq: 0,
            published_lsn: 0,
            versions: HashMap::new(),
            held: None,
            looks: 0,
            publications: 0,
        }
    }

    /// What was done, in a line.
    pub fn summary(&self) -> String {
        let Watch { looks, publications, .. } = self;
        format!("{looks} looks at {publications} publications")
    }

    /// How often it has looked.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Remembers a version as seen, true or not: what a harness is told to show that it catches.
    pub fn remember(&mut self, name: &str, version: u32) {
        self.versions.insert(name.to_owned(), version);
    }

    /// Takes a snapshot and checks a sample of all that must hold.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look(&mut self, reader: &Reader) -> Looked<()> {
        let snapshot = reader.snapshot().map_err(said)?;
        self.looks += 1;
        self.not_back("the publication", self.commit_seq, snapshot.commit_seq())?;
        self.not_back("the LSN", self.published_lsn, snapshot.published_lsn())?;
        self.publications += u64::from(snapshot.commit_seq() != self.commit_seq);
        self.commit_seq = snapshot.commit_seq();
        self.published_lsn = snapshot.published_lsn();
        for _ in 0..8 {
            let pair = self.random.below(u64::from(self.world.keys) / 2) as u32;
            let first = self.version(&snapshot, &self.world.key(2 * pair))?;
            let second = self.version(&snapshot, &self.world.key(2 * pair + 1))?;
            if first != second {
                return Err(format!("pair {pair} has versions {first} and {second}"));
            }
        }
        self.check_growth(&snapshot)?;
        for _ in 0..2 {
            let at = self.random.below(u64::from(self.world.keys)) as u32;
            self.check_link(&snapshot, at)?;
            check_lists(&snapshot, &self.world.key(at))?;
        }
        if self.looks.is_multiple_of(64) {
            self.check_held(&snapshot)?;
            self.check_nearest(&snapshot)?;
        }
        if self.looks.is_multiple_of(512) {
            check_count(&snapshot)?;
        }
        // Now and then for the next version, as a program would.
        if self.random.one_in(4) {
            let timeout = Duration::from_millis(5);
            reader.wait_for_update(self.commit_seq, timeout).map_err(said)?;
        }
        Ok(())
    }

    fn not_back(&self, what: &str, before: u64, now: u64) -> Looked<()> {
        match before <= now {
            true => Ok(()),
            false => Err(format!("{what} went back from {before} to {now}")),
        }
    }

    fn not_back_of(&mut self, name: &str, version: u32) -> Looked<()> {
        let before = self.versions.entry(name.to_owned()).or_default();
        if version < *before {
            return Err(format!("{name} went back from version {before} to {version}"));
        }
        *before = version;
        Ok(())
    }

    /// The version of something that must be there and be whole.
    fn version(&mut self, snapshot: &Snapshot, name: &str) -> Looked<u32> {
        let concept = present(snapshot, name)?;
        let version = check_concept(&concept, name)?;
        self.not_back_of(name, version)?;
        Ok(version)
    }

    fn check_growth(&mut self, snapshot: &Snapshot) -> Looked<()> {
        let new_count = self.version(snapshot, "count")? - 1;
        if new_count == 0 {
            return Ok(());
        }
        let newest = new_count - 1;
        for at in [newest, self.random.below(new_count.into()) as u32] {
            let name = format!("new-{at}");
            let concept = present(snapshot, &name)?;
            check_concept(&concept, &name)?;
            let belongs = snapshot.type_number("belongs");
            let belongs = belongs.ok_or("a type in use has no number")?;
            let query = NeighborQuery { types: Some(&[belongs]), ..NeighborQuery::default() };
            let owners = snapshot.neighbors(&concept, &query).map_err(said)?;
            let owner = present(snapshot, &self.world.key(at))?;
            if owners.len() != 1 || owners[0].ordinal != owner.ordinal() {
                return Err(format!("{name} belongs to {owners:?}"));
            }
        }
        Ok(())
    }

    fn check_link(&mut self, snapshot: &Snapshot, at: u32) -> Looked<()> {
        let name = self.world.key(at);
        let concept = present(snapshot, &name)?;
        let link = snapshot.type_number("link");
        let link = link.ok_or("a type in use has no number")?;
        let query = NeighborQuery { types: Some(&[link]), ..NeighborQuery::default() };
        let links = snapshot.neighbors(&concept, &query).map_err(said)?;
        let target = present(snapshot, &self.world.key(self.world.link(at)))?;
        let [link] = links.as_slice() else {
            return Err(format!("{name} has the links {links:?}"));
        };
        if link.ordinal != target.ordinal() {
            return Err(format!("{name} is linked to {link:?}"));
        }
        let weight = snapshot.association(link.edge).map_err(said)?.weight();
        self.not_back_of(&format!("the link of {name}"), weight as u32)
    }

    /// A snapshot held since some looks ago still says what it said.
    fn check_held(&mut self, snapshot: &Snapshot) -> Looked<()> {
        if let Some((held, said_then)) = self.held.take() {
            let says_now = self.describe(&held)?;
            if said_then != says_now {
                return Err(format!("a held snapshot said {said_then} and says {says_now}"));
            }
        }
        let says = self.describe(snapshot)?;
        self.held = Some((snapshot.clone(), says));
        Ok(())
    }

    fn describe(&self, snapshot: &Snapshot) -> Looked<String> {
        let mut text = String::new();
        for at in (0..self.world.keys).step_by(5) {
            let name = self.world.key(at);
            let concept = present(snapshot, &name)?;
            let version = check_concept(&concept, &name)?;
            let around = everything_around(snapshot, &concept)?;
            text.push_str(&format!("{name}: {version} {around:?};"));
        }
        Ok(text)
    }

    fn check_nearest(&mut self, snapshot: &Snapshot) -> Looked<()> {
        let name = self.world.key(self.random.below(u64::from(self.world.keys)) as u32);
        let concept = present(snapshot, &name)?;
        let vector = vector_of(&name, concept.version(), DIMENSION);
        let hits = snapshot.nearest(&vector, &NearestQuery { k: 1, ..NearestQuery::default() });
        match hits.map_err(said)?.first() {
            Some(hit) if hit.ordinal == concept.ordinal() && hit.score > 0.999 => Ok(()),
            other => Err(format!("nearest to {name} itself is {other:?}")),
        }
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn present<'s>(snapshot: &'s Snapshot, name: &str) -> Looked<Concept<'s>> {
    let found = snapshot.get(name).map_err(said)?;
    found.ok_or_else(|| {
        let lsn = snapshot.published_lsn();
        format!("{name} has vanished from the version at LSN {lsn}")
    })
}

/// The version of a concept whose text, metadata and vector must all be of it.
///
/// # Errors
/// Which of them is not.
pub fn check_concept(concept: &Concept<'_>, name: &str) -> Looked<u32> {
    let version = concept.version();
    let text = concept.content().map_err(said)?;
    let metadata = concept.metadata().map_err(said)?.unwrap_or_default();
    let told = [version_of(name, text)?, version_of(&metadata_name(name), metadata)?];
    if told != [version; 2] {
        return Err(format!("version {version} of {name} has a text and metadata of {told:?}"));
    }
    let vector = concept.embedding().map_err(said)?;
    if vector != Some(&vector_of(name, version, DIMENSION)) {
        return Err(format!("version {version} of {name} has another's vector"));
    }
    let id = concept.id().map_err(said)?.to_string();
    match id == name {
        true => Ok(version),
        false => Err(format!("{name} says its id is {id}")),
    }
}

fn everything_around(
    snapshot: &Snapshot,
    concept: &Concept<'_>,
) -> Looked<Vec<sutra_reader::Neighbor>> {
    let query = NeighborQuery { direction: Direction::Both, ..NeighborQuery::default() };
    snapshot.neighbors(concept, &query).map_err(said)
}

/// Both ends of every association around a concept are there, and list it; none comes twice.
///
/// # Errors
/// Which does not.
pub fn check_lists(snapshot: &Snapshot, name: &str) -> Looked<()> {
    let concept = present(snapshot, name)?;
    let around = everything_around(snapshot, &concept)?;
    let mut seen = HashMap::new();
    for neighbor in &around {
        let edge = snapshot.association(neighbor.edge).map_err(said)?;
        let ends = match neighbor.direction {
            Direction::In => (neighbor.ordinal, concept.ordinal()),
            _ => (concept.ordinal(), neighbor.ordinal),
        };
        if (edge.source(), edge.target(), edge.edge_type()) != (ends.0, ends.1, neighbor.edge_type)
        {
            return Err(format!("{name} lists {neighbor:?}, which is {edge:?}"));
        }
        if let Some(other) = seen.insert((ends, neighbor.edge_type), neighbor.edge) {
            return Err(format!("{name} lists {edge:?} twice, also as edge {other}"));
        }
    }
    for neighbor in around.iter().take(8) {
        let other = snapshot.concept(neighbor.ordinal).map_err(said)?;
        let other = other.ok_or_else(|| format!("{name} has the dangling {neighbor:?}"))?;
        let query = NeighborQuery {
            direction: neighbor.direction.reversed(),
            types: Some(&[neighbor.edge_type]),
            ..NeighborQuery::default()
        };
        let back = snapshot.neighbors(&other, &query).map_err(said)?;
        if !back.iter().any(|back| back.edge == neighbor.edge) {
            return Err(format!("{name} lists {neighbor:?}, the other end does not"));
        }
    }
    Ok(())
}

fn check_count(snapshot: &Snapshot) -> Looked<()> {
    let mut count = 0;
    for concept in snapshot.concepts() {
        concept.map_err(said)?;
        count += 1;
    }
    match count == snapshot.concept_count() {
        true => Ok(()),
        false => {
            Err(format!("{count} concepts are there, counted as {}", snapshot.concept_count()))
        }
    }
}
