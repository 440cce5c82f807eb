//! A client-side ledger: what one writer has sent, what was acknowledged, and so what a store must
//! hold, at least and at most, whatever happened to its coordinator meanwhile.
//!
//! A writer alone writes its concepts and associations. Each frame it sends adds one version to
//! each of them that it names, so the version of a concept, and the weight of an association, is
//! the number of frames applied: one lost, or one applied twice, shows in the number. A
//! reinforcement adds its part to a strength, which counts them likewise. What must be refused is
//! part of the plan too.

mod verify;
mod writers;

use std::collections::BTreeMap;

use sutra_client::protocol::{Refusal, WriteReply};
use sutra_client::{
    Associate, Batch, ClientError, ErrorCode, Learn, Level, OperationError, Receipt, Reinforce,
    TypeRef,
};

use crate::Random;
use crate::text::{text_of, vector_of};

pub use verify::{LedgerWatch, count_versions, verify};
pub use writers::{Sharing, Style, write_until};

/// Concepts of one writer.
const CONCEPTS: usize = 24;
/// Concepts of one writer that are reinforced and nothing else.
const REINFORCED: usize = 3;
/// Elements of the vectors that some of them have.
const DIMENSION: usize = 8;
/// What a reinforcement adds: exact in 32 bits, however many there are.
pub(crate) const REINFORCEMENT: f32 = 1.0 / 65536.0;
/// The types it uses; the first is built in.
pub(crate) const TYPES: [&str; 3] = ["causal", "above", "beside"];
/// A type number that nothing has.
const NO_TYPE: u16 = 9999;

/// Whether a concept has a vector, which says its version too.
fn has_vector(concept: usize) -> bool {
    concept.is_multiple_of(3)
}

/// Source, target and type of an association: indices into the writer's concepts and
/// types.
pub type EdgeKey = (usize, usize, usize);

/// How many versions of something were sent, and how many are known to be applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Versions {
    /// Sent: the store has no more.
    pub sent: u32,
    /// Acknowledged: the store has no fewer.
    pub acknowledged: u32,
}

/// The ledger of one writer.
#[derive(Clone, Debug)]
pub struct Ledger {
    writer: String,
    /// The concepts, and whether the first version of each is an empty one made by an association.
    concepts: Vec<(Versions, bool)>,
    edges: BTreeMap<EdgeKey, Versions>,
    /// Reinforcements of each of the concepts for that.
    reinforced: Vec<Versions>,
    /// Operations that were acknowledged as applied.
    operations: u64,
    /// The LSN of the newest acknowledged frame.
    lsn: u64,
}

/// A frame of a ledger, and what is to become of it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its operations.
    pub batch: Batch,
    /// How far it must have come to be acknowledged.
    pub level: Level,
    effects: Vec<Effect>,
    operations: u64,
    /// Operations that must be refused, by index.
    errors: Vec<(u32, ErrorCode)>,
    /// Why the whole frame must be refused, if it must.
    refusal: Option<ErrorCode>,
}

#[derive(Clone, Copy, Debug)]
enum Effect {
    Concept(usize, u32),
    Edge(EdgeKey, u32),
    Reinforced(usize, u32),
}

impl Ledger {
    /// An empty one of the writer with that name.
    pub fn new(writer: &str) -> Ledger {
        Ledger {
            writer: writer.to_owned(),
            concepts: vec![Default::default(); CONCEPTS],
            edges: BTreeMap::new(),
            reinforced: vec![Versions::default(); REINFORCED],
            operations: 0,
            lsn: 0,
        }
    }

    /// The id of a concept.
    pub fn name(&self, concept: usize) -> String {
        format!("{}-{concept}", self.writer)
    }

    /// The id of a concept that is reinforced.
    pub fn reinforced_name(&self, at: usize) -> String {
        format!("{}-strength-{at}", self.writer)
    }

    /// Operations that were acknowledged as applied.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether everything sent is acknowledged.
    pub fn is_settled(&self) -> bool {
        let concepts = self.concepts.iter().map(|(versions, _)| versions);
        let mut all = concepts.chain(self.edges.values()).chain(&self.reinforced);
        all.all(|versions| versions.sent == versions.acknowledged)
    }

    /// Enters a lie about a concept, to show that it is caught.
    pub fn lie(&mut self, concept: usize, versions: Versions) {
        self.concepts[concept].0 = versions;
    }

    /// What the ledger has about a concept.
    pub fn versions(&self, concept: usize) -> Versions {
        self.concepts[concept].0
    }

    /// Plans the next frame, and enters it as sent.
    pub fn next_frame(&mut self, random: &mut Random) -> Frame {
        let before = self.clone();
        let levels = [Level::Accepted, Level::Durable, Level::Visible];
        let mut frame = Frame {
            batch: Batch::new(),
            level: *random.pick(&levels),
            effects: Vec::new(),
            operations: 0,
            errors: Vec::new(),
            refusal: None,
        };
        let is_atomic = random.one_in(3);
        frame.batch.atomic(is_atomic);
        let is_spoilt = random.one_in(6);
        let count = 1 + random.below(if is_atomic { 5 } else { 3 });
        let spoilt_at = is_spoilt.then(|| random.below(count));
        for at in 0..count {
            if spoilt_at == Some(at) {
                self.add_bad(&mut frame, random);
            } else if random.one_in(2) {
                self.add_learn(&mut frame, random);
            } else if random.one_in(3) {
                self.add_reinforce(&mut frame, random);
            } else {
                self.add_associate(&mut frame, random);
            }
        }
        if is_atomic && let Some((_, code)) = frame.errors.first() {
            frame.refusal = Some(*code);
            frame.errors.clear();
            frame.effects.clear();
            frame.operations = 0;
            *self = before;
        }
        frame
    }

    fn add_learn(&mut self, frame: &mut Frame, random: &mut Random) {
        let concept = random.index(CONCEPTS);
        let version = self.next_version(frame, concept, false);
        let name = self.name(concept);
        let vector = has_vector(concept).then(|| vector_of(&name, version, DIMENSION));
        let learn = Learn {
            id: name.as_str().into(),
            content: Some(&text_of(&name, version)),
            embedding: vector.as_deref(),
            ..Learn::default()
        };
        frame.batch.learn(&learn).expect("it fits");
        frame.operations += 1;
    }

    fn add_reinforce(&mut self, frame: &mut Frame, random: &mut Random) {
        let at = random.index(REINFORCED);
        let name = self.reinforced_name(at);
        let sent = self.reinforced[at].sent;
        if sent == 0 {
            let learn = Learn { id: name.as_str().into(), strength: Some(0.0), ..Learn::default() };
            frame.batch.learn(&learn).expect("it fits");
            frame.operations += 1;
        }
        if sent as f32 * REINFORCEMENT >= 1.0 {
            return self.add_learn(frame, random); // as strong as can be
        }
        self.reinforced[at].sent += 1;
        frame.effects.push(Effect::Reinforced(at, sent + 1));
        let reinforce = Reinforce {
            id: name.as_str().into(),
            strength: Some(REINFORCEMENT),
            confidence: None,
            if_lsn: None,
        };
        frame.batch.reinforce(&reinforce).expect("it fits");
        frame.operations += 1;
    }

    fn add_associate(&mut self, frame: &mut Frame, random: &mut Random) {
        // Few enough to come again and again.
        let (source, step) = (random.index(CONCEPTS), 1 + random.index(2));
        let target = (source + step) % CONCEPTS;
        let kind = random.index(TYPES.len());
        let are_there = [source, target].map(|end| self.concepts[end].0.sent > 0) == [true; 2];
        if !are_there {
            if random.one_in(2) {
                return self.add_learn(frame, random);
            }
            for end in [source, target] {
                if self.concepts[end].0.sent == 0 {
                    self.next_version(frame, end, true);
                }
            }
        }
        let key = (source, target, kind);
        let versions = self.edges.entry(key).or_default();
        versions.sent += 1;
        let version = versions.sent;
        frame.effects.push(Effect::Edge(key, version));
        let (source, target) = (self.name(source), self.name(target));
        let associate = Associate {
            source: source.as_str().into(),
            target: target.as_str().into(),
            kind: TYPES[kind].into(),
            weight: Some(version as f32),
            create_missing: !are_there,
            ..Associate::default()
        };
        frame.batch.associate(&associate).expect("it fits");
        frame.operations += 1;
    }

    fn add_bad(&mut self, frame: &mut Frame, random: &mut Random) {
        let index = frame.batch.len() as u32;
        let there = (0..CONCEPTS).find(|at| self.concepts[*at].0.sent > 0);
        let name = self.name(there.unwrap_or(0));
        let nobody = format!("{}-nobody", self.writer);
        let to_nobody = Associate {
            source: name.as_str().into(),
            target: nobody.as_str().into(),
            ..Associate::default()
        };
        let code = match (there, random.below(3)) {
            (Some(_), 0) => {
                let again = Learn { id: name.as_str().into(), if_absent: true, ..Learn::default() };
                frame.batch.learn(&again).expect("it fits");
                ErrorCode::Conflict
            }
            (Some(_), 1) => {
                let of_no_type = Associate {
                    target: name.as_str().into(),
                    kind: TypeRef::Number(NO_TYPE),
                    ..to_nobody
                };
                frame.batch.associate(&of_no_type).expect("it fits");
                ErrorCode::InvalidType
            }
            _ => {
                frame.batch.associate(&to_nobody).expect("it fits");
                ErrorCode::UnknownConcept
            }
        };
        frame.errors.push((index, code));
    }

    fn next_version(&mut self, frame: &mut Frame, concept: usize, is_empty: bool) -> u32 {
        let (versions, first_is_empty) = &mut self.concepts[concept];
        versions.sent += 1;
        if versions.sent == 1 {
            *first_is_empty = is_empty;
        }
        frame.effects.push(Effect::Concept(concept, versions.sent));
        versions.sent
    }

    /// Enters the reply to a frame, as it comes over the wire.
    ///
    /// # Errors
    /// If it is not the one that the frame must have.
    pub fn replied(&mut self, frame: &Frame, reply: WriteReply) -> Result<(), String> {
        let request_id = 0;
        let answer = match reply.refusal {
            Some(Refusal { code, detail, message }) => {
                Err(ClientError::Refused { request_id, code, detail, message })
            }
            None => Ok(Receipt {
                request_id,
                sequence: 0,
                writer_epoch: reply.writer_epoch,
                first_lsn: reply.first_lsn,
                last_lsn: reply.last_lsn,
                level_reached: reply.level_reached,
                already_applied: reply.already_applied,
                errors: reply.errors,
            }),
        };
        self.answered(frame, &answer)
    }

    /// Enters the answer to a frame.
    ///
    /// # Errors
    /// If it is not the answer that the frame must have.
    pub fn answered(
        &mut self,
        frame: &Frame,
        answer: &Result<Receipt, ClientError>,
    ) -> Result<(), String> {
        let found = match answer {
            Ok(receipt) => Ok(codes(&receipt.errors)),
            Err(ClientError::Refused { code, .. }) => Err(*code),
            Err(error) => return Err(format!("{} has no answer: {error}", self.writer)),
        };
        let expected = match frame.refusal {
            Some(code) => Err(code),
            None => Ok(frame.errors.clone()),
        };
        // A frame with a refusal in it that was sent again after a checkpoint and a restart: what
        // is left of its outcome is that there was one. The plan knows the rest.
        let is_forgotten = found == Err(ErrorCode::Internal) && expected != Ok(Vec::new());
        if found != expected && !is_forgotten {
            return Err(format!("{}: the answer is {answer:?}, not {expected:?}", self.writer));
        }
        for effect in &frame.effects {
            let (versions, version) = match effect {
                Effect::Concept(concept, version) => (&mut self.concepts[*concept].0, version),
                Effect::Edge(key, version) => (self.edges.entry(*key).or_default(), version),
                Effect::Reinforced(at, count) => (&mut self.reinforced[*at], count),
            };
            versions.acknowledged = versions.acknowledged.max(*version);
        }
        self.operations += frame.operations;
        if let Ok(receipt) = answer {
            self.lsn = self.lsn.max(receipt.last_lsn);
        }
        Ok(())
    }
}

fn codes(errors: &[OperationError]) -> Vec<(u32, ErrorCode)> {
    errors.iter().map(|error| (error.index, error.code)).collect()
}
