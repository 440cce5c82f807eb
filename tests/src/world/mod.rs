//! A small world in motion, and who watches it: whatever version a reader takes, these hold.
//!
//! - `key-0` … were there before any reader, and never vanish. Version n of one has the text,
//!   metadata and vector of version n.
//! - `key-2i` and `key-2i+1` are always learnt in one atomic frame, so their versions are equal.
//! - `count` is learnt in one atomic frame with each new concept: in its version v there are
//!   `new-0` to `new-(v-2)`, each of which belongs to exactly one key.
//! - Every key has one link, associated again and again with a weight that counts up.
//! - What an association names can be resolved in the same version, and both its ends list it.
//! - Nothing goes back: versions, weights, LSNs, publications.

mod watch;

use sutra_client::{Associate, Batch, Client, ClientError, Learn, Level};

use crate::Random;
use crate::text::{text_of, vector_of};

pub use watch::{Watch, check_concept, check_lists};

/// Elements of every vector.
pub const DIMENSION: usize = 8;

/// How large the world is.
#[derive(Clone, Copy, Debug)]
pub struct World {
    keys: u32,
}

impl World {
    /// One with so many keys: an even number.
    pub fn new(keys: u32) -> World {
        assert!(keys >= 2 && keys.is_multiple_of(2));
        World { keys }
    }

    /// The id of a key.
    pub fn key(self, at: u32) -> String {
        format!("key-{}", at % self.keys)
    }

    /// Where the link of a key leads.
    fn link(self, at: u32) -> u32 {
        (at * 7 + 3) % self.keys
    }

    /// Writes the first version of everything, and waits until it is visible.
    ///
    /// # Errors
    /// Those of the client.
    pub fn create(self, client: &mut Client) -> Result<(), ClientError> {
        let mut batch = Batch::new();
        for at in 0..self.keys {
            learn_version(&mut batch, &self.key(at), 1)?;
        }
        learn_version(&mut batch, "count", 1)?;
        for at in 0..self.keys {
            self.add_link(&mut batch, at, 1)?;
        }
        client.write(&batch, Level::Visible).map(|_| ())
    }

    fn add_link(self, batch: &mut Batch, at: u32, version: u32) -> Result<(), ClientError> {
        let (source, target) = (self.key(at), self.key(self.link(at)));
        Ok(batch.associate(&Associate {
            source: source.as_str().into(),
            target: target.as_str().into(),
            kind: "link".into(),
            weight: Some(version as f32),
            ..Associate::default()
        })?)
    }
}

/// Adds a version of something, with everything that tells its version.
///
/// # Errors
/// If it does not fit.
pub fn learn_version(batch: &mut Batch, name: &str, version: u32) -> Result<(), ClientError> {
    let metadata = text_of(&metadata_name(name), version);
    Ok(batch.learn(&Learn {
        id: name.into(),
        content: Some(&text_of(name, version)),
        metadata: Some(&metadata),
        embedding: Some(&vector_of(name, version, DIMENSION)),
        ..Learn::default()
    })?)
}

fn metadata_name(name: &str) -> String {
    format!("metadata of {name}")
}

/// Writes new versions of the keys, pair by pair.
#[derive(Debug)]
pub struct PairWriter {
    world: World,
    versions: Vec<u32>,
    random: Random,
    batch: Batch,
}

impl PairWriter {
    /// One that goes on from [`World::create`].
    pub fn new(world: World, random: Random) -> PairWriter {
        let mut batch = Batch::new();
        batch.atomic(true);
        let versions = vec![1; world.keys as usize / 2];
        PairWriter { world, versions, random, batch }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// Those of the client.
    pub fn step(&mut self, client: &mut Client) -> Result<(), ClientError> {
        self.batch.clear();
        for _ in 0..=self.random.below(6) {
            let pair = self.random.index(self.versions.len());
            self.versions[pair] += 1;
            for at in [2 * pair, 2 * pair + 1] {
                let name = self.world.key(at as u32);
                learn_version(&mut self.batch, &name, self.versions[pair])?;
            }
        }
        submit(client, &self.batch, &mut self.random)
    }
}

/// Brings new concepts, and new versions of the links.
#[derive(Debug)]
pub struct GrowthWriter {
    world: World,
    new_count: u32,
    links: Vec<u32>,
    random: Random,
    batch: Batch,
}

impl GrowthWriter {
    /// One that goes on from [`World::create`].
    pub fn new(world: World, random: Random) -> GrowthWriter {
        GrowthWriter {
            world,
            new_count: 0,
            links: vec![1; world.keys as usize],
            random,
            batch: Batch::new(),
        }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// Those of the client.
    pub fn step(&mut self, client: &mut Client) -> Result<(), ClientError> {
        self.batch.clear();
        let is_growing = self.random.one_in(2);
        self.batch.atomic(is_growing);
        if is_growing {
            let name = format!("new-{}", self.new_count);
            learn_version(&mut self.batch, &name, 1)?;
            let owner = self.world.key(self.new_count);
            self.batch.associate(&Associate {
                source: name.as_str().into(),
                target: owner.as_str().into(),
                kind: "belongs".into(),
                ..Associate::default()
            })?;
            self.new_count += 1;
            learn_version(&mut self.batch, "count", self.new_count + 1)?;
        } else {
            for _ in 0..=self.random.below(8) {
                let at = self.random.index(self.links.len());
                self.links[at] += 1;
                self.world.add_link(&mut self.batch, at as u32, self.links[at])?;
            }
            let (ghost, haunted) = (self.random.below(2000), self.random.below(2000) as u32);
            let haunted = self.world.key(haunted);
            self.batch.associate(&Associate {
                source: haunted.as_str().into(),
                target: format!("ghost-{ghost}").as_str().into(),
                kind: "haunts".into(),
                create_missing: true,
                ..Associate::default()
            })?;
        }
        submit(client, &self.batch, &mut self.random)
    }
}

/// Sends a frame at any level, and takes what answers have come.
fn submit(client: &mut Client, batch: &Batch, random: &mut Random) -> Result<(), ClientError> {
    let levels = [Level::Accepted, Level::Durable, Level::Visible];
    client.submit(batch, *random.pick(&levels))?;
    while client.in_flight() > 32 {
        let receipt = client.next_receipt()?.expect("frames are in flight");
        assert!(receipt.errors.is_empty(), "{:?}", receipt.errors);
    }
    Ok(())
}
