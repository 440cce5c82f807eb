//! A filter from its text, by recursive descent.
//!
//! ```text
//! any        = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" any ")" | "exists" field | field relation
//! relation   = ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!            | [ "not" ] "in" "(" value { "," value } ")"
//! value      = a text in quotes, or a word
//! ```

use super::field::Field;
use super::value::{Constant, Value, read_quoted};
use super::{Filter, FilterError, Node, Relation};

/// Parentheses and `not`s within each other: so deep a filter is a mistake, and the stack is finite.
const DEPTH_MAX: u32 = 100;

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser { text, rest: text, depth: 0 };
    let node = parser.any()?;
    if !parser.rest().is_empty() {
        return Err(parser.unexpected("`and`, `or`, or the end"));
    }
    Ok(Filter { node })
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    depth: u32,
}

impl<'t> Parser<'t> {
    /// What is left, without the space before it.
    fn rest(&mut self) -> &'t str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    /// The characters of a word at the front.
    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let is_word = |c: char| {
            !c.is_whitespace() && !matches!(c, '(' | ')' | ',' | '"' | '\'' | '=' | '<' | '>' | '!')
        };
        &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let is_there = self.word() == wanted;
        if is_there {
            self.rest = &self.rest[wanted.len()..];
        }
        is_there
    }

    fn take(&mut self, wanted: &str) -> bool {
        let rest = self.rest().strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn unexpected(&mut self, expected: &'static str) -> FilterError {
        let word = self.word();
        let found = match (word, self.rest.chars().next()) {
            ("", None) => "the end".to_owned(),
            ("", Some(c)) => format!("`{c}`"),
            (word, _) => format!("`{}`", word.chars().take(40).collect::<String>()),
        };
        FilterError::Unexpected { at: self.text.len() - self.rest.len(), found, expected }
    }

    fn any(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all()?];
        while self.take_word("or") {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.one()?];
        while self.take_word("and") {
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
    }

    fn one(&mut self) -> Result<Node, FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FilterError::TooDeep { limit: DEPTH_MAX });
        }
        let node = self.one_of_depth();
        self.depth -= 1;
        node
    }

    fn one_of_depth(&mut self) -> Result<Node, FilterError> {
        if self.take_word("not") {
            return Ok(Node::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let node = self.any()?;
            if !self.take(")") {
                return Err(self.unexpected("`)`"));
            }
            return Ok(node);
        }
        if self.take_word("exists") {
            return Ok(Node::Exists(self.field()?));
        }
        let field = self.field()?;
        if self.take_word("not") {
            if !self.take_word("in") {
                return Err(self.unexpected("`in` after `not`"));
            }
            let is_in = Node::In(field.clone(), self.values(&field)?);
            return Ok(Node::Not(Box::new(is_in)));
        }
        if self.take_word("in") {
            let values = self.values(&field)?;
            return Ok(Node::In(field, values));
        }
        // The longer ones first.
        let relations = [
            ("==", Relation::Equal),
            ("!=", Relation::NotEqual),
            ("<=", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("=", Relation::Equal),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        for (sign, relation) in relations {
            if self.take(sign) {
                let value = self.value(&field)?;
                return Node::compare(field, relation, value);
            }
        }
        Err(self.unexpected("`=`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `not in`"))
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        match Field::read(self.rest()) {
            Some((field, rest)) => {
                self.rest = rest;
                Ok(field)
            }
            None if self.word().is_empty() => Err(self.unexpected("a field")),
            None => Err(FilterError::UnknownField { found: self.word().to_owned() }),
        }
    }

    fn values(&mut self, field: &Field) -> Result<Vec<Constant>, FilterError> {
        if !self.take("(") {
            return Err(self.unexpected("`(` and values"));
        }
        let mut values = vec![self.value(field)?];
        while self.take(",") {
            values.push(self.value(field)?);
        }
        if !self.take(")") {
            return Err(self.unexpected("`,` or `)`"));
        }
        Ok(values)
    }

    fn value(&mut self, field: &Field) -> Result<Constant, FilterError> {
        if let Some((text, rest)) = read_quoted(self.rest()) {
            self.rest = rest;
            return Value::from(text).fitted_to(field);
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.unexpected("a value: a word, a number, or a text in quotes"));
        }
        self.rest = &self.rest[word.len()..];
        Value::of_word(word, field).fitted_to(field)
    }
}
