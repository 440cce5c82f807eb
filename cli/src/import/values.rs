//! The values of a line's keys: texts borrowed where the line holds them as they are.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sutra_layout::limits::VECTOR_DIMENSION_MAX;

use super::line::Type;
use crate::args;

/// A text, borrowed where the line holds it as it is.
pub struct Text<'a>(pub Cow<'a, str>);

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
pub struct TypeValue<'a>(pub Type<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for TypeValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TypeValue<'a>, D::Error> {
        struct TypeVisitor;

        impl<'de> Visitor<'de> for TypeVisitor {
            type Value = TypeValue<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type's name or its number from 0 to 65535")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<TypeValue<'de>, E> {
                Ok(TypeValue(Type::Name(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<TypeValue<'de>, E> {
                Ok(TypeValue(Type::Name(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<TypeValue<'de>, E> {
                let number = u16::try_from(number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))?;
                Ok(TypeValue(Type::Number(number)))
            }
        }

        deserializer.deserialize_any(TypeVisitor)
    }
}

/// Fills a vector that outlives the line, and stops where no store would take more.
pub struct EmbeddingSeed<'p>(pub &'p mut Vec<f32>);

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

/// Metadata or properties: an object as it is written, or the text that a text holds.
pub struct Object<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'a>, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        match raw.as_bytes().first() {
            Some(b'{') => Ok(Object(Cow::Borrowed(raw))),
            Some(b'"') => match serde_json::from_str::<Text<'_>>(raw) {
                Ok(Text(text)) => Ok(Object(text)),
                Err(error) => Err(D::Error::custom(error)),
            },
            _ => Err(D::Error::custom(format_args!("{raw} is no object"))),
        }
    }
}

/// A time in RFC 3339, as microseconds since the Unix epoch.
pub struct Time(pub u64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        args::time(&text).map(Time).map_err(D::Error::custom)
    }
}

/// A duration such as `30days` in microseconds; `never` is 0.
pub struct Span(pub u64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        args::duration_us(&text).map(Span).map_err(D::Error::custom)
    }
}
