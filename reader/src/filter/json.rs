//! One value of a JSON text, found without making a tree of it.
//!
//! The text is scanned once from its start: strings and containers on the way are skipped, not
//! parsed. So of a text that is no JSON only what lies on the way is noticed, and then the value is
//! not there.

use std::borrow::Cow;

use memchr::memchr2;

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of an object; of an array, digits are an element.
    Key(String),
    /// An element of an array, from 0.
    Element(usize),
}

/// A JSON value as far as a filter compares it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'j> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'j, str>),
    /// An object or an array.
    Container,
}

/// The value at a path into an object; `None` if it is not there. Of equal keys the last one
/// counts, as with most JSON libraries.
pub(super) fn value_at<'j>(json: &'j str, path: &[Step]) -> Option<Json<'j>> {
    let mut at = skip_space(json.as_bytes(), 0);
    if json.as_bytes().get(at) != Some(&b'{') {
        return None;
    }
    for step in path {
        at = match (json.as_bytes().get(at)?, step) {
            (b'{', Step::Key(key)) => find_key(json, at, key)?,
            (b'[', Step::Element(element)) => find_element(json.as_bytes(), at, *element)?,
            (b'[', Step::Key(key)) => {
                find_element(json.as_bytes(), at, key.parse::<usize>().ok()?)?
            }
            _ => return None,
        };
    }
    classify(json, at)
}

fn classify(json: &str, at: usize) -> Option<Json<'_>> {
    let end = skip_value(json.as_bytes(), at)?;
    let raw = json.get(at..end)?;
    Some(match raw.as_bytes().first()? {
        b'"' => Json::Text(text_of(raw)?),
        b'{' | b'[' => Json::Container,
        b't' if raw == "true" => Json::Bool(true),
        b'f' if raw == "false" => Json::Bool(false),
        b'n' if raw == "null" => Json::Null,
        b'-' | b'0'..=b'9' => Json::Number(raw.parse().ok()?),
        _ => return None,
    })
}

/// The text of a string with its quotes.
fn text_of(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(quoted).ok().map(Cow::Owned)
}

/// The value of a key in the object that begins at `at`.
fn find_key(json: &str, at: usize, key: &str) -> Option<usize> {
    let bytes = json.as_bytes();
    let mut found = None;
    let mut at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return None;
    }
    loop {
        let key_end = skip_string(bytes, at)?;
        let raw = &bytes[at + 1..key_end - 1];
        // Only a key with escapes can be the same in other bytes.
        let is_key = match raw.contains(&b'\\') {
            false => raw == key.as_bytes(),
            true => text_of(json.get(at..key_end)?)? == key,
        };
        at = skip_space(bytes, key_end);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at = skip_space(bytes, at + 1);
        if is_key {
            found = Some(at);
        }
        at = skip_space(bytes, skip_value(bytes, at)?);
        match bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return found,
            _ => return None,
        }
    }
}

/// An element of the array that begins at `at`.
fn find_element(bytes: &[u8], at: usize, element: usize) -> Option<usize> {
    let mut at = skip_space(bytes, at + 1);
    if bytes.get(at) == Some(&b']') {
        return None;
    }
    for _ in 0..element {
        at = skip_space(bytes, skip_value(bytes, at)?);
        if bytes.get(at) != Some(&b',') {
            return None;
        }
        at = skip_space(bytes, at + 1);
    }
    Some(at)
}

fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    at + space.count()
}

/// The end of the string that begins at `at`.
fn skip_string(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let mut at = start + 1;
    // Most strings are short: a loop is done with them before a search is called.
    let near = bytes.get(at..)?.iter().take(16).position(|byte| matches!(byte, b'"' | b'\\'));
    loop {
        at += match near {
            Some(near) if at == start + 1 => near,
            _ => memchr2(b'"', b'\\', bytes.get(at..)?)?,
        };
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2; // an escape, whose second byte ends nothing
    }
}

/// The end of the value that begins at `at`. Containers are counted, not descended into, so no text
/// is too deep.
fn skip_value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => skip_string(bytes, at),
        b'{' | b'[' => {
            let (mut at, mut depth) = (at, 0usize);
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = skip_string(bytes, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let rest = &bytes[at..];
            let is_end = |byte: &u8| {
                matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r')
            };
            let size = rest.iter().position(is_end).unwrap_or(rest.len());
            (size > 0).then_some(at + size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(path: &[&str]) -> Vec<Step> {
        path.iter().map(|key| Step::Key((*key).to_owned())).collect()
    }

    #[test]
    fn values_are_found_on_their_path() {
        let json = r#" {"a" : {"b":[1,{"c":"x\"\u00e9"}, []]}, "s":"}\\", "t":true ,"n":null,
            "f":-1.5e2, "twice":1, "twice":2, "e\u0301":"key"} "#;
        let at = |path: &[&str]| value_at(json, &keys(path));
        assert_eq!(at(&["a", "b", "0"]), Some(Json::Number(1.0)));
        assert_eq!(at(&["a", "b", "1", "c"]), Some(Json::Text("x\"é".into())));
        let element = [keys(&["a", "b"]), vec![Step::Element(2)]].concat();
        assert_eq!(value_at(json, &element), Some(Json::Container));
        assert_eq!(at(&["s"]), Some(Json::Text("}\\".into())));
        assert_eq!(at(&["t"]), Some(Json::Bool(true)));
        assert_eq!(at(&["n"]), Some(Json::Null));
        assert_eq!(at(&["f"]), Some(Json::Number(-150.0)));
        assert_eq!(at(&["twice"]), Some(Json::Number(2.0)));
        assert_eq!(at(&["e\u{301}"]), Some(Json::Text("key".into())));
        for path in [&["a", "b", "3"][..], &["b"], &["a", "b", "1", "c", "d"], &["t", "0"]] {
            assert_eq!(at(path), None, "{path:?}");
        }
    }

    #[test]
    fn what_is_no_json_has_no_values_and_ends() {
        let deep = "[".repeat(1 << 16);
        let deep = format!("{{\"a\":{deep}");
        for json in
            ["", "{", "[1]", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\" 1}", &deep]
        {
            assert_eq!(value_at(json, &keys(&["a"])), None, "{json:.9}");
        }
    }
}
