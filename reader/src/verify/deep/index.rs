//! Both indexes: each key leads to its newest version, and no word to anything else.

use std::collections::BTreeSet;
use std::sync::atomic::{Ordering, fence};

use sutra_layout::Damage;
use sutra_layout::checksum::{edge_hash, id_hash};
use sutra_layout::geometry::Region;
use sutra_layout::index::{DEPTH_MAX, INDEX, IndexMemory, decode};
use sutra_layout::index_view::IndexView;
use sutra_layout::lookup;
use sutra_layout::version::{WALK_BUDGET, newest_below};
use sutra_layout::view::View;

use super::{Chains, Deep};

/// How much deeper a directory word may be than the depth by which it was reached: splits since.
const DEEPER_MAX: u32 = 8;
/// A directory word that is turned while it is looked at is looked at again so often.
const LOOKS: usize = 64;

/// One index, and what it is an index of.
#[derive(Clone, Copy)]
struct Kind {
    segments: Region,
    directory: Region,
    depth: u32,
    /// Versions in the snapshot.
    count: u64,
    of: Of,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Records,
    Edges,
}

impl Kind {
    fn index(self, view: &View) -> IndexView<'_> {
        match self.of {
            Of::Records => view.id_index(),
            Of::Edges => view.edge_index(),
        }
    }

    fn previous(self, view: &View, at: u64) -> Result<u64, Damage> {
        match self.of {
            Of::Records => view.record_previous(at),
            Of::Edges => view.edge_previous(at),
        }
    }
}

impl Deep<'_> {
    pub(super) fn id_index(&mut self) -> String {
        let kind = Kind {
            segments: Region::ID_SEGMENTS,
            directory: Region::ID_DIRECTORY,
            depth: self.slot.id_index_depth as u32,
            count: self.slot.records,
            of: Of::Records,
        };
        self.index(kind)
    }

    pub(super) fn edge_index(&mut self) -> String {
        let kind = Kind {
            segments: Region::EDGE_SEGMENTS,
            directory: Region::EDGE_DIRECTORY,
            depth: self.slot.edge_index_depth as u32,
            count: self.slot.edges,
            of: Of::Edges,
        };
        self.index(kind)
    }

    fn index(&mut self, kind: Kind) -> String {
        let (keys, mut damaged) = self.words(kind);
        let mask = (1 << kind.depth) - 1;
        for ordinal in 0..kind.count {
            self.advance(ordinal, kind.count);
            if !self.chains(kind.of).is_newest(ordinal) {
                continue;
            }
            // What one directory word leads to may be lost as a whole: that is told once.
            let Ok(hash) = self.hash_of(kind.of, ordinal) else { continue };
            if damaged.contains(&(hash & mask)) {
                continue;
            }
            let found_before = self.found_count;
            match kind.of {
                Of::Records => self.find_record(ordinal),
                Of::Edges => self.find_edge(ordinal),
            }
            if self.found_count > found_before {
                damaged.insert(hash & mask);
            }
        }
        format!("{keys} keys")
    }

    fn find_record(&mut self, ordinal: u64) {
        let (view, slot) = (self.view(), self.slot);
        let Ok(record) = view.record(ordinal, &slot) else { return };
        match lookup::find_concept(view, &slot, record.namespace, &record.id) {
            Err(damage) => self.damaged((Region::RECORDS, ordinal), &damage),
            Ok(found) => {
                let found = found.map(|(found, _)| found);
                self.found_by_key(Of::Records, (Region::RECORDS, ordinal), found);
            }
        }
    }

    fn find_edge(&mut self, ordinal: u64) {
        let (view, slot) = (self.view(), self.slot);
        let Ok(edge) = view.edge(ordinal, &slot) else { return };
        match lookup::find_edge(view, &slot, (edge.source, edge.target, edge.edge_type)) {
            Err(damage) => self.damaged((Region::EDGES, ordinal), &damage),
            Ok(found) => {
                let found = found.map(|(found, _)| found.into());
                self.found_by_key(Of::Edges, (Region::EDGES, ordinal), found);
            }
        }
    }

    fn found_by_key(&mut self, of: Of, place: (Region, u64), found: Option<u64>) {
        let is_told = found.is_some_and(|found| self.chains(of).broken.get(found));
        if found == Some(place.1) || is_told {
            return;
        }
        let found = found.map_or("none".to_owned(), |found| found.to_string());
        self.found(place, "what the index finds under its key", found, place.1);
    }

    fn chains(&self, of: Of) -> &Chains {
        match of {
            Of::Records => &self.records,
            Of::Edges => &self.edges,
        }
    }

    /// Walks the directory and every segment. Gives how many words lead to a version of the
    /// snapshot, and which directory words lead nowhere.
    fn words(&mut self, kind: Kind) -> (u64, BTreeSet<u64>) {
        let (mut keys, mut damaged, mut segments_end) = (0, BTreeSet::new(), 0);
        if kind.count == 0 {
            return (keys, damaged);
        }
        // A depth that no extent covers is told once, and not walked.
        let mask = (1u64 << kind.depth) - 1;
        if let Err(damage) = kind.index(self.view()).directory_word(mask) {
            self.damaged((kind.directory, mask), &damage);
            return (keys, damaged);
        }
        for first in 0..=mask {
            let mut open = vec![(first, kind.depth)];
            // A split that goes on makes a word deeper while it is walked, DEEPER_MAX at most.
            while let Some((at, used)) = open.pop() {
                match self.directory_word(kind, at, used, kind.depth + DEEPER_MAX) {
                    Some(Word::Deeper(depth)) => {
                        let upper = 0..1u64 << (depth - used);
                        open.extend(upper.map(|upper| (at | upper << used, depth)));
                    }
                    Some(Word::Segment(segment, depth)) => {
                        segments_end = segments_end.max(segment + 1);
                        keys += self.segment(kind, segment, (at, depth));
                    }
                    Some(Word::Known) => {}
                    None => {
                        damaged.insert(first);
                    }
                }
            }
        }
        self.given_out(kind.segments, segments_end);
        (keys, damaged)
    }

    /// Checks a directory word, and says what is to be looked at because of it.
    fn directory_word(&mut self, kind: Kind, at: u64, used: u32, depth_max: u32) -> Option<Word> {
        let index = kind.index(self.view());
        let place = (kind.directory, at);
        let load = |at| {
            let word = index.directory_word(at)?.load(Ordering::Relaxed);
            fence(Ordering::Acquire); // pairs with publish in split
            Ok(word)
        };
        for look in 1.. {
            let word = match load(at) {
                Ok(word) => word,
                Err(damage) => {
                    self.damaged(place, &damage);
                    return None;
                }
            };
            let depth = (word & 0xff) as u32;
            if word >> 8 == 0 || depth > DEPTH_MAX.min(depth_max) {
                let expected = format!("a segment at a depth near {used}");
                let found = format!("segment {} at depth {depth}", word >> 8);
                self.found(place, "an index directory word", found, expected);
                return None;
            }
            if depth > used {
                return Some(Word::Deeper(depth));
            }
            let lowest = at & ((1 << depth) - 1);
            if lowest == at {
                return Some(Word::Segment((word >> 8) - 1, depth));
            }
            let Ok(other) = load(lowest) else { return None }; // told at its own place
            if other == word {
                return Some(Word::Known);
            }
            if look < LOOKS {
                std::thread::yield_now();
                continue; // a split is turning the words
            }
            // Where the writer died in a split, the lowest word still names the old segment, and
            // this one a half: one of the two segments given out last. The next start repairs it.
            let segments = self.live_end(kind.segments);
            let is_half_turned =
                (other & 0xff) as u32 + 1 == depth && word >> 8 > segments.saturating_sub(2);
            if !is_half_turned {
                let expected = format!("{other}, as directory word {lowest} is");
                self.found(place, "an index directory word", word, expected);
            }
            return Some(Word::Segment((word >> 8) - 1, depth));
        }
        None
    }

    /// Checks the words of a segment, which holds the hashes that end with the low bits of `at`.
    fn segment(&mut self, kind: Kind, segment: u64, (at, depth): (u64, u32)) -> u64 {
        let view = self.view();
        let mut found = Vec::new();
        for line in 0..INDEX.segment_lines {
            let first = segment * INDEX.segment_words() + line * INDEX.line_words;
            let index = kind.index(view);
            let words = match index.line(segment, line) {
                Ok(words) => words,
                Err(damage) => {
                    self.damaged((kind.segments, first), &damage);
                    return found.len() as u64;
                }
            };
            // From the last to the first: they are filled from the first on, also meanwhile.
            let mut is_filled = false;
            for at_word in (0..words.len()).rev() {
                let (place, word) =
                    (first + at_word as u64, words[at_word].load(Ordering::Relaxed));
                fence(Ordering::Acquire); // pairs with the release store of an index word
                if word == 0 && is_filled {
                    let expected = "a key, as one stands behind it in its line";
                    self.found((kind.segments, place), "an index word", 0, expected);
                }
                is_filled |= word != 0;
                if let Some(value) = decode(word) {
                    let seen = self.index_word(kind, (place, word), value, (at, depth));
                    found.extend(seen.map(|ordinal| (ordinal, place)));
                }
            }
        }
        found.sort_unstable();
        for pair in found.windows(2) {
            if pair[0].0 == pair[1].0 {
                let (ordinal, place) = pair[1];
                self.found((kind.segments, place), "an index word", ordinal, "one for each key");
            }
        }
        found.len() as u64
    }

    /// Checks one word, and gives the version of the snapshot that it leads to.
    fn index_word(
        &mut self,
        kind: Kind,
        (place, word): (u64, u64),
        value: u64,
        (at, depth): (u64, u32),
    ) -> Option<u64> {
        let view = self.view();
        let place = (kind.segments, place);
        let mut budget = WALK_BUDGET;
        let previous_of = |at| kind.previous(view, at);
        let ordinal = match newest_below(value, kind.count, &mut budget, previous_of) {
            Ok(ordinal) => ordinal?, // else its key came later
            Err(damage) => {
                self.damaged(place, &damage);
                return None;
            }
        };
        if self.chains(kind.of).broken.get(ordinal) {
            return None;
        }
        let hash = match self.hash_of(kind.of, ordinal) {
            Ok(hash) => hash,
            Err(damage) => {
                self.damaged(place, &damage);
                return None;
            }
        };
        let name = if kind.of == Of::Records { "record" } else { "edge" };
        if hash >> 48 != word >> 48 || hash & ((1 << depth) - 1) != at & ((1 << depth) - 1) {
            let expected = format!("the hash of {name} {ordinal}, which is {hash:#018x}");
            self.found(place, "an index word", format!("{word:#018x}"), expected);
        } else if self.chains(kind.of).superseded.get(ordinal) {
            let expected = "the newest, and that is an older version";
            self.found(place, format!("the {name} of an index word"), ordinal, expected);
        }
        Some(ordinal)
    }

    fn hash_of(&self, of: Of, ordinal: u64) -> Result<u64, Damage> {
        let (view, slot) = (self.view(), &self.slot);
        let seed = view.superblock().hash_seed;
        Ok(match of {
            Of::Records => {
                let record = view.record(ordinal, slot)?;
                id_hash(seed, record.namespace, &record.id)
            }
            Of::Edges => {
                let edge = view.edge(ordinal, slot)?;
                edge_hash(seed, edge.source, edge.target, edge.edge_type)
            }
        })
    }
}

/// What a directory word leads to.
enum Word {
    /// It is deeper than the depth by which it was reached: index again at that depth.
    Deeper(u32),
    /// A segment and its depth.
    Segment(u64, u32),
    /// A segment that a lower word leads to as well, and that was looked at there.
    Known,
}
