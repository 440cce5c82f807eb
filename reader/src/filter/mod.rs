//! Which concepts are asked for, by what they say of themselves.

mod field;
mod json;
mod parse;
mod time;
mod value;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use sutra_layout::Damage;
use sutra_layout::id::{IdForm, key_to_hex};
use sutra_layout::record::ConceptRecord;
use sutra_layout::symbol::SymbolTable;

use crate::concept::{Concept, borrow_text};
use crate::error::ReadError;
use crate::snapshot::Snapshot;
use field::{FIELDS, Field};
pub use time::parse_time;
pub use value::Value;
use value::{Actual, Constant};

/// A condition on concepts.
///
/// It is written as a text or made by functions, and is the same either way:
///
/// ```
/// # fn main() -> Result<(), sutra_reader::FilterError> {
/// use sutra_reader::Filter;
///
/// let written = Filter::parse("meta.pos in (n, v) and not confidence < 0.5")?;
/// let made = Filter::is_in("meta.pos", ["n", "v"])?.and(Filter::less("confidence", 0.5)?.not());
/// assert_eq!(written, made);
/// # Ok(())
/// # }
/// ```
///
/// | field | compared with | is there |
/// |-------|---------------|----------|
/// | `id` | text; a key as 32 hexadecimal digits | always |
/// | `kind`, `author` | text | if it was given |
/// | `namespace` | text; `""` is the default one | always |
/// | `strength`, `confidence`, `lsn`, `version` | numbers | always |
/// | `created_at`, `updated_at` | times: RFC 3339, a date, or microseconds since 1970 | always |
/// | `expires_at` | likewise | if it was given |
/// | `meta.PATH` | what the metadata has there: texts, numbers, `true`, `false`, `null` | if the metadata is a JSON object that has it |
///
/// A path has keys after dots and elements in brackets: `meta.tags[0]`, `meta.author.name`,
/// `meta."any key"`. `meta` alone is the metadata.
///
/// `=` (or `==`), `<`, `<=`, `>` and `>=` hold only if the field is there and of the value's type;
/// texts are in the order of their bytes, and `true`, `false` and `null` are only equal or not.
/// `!=` is `not` of `=`, so it also takes a concept without the field. `in (…)` is equal to any,
/// `exists` is there at all, `null` included. `not` binds closest, then `and`, then `or`. A value
/// is a word or a text in quotes; a text in quotes is never a number.
///
/// Numbers are 64-bit floating-point ones, and 32-bit ones where a concept has such. Of equal keys
/// in the metadata the last counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    node: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Compare(Field, Relation, Constant),
    In(Field, Vec<Constant>),
    Exists(Field),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no such field.
    #[error("`{found}` is no field; the fields are {FIELDS}")]
    UnknownField {
        /// What stands there.
        found: String,
    },
    /// It does not go on like this.
    #[error("byte {at} of the filter is {found}, expected {expected}")]
    Unexpected {
        /// Byte of the text.
        at: usize,
        /// What stands there.
        found: String,
        /// What could.
        expected: &'static str,
    },
    /// The field is never equal to such a value.
    #[error("{field} is compared with {found}, expected {expected}")]
    WrongValue {
        /// The field.
        field: String,
        /// The value.
        found: String,
        /// What it can be compared with.
        expected: &'static str,
    },
    /// It would need more stack than a thread has.
    #[error("the filter has more than {limit} parentheses or `not`s within each other; flatten it")]
    TooDeep {
        /// How many it may have.
        limit: u32,
    },
}

impl Filter {
    /// The filter that a text describes:
    ///
    /// ```
    /// # fn main() -> Result<(), sutra_reader::FilterError> {
    /// use sutra_reader::Filter;
    ///
    /// Filter::parse("kind = note and confidence >= 0.5")?;
    /// Filter::parse("meta.pos in (n, v) or exists meta.author and not strength < 0.2")?;
    /// Filter::parse("updated_at > 2026-01-01T00:00:00Z and meta.\"page title\" = 'Wolves'")?;
    ///
    /// let error = Filter::parse("color = red").unwrap_err();
    /// assert!(error.to_string().starts_with("`color` is no field; the fields are id, kind,"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        parse::parse(text)
    }

    /// `field = value`.
    pub fn eq(field: &str, value: impl Into<Value>) -> Result<Filter, FilterError> {
        Filter::compare(field, Relation::Equal, value.into())
    }

    /// `field != value`: `not field = value`.
    pub fn ne(field: &str, value: impl Into<Value>) -> Result<Filter, FilterError> {
        Filter::compare(field, Relation::NotEqual, value.into())
    }

    /// `field < value`.
    pub fn less(field: &str, value: impl Into<Value>) -> Result<Filter, FilterError> {
        Filter::compare(field, Relation::Less, value.into())
    }

    /// `field <= value`.
    pub fn at_most(field: &str, value: impl Into<Value>) -> Result<Filter, FilterError> {
        Filter::compare(field, Relation::AtMost, value.into())
    }

    /// `field > value`.
    pub fn greater(field: &str, value: impl Into<Value>) -> Result<Filter, FilterError> {
        Filter::compare(field, Relation::Greater, value.into())
    }

    /// `field >= value`.
    pub fn at_least(field: &str, value: impl Into<Value>) -> Result<Filter, FilterError> {
        Filter::compare(field, Relation::AtLeast, value.into())
    }

    /// `field in (…)`: equal to any of them; to none if there is none.
    pub fn is_in<V: Into<Value>>(
        field: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Filter, FilterError> {
        let field = Field::of(field)?;
        let values = values.into_iter().map(|value| value.into().fitted_to(&field));
        let node = match values.collect::<Result<Vec<_>, _>>()? {
            values if values.is_empty() => Node::Any(Vec::new()),
            values => Node::In(field, values),
        };
        Ok(Filter { node })
    }

    /// `exists field`.
    pub fn exists(field: &str) -> Result<Filter, FilterError> {
        Ok(Filter { node: Node::Exists(Field::of(field)?) })
    }

    fn compare(field: &str, relation: Relation, value: Value) -> Result<Filter, FilterError> {
        let field = Field::of(field)?;
        let constant = value.fitted_to(&field)?;
        Ok(Filter { node: Node::compare(field, relation, constant)? })
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Filter) -> Filter {
        let mut nodes = match self.node {
            Node::All(nodes) => nodes,
            node => vec![node],
        };
        nodes.push(other.node);
        Filter { node: Node::All(nodes) }
    }

    /// Either.
    #[must_use]
    pub fn or(self, other: Filter) -> Filter {
        let mut nodes = match self.node {
            Node::Any(nodes) => nodes,
            node => vec![node],
        };
        nodes.push(other.node);
        Filter { node: Node::Any(nodes) }
    }

    /// The contrary.
    #[expect(clippy::should_implement_trait, reason = "it stands beside `and` and `or`")]
    #[must_use]
    pub fn not(self) -> Filter {
        Filter { node: Node::Not(Box::new(self.node)) }
    }

    /// Whether a version of a concept is one of those asked for.
    pub fn matches(&self, concept: &Concept<'_>) -> Result<bool, ReadError> {
        let (snapshot, record) = concept.parts();
        self.takes(snapshot, record).map_err(|damage| snapshot.damaged(damage))
    }

    pub(crate) fn takes(
        &self,
        snapshot: &Snapshot,
        record: &ConceptRecord,
    ) -> Result<bool, Damage> {
        self.node.takes(snapshot, record)
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text)
    }
}

impl Node {
    fn compare(field: Field, relation: Relation, value: Constant) -> Result<Node, FilterError> {
        let is_ordered = !matches!(value, Constant::Null | Constant::Bool(_));
        if !is_ordered && !matches!(relation, Relation::Equal | Relation::NotEqual) {
            return Err(FilterError::WrongValue {
                field: field.to_string(),
                found: format!("`{relation} {value}`"),
                expected: "a number or a text, or `=` or `!=`",
            });
        }
        Ok(Node::Compare(field, relation, value))
    }

    fn takes(&self, snapshot: &Snapshot, record: &ConceptRecord) -> Result<bool, Damage> {
        let actual = |field: &Field| actual_of(field, snapshot, record);
        Ok(match self {
            Node::Compare(field, relation, value) => {
                relation.holds(actual(field)?.and_then(|actual| actual.order(value)))
            }
            Node::In(field, values) => actual(field)?.is_some_and(|actual| {
                values.iter().any(|value| actual.order(value) == Some(Ordering::Equal))
            }),
            Node::Exists(field) => actual(field)?.is_some(),
            Node::Not(node) => !node.takes(snapshot, record)?,
            Node::All(nodes) => {
                for node in nodes {
                    if !node.takes(snapshot, record)? {
                        return Ok(false);
                    }
                }
                true
            }
            Node::Any(nodes) => {
                for node in nodes {
                    if node.takes(snapshot, record)? {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }
}

impl Relation {
    /// Whether it holds between things in that order; `None`: they cannot be compared.
    fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Relation::Equal => order == Some(Ordering::Equal),
            Relation::NotEqual => order != Some(Ordering::Equal),
            Relation::Less => order.is_some_and(Ordering::is_lt),
            Relation::AtMost => order.is_some_and(Ordering::is_le),
            Relation::Greater => order.is_some_and(Ordering::is_gt),
            Relation::AtLeast => order.is_some_and(Ordering::is_ge),
        }
    }
}

/// What a version of a concept has in a field, if it has it.
fn actual_of<'s>(
    field: &Field,
    snapshot: &'s Snapshot,
    record: &ConceptRecord,
) -> Result<Option<Actual<'s>>, Damage> {
    let symbol = |table, number: u32| {
        let name = if number == 0 { None } else { snapshot.symbol(table, number) };
        name.map(|name| Actual::Text(Cow::Borrowed(name)))
    };
    Ok(match field {
        Field::Id => Some(Actual::Text(match record.name.get().checked_sub(1) {
            Some(offset) if record.id_form() == IdForm::Text => {
                Cow::Borrowed(borrow_text(snapshot, "a name", offset)?)
            }
            _ => Cow::Owned(key_to_hex(&record.id)),
        })),
        Field::Kind => symbol(SymbolTable::Kind, record.kind.into()),
        Field::Namespace => symbol(SymbolTable::Namespace, record.namespace)
            .or(Some(Actual::Text(Cow::Borrowed("")))),
        Field::Author => symbol(SymbolTable::Author, record.author),
        Field::Strength => Some(Actual::Float(record.strength)),
        Field::Confidence => Some(Actual::Float(record.confidence)),
        Field::Lsn => Some(Actual::Whole(record.lsn)),
        Field::Version => Some(Actual::Whole(record.version.into())),
        Field::CreatedAt => Some(Actual::Whole(record.created_at)),
        Field::UpdatedAt => Some(Actual::Whole(record.updated_at)),
        Field::ExpiresAt => Some(record.expires_at).filter(|at| *at != 0).map(Actual::Whole),
        Field::Meta(path) => match record.metadata.get().checked_sub(1) {
            Some(offset) => {
                let metadata = borrow_text(snapshot, "metadata", offset)?;
                json::value_at(metadata, path).map(Actual::Json)
            }
            None => None,
        },
    })
}

impl fmt::Display for Filter {
    /// A text that gives this filter again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, nodes: &[Node], word: &str| {
            for (at, node) in nodes.iter().enumerate() {
                if at > 0 {
                    write!(f, " {word} ")?;
                }
                match node {
                    Node::All(_) | Node::Any(_) => write!(f, "({node})")?,
                    _ => node.fmt(f)?,
                }
            }
            Ok(())
        };
        match self {
            Node::Compare(field, relation, value) => write!(f, "{field} {relation} {value}"),
            Node::In(field, values) => {
                write!(f, "{field} in (")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Node::Exists(field) => write!(f, "exists {field}"),
            Node::Not(node) => match **node {
                Node::All(_) | Node::Any(_) => write!(f, "not ({node})"),
                _ => write!(f, "not {node}"),
            },
            // No text says this: what no concept is.
            Node::Any(nodes) if nodes.is_empty() => f.write_str("version = 0"),
            Node::All(nodes) => joined(f, nodes, "and"),
            Node::Any(nodes) => joined(f, nodes, "or"),
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::AtMost => "<=",
            Relation::Greater => ">",
            Relation::AtLeast => ">=",
        })
    }
}
