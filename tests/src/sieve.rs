//! Filters a second time: as text for the store, and evaluated the slow way by what a concept gives.

use serde_json::Value;
use sutra_reader::{Concept, ConceptQuery, Filter, Namespaces, Snapshot};

/// A condition.
#[derive(Clone, Debug)]
pub enum Sieve {
    /// A field holds a relation to a number: `<`, `<=`, `=`, `!=`, `>=` or `>`.
    Number(&'static str, &'static str, f64),
    /// Likewise, to a text.
    Text(&'static str, &'static str, String),
    /// A field is one of these texts.
    In(&'static str, Vec<String>),
    /// A field is there.
    Exists(&'static str),
    /// It does not hold.
    Not(Box<Sieve>),
    /// Both hold.
    And(Box<Sieve>, Box<Sieve>),
    /// One of them holds.
    Or(Box<Sieve>, Box<Sieve>),
}

impl Sieve {
    /// As a filter is written.
    pub fn text(&self) -> String {
        match self {
            Sieve::Number(field, relation, number) => format!("{field} {relation} {number}"),
            Sieve::Text(field, relation, text) => format!("{field} {relation} \"{text}\""),
            Sieve::In(field, texts) => format!("{field} in (\"{}\")", texts.join("\", \"")),
            Sieve::Exists(field) => format!("exists {field}"),
            Sieve::Not(inner) => format!("not ({})", inner.text()),
            Sieve::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Sieve::Or(a, b) => format!("({}) or ({})", a.text(), b.text()),
        }
    }

    /// Whether it lets a concept through.
    ///
    /// # Panics
    /// If the concept cannot be read.
    pub fn takes(&self, concept: &Concept<'_>) -> bool {
        let actual = |field| actual_of(field, concept);
        match self {
            Sieve::Number(field, relation, number) => {
                let order = match actual(field) {
                    // Numbers of 32 bits are compared as such.
                    Some(Value::Number(found)) if matches!(*field, "strength" | "confidence") => {
                        found
                            .as_f64()
                            .map(|found| found as f32)
                            .and_then(|found| found.partial_cmp(&(*number as f32)))
                    }
                    Some(Value::Number(found)) => {
                        found.as_f64().and_then(|found| found.partial_cmp(number))
                    }
                    _ => None,
                };
                holds(relation, order)
            }
            Sieve::Text(field, relation, text) => {
                let order = match actual(field) {
                    Some(Value::String(found)) => Some(found.as_bytes().cmp(text.as_bytes())),
                    _ => None,
                };
                holds(relation, order)
            }
            Sieve::In(field, texts) => {
                let found = actual(field);
                texts.iter().any(|text| found.as_ref().and_then(Value::as_str) == Some(text))
            }
            Sieve::Exists(field) => actual(field).is_some(),
            Sieve::Not(inner) => !inner.takes(concept),
            Sieve::And(a, b) => a.takes(concept) && b.takes(concept),
            Sieve::Or(a, b) => a.takes(concept) || b.takes(concept),
        }
    }
}

/// Iterates under each filter, and compares with what every concept gives by itself. Gives how many
/// concepts were let through.
///
/// # Errors
/// The first difference.
pub fn compare_filtered(snapshot: &Snapshot, sieves: &[Sieve]) -> Result<usize, String> {
    let mut taken = 0;
    for sieve in sieves {
        let filter = Filter::parse(&sieve.text()).map_err(|error| error.to_string())?;
        let concepts = |filter| {
            let query = ConceptQuery { filter, namespaces: Namespaces::All };
            let found: Result<Vec<_>, _> = snapshot.concepts_where(&query).collect();
            found.map_err(|error| error.to_string())
        };
        let expected = concepts(None)?.into_iter().filter(|concept| sieve.takes(concept));
        let expected: Vec<u32> = expected.map(|concept| concept.ordinal()).collect();
        let found = concepts(Some(&filter))?;
        let found: Vec<u32> = found.iter().map(|concept| concept.ordinal()).collect();
        if found != expected {
            return Err(format!("{} gives {found:?}, not {expected:?}", sieve.text()));
        }
        taken += found.len();
    }
    Ok(taken)
}

fn holds(relation: &str, order: Option<std::cmp::Ordering>) -> bool {
    match relation {
        "<" => order.is_some_and(|order| order.is_lt()),
        "<=" => order.is_some_and(|order| order.is_le()),
        "=" => order.is_some_and(|order| order.is_eq()),
        "!=" => !order.is_some_and(|order| order.is_eq()),
        ">=" => order.is_some_and(|order| order.is_ge()),
        ">" => order.is_some_and(|order| order.is_gt()),
        other => panic!("{other} is no relation"),
    }
}

fn actual_of(field: &str, concept: &Concept<'_>) -> Option<Value> {
    if let Some(path) = field.strip_prefix("meta.") {
        let metadata = concept.metadata().expect("metadata can be read")?;
        let metadata: Value = serde_json::from_str(metadata).ok()?;
        return metadata.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
    }
    match field {
        "kind" => concept.kind().map(Value::from),
        "namespace" => Some(Value::from(concept.namespace())),
        "author" => concept.author().map(Value::from),
        "id" => Some(Value::from(concept.id().expect("an id can be read").to_string())),
        "strength" => Some(Value::from(concept.strength())),
        "confidence" => Some(Value::from(concept.confidence())),
        "lsn" => Some(Value::from(concept.lsn())),
        "version" => Some(Value::from(concept.version())),
        "created_at" => Some(Value::from(concept.created_at())),
        "expires_at" => concept.expires_at().map(Value::from),
        other => panic!("{other} is no field of these stories"),
    }
}
