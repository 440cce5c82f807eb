//! Words, and how to find them in a text whatever their case.
//!
//! A word is a run of letters and digits ([`char::is_alphanumeric`]). Case is folded character by
//! character to lower case, and a final sigma to the common one.

use memchr::{memchr, memchr2};

/// The words of a text, folded, each once.
pub(super) fn words_of(text: &str) -> Vec<Word> {
    let mut folded = String::new();
    fold(text, &mut folded);
    let mut words: Vec<Word> = Vec::new();
    for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if words.iter().all(|known| known.text != word) {
            words.push(Word::new(word));
        }
    }
    // The longest is the rarest, more often than not: the sooner a text is refused, the better.
    words.sort_by_key(|word| std::cmp::Reverse(word.text.len()));
    words
}

/// Writes a text in folded case.
pub(super) fn fold(text: &str, folded: &mut String) {
    folded.clear();
    for c in text.chars() {
        match c {
            'ς' => folded.push('σ'),
            c if c.is_ascii() => folded.push(c.to_ascii_lowercase()),
            c => folded.extend(c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })),
        }
    }
}

/// A folded word to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    text: String,
    /// The byte of it that is rarest in texts, and its place.
    rare: u8,
    rare_at: usize,
}

/// Where a word begins words of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How often.
    pub(super) count: u32,
    /// Whether one of the words is it as a whole.
    pub(super) is_whole: bool,
    /// Byte of the first.
    pub(super) first_at: usize,
}

impl Word {
    fn new(text: &str) -> Word {
        let bytes = text.as_bytes().iter().enumerate();
        let rare = bytes.min_by_key(|(_, byte)| frequency(**byte));
        let (rare_at, rare) = rare.map_or((0, 0), |(at, byte)| (at, *byte));
        Word { text: text.to_owned(), rare, rare_at }
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    /// Where it begins words of a text, which is folded or all ASCII; `None`: nowhere.
    pub(super) fn find_in(&self, text: &str) -> Option<Found> {
        let (word, bytes) = (self.text.as_bytes(), text.as_bytes());
        if bytes.len() < word.len() {
            return None;
        }
        // Only here can the rare byte of an occurrence be.
        let last_start = bytes.len() - word.len();
        let hay = &bytes[..=last_start + self.rare_at];
        let (low, high) = (self.rare, self.rare.to_ascii_uppercase());
        let mut found = Found::default();
        let mut at = self.rare_at;
        loop {
            let next =
                if low == high { memchr(low, &hay[at..]) } else { memchr2(low, high, &hay[at..]) };
            let Some(next) = next else { break };
            let start = at + next - self.rare_at;
            let end = start + word.len();
            if bytes[start..end].eq_ignore_ascii_case(word) && !is_letter_before(text, start) {
                if found.count == 0 {
                    found.first_at = start;
                }
                found.count += 1;
                found.is_whole |= !is_letter_after(text, end);
            }
            at += next + 1;
            if at >= hay.len() {
                break;
            }
        }
        (found.count > 0).then_some(found)
    }
}

fn is_letter_before(text: &str, at: usize) -> bool {
    match at.checked_sub(1).map(|before| text.as_bytes()[before]) {
        None => false,
        Some(byte) if byte.is_ascii() => byte.is_ascii_alphanumeric(),
        Some(_) => text[..at].chars().next_back().is_some_and(char::is_alphanumeric),
    }
}

fn is_letter_after(text: &str, at: usize) -> bool {
    match text.as_bytes().get(at) {
        None => false,
        Some(byte) if byte.is_ascii() => byte.is_ascii_alphanumeric(),
        Some(_) => text[at..].chars().next().is_some_and(char::is_alphanumeric),
    }
}

/// Letters by how often English has them, the rarest first; other bytes of ASCII are rarer.
fn frequency(byte: u8) -> usize {
    const BY_RARITY: &[u8] = b"zqxjkvbpygfwmucldrhsnioate";
    match byte {
        // The first bytes of a script's characters are all alike.
        0x80.. => 100,
        _ => BY_RARITY.iter().position(|letter| *letter == byte).map_or(0, |rank| rank + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(word: &str, text: &str) -> Option<(u32, bool, usize)> {
        let mut folded = String::new();
        fold(text, &mut folded);
        let text = if text.is_ascii() { text } else { &folded };
        let found = words_of(word)[0].find_in(text)?;
        Some((found.count, found.is_whole, found.first_at))
    }

    #[test]
    fn a_word_is_found_at_the_start_of_words_whatever_the_case() {
        assert_eq!(find("dog", "A Dog, dogs and hotdog DOGMA"), Some((3, true, 2)));
        assert_eq!(find("DOGS", "a dog"), None);
        assert_eq!(find("dog", "dogma"), Some((1, false, 0)));
        assert_eq!(find("a", "aa a"), Some((2, true, 0)));
        assert_eq!(find("aa", "aaa aa"), Some((2, true, 0)));
        assert_eq!(find("x", ""), None);
        assert_eq!(find("zebra", "zebr"), None);
        assert_eq!(find("2", "item 2b"), Some((1, false, 5)));
    }

    #[test]
    fn letters_beyond_ascii_are_folded_and_are_letters() {
        assert_eq!(find("ÉCOLE", "L’école"), Some((1, true, 4)));
        assert_eq!(find("cole", "école"), None);
        assert_eq!(find("caf", "Café"), Some((1, false, 0)));
        assert_eq!(find("ΣΟΦΟΣ", "ὁ σοφός σοφος"), Some((1, true, 15)));
        assert_eq!(find("wolf", "— “Wolf” —"), Some((1, true, 7)));
        assert_eq!(find("狼", "狼人"), Some((1, false, 0)));
    }

    #[test]
    fn a_text_gives_each_of_its_words_once() {
        let texts = |text| words_of(text).into_iter().map(|word| word.text).collect::<Vec<_>>();
        assert_eq!(texts("The dog, THE Doghouse"), ["doghouse", "the", "dog"]);
        assert!(texts(" -- !").is_empty());
    }
}
