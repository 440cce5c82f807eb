//! Which contents a text search finds, in which order, and against a plain check.

use sutra_layout::symbol::SymbolTable;
use sutra_reader::{Namespaces, ReadError, Reader, SearchQuery, Snapshot};

use crate::support::random::Random;
use crate::support::{Learn, Writer};

fn store_of(contents: &[&str]) -> Writer {
    let mut store = Writer::create();
    for (n, content) in contents.iter().enumerate() {
        store.learn(&format!("{n}"), content);
    }
    store.publish();
    store
}

fn ordinals(snapshot: &Snapshot, text: &str) -> Vec<u32> {
    let hits = snapshot.search(text, &SearchQuery::default()).unwrap();
    hits.iter().map(|hit| hit.ordinal).collect()
}

#[test]
fn all_words_must_begin_words_of_the_content_whatever_the_case() {
    let store = store_of(&[
        "A wild DOG of the family Canidae",
        "hotdogs are not wild",
        "Dogs, wildly barking",
        "wild",
        "",
        "ÉCOLE normale: dog-wild",
    ]);
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    assert_eq!(ordinals(&snapshot, "wild dog"), [0, 5, 2]);
    assert_eq!(ordinals(&snapshot, "DOG, Wild! dog"), [0, 5, 2]);
    assert_eq!(ordinals(&snapshot, "école"), [5]);
    assert!(ordinals(&snapshot, "cole").is_empty());
    assert_eq!(ordinals(&snapshot, "hotdog"), [1]);
    for text in ["", "  ", "--"] {
        let error = snapshot.search(text, &SearchQuery::default()).unwrap_err();
        assert!(matches!(error, ReadError::NoWords), "{error}");
    }
}

#[test]
fn the_order_is_by_whole_words_then_occurrences_then_place_then_size() {
    let store = store_of(&[
        "a cat catalog",          // one whole word, twice, at 2
        "cats cats cats cats",    // no whole word
        "the cat",                // once, at 4
        "cat and a long content", // once, at 0
        "cat and",                // once, at 0, shorter
        "cat cat",                // twice, at 0
        "cat and",                // as 4, later
    ]);
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    assert_eq!(ordinals(&snapshot, "cat"), [5, 0, 4, 6, 3, 2, 1]);
    let two = SearchQuery { limit: 2, ..SearchQuery::default() };
    let hits = snapshot.search("cat", &two).unwrap();
    let found: Vec<_> =
        hits.iter().map(|hit| (hit.ordinal, hit.whole_words, hit.occurrences)).collect();
    assert_eq!(found, [(5, 1, 2), (0, 1, 2)]);
    let none = SearchQuery { limit: 0, ..SearchQuery::default() };
    assert!(snapshot.search("cat", &none).unwrap().is_empty());
}

#[test]
fn a_search_sees_what_its_snapshot_sees_in_its_namespaces() {
    let mut store = Writer::create();
    store.name_symbol(SymbolTable::Namespace, 1, "zoo");
    store.learn("kept", "wolf");
    store.learn("changed", "wolf");
    store.learn("forgotten", "wolf");
    let before = store.slot.operations;
    store.learn("changed", "fox");
    store.forget("forgotten");
    let zoo = ("zoo", 1);
    store.learn_as("z".into(), Learn { namespace: zoo, content: "wolf", ..Learn::default() });
    store.learn_as("e".into(), Learn { expires_at: 1, content: "wolf", ..Learn::default() });
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    assert_eq!(ordinals(&snapshot, "wolf"), [0]);
    assert_eq!(ordinals(&snapshot.as_of(before).unwrap(), "wolf"), [0, 1, 2]);
    let within = |namespaces| {
        let query = SearchQuery { namespaces, ..SearchQuery::default() };
        let hits = snapshot.search("wolf", &query).unwrap();
        hits.iter().map(|hit| hit.ordinal).collect::<Vec<_>>()
    };
    assert_eq!(within("zoo".into()), [3]);
    assert_eq!(within(Namespaces::All), [0, 3]);
    assert!(within("farm".into()).is_empty());
}

/// The words of a text, folded by the rule in the documentation.
fn words(text: &str) -> Vec<String> {
    let folded: String = text.chars().flat_map(char::to_lowercase).collect();
    let folded = folded.replace('ς', "σ");
    let words = folded.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn random_texts_are_found_as_by_a_plain_check() {
    const PARTS: [&str; 16] = [
        "a", "b", "ab", "AB", "Abc", " ", " ", " ", ", ", "-", "é", "É", "ς", "狼", "1", "\u{301}",
    ];
    for seed in 0..4 {
        let mut random = Random::new(seed);
        let mut text = |length: u64| -> String {
            (0..random.below(length)).map(|_| PARTS[random.below(16) as usize]).collect()
        };
        let contents: Vec<String> = (0..400).map(|_| text(14)).collect();
        let store = store_of(&contents.iter().map(String::as_str).collect::<Vec<_>>());
        let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
        for _ in 0..60 {
            let wanted = text(5);
            let mut wanted_words = words(&wanted);
            wanted_words.sort();
            wanted_words.dedup();
            let query = SearchQuery { limit: 1000, ..SearchQuery::default() };
            if wanted_words.is_empty() {
                assert!(snapshot.search(&wanted, &query).is_err());
                continue;
            }
            let found = snapshot.search(&wanted, &query).unwrap();
            let mut found: Vec<_> =
                found.iter().map(|hit| (hit.ordinal, hit.whole_words, hit.occurrences)).collect();
            found.sort_unstable();
            let expected = contents.iter().enumerate().filter_map(|(ordinal, content)| {
                let have = words(content);
                let count = |word: &String| have.iter().filter(|w| w.starts_with(word)).count();
                let counts: Vec<usize> = wanted_words.iter().map(count).collect();
                let whole = wanted_words.iter().filter(|word| have.contains(word)).count();
                let all = counts.iter().all(|count| *count > 0);
                all.then(|| (ordinal as u32, whole as u32, counts.iter().sum::<usize>() as u32))
            });
            assert_eq!(found, expected.collect::<Vec<_>>(), "{wanted:?}");
        }
    }
}
