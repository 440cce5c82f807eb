//! What goes out comes in again as it was.

use std::fs;

use sutra_reader::{
    Association, Concept, ConceptQuery, Direction, Namespaces, NeighborQuery, Reader, Snapshot,
};

use crate::support::{Served, npy};

fn snapshot(served: &Served) -> Snapshot {
    Reader::open(served.path("store")).unwrap().snapshot().unwrap()
}

fn concepts(snapshot: &Snapshot) -> Vec<Concept<'_>> {
    let query = ConceptQuery { filter: None, namespaces: Namespaces::All };
    snapshot.concepts_where(&query).map(Result::unwrap).collect()
}

/// All that a concept says, but for what belongs to its writing.
fn said(snapshot: &Snapshot, concept: &Concept<'_>) -> String {
    let spaces = snapshot.spaces().unwrap();
    let vectors: Vec<_> = spaces
        .iter()
        .map(|space| (space.name.clone(), concept.embedding_in(space.number).unwrap()))
        .collect();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?} {vectors:?}",
        concept.namespace(),
        concept.id().unwrap(),
        concept.content().unwrap(),
        concept.kind(),
        concept.metadata().unwrap(),
        concept.strength(),
        concept.confidence(),
        concept.created_at(),
        concept.expires_at(),
    )
}

fn associated(snapshot: &Snapshot, association: &Association<'_>) -> String {
    let id = |ordinal| {
        let concept = snapshot.concept(ordinal).unwrap().unwrap();
        format!("{:?} {}", concept.namespace(), concept.id().unwrap())
    };
    format!(
        "{} -{:?}-> {} {} {} {:?} {:?} {:?}",
        id(association.source()),
        snapshot.type_name(association.edge_type()),
        id(association.target()),
        association.confidence(),
        association.weight(),
        association.properties().unwrap(),
        association.valid_until(),
        association.created_at(),
    )
}

/// Everything that a reader finds in a store, in the order in which it finds it.
fn all(snapshot: &Snapshot) -> Vec<String> {
    let mut all = Vec::new();
    for concept in concepts(snapshot) {
        all.push(said(snapshot, &concept));
        for direction in [Direction::Out, Direction::In] {
            let query = NeighborQuery { direction, ..NeighborQuery::default() };
            for neighbor in snapshot.neighbors(&concept, &query).unwrap() {
                let association = snapshot.association(neighbor.edge).unwrap();
                all.push(associated(snapshot, &association));
            }
        }
    }
    for namespace in snapshot.namespaces().unwrap() {
        all.push(format!("{namespace:?}"));
    }
    for space in snapshot.spaces().unwrap() {
        let (dimension, metric, graph) = (space.dimension, space.metric, space.graph);
        all.push(format!("{} {} {dimension} {metric:?} {graph:?}", space.name, space.model));
    }
    all
}

/// A store with something of everything, some of it changed, ended or forgotten.
fn full() -> Served {
    let served = Served::new(&["--metric", "l2", "--vector-dim", "3"]);
    let mut lines = String::new();
    for number in 0..300 {
        let namespace = ["", "alice", "bob"][number % 3];
        let (sevenths, third) = (number as f32 / 7.0, number as f32 / 900.0);
        lines += &format!(
            "{{\"id\": \"c{number}\", \"namespace\": \"{namespace}\", \"content\": \"no {number} \\\"é\\n\", \
             \"strength\": {third}, \"metadata\": {{\"n\": {number},  \"a\": [1.50]}}, \
             \"created_at\": \"2020-01-01T00:00:00.{number:06}Z\", \"embedding\": [{sevenths}, 1e-7, {third}]}}\n"
        );
        let target = (number * 7 + 3) % 300 / 3 * 3 + number % 3;
        lines += &format!(
            "{{\"source\": \"c{number}\", \"target\": \"c{target}\", \"namespace\": \"{namespace}\", \
             \"type\": \"t{}\", \"weight\": -{sevenths}, \"confidence\": {third}, \"properties\": {{\"p\": {number}}}}}\n",
            number % 5
        );
    }
    served.import(&lines);
    served.file("two.npy", npy("(2,)", &[0.1, 0.7]));
    let make_space = [
        ["space", "make", "store", "new", "--dimension", "2", "--model", "m"],
        ["--metric", "dot", "--m", "5", "--ef", "33", "--quantization", "none"],
    ]
    .concat();
    let commands: [&[&str]; 13] = [
        &["learn", "store", "filed under its hash", "--kind", "note"],
        &["learn", "store", "in alice, under its hash", "--namespace", "alice"],
        &["learn", "store", "", "--id", "c3"],
        &["learn", "store", "ends", "--id", "ends", "--expires-in", "3000days"],
        &["learn", "store", "gone", "--id", "gone", "--expires-in", "1us"],
        &["forget", "store", "c6", "c9"],
        &["disassociate", "store", "c12", "c87"],
        &["associate", "store", "c15", "c18", "t1", "--valid-for", "3000days"],
        &["associate", "store", "c15", "c18", "t2", "--valid-for", "1us"],
        &["reinforce", "store", "c21", "--strength", "0.3"],
        &make_space,
        &["learn", "store", "--id", "c0", "--vector", "two.npy", "--space", "new"],
        &["ttl", "store", "alice", "3000days"],
    ];
    for command in commands {
        assert_eq!(served.sutra(command).code, 0, "{command:?}");
    }
    // Metadata that spans lines, as only a program gives it.
    let metadata = "{\"a\":\n 1}";
    let spanning = ["learn", "store", "--id", "c24", "--metadata", metadata];
    assert_eq!(served.sutra(&spanning).code, 0);
    served
}

#[test]
fn an_export_that_is_imported_gives_an_equal_store() {
    let served = full();
    let exported = served.sutra(&["export", "store"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let copy = Served::new(&["--metric", "l2", "--vector-dim", "3"]);
    let summary = copy.import(&exported.stdout);
    assert_eq!(summary["ignored_keys"], serde_json::json!([]));
    let (found, expected) = (snapshot(&copy), snapshot(&served));
    for (found, expected) in all(&found).iter().zip(all(&expected)) {
        assert_eq!(*found, expected);
    }
    assert_eq!(all(&found).len(), all(&expected).len());
    // And what it exports is the same text.
    assert_eq!(copy.sutra(&["export", "store"]).stdout, exported.stdout);
}

#[test]
fn an_import_keeps_to_what_the_export_measured_by() {
    let served = full();
    let exported = served.sutra(&["export", "store"]).stdout;
    let copy = Served::new(&[]);
    let ran = copy.sutra_with(&["import", "store", "-"], exported.as_bytes());
    assert_eq!(ran.code, 4, "{ran:?}");
    let rejects = fs::read_to_string(copy.path("import.rejects.ndjson")).unwrap();
    assert!(rejects.contains("--vector-dim 3 --metric l2"), "{rejects}");
}

#[test]
fn a_part_of_a_store_is_exported_with_the_associations_within_it() {
    let served = full();
    let alice = served.sutra(&["export", "store", "--namespace", "alice"]).stdout;
    let copy = Served::new(&["--metric", "l2", "--vector-dim", "3"]);
    copy.import(&alice);
    let counts: Vec<u64> =
        snapshot(&copy).namespaces().unwrap().iter().map(|namespace| namespace.concepts).collect();
    assert_eq!(counts, [0, 101]);
    let few = served.sutra(&["export", "store", "--filter", "meta.n < 30"]).stdout;
    let concepts = few.lines().filter(|line| line.contains("\"content\"")).count();
    assert_eq!(concepts, 27, "two are forgotten, and one has other metadata");
    let first = served.sutra(&["export", "store", "--as-of", "1"]).stdout;
    assert!(first.contains("\"id\":\"c9\""), "c9 was not forgotten then");
}

#[test]
fn an_atomic_import_is_there_as_a_whole_or_not_at_all() {
    let served = Served::new(&[]);
    let lines = "{\"id\": \"a\", \"content\": \"A\"}\n{\"id\": \"b\", \"content\": \"B\"}\n\
                 {\"source\": \"a\", \"target\": \"nowhere\", \"type\": \"t\"}\n";
    let import = ["import", "store", "-", "--atomic", "--namespace", "alice"];
    let refused = served.sutra_with(&import, lines.as_bytes());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("nowhere"), "{refused:?}");
    let spoilt = served.sutra_with(&import, lines.replace("nowhere\"", "").as_bytes());
    assert!(spoilt.code == 2 && spoilt.stderr.contains("line 3 of -"), "{spoilt:?}");
    assert_eq!(served.json(&["stats", "store"])["concepts"], serde_json::json!(0));
    let done = served.sutra_with(&import, lines.replace("nowhere", "b").as_bytes());
    assert_eq!(done.code, 0, "{done:?}");
    let found = served.json(&["neighbors", "store", "a", "--namespace", "alice"]);
    assert_eq!(found[0]["id"], serde_json::json!("b"));
}
