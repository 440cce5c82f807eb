//! Operations as a model takes them, and as a batch does.

use sutra_client::{Associate, Batch, Disassociate, Forget, Learn, Reinforce, TypeRef};
use sutra_reader::Id;

/// An operation, owning what it names.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the client's operations")]
pub enum Step {
    /// Learn.
    Learn {
        namespace: String,
        id: Name,
        content: Option<String>,
        strength: Option<f32>,
        confidence: Option<f32>,
        embedding: Option<Vec<f32>>,
        metadata: Option<String>,
        kind: Option<String>,
        created_at: Option<u64>,
        expires_at: Option<u64>,
        if_absent: bool,
    },
    /// Associate.
    Associate {
        namespace: String,
        source: Name,
        target: Name,
        kind: Kind,
        confidence: Option<f32>,
        weight: Option<f32>,
        properties: Option<String>,
        valid_until: Option<u64>,
        create_missing: bool,
        if_absent: bool,
    },
    /// Forget.
    Forget { namespace: String, id: Name },
    /// Disassociate, of every type if there is no kind.
    Disassociate { namespace: String, source: Name, target: Name, kind: Option<Kind> },
    /// Reinforce.
    Reinforce { namespace: String, id: Name, strength: Option<f32>, confidence: Option<f32> },
}

/// An id.
#[derive(Clone, Debug, PartialEq)]
pub enum Name {
    /// Text.
    Text(String),
    /// Raw bytes.
    Raw([u8; 16]),
    /// The hash of the content.
    Content,
}

impl Name {
    /// As the store takes it.
    pub fn id(&self) -> Id<'_> {
        match self {
            Name::Text(text) => Id::Text(text),
            Name::Raw(key) => Id::Raw(*key),
            Name::Content => Id::Content,
        }
    }
}

/// The type of an association.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// By name.
    Name(String),
    /// By number.
    Number(u16),
}

impl Kind {
    fn type_ref(&self) -> TypeRef<'_> {
        match self {
            Kind::Name(name) => TypeRef::Name(name),
            Kind::Number(number) => TypeRef::Number(*number),
        }
    }
}

/// Adds the operations to a batch.
pub fn encode(steps: &[Step], is_atomic: bool, batch: &mut Batch) {
    batch.atomic(is_atomic);
    for step in steps {
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
                batch.namespace(namespace);
                batch.learn(&Learn {
                    id: id.id(),
                    content: content.as_deref(),
                    strength: *strength,
                    confidence: *confidence,
                    embedding: embedding.as_deref(),
                    metadata: metadata.as_deref(),
                    kind: kind.as_deref(),
                    created_at: *created_at,
                    expires_at: *expires_at,
                    if_absent: *if_absent,
                    ..Learn::default()
                })
            }
            Step::Associate {
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
            } => {
                batch.namespace(namespace);
                batch.associate(&Associate {
                    source: source.id(),
                    target: target.id(),
                    kind: kind.type_ref(),
                    confidence: *confidence,
                    weight: *weight,
                    properties: properties.as_deref(),
                    valid_until: *valid_until,
                    create_missing: *create_missing,
                    if_absent: *if_absent,
                    ..Associate::default()
                })
            }
            Step::Forget { namespace, id } => {
                batch.namespace(namespace);
                batch.forget(&Forget { id: id.id(), if_lsn: None })
            }
            Step::Disassociate { namespace, source, target, kind } => {
                batch.namespace(namespace);
                batch.disassociate(&Disassociate {
                    source: source.id(),
                    target: target.id(),
                    kind: kind.as_ref().map(Kind::type_ref),
                    if_lsn: None,
                })
            }
            Step::Reinforce { namespace, id, strength, confidence } => {
                batch.namespace(namespace);
                batch.reinforce(&Reinforce {
                    id: id.id(),
                    strength: *strength,
                    confidence: *confidence,
                    if_lsn: None,
                })
            }
        }
        .expect("a model's operation fits");
    }
}
