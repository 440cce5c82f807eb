//! What a filter looks at.

use std::fmt;

use super::FilterError;
use super::json::Step;
use super::value::Value;

/// A field of a concept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    Id,
    Kind,
    Namespace,
    Author,
    Strength,
    Confidence,
    Lsn,
    Version,
    CreatedAt,
    UpdatedAt,
    ExpiresAt,
    /// A value in the metadata; an empty path: the metadata itself.
    Meta(Vec<Step>),
}

/// Every field but the metadata's, by name.
const NAMED: [(&str, Field); 11] = [
    ("id", Field::Id),
    ("kind", Field::Kind),
    ("namespace", Field::Namespace),
    ("author", Field::Author),
    ("strength", Field::Strength),
    ("confidence", Field::Confidence),
    ("lsn", Field::Lsn),
    ("version", Field::Version),
    ("created_at", Field::CreatedAt),
    ("updated_at", Field::UpdatedAt),
    ("expires_at", Field::ExpiresAt),
];

/// All fields, as messages list them.
pub(super) const FIELDS: &str = "id, kind, namespace, author, strength, confidence, lsn, version, \
    created_at, updated_at, expires_at, meta.PATH";

/// What a field can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparable {
    Texts,
    Numbers,
    Times,
    Anything,
}

impl Field {
    /// The field whose whole name is `text`.
    pub(super) fn of(text: &str) -> Result<Field, FilterError> {
        match Field::read(text) {
            Some((field, "")) => Ok(field),
            _ => Err(FilterError::UnknownField { found: text.to_owned() }),
        }
    }

    /// The field at the start of `text`, and the rest.
    pub(super) fn read(text: &str) -> Option<(Field, &str)> {
        let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        if name != "meta" {
            let (_, field) = NAMED.iter().find(|(known, _)| *known == name)?;
            // `kind.x` and `kinds` are no field.
            let is_end = !rest.starts_with(|c: char| is_key(c) || matches!(c, '.' | '['));
            return is_end.then(|| (field.clone(), rest));
        }
        let mut path = Vec::new();
        while rest.starts_with(['.', '[']) {
            let (step, after) = read_step(rest)?;
            path.push(step);
            rest = after;
        }
        (!rest.starts_with(is_key)).then_some((Field::Meta(path), rest))
    }

    pub(super) fn comparable(&self) -> Comparable {
        match self {
            Field::Id | Field::Kind | Field::Namespace | Field::Author => Comparable::Texts,
            Field::Strength | Field::Confidence | Field::Lsn | Field::Version => {
                Comparable::Numbers
            }
            Field::CreatedAt | Field::UpdatedAt | Field::ExpiresAt => Comparable::Times,
            Field::Meta(_) => Comparable::Anything,
        }
    }
}

/// A character that a key may have without quotes.
fn is_key(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(c, '.' | '[' | ']' | '(' | ')' | ',' | '=' | '<' | '>' | '!')
        && !matches!(c, '"' | '\'')
}

/// One step of a path, `.key`, `."any key"`, `["any key"]` or `[0]`, and the rest.
fn read_step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        if let Some((key, rest)) = super::value::read_quoted(rest) {
            return Some((Step::Key(key), rest.strip_prefix(']')?));
        }
        let (digits, rest) = rest.split_once(']')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return Some((Step::Element(digits.parse().ok().filter(|_| is_number)?), rest));
    }
    let rest = text.strip_prefix('.')?;
    if let Some((key, rest)) = super::value::read_quoted(rest) {
        return Some((Step::Key(key), rest));
    }
    let end = rest.find(|c| !is_key(c)).unwrap_or(rest.len());
    let (key, rest) = rest.split_at(end);
    (!key.is_empty()).then(|| (Step::Key(key.to_owned()), rest))
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Field::Meta(path) = self else {
            let named = NAMED.iter().find(|(_, field)| field == self);
            return f.write_str(named.map_or("", |(name, _)| name));
        };
        f.write_str("meta")?;
        for step in path {
            match step {
                Step::Element(element) => write!(f, "[{element}]")?,
                Step::Key(key) if !key.is_empty() && key.chars().all(is_key) => {
                    write!(f, ".{key}")?;
                }
                Step::Key(key) => write!(f, ".{}", Value::from(key.as_str()))?,
            }
        }
        Ok(())
    }
}
