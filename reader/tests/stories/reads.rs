//! What a snapshot gives of concepts, and that it stays as it was.

use sutra_layout::record::ConceptRecord;
use sutra_layout::symbol::SymbolTable;
use sutra_reader::{ConceptId, Id, Metric, ReadError, Reader};

use crate::support::{Learn, Writer};

#[test]
fn a_learnt_concept_is_read_back_byte_for_byte() {
    let mut store = Writer::create();
    store.name_symbol(SymbolTable::Kind, 1, "animal");
    store.name_symbol(SymbolTable::Author, 7, "importer");
    store.make_space(5, Metric::Cosine);
    let vector = [0.5, -1.0, 2.0, 0.0, 1e-3];
    let learn = Learn {
        content: "a wild dog: Canis lupus — “wolf”",
        metadata: Some("{\"legs\":4}"),
        vector: Some(&vector),
        kind: 1,
        author: 7,
        ..Learn::default()
    };
    let ordinal = store.learn_as("wolf.n.01".into(), learn);
    store.publish();

    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let wolf = snapshot.get("wolf.n.01").unwrap().unwrap();
    assert_eq!(wolf.ordinal(), ordinal);
    assert_eq!(wolf.id().unwrap(), ConceptId::Text("wolf.n.01"));
    assert_eq!(wolf.content().unwrap(), learn.content);
    assert_eq!(wolf.metadata().unwrap(), learn.metadata);
    assert_eq!(wolf.embedding().unwrap(), Some(&vector[..]));
    assert_eq!((wolf.kind(), wolf.author()), (Some("animal"), Some("importer")));
    assert_eq!((wolf.strength(), wolf.confidence()), (0.5, 0.75));
    assert_eq!((wolf.namespace(), wolf.expires_at()), ("", None));
    assert_eq!((wolf.version(), wolf.lsn(), wolf.born_lsn()), (1, 1, 1));
    assert!(snapshot.contains("wolf.n.01").unwrap());
    assert!(!snapshot.contains("fox.n.01").unwrap());
}

#[test]
fn every_form_of_id_finds_its_concept() {
    let mut store = Writer::create();
    let digits = "00ff00ff00ff00ff00ff00ff00ff00ff";
    let key = [7; 16];
    let learn = |content| Learn { content, ..Learn::default() };
    store.learn_as(digits.into(), learn("hex"));
    store.learn_as(key.into(), learn("raw"));
    store.learn_as(Id::Content, learn("content"));
    store.publish();

    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let hex = snapshot.get(digits).unwrap().unwrap();
    assert_eq!(hex.id().unwrap().to_string(), digits);
    let raw = snapshot.get(key).unwrap().unwrap();
    assert_eq!(raw.id().unwrap(), ConceptId::Raw(key));
    let shown = raw.id().unwrap().to_string();
    assert_eq!(snapshot.get(shown.as_str()).unwrap().unwrap().content().unwrap(), "raw");

    let hash = Id::Content.key("", "content");
    let content = snapshot.get(hash).unwrap().unwrap();
    assert_eq!(content.id().unwrap(), ConceptId::Content(hash));
    assert!(matches!(snapshot.get(Id::Content), Err(ReadError::NoId)));
    assert!(matches!(snapshot.get(""), Err(ReadError::InvalidId(_))));
    let long = "x".repeat(1025);
    assert!(matches!(snapshot.get(&long), Err(ReadError::InvalidId(_))));
}

#[test]
fn namespaces_keep_equal_ids_apart() {
    let mut store = Writer::create();
    store.name_symbol(SymbolTable::Namespace, 1, "zoo");
    store.learn("fox", "anywhere");
    let learn = Learn { namespace: ("zoo", 1), content: "in the zoo", ..Learn::default() };
    store.learn_as("fox".into(), learn);
    store.publish();

    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let content = |namespace| {
        let fox = snapshot.get_in(namespace, "fox").unwrap();
        fox.map(|fox| (fox.namespace(), fox.content().unwrap()))
    };
    assert_eq!(content(""), Some(("", "anywhere")));
    assert_eq!(content("zoo"), Some(("zoo", "in the zoo")));
    assert_eq!(content("farm"), None);
}

#[test]
fn many_ids_find_what_each_finds_at_its_place() {
    let mut store = Writer::create();
    store.name_symbol(SymbolTable::Namespace, 2, "zoo");
    for n in 0..500 {
        store.learn(&format!("{n}"), "");
    }
    store.learn("1", "a second time");
    store.forget("2");
    store.learn_as("fox".into(), Learn { namespace: ("zoo", 2), ..Learn::default() });
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();

    // Some that are there, some not, some twice; fewer than are fetched ahead, and more.
    for count in [0, 1, 7, 16, 17, 700] {
        let ids: Vec<String> = (0..count).map(|n| format!("{}", n * 7 % 600)).collect();
        let found = snapshot.get_many(&ids).unwrap();
        assert_eq!(found.len(), count);
        for (id, found) in ids.iter().zip(found) {
            let alone = snapshot.get(id).unwrap();
            assert_eq!(
                found.map(|c| (c.lsn(), c.ordinal())),
                alone.map(|c| (c.lsn(), c.ordinal()))
            );
        }
    }
    let in_zoo = snapshot.get_many_in("zoo", ["1", "fox"]).unwrap();
    assert_eq!(in_zoo.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    assert_eq!(snapshot.get_many_in("farm", ["1", "fox"]).unwrap().iter().flatten().count(), 0);
    for namespace in ["", "farm"] {
        let refused = snapshot.get_many_in(namespace, ["1", ""]);
        assert!(matches!(refused, Err(ReadError::InvalidId(_))));
    }
}

#[test]
fn a_snapshot_sees_neither_the_unpublished_nor_the_later() {
    let mut store = Writer::create();
    store.learn("a", "first");
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let before = reader.snapshot().unwrap();

    store.learn("a", "second");
    store.learn("b", "new");
    let unpublished = reader.snapshot().unwrap();
    for snapshot in [&before, &unpublished] {
        let a = snapshot.get("a").unwrap().unwrap();
        assert_eq!(a.content().unwrap(), "first", "a published key does not vanish");
        assert!(!snapshot.contains("b").unwrap());
        assert_eq!(snapshot.concepts().count(), 1);
    }

    store.publish();
    let after = reader.snapshot().unwrap();
    let a = after.get("a").unwrap().unwrap();
    assert_eq!((a.content().unwrap(), a.version()), ("second", 2));
    assert!(after.contains("b").unwrap());
    assert_eq!(before.get("a").unwrap().unwrap().content().unwrap(), "first");
    assert!(after.commit_seq() > before.commit_seq());
}

#[test]
fn forgotten_and_expired_concepts_are_absent() {
    let mut store = Writer::create();
    store.learn("kept", "kept");
    store.learn("gone", "gone");
    store.forget("gone");
    let expiring = |expires_at| Learn { content: "brief", expires_at, ..Learn::default() };
    store.learn_as("expired".into(), expiring(1));
    store.learn_as("expires later".into(), expiring(u64::MAX));
    store.publish();

    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let ids: Vec<String> =
        snapshot.concepts().map(|concept| concept.unwrap().id().unwrap().to_string()).collect();
    assert_eq!(ids, ["kept", "expires later"]);
    for id in ["gone", "expired"] {
        assert!(!snapshot.contains(id).unwrap(), "{id}");
    }
    assert!(snapshot.concept(1).unwrap().is_none());
    assert!(snapshot.concept(u32::MAX).unwrap().is_none());
}

#[test]
fn a_placeholder_is_empty() {
    let mut store = Writer::create();
    store.learn("first", "bytes at the start of the region");
    let learn = Learn { flags: ConceptRecord::PLACEHOLDER, ..Learn::default() };
    store.learn_as("named".into(), learn);
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let named = snapshot.get("named").unwrap().unwrap();
    assert!(named.is_placeholder());
    assert_eq!(named.content().unwrap(), "");
}

#[test]
fn many_concepts_are_all_found_through_every_split_of_the_index() {
    let mut store = Writer::create();
    let reader = Reader::open(store.path()).unwrap();
    let mut old = reader.snapshot().unwrap();
    for round in 0..20 {
        for n in 0..500 {
            store.learn(&format!("{round}/{n}"), &format!("content of {round}/{n}"));
        }
        // An old snapshot looks up by an old depth in an index that has split since.
        for n in (0..500).filter(|_| round > 0) {
            let id = format!("{}/{n}", round - 1);
            let found = old.get(&id).unwrap().unwrap();
            assert_eq!(found.content().unwrap(), format!("content of {id}"));
        }
        store.publish();
        old = reader.snapshot().unwrap();
    }
    assert_eq!(old.concepts().filter(Result::is_ok).count(), 10_000);
    assert_eq!(old.concept_count(), 10_000);
}

#[test]
fn names_made_after_a_snapshot_are_read_by_the_next() {
    let mut store = Writer::create();
    let reader = Reader::open(store.path()).unwrap();
    let before = reader.snapshot().unwrap();
    assert_eq!(before.type_name(1), Some("causal"));
    assert_eq!(before.type_number("temporal"), Some(2));
    assert_eq!(before.type_number("hypernym"), None);

    store.name_symbol(SymbolTable::Type, 16, "hypernym");
    store.publish();
    let after = reader.snapshot().unwrap();
    assert_eq!(after.type_number("hypernym"), Some(16));
    assert_eq!(after.type_name(16), Some("hypernym"));
    assert_eq!(after.types().len(), 6);
    assert_eq!(before.type_name(16), None);

    // More names than one extent holds, read in one go by a new reader and in pieces by the old.
    for number in 17..1017 {
        store.name_symbol(SymbolTable::Type, number, &format!("{number:0>200}"));
        if number % 100 == 0 {
            store.publish();
            reader.snapshot().unwrap();
        }
    }
    store.publish();
    let fresh = Reader::open(store.path()).unwrap().snapshot().unwrap();
    for snapshot in [reader.snapshot().unwrap(), fresh] {
        for number in [16, 17, 500, 1016] {
            let name = snapshot.type_name(number).unwrap().to_owned();
            assert_eq!(snapshot.type_number(&name), Some(number));
        }
        assert_eq!(snapshot.types().len(), 5 + 1001);
    }
}
