//! How a caller names a concept, and the 128-bit key that the store files it under.
//!
//! A text id is hashed together with its namespace and kept byte for byte beside the record; a
//! 16-byte id, or 32 lower-case hexadecimal digits, is the key itself; content learnt without an
//! id is filed under the hash of the content. A record is identified by (namespace, key).

use std::fmt;

use crate::limits::ID_SIZE_MAX;

/// What the caller calls a concept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id<'a> {
    /// 1 to 1,024 bytes of text, returned byte for byte.
    Text(&'a str),
    /// 32 lower-case hexadecimal digits: the key itself.
    Hex([u8; 16]),
    /// 16 raw bytes: the key itself.
    Raw([u8; 16]),
    /// No id: the key is the hash of the content.
    Content,
}

/// Which of the forms an id had, as stored in two bits of a record's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IdForm {
    /// See [`Id::Text`].
    Text = 0,
    /// See [`Id::Hex`].
    Hex = 1,
    /// See [`Id::Raw`].
    Raw = 2,
    /// See [`Id::Content`].
    Content = 3,
}

impl IdForm {
    /// The form whose number is `number`.
    pub fn from_number(number: u8) -> Option<IdForm> {
        [IdForm::Text, IdForm::Hex, IdForm::Raw, IdForm::Content].get(usize::from(number)).copied()
    }
}

/// An id that no store accepts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The empty text.
    #[error(
        "the id is empty; give 1 to {ID_SIZE_MAX} bytes of text, or none to use the content's hash"
    )]
    Empty,
    /// Text above the limit.
    #[error("the id has {found} bytes, above {ID_SIZE_MAX}; give a shorter one")]
    TooLong {
        /// Its size in bytes.
        found: usize,
    },
}

impl<'a> From<&'a str> for Id<'a> {
    fn from(text: &'a str) -> Id<'a> {
        parse_hex(text.as_bytes()).map_or(Id::Text(text), Id::Hex)
    }
}

impl<'a> From<&'a String> for Id<'a> {
    fn from(text: &'a String) -> Id<'a> {
        Id::from(text.as_str())
    }
}

impl From<[u8; 16]> for Id<'static> {
    fn from(key: [u8; 16]) -> Id<'static> {
        Id::Raw(key)
    }
}

impl Id<'_> {
    /// Fails for a text that is empty or too long.
    pub fn check(&self) -> Result<(), IdError> {
        match self {
            Id::Text("") => Err(IdError::Empty),
            Id::Text(text) if text.len() > ID_SIZE_MAX => {
                Err(IdError::TooLong { found: text.len() })
            }
            _ => Ok(()),
        }
    }

    /// The form of this id.
    pub fn form(&self) -> IdForm {
        match self {
            Id::Text(_) => IdForm::Text,
            Id::Hex(_) => IdForm::Hex,
            Id::Raw(_) => IdForm::Raw,
            Id::Content => IdForm::Content,
        }
    }

    /// The key that this id is filed under; `content` matters for [`Id::Content`] alone.
    ///
    /// Text: the first 16 bytes of BLAKE3 over the namespace, a zero byte and the text (a namespace
    /// holds no zero byte, so no two pairs give the same input).
    pub fn key(&self, namespace: &str, content: &str) -> [u8; 16] {
        let digest = match self {
            Id::Hex(key) | Id::Raw(key) => return *key,
            Id::Text(text) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(namespace.as_bytes()).update(&[0]).update(text.as_bytes());
                hasher.finalize()
            }
            Id::Content => blake3::hash(content.as_bytes()),
        };
        let mut key = [0; 16];
        key.copy_from_slice(&digest.as_bytes()[..16]);
        key
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Text(text) => f.write_str(text),
            Id::Hex(key) | Id::Raw(key) => f.write_str(&key_to_hex(key)),
            Id::Content => f.write_str("(the content's hash)"),
        }
    }
}

/// 32 lower-case hexadecimal digits.
pub fn key_to_hex(key: &[u8; 16]) -> String {
    let mut text = String::with_capacity(32);
    for byte in key {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// The key of 32 lower-case hexadecimal digits.
pub fn parse_hex(text: &[u8]) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 32] = text.try_into().ok()?;
    let mut key = [0; 16];
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_lower_case_digits_are_the_key_and_everything_else_is_text() {
        let digits = "000102030405060708090a0b0c0d0e0f";
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        assert_eq!(Id::from(digits), Id::Hex(key));
        assert_eq!(key_to_hex(&key), digits);
        assert_eq!(Id::from("000102030405060708090A0B0C0D0E0F").form(), IdForm::Text);
        assert_eq!(Id::from(&digits[1..]).form(), IdForm::Text);
    }

    #[test]
    fn the_namespace_is_part_of_a_text_key() {
        assert_ne!(Id::Text("a").key("", ""), Id::Text("a").key("n", ""));
        assert_ne!(Id::Text("a").key("", ""), Id::Text("b").key("", ""));
        assert_eq!(Id::Content.key("", "x"), Id::Content.key("n", "x"));
    }
}
