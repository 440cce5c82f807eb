//! What a filter compares with.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use super::FilterError;
use super::field::{Comparable, Field};
use super::json::Json;
use super::time::parse_time;

/// A constant of a filter: made from a text, a number or a `bool`.
#[derive(Clone, Debug, PartialEq)]
pub struct Value(pub(super) Constant);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// Microseconds since the Unix epoch.
    Time(u64),
}

impl Value {
    /// JSON's `null`.
    pub const NULL: Value = Value(Constant::Null);
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value(Constant::Text(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value(Constant::Text(text))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value(Constant::Bool(value))
    }
}

macro_rules! from_numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Value {
            /// As a 64-bit floating-point number, exact up to 2^53.
            fn from(number: $number) -> Value {
                Value(Constant::Number(number as f64))
            }
        }
    )*};
}
from_numbers!(f32, f64, i32, i64, u32, u64, usize);

impl Value {
    /// This value as one that `field` can be compared with.
    pub(super) fn fitted_to(self, field: &Field) -> Result<Constant, FilterError> {
        let wrong = |found: &dyn fmt::Display, expected| FilterError::WrongValue {
            field: field.to_string(),
            found: found.to_string(),
            expected,
        };
        let micros = |number: f64| {
            let is_time = number >= 0.0 && number < (1u64 << 53) as f64 && number.fract() == 0.0;
            is_time.then_some(Constant::Time(number as u64))
        };
        match (field.comparable(), self.0) {
            (_, Constant::Number(number)) if !number.is_finite() => {
                Err(wrong(&number, "a finite number"))
            }
            (Comparable::Anything, Constant::Time(at)) => Ok(Constant::Number(at as f64)),
            (Comparable::Anything, constant) => Ok(constant),
            (Comparable::Texts, text @ Constant::Text(_)) => Ok(text),
            (Comparable::Texts, other) => Err(wrong(&Value(other), "a text")),
            (Comparable::Numbers, number @ Constant::Number(_)) => Ok(number),
            (Comparable::Numbers, other) => Err(wrong(&Value(other), "a number")),
            (Comparable::Times, constant) => {
                let time = match &constant {
                    Constant::Text(text) => parse_time(text).map(Constant::Time),
                    Constant::Number(number) => micros(*number),
                    Constant::Time(at) => Some(Constant::Time(*at)),
                    Constant::Null | Constant::Bool(_) => None,
                };
                let expected = "a time such as 2026-01-31T08:30:00Z, or microseconds since 1970";
                time.ok_or_else(|| wrong(&Value(constant), expected))
            }
        }
    }

    /// The value of a word without quotes, as `field` takes it.
    pub(super) fn of_word(word: &str, field: &Field) -> Value {
        if field.comparable() == Comparable::Texts {
            return Value::from(word);
        }
        match word {
            "true" => Value::from(true),
            "false" => Value::from(false),
            "null" => Value::NULL,
            _ if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) => {
                word.parse::<f64>().map_or_else(|_| Value::from(word), Value::from)
            }
            _ => Value::from(word),
        }
    }
}

/// The text in quotes at the start of `text`, and the rest. A backslash takes the next character
/// as it is.
pub(super) fn read_quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut found = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => found.push(chars.next()?.1),
            c if c == quote => return Some((found, &text[at + 1..])),
            c => found.push(c),
        }
    }
    None
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Null => f.write_str("null"),
            Constant::Bool(value) => value.fmt(f),
            Constant::Number(number) => number.fmt(f),
            Constant::Time(at) => at.fmt(f),
            Constant::Text(text) => {
                write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
            }
        }
    }
}

/// What a concept has in a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Actual<'c> {
    /// 32-bit numbers are compared as such: 0.7 equals 0.7.
    Float(f32),
    Whole(u64),
    Text(Cow<'c, str>),
    Json(Json<'c>),
}

impl Actual<'_> {
    /// How it compares with a constant; `None` if the two are of different types.
    pub(super) fn order(&self, constant: &Constant) -> Option<Ordering> {
        match (self, constant) {
            (Actual::Float(a), Constant::Number(b)) => a.partial_cmp(&(*b as f32)),
            (Actual::Whole(a), Constant::Number(b)) => (*a as f64).partial_cmp(b),
            (Actual::Whole(a), Constant::Time(b)) => Some(a.cmp(b)),
            (Actual::Text(a), Constant::Text(b))
            | (Actual::Json(Json::Text(a)), Constant::Text(b)) => Some((**a).cmp(b.as_str())),
            (Actual::Json(Json::Number(a)), Constant::Number(b)) => a.partial_cmp(b),
            (Actual::Json(Json::Bool(a)), Constant::Bool(b)) => Some(a.cmp(b)),
            (Actual::Json(Json::Null), Constant::Null) => Some(Ordering::Equal),
            _ => None,
        }
    }
}
