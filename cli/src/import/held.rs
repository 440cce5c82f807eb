//! Associations that came before their ends.
//!
//! A line waits under one end that is missing; when that end comes, the line is looked at again,
//! and either goes on or waits for the other one. What still waits when the input ends is sent all
//! the same: its ends may have been in the store before, and if not the coordinator says so.

use std::collections::{HashMap, HashSet};

use sutra_layout::id::Id;

/// Where a line stands: which input, and its 1-based line there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into the list of inputs.
    pub input: u32,
    /// 1-based.
    pub line: u64,
}

/// A waiting line, as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct HeldLine {
    /// Where it stands.
    pub place: Place,
    /// The line without its end.
    pub text: Box<[u8]>,
}

/// The key a concept is filed under; see [`Id::key`].
pub type Key = [u8; 16];

/// The concepts that came so far, and the associations that wait for others.
#[derive(Debug, Default)]
pub struct Held {
    seen: HashSet<Key>,
    waiting: HashMap<Key, Vec<HeldLine>>,
}

impl Held {
    /// A concept came: the lines that waited for it, in the order in which they began to.
    pub fn arrived(&mut self, namespace: &str, id: Id<'_>, content: &str) -> Vec<HeldLine> {
        let key = id.key(namespace, content);
        self.seen.insert(key);
        if self.waiting.is_empty() {
            Vec::new()
        } else {
            self.waiting.remove(&key).unwrap_or_default()
        }
    }

    /// The end that an association must still wait for: the source first.
    pub fn missing_end(&self, namespace: &str, source: &str, target: &str) -> Option<Key> {
        [source, target]
            .map(|end| Id::from(end).key(namespace, ""))
            .into_iter()
            .find(|key| !self.seen.contains(key))
    }

    /// Keeps a line until `missing` comes, or the input ends.
    pub fn hold(&mut self, missing: Key, line: HeldLine) {
        self.waiting.entry(missing).or_default().push(line);
    }

    /// All that still wait, in the order of the input.
    pub fn take_all(&mut self) -> Vec<HeldLine> {
        let mut lines: Vec<HeldLine> = self.waiting.drain().flat_map(|(_, lines)| lines).collect();
        lines.sort_unstable_by_key(|line| line.place);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64) -> HeldLine {
        HeldLine { place: Place { input: 0, line: number }, text: Box::default() }
    }

    fn numbers(lines: &[HeldLine]) -> Vec<u64> {
        lines.iter().map(|line| line.place.line).collect()
    }

    #[test]
    fn an_association_waits_for_one_end_after_the_other() {
        let mut held = Held::default();
        let source = held.missing_end("", "a", "b").unwrap();
        held.hold(source, line(1));

        assert!(held.arrived("", Id::from("b"), "").is_empty());
        assert_eq!(numbers(&held.arrived("", Id::from("a"), "")), [1]);
        assert_eq!(held.missing_end("", "a", "b"), None);
        assert_eq!(held.missing_end("", "a", "c"), Some(Id::from("c").key("", "")));
    }

    #[test]
    fn lines_about_the_same_pair_keep_their_order() {
        let mut held = Held::default();
        for number in 1..=3 {
            let missing = held.missing_end("", "a", "b").unwrap();
            held.hold(missing, line(number));
        }
        assert_eq!(numbers(&held.arrived("", Id::from("a"), "")), [1, 2, 3]);
        assert!(held.arrived("", Id::from("a"), "").is_empty());
    }

    #[test]
    fn content_without_an_id_is_an_end_under_its_hash() {
        let mut held = Held::default();
        let hash = sutra_layout::id::key_to_hex(&Id::Content.key("", "some content"));
        let missing = held.missing_end("", &hash, &hash).unwrap();
        held.hold(missing, line(1));
        assert_eq!(numbers(&held.arrived("", Id::Content, "some content")), [1]);
    }

    #[test]
    fn what_waits_to_the_end_comes_in_the_order_of_the_input() {
        let mut held = Held::default();
        for number in [5, 3, 9, 1] {
            let source = format!("source {number}");
            let missing = held.missing_end("", &source, "b").unwrap();
            held.hold(missing, line(number));
        }
        assert_eq!(numbers(&held.take_all()), [1, 3, 5, 9]);
        assert!(held.take_all().is_empty());
    }

    #[test]
    fn an_association_waits_for_ends_of_its_own_namespace() {
        let mut held = Held::default();
        held.arrived("", Id::from("a"), "");
        let missing = held.missing_end("alice", "a", "a").unwrap();
        held.hold(missing, line(1));
        assert!(held.arrived("bob", Id::from("a"), "").is_empty());
        assert_eq!(numbers(&held.arrived("alice", Id::from("a"), "")), [1]);
    }
}
