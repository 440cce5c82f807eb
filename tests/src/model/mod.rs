//! A store as plain maps in memory: what an operation must do, written down a second time and as
//! simply as possible.

mod compare;
mod step;

use std::collections::BTreeMap;

use sutra_client::ErrorCode;

pub use step::{Kind, Name, Step, encode};

/// Elements of the model's vectors.
pub const DIMENSION: usize = 3;

/// What ends at or before it was over before any story began; what ends later outlives them all.
pub const LONG_AGO_US: u64 = 1_000_000;

/// Whether a time that ends something is over.
fn is_over(ends_at: Option<u64>) -> bool {
    ends_at.is_some_and(|at| at <= LONG_AGO_US)
}

/// Namespace and key.
pub type ConceptKey = (String, [u8; 16]);

/// A concept as it must be.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the reader's Concept")]
pub struct ModelConcept {
    pub content: String,
    pub metadata: Option<String>,
    pub embedding: Option<Vec<f32>>,
    pub kind: Option<String>,
    pub strength: f32,
    pub confidence: f32,
    pub created_at: Option<u64>,
    pub expires_at: Option<u64>,
    pub version: u32,
    pub lsn: u64,
    pub born_lsn: u64,
    pub is_placeholder: bool,
}

/// An association as it must be.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the reader's Association")]
pub struct ModelEdge {
    pub confidence: f32,
    pub weight: f32,
    pub properties: Option<String>,
    pub valid_until: Option<u64>,
    pub lsn: u64,
    /// How many were appended before it.
    pub age: u64,
}

/// The model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// All concepts.
    pub concepts: BTreeMap<ConceptKey, ModelConcept>,
    /// All associations, by both ends and the type's name.
    pub edges: BTreeMap<(ConceptKey, ConceptKey, String), ModelEdge>,
    /// The last version of those that are forgotten.
    forgotten: BTreeMap<ConceptKey, u32>,
    /// Strength and confidence that wait for their version.
    gathered: BTreeMap<ConceptKey, (f32, f32)>,
    types: Vec<String>,
    /// How many of the types were there before the frame: only those can be named by number.
    types_known: usize,
    appended: u64,
    /// Log entries.
    pub lsn: u64,
}

const BUILT_IN: [&str; 5] = ["semantic", "causal", "temporal", "hierarchical", "compositional"];
const FIRST_OWN_TYPE: usize = 16;

impl Model {
    /// Applies a frame: the refused operations, or why all of it is refused.
    ///
    /// # Errors
    /// Why the whole frame is refused.
    pub fn apply(
        &mut self,
        steps: &[Step],
        is_atomic: bool,
    ) -> Result<Vec<(u32, ErrorCode)>, ErrorCode> {
        self.apply_told(steps, is_atomic, |_| {})
    }

    /// Likewise, and tells the model as each of the frame's log entries leaves it: one for the
    /// frame, and one more if something was reinforced.
    ///
    /// # Errors
    /// Why the whole frame is refused.
    pub fn apply_told(
        &mut self,
        steps: &[Step],
        is_atomic: bool,
        mut tell: impl FnMut(&Model),
    ) -> Result<Vec<(u32, ErrorCode)>, ErrorCode> {
        let mut next = self.clone();
        next.lsn += 1;
        self.lsn += 1; // a frame that is refused is an entry all the same
        next.types_known = next.types.len();
        let mut errors = Vec::new();
        for (index, step) in (0..).zip(steps) {
            if let Err(code) = next.step(step) {
                errors.push((index, code));
            }
        }
        if is_atomic && let Some((_, code)) = errors.first() {
            tell(self);
            return Err(*code);
        }
        tell(&next);
        if next.settle() {
            tell(&next);
        }
        *self = next;
        Ok(errors)
    }

    fn step(&mut self, step: &Step) -> Result<(), ErrorCode> {
        match step {
            Step::Learn {
                namespace,
                id,
                content,
                strength,
                confidence,
                embedding,
                metadata,
                kind,
                created_at,
                expires_at,
                if_absent,
            } => {
                let text = content.as_deref().unwrap_or_default();
                let key = (namespace.clone(), id.id().key(namespace, text));
                // The shape of an operation is looked at before the store is.
                if embedding.as_ref().is_some_and(|vector| vector.iter().any(|x| !x.is_finite())) {
                    return Err(ErrorCode::InvalidVector);
                }
                let is_there = |c: &ModelConcept| !is_over(c.expires_at);
                if *if_absent && self.concepts.get(&key).is_some_and(is_there) {
                    return Err(ErrorCode::Conflict);
                }
                if let Some(vector) = embedding {
                    check_vector(vector)?;
                }
                let gathered = self.gathered.remove(&key);
                let lsn = self.lsn;
                let concept = self.concept(&key);
                concept.version += 1;
                concept.lsn = lsn;
                if let Some((strength, confidence)) = gathered {
                    (concept.strength, concept.confidence) = (strength, confidence);
                }
                concept.is_placeholder = false;
                if let Some(content) = content {
                    concept.content.clone_from(content);
                }
                set(&mut concept.metadata, metadata);
                set(&mut concept.embedding, embedding);
                set(&mut concept.kind, kind);
                set(&mut concept.created_at, created_at);
                // Learnt anew, it is there again.
                let before = concept.expires_at.filter(|_| !is_over(concept.expires_at));
                concept.expires_at = expires_at.or(before);
                concept.strength = strength.unwrap_or(concept.strength);
                concept.confidence = confidence.unwrap_or(concept.confidence);
                Ok(())
            }
            Step::Associate { .. } => self.associate(step),
            Step::Forget { namespace, id } => {
                let key = (namespace.clone(), id.id().key(namespace, ""));
                let concept = self.concepts.remove(&key).ok_or(ErrorCode::UnknownConcept)?;
                self.gathered.remove(&key);
                self.edges.retain(|(source, target, _), _| *source != key && *target != key);
                self.forgotten.insert(key, concept.version + 1);
                Ok(())
            }
            Step::Disassociate { namespace, source, target, kind } => {
                let key_of = |name: &Name| (namespace.clone(), name.id().key(namespace, ""));
                let ends = (key_of(source), key_of(target));
                let kind = kind.as_ref().map(|kind| self.type_name(kind));
                let count = self.edges.len();
                self.edges.retain(|(source, target, name), _| {
                    let is_meant = match &kind {
                        None => true,
                        Some(kind) => kind.as_ref() == Ok(name),
                    };
                    !is_meant || (source, target) != (&ends.0, &ends.1)
                });
                match self.edges.len() < count {
                    true => Ok(()),
                    false => Err(ErrorCode::UnknownAssociation),
                }
            }
            Step::Reinforce { namespace, id, strength, confidence } => {
                let key = (namespace.clone(), id.id().key(namespace, ""));
                let concept = self.concepts.get(&key).ok_or(ErrorCode::UnknownConcept)?;
                let before = (concept.strength, concept.confidence);
                let gathered = self.gathered.entry(key).or_insert(before);
                let moved =
                    |from: f32, by: &Option<f32>| (from + by.unwrap_or(0.0)).clamp(0.0, 1.0);
                *gathered = (moved(gathered.0, strength), moved(gathered.1, confidence));
                Ok(())
            }
        }
    }

    /// What was reinforced gets its version, by an entry of its own.
    fn settle(&mut self) -> bool {
        if self.gathered.is_empty() {
            return false;
        }
        self.lsn += 1;
        for (key, (strength, confidence)) in std::mem::take(&mut self.gathered) {
            let lsn = self.lsn;
            let concept = self.concept(&key);
            concept.version += 1;
            concept.lsn = lsn;
            (concept.strength, concept.confidence) = (strength, confidence);
        }
        true
    }

    /// The concept with that key, as it is or as one that is not there begins.
    fn concept(&mut self, key: &ConceptKey) -> &mut ModelConcept {
        let version = self.forgotten.remove(key).unwrap_or(0);
        let lsn = self.lsn;
        let begin = || ModelConcept { version, ..empty(lsn) };
        self.concepts.entry(key.clone()).or_insert_with(begin)
    }

    fn associate(&mut self, step: &Step) -> Result<(), ErrorCode> {
        let Step::Associate {
            namespace,
            source,
            target,
            kind,
            confidence,
            weight,
            properties,
            valid_until,
            create_missing,
            if_absent,
        } = step
        else {
            return Ok(());
        };
        let key_of = |name: &Name| (namespace.clone(), name.id().key(namespace, ""));
        let ends = [key_of(source), key_of(target)];
        if !create_missing && ends.iter().any(|end| !self.concepts.contains_key(end)) {
            return Err(ErrorCode::UnknownConcept);
        }
        let name = self.type_name(kind)?;
        let [source, target] = ends.clone();
        let key = (source, target, name.clone());
        if *if_absent && self.edges.contains_key(&key) {
            return Err(ErrorCode::Conflict);
        }
        let lsn = self.lsn;
        for end in ends {
            if !self.concepts.contains_key(&end) {
                let concept = self.concept(&end);
                concept.version += 1;
                concept.is_placeholder = true;
            }
        }
        if !BUILT_IN.contains(&name.as_str()) && !self.types.contains(&name) {
            self.types.push(name);
        }
        let edge = self.edges.entry(key).or_insert_with(|| ModelEdge {
            confidence: 1.0,
            weight: 1.0,
            properties: None,
            valid_until: None,
            lsn,
            age: 0,
        });
        edge.lsn = lsn;
        edge.age = self.appended;
        self.appended += 1;
        edge.confidence = confidence.unwrap_or(edge.confidence);
        edge.weight = weight.unwrap_or(edge.weight);
        set(&mut edge.properties, properties);
        set(&mut edge.valid_until, valid_until);
        Ok(())
    }

    fn type_name(&self, kind: &Kind) -> Result<String, ErrorCode> {
        let number = match kind {
            Kind::Name(name) => return Ok(name.clone()),
            Kind::Number(number) => usize::from(*number),
        };
        let built_in = BUILT_IN.get(number).map(|name| (*name).to_owned());
        let known = &self.types[..self.types_known];
        let own = || known.get(number.checked_sub(FIRST_OWN_TYPE)?).cloned();
        built_in.or_else(own).ok_or(ErrorCode::InvalidType)
    }
}

/// The store is made with cosine and this dimension.
fn check_vector(vector: &[f32]) -> Result<(), ErrorCode> {
    if vector.len() != DIMENSION {
        return Err(ErrorCode::DimensionMismatch);
    }
    match vector.iter().all(|x| *x == 0.0) {
        true => Err(ErrorCode::InvalidVector),
        false => Ok(()),
    }
}

fn empty(lsn: u64) -> ModelConcept {
    ModelConcept {
        content: String::new(),
        metadata: None,
        embedding: None,
        kind: None,
        strength: 1.0,
        confidence: 1.0,
        created_at: None,
        expires_at: None,
        version: 0,
        lsn,
        born_lsn: lsn,
        is_placeholder: false,
    }
}

fn set<T: Clone>(field: &mut Option<T>, given: &Option<T>) {
    if given.is_some() {
        field.clone_from(given);
    }
}
