//! One line of NDJSON: a concept, an association, or the reason why it is neither.
//!
//! Texts are borrowed from the line where they hold no escapes, and an embedding is read straight
//! into a vector that every line uses again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, de};
use sutra_layout::id::Id;
use sutra_layout::limits::VECTOR_DIMENSION_MAX;

/// Keys remembered as passed over: a file of made-up keys must not fill the memory with them.
const IGNORED_KEYS_MAX: usize = 64;

/// What a line says.
#[derive(Debug, PartialEq)]
pub enum Line<'a> {
    /// It has `content`.
    Concept(ConceptLine<'a>),
    /// It has `source`, `target` and `type`.
    Association(AssociationLine<'a>),
}

/// A concept; its embedding, if it has one, is in [`Parser::embedding`].
#[derive(Debug, PartialEq)]
pub struct ConceptLine<'a> {
    /// None: filed under the hash of the content.
    pub id: Option<Cow<'a, str>>,
    /// Any text, the empty one included.
    pub content: Cow<'a, str>,
    /// 0 to 1.
    pub strength: Option<f32>,
    /// 0 to 1.
    pub confidence: Option<f32>,
    /// Whether the line brings an embedding of its own.
    pub has_embedding: bool,
}

impl<'a> ConceptLine<'a> {
    /// The id that the line gives, in its form.
    pub fn id(&self) -> Id<'_> {
        self.id.as_deref().map_or(Id::Content, Id::from)
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
    pub kind: Kind<'a>,
    /// 0 to 1.
    pub confidence: Option<f32>,
    /// Any finite number.
    pub weight: Option<f32>,
}

/// An association's type, as the line names it.
#[derive(Debug, PartialEq)]
pub enum Kind<'a> {
    /// By name; new names are added to the store.
    Name(Cow<'a, str>),
    /// By number.
    Number(u16),
}

/// Reads lines, and keeps what all of them share.
#[derive(Debug, Default)]
pub struct Parser {
    /// The embedding of the line parsed last.
    pub embedding: Vec<f32>,
    /// Keys that no line may have, and on how many lines they were passed over.
    pub ignored_keys: BTreeMap<String, u64>,
    key: Option<Key>,
}

impl Parser {
    /// Reads one line; the error is the reason for the rejects file.
    pub fn parse<'a>(&mut self, text: &'a [u8]) -> Result<Line<'a>, String> {
        self.embedding.clear();
        self.key = None;
        let mut json = serde_json::Deserializer::from_slice(text);
        let parsed = LineSeed { parser: &mut *self }.deserialize(&mut json);
        let fields = match parsed.and_then(|fields| json.end().map(|()| fields)) {
            Ok(fields) => fields,
            Err(error) => return Err(self.reason(&error)),
        };
        fields.into_line(!self.embedding.is_empty())
    }

    /// The parser's error, with the key it met and without a line number that is always 1.
    fn reason(&self, error: &serde_json::Error) -> String {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        let key = self.key.map(|key| format!("{}: ", key.name())).unwrap_or_default();
        format!("{key}{text} (column {})", error.column())
    }
}

/// Whether a line that is no JSON was probably meant as a concept. With vectors in a file of their
/// own it then takes its row all the same, so that the lines after it keep theirs.
pub fn looks_like_a_concept(text: &[u8]) -> bool {
    let has = |key: &[u8]| text.windows(key.len()).any(|window| window == key);
    has(b"\"content\"") && !has(b"\"source\"")
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    Id,
    Content,
    Strength,
    Confidence,
    Embedding,
    Source,
    Target,
    Type,
    Weight,
}

impl Key {
    const ALL: [Key; 9] = [
        Key::Id,
        Key::Content,
        Key::Strength,
        Key::Confidence,
        Key::Embedding,
        Key::Source,
        Key::Target,
        Key::Type,
        Key::Weight,
    ];

    fn name(self) -> &'static str {
        match self {
            Key::Id => "id",
            Key::Content => "content",
            Key::Strength => "strength",
            Key::Confidence => "confidence",
            Key::Embedding => "embedding",
            Key::Source => "source",
            Key::Target => "target",
            Key::Type => "type",
            Key::Weight => "weight",
        }
    }
}

/// Every key a line may have; null is the same as absent.
#[derive(Default)]
struct Fields<'a> {
    id: Option<Cow<'a, str>>,
    content: Option<Cow<'a, str>>,
    strength: Option<f32>,
    confidence: Option<f32>,
    source: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
    kind: Option<Kind<'a>>,
    weight: Option<f32>,
}

impl<'a> Fields<'a> {
    fn into_line(self, has_embedding: bool) -> Result<Line<'a>, String> {
        let Fields { id, content, strength, confidence, source, target, kind, weight } = self;
        match (content, source, target, kind) {
            (Some(content), None, None, None) if weight.is_none() => {
                Ok(Line::Concept(ConceptLine { id, content, strength, confidence, has_embedding }))
            }
            (None, Some(source), Some(target), Some(kind))
                if id.is_none() && strength.is_none() && !has_embedding =>
            {
                Ok(Line::Association(AssociationLine { source, target, kind, confidence, weight }))
            }
            (None, None, None, None) => {
                Err("neither a concept nor an association: expected content, or source, target and type".into())
            }
            (None, source, target, kind) if id.is_none() && strength.is_none() && !has_embedding => {
                let missing = [
                    ("source", source.is_none()),
                    ("target", target.is_none()),
                    ("type", kind.is_none()),
                ];
                let missing: Vec<&str> =
                    missing.iter().filter(|(_, is_missing)| *is_missing).map(|(name, _)| *name).collect();
                Err(format!("an association without {}", missing.join(" and ")))
            }
            _ => Err("keys of a concept and of an association on one line: expected content, id, strength, \
                      confidence, embedding, or source, target, type, confidence, weight"
                .into()),
        }
    }
}

struct LineSeed<'p> {
    parser: &'p mut Parser,
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
        let parser = self.parser;
        let mut fields = Fields::default();
        let mut keys_seen = 0u32;
        while let Some(Text(name)) = map.next_key()? {
            let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) else {
                map.next_value::<IgnoredAny>()?;
                if let Some(count) = parser.ignored_keys.get_mut(name.as_ref()) {
                    *count += 1;
                } else if parser.ignored_keys.len() < IGNORED_KEYS_MAX {
                    parser.ignored_keys.insert(name.into_owned(), 1);
                }
                continue;
            };
            parser.key = Some(key);
            if keys_seen & (1 << key as u32) != 0 {
                return Err(A::Error::custom("the key is given twice"));
            }
            keys_seen |= 1 << key as u32;
            match key {
                Key::Id => fields.id = map.next_value::<Option<Text>>()?.map(|text| text.0),
                Key::Content => {
                    fields.content = map.next_value::<Option<Text>>()?.map(|text| text.0)
                }
                Key::Strength => fields.strength = map.next_value()?,
                Key::Confidence => fields.confidence = map.next_value()?,
                Key::Embedding => map.next_value_seed(EmbeddingSeed(&mut parser.embedding))?,
                Key::Source => fields.source = map.next_value::<Option<Text>>()?.map(|text| text.0),
                Key::Target => fields.target = map.next_value::<Option<Text>>()?.map(|text| text.0),
                Key::Type => {
                    fields.kind = map.next_value::<Option<KindValue>>()?.map(|kind| kind.0)
                }
                Key::Weight => fields.weight = map.next_value()?,
            }
            parser.key = None;
        }
        Ok(fields)
    }
}

/// A text, borrowed where the line holds it as it is.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A type, by name or number.
struct KindValue<'a>(Kind<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for KindValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<KindValue<'a>, D::Error> {
        struct KindVisitor;

        impl<'de> Visitor<'de> for KindVisitor {
            type Value = KindValue<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type's name or its number from 0 to 65535")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<KindValue<'de>, E> {
                Ok(KindValue(Kind::Name(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<KindValue<'de>, E> {
                Ok(KindValue(Kind::Name(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<KindValue<'de>, E> {
                let number = u16::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))?;
                Ok(KindValue(Kind::Number(number)))
            }
        }

        deserializer.deserialize_any(KindVisitor)
    }
}

/// Fills a vector that outlives the line, and stops where no store would take more.
struct EmbeddingSeed<'p>(&'p mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for EmbeddingSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for EmbeddingSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<f32>()? {
            if self.0.len() == VECTOR_DIMENSION_MAX {
                return Err(A::Error::custom(format_args!(
                    "more than {VECTOR_DIMENSION_MAX} elements"
                )));
            }
            self.0.push(element);
        }
        if self.0.is_empty() {
            return Err(A::Error::custom("no elements; leave the key out instead"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
