//! What operations do, and what they are refused for, through a client and a reader.

use sutra_client::{Associate, Client, ClientError, ErrorCode, Learn, OperationError, TypeRef};
use sutra_layout::id::key_to_hex;
use sutra_reader::{Direction, Id, NeighborQuery, Snapshot};
use sutra_tests::TestStore;
use sutra_tests::store::Writing;

fn learn<'a>(id: &'a str, content: &'a str) -> Learn<'a> {
    Learn { id: id.into(), content: Some(content), ..Learn::default() }
}

fn associate<'a>(source: &'a str, target: &'a str) -> Associate<'a> {
    Associate { source: source.into(), target: target.into(), ..Associate::default() }
}

fn now(store: &TestStore) -> Snapshot {
    store.reader().snapshot().unwrap()
}

fn codes(errors: &[OperationError]) -> Vec<(u32, ErrorCode)> {
    errors.iter().map(|error| (error.index, error.code)).collect()
}

#[test]
fn an_unknown_end_is_an_error_of_that_operation_alone() {
    let store = TestStore::started();
    let receipt = store.client().batch(|batch| {
        batch.learn(&learn("a", "1")).unwrap();
        batch.associate(&associate("a", "nobody")).unwrap();
        batch.associate(&associate("nobody else", "a")).unwrap();
        batch.learn(&learn("b", "2")).unwrap();
        batch.associate(&associate("a", "b")).unwrap();
    });
    let receipt = receipt.unwrap();
    let unknown = ErrorCode::UnknownConcept;
    assert_eq!(codes(&receipt.errors), [(1, unknown), (2, unknown)]);
    assert!(receipt.errors[0].message.contains("nobody"), "{}", receipt.errors[0]);
    let snapshot = now(&store);
    assert_eq!((snapshot.concept_count(), snapshot.association_count()), (2, 1));
}

#[test]
fn a_missing_end_is_made_when_that_is_asked_for_and_learnt_later() {
    let store = TestStore::started();
    let mut client = store.client();
    let made = client.batch(|batch| {
        let associate = Associate { create_missing: true, ..associate("a", "b") };
        batch.associate(&associate).unwrap();
        batch.associate(&Associate { kind: "again".into(), ..associate }).unwrap();
    });
    assert!(made.unwrap().errors.is_empty());
    let placeholder = |id: &str| {
        let snapshot = now(&store);
        let concept = snapshot.get(id).unwrap().unwrap();
        (concept.is_placeholder(), concept.version(), concept.content().unwrap().to_owned())
    };
    assert_eq!(placeholder("a"), (true, 1, String::new()));
    assert_eq!(placeholder("b"), (true, 1, String::new()));
    client.learn("b", "here it is");
    assert_eq!(placeholder("b"), (false, 2, "here it is".to_owned()));
    let snapshot = now(&store);
    let target = snapshot.get("b").unwrap().unwrap();
    let query = NeighborQuery { direction: Direction::In, ..NeighborQuery::default() };
    assert_eq!(snapshot.neighbors(&target, &query).unwrap().len(), 2);
}

#[test]
fn an_atomic_frame_is_applied_whole_or_not_at_all() {
    let store = TestStore::started();
    let mut client = store.client();
    let mut write = |target: &str| {
        client.batch(|batch| {
            batch.atomic(true);
            batch.learn(&learn("a", target)).unwrap();
            batch.learn(&learn("b", target)).unwrap();
            batch.associate(&associate("a", target)).unwrap();
        })
    };
    match write("nobody") {
        Err(ClientError::Refused { code: ErrorCode::UnknownConcept, message, .. }) => {
            assert!(message.contains("operation 2"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(now(&store).concept_count(), 0);
    write("b").unwrap();
    let snapshot = now(&store);
    assert_eq!((snapshot.concept_count(), snapshot.association_count()), (2, 1));
    let lsn = |id: &str| snapshot.get(id).unwrap().unwrap().lsn();
    assert_eq!(lsn("a"), lsn("b"));
}

#[test]
fn learning_again_keeps_the_associations_and_every_field_not_given() {
    let mut store = TestStore::started();
    let mut client = store.client();
    let full = Learn {
        metadata: Some("{\"n\": 1}"),
        kind: Some("animal"),
        strength: Some(0.5),
        confidence: Some(0.25),
        embedding: Some(&[1.0, 2.0]),
        expires_at: Some(u64::MAX / 2),
        created_at: Some(5),
        ..learn("a", "first")
    };
    client.batch(|batch| batch.learn(&full).unwrap()).unwrap();
    client.learn("b", "other");
    client.associate("a", "near", "b");
    client.associate("b", "near", "a");
    client.learn("a", "second");
    store.restart();
    let check = |text: &str, version: u32| {
        let snapshot = now(&store);
        let concept = snapshot.get("a").unwrap().unwrap();
        assert_eq!(concept.content().unwrap(), text);
        assert_eq!(concept.metadata().unwrap(), Some("{\"n\": 1}"));
        assert_eq!(concept.kind(), Some("animal"));
        assert!(concept.author().unwrap().starts_with("story"));
        assert_eq!((concept.strength(), concept.confidence()), (0.5, 0.25));
        assert_eq!(concept.embedding().unwrap(), Some(&[1.0, 2.0][..]));
        assert_eq!((concept.expires_at(), concept.created_at()), (Some(u64::MAX / 2), 5));
        assert_eq!(concept.version(), version);
        assert!(concept.born_lsn() < concept.lsn());
        let query = NeighborQuery { direction: Direction::Both, ..NeighborQuery::default() };
        assert_eq!(snapshot.neighbors(&concept, &query).unwrap().len(), 2);
    };
    check("second", 2);
    let none = Learn { id: "a".into(), ..Learn::default() };
    client.batch(|batch| batch.learn(&none).unwrap()).unwrap();
    check("second", 3);
}

#[test]
fn what_is_learnt_without_an_id_is_filed_under_the_hash_of_its_content() {
    let store = TestStore::started();
    let mut client = store.client();
    let text = "all that it is called by";
    for _ in 0..2 {
        let nameless = Learn { content: Some(text), ..Learn::default() };
        client.batch(|batch| batch.learn(&nameless).unwrap()).unwrap();
    }
    let snapshot = now(&store);
    assert_eq!(snapshot.concept_count(), 1);
    let hex = key_to_hex(&Id::Content.key("", text));
    let concept = snapshot.get(&hex).unwrap().unwrap();
    assert_eq!((concept.content().unwrap(), concept.version()), (text, 2));
    assert_eq!(concept.id().unwrap().to_string(), hex);
    // And under it, it can be associated.
    client.learn("a", "");
    let receipt = client.batch(|batch| batch.associate(&associate("a", &hex)).unwrap());
    assert!(receipt.unwrap().errors.is_empty());
}

#[test]
fn a_type_is_a_name_or_a_number() {
    let mut store = TestStore::started();
    let mut client = store.client();
    let write = |client: &mut Client, kind: TypeRef<'_>| {
        let receipt = client.batch(|batch| {
            batch.learn(&learn("a", "")).unwrap();
            batch.learn(&learn("b", "")).unwrap();
            batch.associate(&Associate { kind, ..associate("a", "b") }).unwrap();
        });
        codes(&receipt.unwrap().errors)
    };
    let invalid = [(2, ErrorCode::InvalidType)];
    assert_eq!(write(&mut client, TypeRef::Number(5)), invalid);
    assert_eq!(write(&mut client, TypeRef::Number(16)), invalid);
    assert_eq!(write(&mut client, TypeRef::Name("")), invalid);
    let valid = [
        TypeRef::Number(1),
        TypeRef::Name("causal"),
        TypeRef::Name("barks at"),
        TypeRef::Number(16),
    ];
    for kind in valid {
        assert_eq!(write(&mut client, kind), []);
    }
    for change in [|_: &mut TestStore| {}, TestStore::kill_and_restart, TestStore::restart] {
        change(&mut store);
        let snapshot = now(&store);
        assert_eq!(
            (snapshot.type_number("barks at"), snapshot.type_name(16)),
            (Some(16), Some("barks at"))
        );
        assert_eq!(snapshot.type_number("causal"), Some(1));
        let concept = snapshot.get("a").unwrap().unwrap();
        let found = snapshot.neighbors(&concept, &NeighborQuery::default()).unwrap();
        let types: Vec<u16> = found.iter().map(|neighbor| neighbor.edge_type).collect();
        assert_eq!(types, [16, 1], "associated again is not associated twice");
        let only = NeighborQuery { types: Some(&[1]), ..NeighborQuery::default() };
        assert_eq!(snapshot.neighbors(&concept, &only).unwrap().len(), 1);
    }
}

#[test]
fn conditions_are_checked_against_what_is_there_and_told() {
    let store = TestStore::started();
    let mut client = store.client();
    let mut write = |learn: &Learn<'_>| {
        let receipt = client.batch(|batch| batch.learn(learn).unwrap()).unwrap();
        let error = receipt.errors.first().map(|error| (error.code, error.detail));
        (receipt.last_lsn, error)
    };
    let absent = Learn { if_absent: true, ..learn("a", "first") };
    let (lsn, error) = write(&absent);
    assert_eq!(error, None);
    let conflict = Some((ErrorCode::Conflict, lsn));
    assert_eq!(write(&absent).1, conflict);
    assert_eq!(write(&Learn { if_lsn: Some(lsn + 7), ..learn("a", "x") }).1, conflict);
    assert_eq!(
        write(&Learn { if_lsn: Some(3), ..learn("b", "x") }).1,
        Some((ErrorCode::Conflict, 0))
    );
    let (lsn, error) = write(&Learn { if_lsn: Some(lsn), ..learn("a", "second") });
    assert_eq!(error, None);
    assert_eq!(now(&store).get("a").unwrap().unwrap().lsn(), lsn);

    client.learn("b", "");
    let mut link = |associate: Associate<'_>| {
        let receipt = client.batch(|batch| batch.associate(&associate).unwrap()).unwrap();
        let error = receipt.errors.first().map(|error| (error.code, error.detail));
        (receipt.last_lsn, error)
    };
    let absent = Associate { if_absent: true, ..associate("a", "b") };
    let (lsn, error) = link(absent);
    assert_eq!(error, None);
    assert_eq!(link(absent).1, Some((ErrorCode::Conflict, lsn)));
    assert_eq!(link(Associate { if_lsn: Some(lsn), ..associate("a", "b") }).1, None);
    assert_eq!(
        link(Associate { if_lsn: Some(lsn), ..associate("a", "b") }).1.unwrap().0,
        ErrorCode::Conflict
    );
}

#[test]
fn conditions_see_the_operations_before_them_in_the_same_frame() {
    let store = TestStore::started();
    let receipt = store.client().batch(|batch| {
        let absent = Learn { if_absent: true, ..learn("a", "first") };
        batch.learn(&absent).unwrap();
        batch.learn(&absent).unwrap();
        batch.learn(&learn("b", "")).unwrap();
        let absent = Associate { if_absent: true, ..associate("a", "b") };
        batch.associate(&absent).unwrap();
        batch.associate(&absent).unwrap();
    });
    let conflict = ErrorCode::Conflict;
    assert_eq!(codes(&receipt.unwrap().errors), [(1, conflict), (4, conflict)]);
}

#[test]
fn namespaces_are_apart() {
    let store = TestStore::started();
    let receipt = store.client().batch(|batch| {
        batch.learn(&learn("a", "default")).unwrap();
        batch.namespace("other").learn(&learn("a", "other's")).unwrap();
        batch.learn(&learn("b", "other's")).unwrap();
        batch.associate(&associate("a", "b")).unwrap();
        batch.namespace("").associate(&associate("a", "b")).unwrap();
    });
    assert_eq!(codes(&receipt.unwrap().errors), [(4, ErrorCode::UnknownConcept)]);
    let snapshot = now(&store);
    let text = |namespace: &str, id: &str| {
        let concept = snapshot.get_in(namespace, id).unwrap();
        concept.map(|concept| concept.content().unwrap())
    };
    assert_eq!(text("", "a"), Some("default"));
    assert_eq!(text("other", "a"), Some("other's"));
    assert_eq!((text("", "b"), text("nowhere", "a")), (None, None));
}
