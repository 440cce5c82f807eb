//! A store that an earlier writer of format 1 has left, committed as it was: it opens for ever.

use std::path::Path;

use sutra_client::{Associate, Level};
use sutra_reader::{Direction, Id, NearestQuery, NeighborQuery, PathQuery, Reader, Snapshot};
use sutra_tests::TestStore;
use sutra_tests::golden::{self, CLIENTS, FAR, HEX_ID, HUB_SIZE, NAMELESS, RAW_KEY, VERSIONS};
use sutra_tests::store::Writing;
use sutra_tests::text::{text_of, vector_of};

/// The file stays mapped when its directory is gone.
fn golden_snapshot() -> Snapshot {
    golden::store().reader().snapshot().unwrap()
}

fn expected() -> String {
    std::fs::read_to_string(golden::directory().join("contents.txt")).unwrap()
}

fn same_lines(found: &str, expected: &str) {
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[test]
fn everything_in_it_reads_as_it_did_when_it_was_written() {
    same_lines(&golden::contents(&golden_snapshot()).unwrap(), &expected());
    let report = sutra_reader::verify::quick(golden::store().dir()).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn every_field_of_a_concept_is_what_was_given() {
    let snapshot = golden_snapshot();
    for namespace in ["", "elsewhere"] {
        let full = snapshot.get_in(namespace, "full").unwrap().unwrap();
        assert_eq!(full.content().unwrap(), "every field is given: \u{fc}\u{1f43a}\n");
        assert_eq!(full.metadata().unwrap(), Some("{\"source\":\"golden\"}"));
        let vector = [1.0, -0.5, 0.25, 0.0, f32::MIN_POSITIVE, 1.0e30];
        assert_eq!(full.embedding_in(0).unwrap(), Some(&vector[..]));
        assert_eq!((full.kind(), full.namespace()), (Some("example"), namespace));
        assert!(full.author().unwrap().starts_with("story"));
        assert_eq!((full.created_at(), full.expires_at()), (1_000_000, Some(FAR)));
    }
    let full = snapshot.get("full").unwrap().unwrap();
    assert_eq!((full.strength(), full.confidence()), (0.75, 0.0625), "it was reinforced");
    assert_eq!(full.embedding_in(1).unwrap(), Some(&[3.0, 2.0, 1.0][..]));
    let other = snapshot.get_in("elsewhere", "full").unwrap().unwrap();
    assert_eq!((other.strength(), other.confidence()), (0.625, 0.125));
    assert_eq!(other.embedding_in(1).unwrap(), None);

    let long = golden::long_id();
    for (id, said) in [
        (Id::Text(&long), long.clone()),
        (Id::from(HEX_ID), HEX_ID.to_owned()),
        (Id::Raw(RAW_KEY), RAW_KEY.iter().map(|byte| format!("{byte:02x}")).collect()),
        (Id::Text("\u{fc}\u{1f43a}"), "\u{fc}\u{1f43a}".to_owned()),
    ] {
        let concept = snapshot.get(id).unwrap().unwrap();
        assert_eq!(concept.content().unwrap(), "ids");
        assert_eq!(concept.id().unwrap().to_string(), said);
    }
    let nameless = snapshot.get(Id::Content.key("", NAMELESS)).unwrap().unwrap();
    assert_eq!(nameless.content().unwrap(), NAMELESS);
    let often = snapshot.get("often").unwrap().unwrap();
    assert_eq!(
        (often.version(), often.content().unwrap()),
        (VERSIONS, text_of("often", VERSIONS).as_str())
    );
    assert_eq!(snapshot.get("empty").unwrap().unwrap().content().unwrap(), "");
    assert!(!snapshot.contains("over").unwrap(), "its time is over");
    let for_a_time = snapshot.get_in("for a time", "for a time").unwrap().unwrap();
    assert!(for_a_time.expires_at() > Some(FAR), "its namespace has a time to live");
}

#[test]
fn every_association_is_what_was_given() {
    let snapshot = golden_snapshot();
    let hub = snapshot.get("hub").unwrap().unwrap();
    let out = snapshot.neighbors(&hub, &NeighborQuery::default()).unwrap();
    let spokes: Vec<u32> = out
        .iter()
        .map(|neighbor| {
            let spoke = snapshot.concept(neighbor.ordinal).unwrap().unwrap();
            let id = spoke.id().unwrap().to_string();
            let at: u32 = id.strip_prefix("spoke-").unwrap().parse().unwrap();
            let edge = snapshot.association(neighbor.edge).unwrap();
            let kind = snapshot.type_name(neighbor.edge_type).unwrap();
            assert_eq!(kind, if at.is_multiple_of(2) { "even" } else { "odd" });
            let weight = if at == 0 { 100.0 } else { -(at as f32) };
            assert_eq!(edge.weight(), weight);
            assert_eq!(edge.confidence(), at as f32 / HUB_SIZE as f32);
            assert_eq!(edge.properties().unwrap(), Some("{}"));
            assert_eq!(edge.valid_until(), Some(FAR + u64::from(at)));
            assert_eq!(edge.created_at(), 2_000_000 + u64::from(at));
            at
        })
        .collect();
    // The newest first; 1 was ended, 2 and 3 were forgotten, 0 was associated again.
    let expected: Vec<u32> = std::iter::once(0).chain((4..HUB_SIZE).rev()).collect();
    assert_eq!(spokes, expected);
    let back = NeighborQuery { direction: Direction::In, ..NeighborQuery::default() };
    assert_eq!(snapshot.neighbors(&hub, &back).unwrap().len() as u32, HUB_SIZE - 2);
    let again = snapshot.get("spoke-3").unwrap().unwrap();
    assert_eq!((again.content().unwrap(), again.is_placeholder()), ("again", false));
    assert!(snapshot.neighbors(&again, &NeighborQuery::default()).unwrap().is_empty());
    assert!(!snapshot.contains("spoke-2").unwrap());
    assert!(snapshot.get("spoke-9").unwrap().unwrap().is_placeholder());
}

#[test]
fn it_answers_questions() {
    let snapshot = golden_snapshot();
    let (from, to) =
        (snapshot.get("spoke-7").unwrap().unwrap(), snapshot.get("spoke-8").unwrap().unwrap());
    let path = snapshot.find_path(&from, &to, &PathQuery::default()).unwrap().unwrap();
    assert_eq!(path.nodes.len(), 3);
    let often = snapshot.get("often").unwrap().unwrap();
    let vector = vector_of("often", VERSIONS, golden::DIMENSIONS[0]);
    let hits = snapshot.nearest(&vector, &NearestQuery::default()).unwrap();
    assert_eq!(hits[0].ordinal, often.ordinal());
    let of_often = hits.iter().filter(|hit| hit.ordinal == often.ordinal());
    assert_eq!(of_often.count(), 1, "versions that were replaced are not found");
    let query = NearestQuery { space: 1, ..NearestQuery::default() };
    assert_eq!(snapshot.nearest(&[3.0, 2.0, 1.0], &query).unwrap()[0].score, 0.0);
}

#[test]
fn a_coordinator_goes_on_with_a_copy_of_it() {
    let mut store = golden::store();
    store.start();
    let contents =
        |store: &TestStore| golden::contents(&store.reader().snapshot().unwrap()).unwrap();
    same_lines(&contents(&store), &expected());
    for (client_id, sequence) in CLIENTS {
        assert_eq!(store.client_as(client_id).last_sequence_at_connect(), sequence);
    }
    // Killed at once and copied, it is made anew from its truth alone.
    store.kill();
    let mut rebuilt = TestStore::copy_of(store.dir());
    rebuilt.start();
    same_lines(&contents(&rebuilt), &expected());

    store.start();
    for store in [&mut store, &mut rebuilt] {
        let mut client = store.client();
        client.learn("full", "a new version");
        let associate = Associate {
            source: "hub".into(),
            target: "spoke-5".into(),
            kind: "odd".into(),
            weight: Some(7.0),
            ..Associate::default()
        };
        client.batch(|batch| batch.associate(&associate).unwrap()).unwrap();
        client.wait(client.last_lsn(), Level::Visible, sutra_tests::wait::DEADLINE).unwrap();
        check_written(store.dir());
        store.stop();
        check_written(store.dir());
        store.start();
        check_written(store.dir());
    }
}

fn check_written(store: &Path) {
    let snapshot = Reader::open(store).unwrap().snapshot().unwrap();
    let old = golden_snapshot();
    let version = |snapshot: &Snapshot| snapshot.get("full").unwrap().unwrap().version();
    assert_eq!(version(&snapshot), version(&old) + 1);
    assert_eq!(snapshot.concept_count(), old.concept_count());
    assert_eq!(snapshot.association_count(), old.association_count());
    let hub = snapshot.get("hub").unwrap().unwrap();
    let newest = snapshot.neighbors(&hub, &NeighborQuery::default()).unwrap()[0];
    assert_eq!(snapshot.association(newest.edge).unwrap().weight(), 7.0);
}
