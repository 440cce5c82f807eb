//! The concepts whose contents have all words of a text: every content, one after the other.

mod words;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use sutra_layout::Damage;
use sutra_layout::record::ConceptRecord;

use crate::concept::borrow_content;
use crate::error::ReadError;
use crate::filter::Filter;
use crate::names::{Namespaces, Scope};
use crate::snapshot::Snapshot;
use words::{Word, fold, words_of};

/// Which concepts are asked for, besides by their words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchQuery<'q> {
    /// How many, at most.
    pub limit: usize,
    /// Concepts to keep; `None`: all.
    pub filter: Option<&'q Filter>,
    /// The namespaces that are searched; by default the one without a name.
    pub namespaces: Namespaces<'q>,
}

impl Default for SearchQuery<'_> {
    fn default() -> Self {
        SearchQuery { limit: 10, filter: None, namespaces: Namespaces::default() }
    }
}

/// A concept whose content has all the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// The concept's ordinal; see [`Snapshot::concept`].
    pub ordinal: u32,
    /// How many of the words the content has as whole words, not only at the start of longer ones.
    pub whole_words: u32,
    /// How often the words occur, all together.
    pub occurrences: u32,
}

/// A hit and what decides its place; the better one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    whole_words: u32,
    occurrences: u32,
    first_at: Reverse<usize>,
    content_size: Reverse<usize>,
    ordinal: Reverse<u32>,
}

impl Snapshot {
    /// The concepts whose contents have all words of `text`, best first.
    ///
    /// A word is a run of letters and digits. It is found, whatever its case, where a word of the
    /// content begins with it: `dog` in `Dogs`, not in `hotdog`. Of two concepts the better one is
    /// the one that has more of the words as whole words; of equal ones the one where the words
    /// occur more often, then where the first of them stands earlier, then the one with the shorter
    /// content, then the one learnt first. A text without a word is [`ReadError::NoWords`].
    ///
    /// Every content is looked at: 10 to 30 ms for ten megabytes of short ones. Case is folded character by
    /// character to lower case, without a language's own rules.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sutra_reader::{Filter, Reader, SearchQuery};
    ///
    /// let snapshot = Reader::open("knowledge")?.snapshot()?;
    /// let nouns = Filter::eq("meta.pos", "n")?;
    /// let query = SearchQuery { filter: Some(&nouns), ..SearchQuery::default() };
    /// for hit in snapshot.search("wild dog", &query)? {
    ///     println!("{} {}", hit.ordinal, hit.occurrences);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn search(&self, text: &str, query: &SearchQuery<'_>) -> Result<Vec<SearchHit>, ReadError> {
        let words = words_of(text);
        if words.is_empty() {
            return Err(ReadError::NoWords);
        }
        let search = Search {
            snapshot: self,
            is_ascii: words.iter().all(Word::is_ascii),
            words,
            query,
            scope: self.scope(query.namespaces),
        };
        search.run().map_err(|damage| self.damaged(damage))
    }
}

struct Search<'s> {
    snapshot: &'s Snapshot,
    words: Vec<Word>,
    is_ascii: bool,
    query: &'s SearchQuery<'s>,
    scope: Scope,
}

impl Search<'_> {
    fn run(&self) -> Result<Vec<SearchHit>, Damage> {
        let mut best: BinaryHeap<Reverse<Ranked>> = BinaryHeap::new();
        let mut folded = String::new();
        if self.query.limit == 0 || self.scope == Scope::Nothing {
            return Ok(Vec::new());
        }
        for ordinal in 0..self.snapshot.slot().concepts {
            let Some(record) = self.snapshot.present_record(ordinal as u32)? else { continue };
            if !self.scope.takes(record) {
                continue;
            }
            let Some(hit) = self.look_at(record, &mut folded)? else { continue };
            let is_full = best.len() >= self.query.limit;
            if is_full && best.peek().is_some_and(|worst| hit.cmp(&worst.0) != Ordering::Greater) {
                continue;
            }
            if let Some(filter) = self.query.filter
                && !filter.takes(self.snapshot, record)?
            {
                continue;
            }
            if is_full {
                best.pop();
            }
            best.push(Reverse(hit));
        }
        let best = best.into_sorted_vec(); // Reverse: the greatest comes first
        Ok(best.into_iter().map(|Reverse(ranked)| ranked.into()).collect())
    }

    /// The place of a concept, if its content has all words.
    fn look_at(
        &self,
        record: &ConceptRecord,
        folded: &mut String,
    ) -> Result<Option<Ranked>, Damage> {
        let content = borrow_content(self.snapshot, record)?;
        let text = match (content.is_ascii(), self.is_ascii) {
            (true, true) => content,
            (true, false) => return Ok(None), // it cannot have a letter beyond ASCII
            (false, _) => {
                fold(content, folded);
                folded
            }
        };
        let mut ranked = Ranked {
            whole_words: 0,
            occurrences: 0,
            first_at: Reverse(usize::MAX),
            content_size: Reverse(content.len()),
            ordinal: Reverse(record.concept_ordinal),
        };
        for word in &self.words {
            let Some(found) = word.find_in(text) else { return Ok(None) };
            ranked.whole_words += u32::from(found.is_whole);
            ranked.occurrences += found.count;
            ranked.first_at = ranked.first_at.max(Reverse(found.first_at)); // the earlier
        }
        Ok(Some(ranked))
    }
}

impl From<Ranked> for SearchHit {
    fn from(ranked: Ranked) -> SearchHit {
        let Ranked { whole_words, occurrences, ordinal, .. } = ranked;
        SearchHit { ordinal: ordinal.0, whole_words, occurrences }
    }
}
