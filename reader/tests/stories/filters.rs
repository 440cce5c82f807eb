//! Filters against a brute-force check that parses the whole metadata.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sutra_layout::symbol::SymbolTable;
use sutra_reader::{
    Concept, ConceptQuery, Filter, FilterError, Metric, NearestQuery, NeighborQuery, PathQuery,
    Reader, SearchQuery, Snapshot,
};

use crate::support::random::Random;
use crate::support::{Associate, Learn, Writer};

/// Kinds by number; 0: none given.
const KINDS: [&str; 4] = ["", "note", "person", "place"];

/// A store of concepts with random fields, all associated in a ring and with a hub.
fn random_store(seed: u64, count: u64) -> Writer {
    let mut random = Random::new(seed);
    let mut store = Writer::create();
    for (number, kind) in KINDS.iter().enumerate().skip(1) {
        store.name_symbol(SymbolTable::Kind, number as u32, kind);
    }
    store.name_symbol(SymbolTable::Author, 1, "importer (pid 7, uid 0)");
    store.make_space(2, Metric::L2);
    for n in 0..count {
        let metadata = random_metadata(&mut random);
        let vector = random.vector(2);
        let learn = Learn {
            content: "a text",
            metadata: metadata.as_deref(),
            vector: Some(&vector),
            kind: random.below(4) as u16,
            author: random.below(2) as u32,
            expires_at: if random.below(5) == 0 { u64::MAX - n } else { 0 },
            strength: Some(random.below(11) as f32 / 10.0),
            confidence: Some(random.below(11) as f32 / 10.0),
            ..Learn::default()
        };
        let ordinal = store.learn_as(format!("id {n}").as_str().into(), learn);
        store.associate(0, ordinal, Associate::default());
        if n > 0 {
            store.associate(ordinal - 1, ordinal, Associate::default());
        }
    }
    store.publish();
    store
}

fn random_metadata(random: &mut Random) -> Option<String> {
    let value = |random: &mut Random| match random.below(9) {
        0 => Json::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.below(5)),
        3 => json!(random.float()),
        4 => json!("n"),
        5 => json!("quote \" backslash \\ tab \t é 狼"),
        6 => json!([1, "n", {"pos": "n"}]),
        7 => json!({"pos": "v", "b c": [true, 2]}),
        _ => json!("v"),
    };
    match random.below(8) {
        0 => None,
        1 => Some(["", "[1,2]", "{\"pos\":", "nonsense"][random.below(4) as usize].to_owned()),
        _ => {
            let mut object = serde_json::Map::new();
            for key in ["pos", "rank", "deep", "k\"ey", "schlüssel"] {
                if random.below(3) > 0 {
                    object.insert(key.to_owned(), value(random));
                }
            }
            let json = Json::Object(object);
            Some(match random.below(2) {
                0 => json.to_string(),
                _ => serde_json::to_string_pretty(&json).unwrap(),
            })
        }
    }
}

/// A filter's text, and the same as a function of a concept and its parsed metadata.
type Check = fn(&Concept<'_>, &Json) -> bool;

const CHECKS: [(&str, Check); 24] = [
    ("meta.pos = n", |_, meta| meta["pos"] == "n"),
    ("meta.pos != n", |_, meta| meta["pos"] != "n"),
    ("meta.pos in (n, v, 3)", |_, meta| {
        meta["pos"] == "n" || meta["pos"] == "v" || meta["pos"].as_f64() == Some(3.0)
    }),
    ("not meta.pos in ('n')", |_, meta| meta["pos"] != "n"),
    ("meta.pos not in (n, \"3\")", |_, meta| meta["pos"] != "n"),
    ("exists meta.pos", |_, meta| meta.get("pos").is_some()),
    ("not exists meta.deep", |_, meta| meta.get("deep").is_none()),
    ("meta.rank >= 2", |_, meta| meta["rank"].as_f64().is_some_and(|n| n >= 2.0)),
    ("meta.rank < 0.25", |_, meta| meta["rank"].as_f64().is_some_and(|n| n < 0.25)),
    ("meta.rank < v", |_, meta| meta["rank"].as_str().is_some_and(|text| text < "v")),
    ("meta.rank == true", |_, meta| meta["rank"] == true),
    ("meta.rank = null", |_, meta| meta.get("rank").is_some_and(Json::is_null)),
    ("meta.deep.pos = v", |_, meta| meta["deep"]["pos"] == "v"),
    ("meta.deep.\"b c\"[1] = 2", |_, meta| meta["deep"]["b c"][1] == 2),
    ("meta.deep[2].pos = n", |_, meta| meta["deep"][2]["pos"] == "n"),
    ("meta.deep.1 = n", |_, meta| meta["deep"][1] == "n"),
    ("exists meta[\"k\\\"ey\"]", |_, meta| meta.get("k\"ey").is_some()),
    ("meta.schlüssel = 'quote \" backslash \\\\ tab \t é 狼'", |_, meta| {
        meta["schlüssel"] == "quote \" backslash \\ tab \t é 狼"
    }),
    ("kind = note and confidence >= 0.7", |concept, _| {
        concept.kind() == Some("note") && concept.confidence() >= 0.7
    }),
    ("kind != note or strength < 0.3 and not exists expires_at", |concept, _| {
        concept.kind() != Some("note") || concept.strength() < 0.3 && concept.expires_at().is_none()
    }),
    ("(kind = note or strength < 0.3) and not (exists author or exists kind)", |concept, _| {
        concept.strength() < 0.3 && concept.author().is_none() && concept.kind().is_none()
    }),
    ("author = 'importer (pid 7, uid 0)' and namespace = ''", |concept, _| {
        concept.author().is_some()
    }),
    ("id >= 'id 5' and lsn > 100 and version = 1", |concept, _| {
        concept.id().unwrap().to_string().as_str() >= "id 5" && concept.lsn() > 100
    }),
    ("updated_at > 1700000000000200 and created_at >= 2023-11-14T22:13:20.0003Z", |concept, _| {
        concept.created_at() >= 1_700_000_000_000_300
    }),
];

fn metadata_of(concept: &Concept<'_>) -> Json {
    let metadata = concept.metadata().unwrap().unwrap_or_default();
    let parsed = serde_json::from_str(metadata).unwrap_or(Json::Null);
    if parsed.is_object() { parsed } else { Json::Null }
}

/// Ordinals of the concepts that a check takes.
fn brute_force(snapshot: &Snapshot, check: Check) -> Vec<u32> {
    let all = snapshot.concepts().map(Result::unwrap);
    let taken = all.filter(|concept| check(concept, &metadata_of(concept)));
    taken.map(|concept| concept.ordinal()).collect()
}

#[test]
fn every_query_under_a_filter_gives_what_a_brute_force_check_gives() {
    for seed in 0..4 {
        let store = random_store(seed, 300);
        let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
        let hub = snapshot.get("id 0").unwrap().unwrap();
        let mut matched = 0;
        for (text, check) in CHECKS {
            let filter = Filter::parse(text).unwrap();
            let expected = brute_force(&snapshot, check);
            matched += expected.len();
            let query = ConceptQuery { filter: Some(&filter), ..ConceptQuery::default() };
            let found = snapshot.concepts_where(&query).map(|found| found.unwrap().ordinal());
            assert_eq!(found.collect::<Vec<_>>(), expected, "{text}");

            let all = snapshot.neighbors(&hub, &NeighborQuery::default()).unwrap();
            let query = NeighborQuery { filter: Some(&filter), ..NeighborQuery::default() };
            let kept = all.iter().filter(|neighbor| expected.contains(&neighbor.ordinal));
            assert!(snapshot.neighbors(&hub, &query).unwrap().iter().eq(kept.clone()), "{text}");
            let few = NeighborQuery { limit: Some(7), ..query };
            assert!(snapshot.neighbors(&hub, &few).unwrap().iter().eq(kept.take(7)), "{text}");

            let all = NearestQuery { k: 1000, ..NearestQuery::default() };
            let all = snapshot.nearest(&[0.1, 0.2], &all).unwrap();
            let query = NearestQuery { k: 9, filter: Some(&filter), ..NearestQuery::default() };
            let kept = all.iter().filter(|hit| expected.contains(&hit.ordinal)).take(9);
            assert!(snapshot.nearest(&[0.1, 0.2], &query).unwrap().iter().eq(kept), "{text}");

            let all = SearchQuery { limit: 1000, ..SearchQuery::default() };
            let all = snapshot.search("text", &all).unwrap();
            let query = SearchQuery { limit: 9, filter: Some(&filter), ..SearchQuery::default() };
            let kept = all.iter().filter(|hit| expected.contains(&hit.ordinal)).take(9);
            assert!(snapshot.search("text", &query).unwrap().iter().eq(kept), "{text}");
        }
        assert!(matched > 1000, "the checks take something: {matched}");
    }
}

#[test]
fn a_path_goes_through_concepts_of_the_filter_alone_and_the_ends_are_free() {
    let mut store = Writer::create();
    let learn = |metadata| Learn { metadata: Some(metadata), ..Learn::default() };
    let from = store.learn("from", "");
    let short = store.learn_as("short".into(), learn("{\"open\":false}"));
    let [long, longer] =
        ["long", "longer"].map(|id| store.learn_as(id.into(), learn("{\"open\":true}")));
    let to = store.learn("to", "");
    for (source, target) in [(from, short), (short, to), (from, long), (long, longer), (longer, to)]
    {
        store.associate(source, target, Associate::default());
    }
    store.associate(from, from, Associate::default());
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let [a, b] = [from, to].map(|ordinal| snapshot.concept(ordinal).unwrap().unwrap());
    let nodes = |filter: Option<&Filter>, max_depth| {
        let query = PathQuery { filter, max_depth, ..PathQuery::default() };
        snapshot.find_path(&a, &b, &query).unwrap().map(|path| path.nodes)
    };
    let open = Filter::eq("meta.open", true).unwrap();
    assert_eq!(nodes(None, 6), Some(vec![from, short, to]));
    assert_eq!(nodes(Some(&open), 6), Some(vec![from, long, longer, to]));
    assert_eq!(nodes(Some(&open), 2), None);
    assert_eq!(nodes(Some(&open.clone().not()), 6), Some(vec![from, short, to]));
    assert_eq!(nodes(Some(&Filter::eq("id", "nothing").unwrap()), 6), None);
    let next = PathQuery { filter: Some(&open), ..PathQuery::default() };
    let last = snapshot.concept(longer).unwrap().unwrap();
    assert_eq!(snapshot.find_path(&last, &b, &next).unwrap().unwrap().nodes, [longer, to]);
}

#[test]
fn a_filter_made_by_functions_is_the_one_that_is_written() {
    let made = Filter::eq("kind", "note")
        .and_then(|kind| Ok(kind.and(Filter::at_least("confidence", 0.5)?)))
        .and_then(|both| Ok(both.or(Filter::is_in("meta.pos", ["n", "v"])?)))
        .and_then(|any| Ok(any.or(Filter::exists("meta.a[0].\"b c\"")?.not())))
        .unwrap();
    let written = "kind = note and confidence >= 0.5 or meta.pos in (n, v) \
                   or not exists meta.a[0].\"b c\"";
    assert_eq!(Filter::parse(written).unwrap(), made);
    assert_eq!(Filter::parse(&made.to_string()).unwrap(), made);
    let time = Filter::greater("updated_at", "2026-01-01T00:00:00Z").unwrap();
    assert_eq!(time, Filter::greater("updated_at", 1_767_225_600_000_000_u64).unwrap());
    assert_eq!(time, "updated_at > 2026-01-01".parse().unwrap());
    let none = Filter::is_in("kind", [""; 0]).unwrap();
    let store = random_store(1, 5);
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let concept = snapshot.get("id 1").unwrap().unwrap();
    assert!(!none.matches(&concept).unwrap());
    assert!(!Filter::parse(&none.to_string()).unwrap().matches(&concept).unwrap());
}

#[test]
fn what_is_no_filter_says_what_is_wrong_and_where() {
    let cases = [
        ("", "byte 0 of the filter is the end, expected a field"),
        ("color = red", "`color` is no field; the fields are id, kind, namespace, author, "),
        ("kinds = x", "`kinds` is no field"),
        ("kind.x = y", "`kind.x` is no field"),
        ("meta..a = 1", "`meta..a` is no field"),
        ("meta.a[x] = 1", "`meta.a[x]` is no field"),
        ("kind", "byte 4 of the filter is the end, expected `=`, `!=`,"),
        ("kind ~ x", "byte 5 of the filter is `~`, expected `=`"),
        ("kind =", "byte 6 of the filter is the end, expected a value"),
        ("kind = a b", "byte 9 of the filter is `b`, expected `and`, `or`, or the end"),
        ("(kind = a", "byte 9 of the filter is the end, expected `)`"),
        ("kind in a", "byte 8 of the filter is `a`, expected `(` and values"),
        ("kind in (a b)", "byte 11 of the filter is `b`, expected `,` or `)`"),
        ("kind not a", "byte 9 of the filter is `a`, expected `in` after `not`"),
        ("kind = 'a", "byte 7 of the filter is `'`, expected a value"),
        ("confidence > high", "confidence is compared with \"high\", expected a number"),
        ("updated_at > noon", "updated_at is compared with \"noon\", expected a time such as"),
        ("meta.a > true", "meta.a is compared with `> true`, expected"),
        ("meta.a > -inf", "meta.a is compared with -inf, expected a finite number"),
    ];
    for (text, expected) in cases {
        let error = Filter::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    for deep in ["not ".repeat(1 << 20), "(".repeat(1 << 20)] {
        let deep = Filter::parse(&deep).unwrap_err();
        assert!(matches!(deep, FilterError::TooDeep { .. }), "{deep}");
    }
    assert!(Filter::eq("kind", 1).is_err());
    assert!(Filter::eq("lsn", f64::NAN).is_err());
    assert!(Filter::eq("meta.a = 1 or meta.b", "x").is_err());
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let field = prop_oneof![
        Just("kind".to_owned()),
        Just("id".to_owned()),
        "meta(\\.[a-zé0-9_-]{1,4}|\\[[0-9]{1,3}\\]|\\.\"[a-z .()']{0,4}\"){0,3}",
    ];
    let text = "[a-zA-Z0-9 \"'\\\\()=,.é-]{0,8}";
    let comparison = (field.clone(), text, 0..6u8).prop_map(|(field, value, relation)| {
        let value = value.as_str();
        let filter = match relation {
            0 => Filter::eq(&field, value),
            1 => Filter::ne(&field, value),
            2 => Filter::less(&field, value),
            3 => Filter::at_most(&field, value),
            4 => Filter::greater(&field, value),
            _ => Filter::is_in(&field, [value, "x"]),
        };
        filter.unwrap()
    });
    let number = any::<f64>().prop_filter("finite", |number| number.is_finite());
    let leaf = prop_oneof![
        comparison,
        field.prop_map(|field| Filter::exists(&field).unwrap()),
        number.prop_map(|number| Filter::at_least("meta.n", number).unwrap()),
        any::<bool>().prop_map(|value| Filter::ne("meta.b", value).unwrap()),
        any::<u32>().prop_map(|at| Filter::less("expires_at", at).unwrap()),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(Filter::not),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_printed_is_that_filter(filter in any_filter()) {
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z_.\\[\\]()\"'\\\\=<>! ,é0-9]{0,60}") {
        let _ = Filter::parse(&text);
        let _ = Filter::parse(&format!("meta.a {text}"));
        let _ = Filter::eq(&text, "x");
        let _ = sutra_reader::parse_time(&text);
    }

    #[test]
    fn no_metadata_makes_a_filter_panic(metadata in "[\\[\\]{}\"\\\\:,a0-9 netru.é-]{0,60}") {
        let mut store = Writer::create();
        let learn = Learn { metadata: Some(&metadata), ..Learn::default() };
        store.learn_as("x".into(), learn);
        store.publish();
        let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
        let concept = snapshot.get("x").unwrap().unwrap();
        for text in ["meta.a = 1", "exists meta", "meta.a[1].a < 2", "meta.\"\" = a"] {
            Filter::parse(text).unwrap().matches(&concept).unwrap();
        }
    }
}
