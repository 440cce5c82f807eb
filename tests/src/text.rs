//! Texts and vectors that say what they are: of which thing, in which version, and a hash of the
//! rest, so that a reader knows a torn, mixed or foreign one without asking anybody.

/// FNV-1a: independent of every checksum that the store has.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The text of a version of something; its size varies with the version.
pub fn text_of(name: &str, version: u32) -> String {
    let filler_size = hash(&version.to_le_bytes()) % 600;
    let mut text = format!("{name}|{version}|");
    for at in 0..filler_size {
        text.push(char::from(b'a' + ((at + u64::from(version)) % 26) as u8));
    }
    let sum = hash(text.as_bytes());
    text.push_str(&format!("|{sum:016x}"));
    text
}

/// The version that a text of `name` says it is.
///
/// # Errors
/// What is wrong with it: torn, or of something else.
pub fn version_of(name: &str, text: &str) -> Result<u32, String> {
    let broken = |what: &str| format!("the text of {name} is {what}: {text:?}");
    let (body, sum) = text.rsplit_once('|').ok_or_else(|| broken("no text of ours"))?;
    if u64::from_str_radix(sum, 16) != Ok(hash(body.as_bytes())) {
        return Err(broken("torn"));
    }
    let mut parts = body.splitn(3, '|');
    if parts.next() != Some(name) {
        return Err(broken("of something else"));
    }
    let version = parts.next().and_then(|version| version.parse().ok());
    version.ok_or_else(|| broken("without a version"))
}

/// The vector of a version of something: never zero, no two alike.
pub fn vector_of(name: &str, version: u32, dimension: usize) -> Vec<f32> {
    let mut random = crate::Random::new(hash(name.as_bytes()) ^ u64::from(version));
    let mut vector: Vec<f32> = (0..dimension).map(|_| random.element()).collect();
    vector[0] = 1.0 + random.element().abs();
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_tells_its_version_and_a_torn_or_foreign_one_is_known() {
        for version in [0, 1, 77, u32::MAX] {
            assert_eq!(version_of("a", &text_of("a", version)), Ok(version));
        }
        let text = text_of("a", 5);
        for at in 0..text.len() {
            let mut torn = text.clone().into_bytes();
            torn[at] ^= 1;
            let torn = String::from_utf8(torn).unwrap();
            assert!(version_of("a", &torn).is_err(), "{torn:?}");
            assert!(version_of("a", &text[..at]).is_err());
        }
        assert!(version_of("b", &text).is_err());
    }
}
