//! The keys that a line may have, read in whatever order they come.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::line::Type;
use super::values::{EmbeddingSeed, Object, Span, Text, Time, TypeValue};
use crate::graph::GraphFields;

/// Keys remembered as passed over: a file of made-up keys must not fill the memory with them.
const IGNORED_KEYS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    Id,
    IdForm,
    Content,
    Strength,
    Confidence,
    Embedding,
    Space,
    Namespace,
    Metadata,
    Kind,
    ExpiresAt,
    CreatedAt,
    Source,
    Target,
    Type,
    Weight,
    Properties,
    ValidUntil,
    VectorSpace,
    Model,
    Dimension,
    Metric,
    Graph,
    TimeToLive,
}

impl Key {
    const ALL: [Key; 24] = [
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
        Key::Source,
        Key::Target,
        Key::Type,
        Key::Weight,
        Key::Properties,
        Key::ValidUntil,
        Key::VectorSpace,
        Key::Model,
        Key::Dimension,
        Key::Metric,
        Key::Graph,
        Key::TimeToLive,
    ];

    /// As a line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Key::Id => "id",
            Key::IdForm => "id_form",
            Key::Content => "content",
            Key::Strength => "strength",
            Key::Confidence => "confidence",
            Key::Embedding => "embedding",
            Key::Space => "space",
            Key::Namespace => "namespace",
            Key::Metadata => "metadata",
            Key::Kind => "kind",
            Key::ExpiresAt => "expires_at",
            Key::CreatedAt => "created_at",
            Key::Source => "source",
            Key::Target => "target",
            Key::Type => "type",
            Key::Weight => "weight",
            Key::Properties => "properties",
            Key::ValidUntil => "valid_until",
            Key::VectorSpace => "vector_space",
            Key::Model => "model",
            Key::Dimension => "dimension",
            Key::Metric => "metric",
            Key::Graph => "graph",
            Key::TimeToLive => "time_to_live",
        }
    }

    /// Its bit in a set of keys.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The set of these keys.
    pub const fn set(keys: &[Key]) -> u32 {
        let (mut set, mut index) = (0, 0);
        while index < keys.len() {
            set |= keys[index].bit();
            index += 1;
        }
        set
    }
}

/// What a line says under every key it may have; null is the same as absent.
#[derive(Default)]
pub struct Fields<'a> {
    /// The keys that are there and not null, as a set of [`Key::bit`]s.
    pub given: u32,
    pub id: Option<Cow<'a, str>>,
    pub id_form: Option<Cow<'a, str>>,
    pub content: Option<Cow<'a, str>>,
    pub strength: Option<f32>,
    pub confidence: Option<f32>,
    pub space: Option<Cow<'a, str>>,
    pub namespace: Option<Cow<'a, str>>,
    pub metadata: Option<Cow<'a, str>>,
    pub kind: Option<Cow<'a, str>>,
    pub expires_at: Option<u64>,
    pub created_at: Option<u64>,
    pub source: Option<Cow<'a, str>>,
    pub target: Option<Cow<'a, str>>,
    pub edge_type: Option<Type<'a>>,
    pub weight: Option<f32>,
    pub properties: Option<Cow<'a, str>>,
    pub valid_until: Option<u64>,
    pub vector_space: Option<Cow<'a, str>>,
    pub model: Option<Cow<'a, str>>,
    pub dimension: Option<u32>,
    pub metric: Option<Cow<'a, str>>,
    pub graph: Option<GraphFields>,
    pub time_to_live: Option<u64>,
}

/// What reading a line leaves behind besides its fields.
#[derive(Debug, Default)]
pub struct Notes {
    /// The embedding of the line read last.
    pub embedding: Vec<f32>,
    /// Keys that no line may have, and on how many lines they were passed over.
    pub ignored_keys: BTreeMap<String, u64>,
    /// The key whose value is being read.
    pub key: Option<Key>,
}

/// Reads the object of one line.
pub struct LineSeed<'p> {
    pub notes: &'p mut Notes,
}

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let notes = self.notes;
        let mut fields = Fields::default();
        let mut keys_seen = 0u32;
        while let Some(Text(name)) = map.next_key()? {
            let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) else {
                map.next_value::<IgnoredAny>()?;
                if let Some(count) = notes.ignored_keys.get_mut(name.as_ref()) {
                    *count += 1;
                } else if notes.ignored_keys.len() < IGNORED_KEYS_MAX {
                    notes.ignored_keys.insert(name.into_owned(), 1);
                }
                continue;
            };
            notes.key = Some(key);
            if keys_seen & key.bit() != 0 {
                return Err(A::Error::custom("the key is given twice"));
            }
            keys_seen |= key.bit();
            if fields.read(key, &mut map, &mut notes.embedding)? {
                fields.given |= key.bit();
            }
            notes.key = None;
        }
        Ok(fields)
    }
}

impl<'de> Fields<'de> {
    /// Reads the value of a key; false if it is null.
    fn read<A: MapAccess<'de>>(
        &mut self,
        key: Key,
        map: &mut A,
        embedding: &mut Vec<f32>,
    ) -> Result<bool, A::Error> {
        let field = match key {
            Key::Embedding => {
                map.next_value_seed(EmbeddingSeed(embedding))?;
                return Ok(!embedding.is_empty());
            }
            Key::Type => {
                self.edge_type = map.next_value::<Option<TypeValue<'_>>>()?.map(|value| value.0);
                return Ok(self.edge_type.is_some());
            }
            Key::Metadata => return object(map, &mut self.metadata),
            Key::Properties => return object(map, &mut self.properties),
            Key::ExpiresAt => return time(map, &mut self.expires_at),
            Key::CreatedAt => return time(map, &mut self.created_at),
            Key::ValidUntil => return time(map, &mut self.valid_until),
            Key::TimeToLive => {
                self.time_to_live = map.next_value::<Option<Span>>()?.map(|value| value.0);
                return Ok(self.time_to_live.is_some());
            }
            Key::Dimension => {
                self.dimension = map.next_value()?;
                return Ok(self.dimension.is_some());
            }
            Key::Graph => {
                self.graph = map.next_value()?;
                return Ok(self.graph.is_some());
            }
            Key::Strength => return number(map, &mut self.strength),
            Key::Confidence => return number(map, &mut self.confidence),
            Key::Weight => return number(map, &mut self.weight),
            Key::Id => &mut self.id,
            Key::IdForm => &mut self.id_form,
            Key::Content => &mut self.content,
            Key::Space => &mut self.space,
            Key::Namespace => &mut self.namespace,
            Key::Kind => &mut self.kind,
            Key::Source => &mut self.source,
            Key::Target => &mut self.target,
            Key::VectorSpace => &mut self.vector_space,
            Key::Model => &mut self.model,
            Key::Metric => &mut self.metric,
        };
        *field = map.next_value::<Option<Text<'_>>>()?.map(|text| text.0);
        Ok(field.is_some())
    }
}

fn number<'de, A: MapAccess<'de>>(map: &mut A, field: &mut Option<f32>) -> Result<bool, A::Error> {
    *field = map.next_value()?;
    Ok(field.is_some())
}

fn object<'de, A: MapAccess<'de>>(
    map: &mut A,
    field: &mut Option<Cow<'de, str>>,
) -> Result<bool, A::Error> {
    *field = map.next_value::<Option<Object<'_>>>()?.map(|value| value.0);
    Ok(field.is_some())
}

fn time<'de, A: MapAccess<'de>>(map: &mut A, field: &mut Option<u64>) -> Result<bool, A::Error> {
    *field = map.next_value::<Option<Time>>()?.map(|value| value.0);
    Ok(field.is_some())
}
