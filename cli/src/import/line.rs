//! One line of NDJSON: a concept, an association, a setting, or the reason why it is none of them.
//!
//! Texts are borrowed from the line where they hold no escapes, and an embedding is read straight
//! into a vector that every line uses again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeSeed;
use sutra_layout::id::Id;
use sutra_layout::space::GraphSettings;
use sutra_reader::Metric;

use super::keys::{Fields, Key, LineSeed, Notes};

const CONCEPT: u32 = Key::set(&[
    Key::Id,
    Key::IdForm,
    Key::Content,
    Key::Strength,
    Key::Confidence,
    Key::Embedding,
    Key::Space,
    Key::Namespace,
    Key::Metadata,
    Key::Kind,
    Key::ExpiresAt,
    Key::CreatedAt,
]);
/// A further vector of a concept that a line before gave.
const VECTOR: u32 = Key::set(&[Key::Id, Key::Space, Key::Embedding]);
const ASSOCIATION: u32 = Key::set(&[
    Key::Source,
    Key::Target,
    Key::Type,
    Key::Confidence,
    Key::Weight,
    Key::Namespace,
    Key::Properties,
    Key::ValidUntil,
    Key::CreatedAt,
]);
const ENDS: u32 = Key::set(&[Key::Source, Key::Target, Key::Type]);
const SPACE: u32 =
    Key::set(&[Key::VectorSpace, Key::Model, Key::Dimension, Key::Metric, Key::Graph]);
const TIME_TO_LIVE: u32 = Key::set(&[Key::Namespace, Key::TimeToLive]);

/// What a line says.
#[derive(Debug, PartialEq)]
pub enum Line<'a> {
    /// It has `content`, or a further vector: `id`, `space` and `embedding`.
    Concept(ConceptLine<'a>),
    /// It has `source`, `target` and `type`.
    Association(AssociationLine<'a>),
    /// It has `vector_space`.
    Space(SpaceLine<'a>),
    /// It has `time_to_live`.
    TimeToLive(TimeToLiveLine<'a>),
}

/// A concept; its embedding, if it has one, is in [`Parser::embedding`].
#[derive(Debug, Default, PartialEq)]
pub struct ConceptLine<'a> {
    /// None: filed under the hash of the content.
    pub id: Option<Cow<'a, str>>,
    /// Whether the id is a key that was given as bytes, or as the hash of the content.
    pub id_form: IdKind,
    /// Any text, the empty one included; none on a line that brings a further vector.
    pub content: Option<Cow<'a, str>>,
    /// 0 to 1.
    pub strength: Option<f32>,
    /// 0 to 1.
    pub confidence: Option<f32>,
    /// Whether the line brings an embedding of its own.
    pub has_embedding: bool,
    /// The vector space of the embedding, by name.
    pub space: Option<Cow<'a, str>>,
    /// The import's unless the line says another.
    pub namespace: Option<Cow<'a, str>>,
    /// A JSON object, as it is written.
    pub metadata: Option<Cow<'a, str>>,
    /// What sort of thing it is.
    pub kind: Option<Cow<'a, str>>,
    /// In microseconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// In microseconds since the Unix epoch.
    pub created_at: Option<u64>,
}

/// How an id came about; the same digits name the concept in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdKind {
    /// As it is written: text, or a key in hexadecimal digits.
    #[default]
    Written,
    /// The key was given as 16 bytes.
    Raw,
    /// The key is the hash of the content.
    Content,
}

impl ConceptLine<'_> {
    /// The id that the line gives, in its form.
    pub fn id(&self, namespace: &str) -> Id<'_> {
        let Some(text) = self.id.as_deref() else {
            return Id::Content;
        };
        let written = Id::from(text);
        let Id::Hex(key) = written else {
            return written;
        };
        let content = self.content.as_deref().unwrap_or_default();
        match self.id_form {
            IdKind::Raw => Id::Raw(key),
            // One whose content was learnt anew keeps the hash of the first.
            IdKind::Content if Id::Content.key(namespace, content) == key => Id::Content,
            _ => written,
        }
    }
}

/// An association between two ids.
#[derive(Debug, PartialEq)]
pub struct AssociationLine<'a> {
    /// The id it goes from.
    pub source: Cow<'a, str>,
    /// The id it goes to.
    pub target: Cow<'a, str>,
    /// What it says about them.
    pub edge_type: Type<'a>,
    /// 0 to 1.
    pub confidence: Option<f32>,
    /// Any finite number.
    pub weight: Option<f32>,
    /// The import's unless the line says another.
    pub namespace: Option<Cow<'a, str>>,
    /// A JSON object, as it is written.
    pub properties: Option<Cow<'a, str>>,
    /// In microseconds since the Unix epoch.
    pub valid_until: Option<u64>,
    /// In microseconds since the Unix epoch.
    pub created_at: Option<u64>,
}

/// An association's type, as the line names it.
#[derive(Debug, PartialEq)]
pub enum Type<'a> {
    /// By name; new names are added to the store.
    Name(Cow<'a, str>),
    /// By number.
    Number(u16),
}

/// A vector space to make.
#[derive(Debug, PartialEq)]
pub struct SpaceLine<'a> {
    /// Empty: the default one, which the first vector makes.
    pub name: Cow<'a, str>,
    /// The model that makes its vectors.
    pub model: Cow<'a, str>,
    /// Elements of a vector.
    pub dimension: u32,
    /// How nearness is measured.
    pub metric: Metric,
    /// How its graph is built and searched, if the line says so.
    pub graph: Option<GraphSettings>,
}

/// A namespace's time to live.
#[derive(Debug, PartialEq)]
pub struct TimeToLiveLine<'a> {
    /// The import's unless the line says another.
    pub namespace: Option<Cow<'a, str>>,
    /// In microseconds; 0 for ever.
    pub time_us: u64,
}

/// Reads lines, and keeps what all of them share.
#[derive(Debug, Default)]
pub struct Parser {
    notes: Notes,
}

impl Parser {
    /// Reads one line; the error is the reason for the rejects file.
    pub fn parse<'a>(&mut self, text: &'a [u8]) -> Result<Line<'a>, String> {
        self.notes.embedding.clear();
        self.notes.key = None;
        let mut json = serde_json::Deserializer::from_slice(text);
        let parsed = LineSeed { notes: &mut self.notes }.deserialize(&mut json);
        match parsed.and_then(|fields| json.end().map(|()| fields)) {
            Ok(fields) => fields.into_line(),
            Err(error) => Err(self.reason(&error)),
        }
    }

    /// The embedding of the line parsed last.
    pub fn embedding(&self) -> &[f32] {
        &self.notes.embedding
    }

    /// Keys that no line may have, and on how many lines they were passed over.
    pub fn ignored_keys(&self) -> &BTreeMap<String, u64> {
        &self.notes.ignored_keys
    }

    /// The parser's error, with the key it met and without a line number that is always 1.
    fn reason(&self, error: &serde_json::Error) -> String {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        let key = self.notes.key.map(|key| format!("{}: ", key.name())).unwrap_or_default();
        format!("{key}{text} (column {})", error.column())
    }
}

/// Whether a line that is no JSON was probably meant as a concept. With vectors in a file of their
/// own it then takes its row all the same, so that the lines after it keep theirs.
pub fn looks_like_a_concept(text: &[u8]) -> bool {
    let has = |key: &[u8]| text.windows(key.len()).any(|window| window == key);
    has(b"\"content\"") && !has(b"\"source\"")
}

impl<'a> Fields<'a> {
    fn into_line(self) -> Result<Line<'a>, String> {
        let has = |keys: u32| self.given & keys == keys;
        let only = |keys: u32| self.given & !keys == 0;
        if has(Key::VectorSpace.bit()) && only(SPACE) {
            return self.into_space();
        }
        if has(Key::TimeToLive.bit()) && only(TIME_TO_LIVE) {
            return Ok(Line::TimeToLive(TimeToLiveLine {
                namespace: self.namespace,
                time_us: self.time_to_live.unwrap_or_default(),
            }));
        }
        let is_concept = has(Key::Content.bit()) || has(VECTOR);
        let names_ends = self.given & ENDS != 0;
        match (is_concept, names_ends) {
            (true, false) if only(CONCEPT) => self.into_concept(),
            (false, true) if only(ASSOCIATION) => self.into_association(),
            (false, false) if only(CONCEPT) || only(ASSOCIATION) => Err(
                "neither a concept nor an association: expected content, or source, target and type"
                    .into(),
            ),
            _ => Err("keys of a concept and of an association, or of a setting, on one line: \
                      expected content, id, strength, confidence, embedding, space, namespace, \
                      metadata, kind, created_at, expires_at, or source, target, type, confidence, \
                      weight, namespace, properties, created_at, valid_until"
                .into()),
        }
    }

    fn into_concept(self) -> Result<Line<'a>, String> {
        let has_embedding = self.given & Key::Embedding.bit() != 0;
        if self.space.is_some() && !has_embedding {
            return Err("space: expected an embedding with it".into());
        }
        Ok(Line::Concept(ConceptLine {
            id: self.id,
            id_form: match self.id_form.as_deref() {
                None => IdKind::Written,
                Some("raw") => IdKind::Raw,
                Some("content") => IdKind::Content,
                Some(form) => return Err(format!("id_form: {form:?} is not raw or content")),
            },
            content: self.content,
            strength: self.strength,
            confidence: self.confidence,
            has_embedding,
            space: self.space,
            namespace: self.namespace,
            metadata: self.metadata,
            kind: self.kind,
            expires_at: self.expires_at,
            created_at: self.created_at,
        }))
    }

    fn into_association(self) -> Result<Line<'a>, String> {
        let (Some(source), Some(target), Some(edge_type)) =
            (self.source, self.target, self.edge_type)
        else {
            let missing = [Key::Source, Key::Target, Key::Type];
            let missing = missing.into_iter().filter(|key| self.given & key.bit() == 0);
            let missing: Vec<&str> = missing.map(Key::name).collect();
            return Err(format!("an association without {}", missing.join(" and ")));
        };
        Ok(Line::Association(AssociationLine {
            source,
            target,
            edge_type,
            confidence: self.confidence,
            weight: self.weight,
            namespace: self.namespace,
            properties: self.properties,
            valid_until: self.valid_until,
            created_at: self.created_at,
        }))
    }

    fn into_space(self) -> Result<Line<'a>, String> {
        let metric = self.metric.as_deref().unwrap_or("cosine");
        let known = [Metric::Cosine, Metric::Dot, Metric::L2];
        let graph = self.graph.map(GraphSettings::from);
        if let Some((setting, found, range)) = graph.and_then(|graph| graph.out_of_range()) {
            return Err(format!(
                "graph: {setting} is {found}, not {} to {}",
                range.start(),
                range.end()
            ));
        }
        Ok(Line::Space(SpaceLine {
            metric: known
                .into_iter()
                .find(|known| known.name() == metric)
                .ok_or_else(|| format!("metric: {metric:?} is not cosine, dot or l2"))?,
            name: self.vector_space.unwrap_or_default(),
            model: self.model.unwrap_or_default(),
            dimension: self.dimension.ok_or("a vector space without dimension")?,
            graph,
        }))
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
