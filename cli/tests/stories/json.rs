//! What programs read from `--json`: exactly these keys, with times in RFC 3339.

use serde_json::{Value, json};

use crate::support::{Served, keys, npy};

/// A wolf and its relatives, with vectors, associated.
fn animals() -> Served {
    let served = Served::new(&[]);
    served.import(
        r#"{"id": "wolf", "content": "a wild dog", "strength": 0.5, "embedding": [1, 0]}
           {"id": "dog", "content": "a tame wolf", "confidence": 0.25, "embedding": [0.9, 0.1]}
           {"id": "cat", "content": "no dog at all", "embedding": [0, 1]}
           {"source": "wolf", "target": "dog", "type": "hyponym", "confidence": 0.5, "weight": 2}
           {"source": "dog", "target": "cat", "type": "causal", "confidence": 0.5}"#,
    );
    served
}

fn is_rfc_3339(value: &serde_json::Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == "2026-11-20T11:05:17.250000Z".len()
        && text.starts_with("20")
        && text.ends_with('Z')
}

#[test]
fn get_gives_the_concept_and_its_vector_when_asked() {
    let served = animals();
    let wolf = served.json(&["get", "store", "wolf"]);
    let expected = [
        "author",
        "confidence",
        "content",
        "created_at",
        "id",
        "lsn",
        "strength",
        "updated_at",
        "version",
    ];
    assert_eq!(keys(&wolf), expected);
    assert_eq!((&wolf["id"], &wolf["content"]), (&json!("wolf"), &json!("a wild dog")));
    assert_eq!((&wolf["strength"], &wolf["confidence"]), (&json!(0.5), &json!(1.0)));
    assert!(is_rfc_3339(&wolf["created_at"]) && is_rfc_3339(&wolf["updated_at"]), "{wolf}");
    assert!(wolf["lsn"].as_u64() > Some(0), "{wolf}");
    let wolf = served.json(&["get", "store", "wolf", "--embedding"]);
    assert_eq!(wolf["embedding"], json!([1.0, 0.0]));
}

#[test]
fn neighbors_gives_a_list_in_each_direction() {
    let served = animals();
    let out = served.json(&["neighbors", "store", "dog"]);
    let expected = json!([{"id": "cat", "type": "causal", "direction": "out", "confidence": 0.5, "weight": 1.0, "edge": 1}]);
    assert_eq!(out, expected);
    let incoming = served.json(&["neighbors", "store", "dog", "--direction", "in"]);
    let expected = json!([{"id": "wolf", "type": "hyponym", "direction": "in", "confidence": 0.5, "weight": 2.0, "edge": 0}]);
    assert_eq!(incoming, expected);
    let both = served.json(&["neighbors", "store", "dog", "--direction", "both"]);
    assert_eq!(both.as_array().unwrap().len(), 2);
    let limited =
        served.json(&["neighbors", "store", "dog", "--direction", "both", "--limit", "1"]);
    assert_eq!(limited.as_array().unwrap().len(), 1);
    let typed =
        served.json(&["neighbors", "store", "dog", "--direction", "both", "--type", "hyponym"]);
    assert_eq!(typed[0]["id"], json!("wolf"));
    assert_eq!(typed.as_array().unwrap().len(), 1);
}

#[test]
fn path_gives_its_nodes_and_associations_or_that_there_is_none() {
    let served = animals();
    let path = served.json(&["path", "store", "wolf", "cat"]);
    assert_eq!(keys(&path), ["associations", "confidence", "found", "length", "nodes"]);
    assert_eq!(
        (&path["found"], &path["length"], &path["confidence"]),
        (&json!(true), &json!(2), &json!(0.25))
    );
    assert_eq!(path["nodes"], json!(["wolf", "dog", "cat"]));
    assert_eq!(path["associations"][0]["type"], json!("hyponym"));
    let none = served.sutra(&["path", "store", "cat", "wolf", "--json"]).json(1);
    assert_eq!(keys(&none), ["associations", "confidence", "found", "length", "nodes"]);
    assert_eq!(none["found"], json!(false));
    let back = served.json(&["path", "store", "cat", "wolf", "--direction", "in"]);
    assert_eq!(back["nodes"], json!(["cat", "dog", "wolf"]));
    assert_eq!(served.sutra(&["path", "store", "wolf", "cat", "--max-depth", "1"]).code, 1);
}

#[test]
fn nearest_gives_a_list_for_one_vector_and_lists_for_many() {
    let served = animals();
    let like = served.json(&["nearest", "store", "--like", "wolf"]);
    let ids: Vec<&str> =
        like.as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["dog", "cat"], "the wolf itself is left out");
    assert_eq!(keys(&like[0]), ["content", "id", "score"]);

    served.file("one.npy", npy("(2,)", &[0.0, 1.0]));
    let one = served.json(&["nearest", "store", "--vector", "one.npy", "-k", "1"]);
    assert_eq!((&one[0]["id"], &one[0]["content"]), (&json!("cat"), &json!("no dog at all")));
    assert_eq!(one.as_array().unwrap().len(), 1);

    let many = npy("(2, 2)", &[0.0, 1.0, 1.0, 0.0]);
    let many = served
        .sutra_with(&["nearest", "store", "--vector", "-", "-k", "2", "--json"], &many)
        .json(0);
    assert_eq!((&many[0][0]["id"], &many[1][0]["id"]), (&json!("cat"), &json!("wolf")));
    let none = served
        .sutra_with(&["nearest", "store", "--vector", "-", "--json"], &npy("(0, 2)", &[]))
        .json(0);
    assert_eq!(none, json!([]));
}

#[test]
fn stats_gives_every_figure() {
    let served = animals();
    let stats = served.json(&["stats", "store"]);
    let mut expected = [
        "concepts",
        "edges",
        "vectors",
        "indexed_vectors",
        "written",
        "dropped",
        "pending",
        "reconciliations",
        "published_lsn",
        "durable_lsn",
        "checkpoint_lsn",
        "commit_seq",
        "compacted_at",
        "dead_size",
        "published_at",
        "staleness_ms",
        "readers",
        "file_size",
        "generation",
        "writer_pid",
        "namespaces",
        "compaction_due",
        "dead_vectors",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&stats), expected);
    assert_eq!(
        (&stats["concepts"], &stats["edges"], &stats["vectors"]),
        (&json!(3), &json!(2), &json!(3))
    );
    assert_eq!(
        (&stats["written"], &stats["dropped"], &stats["pending"]),
        (&json!(5), &json!(0), &json!(0))
    );
    assert!(is_rfc_3339(&stats["published_at"]), "{stats}");
    assert_eq!(
        (&stats["compacted_at"], &stats["compaction_due"]),
        (&json!(null), &json!(false)),
        "it never was"
    );
    for (key, value) in stats.as_object().unwrap() {
        let is_other = ["published_at", "namespaces", "compacted_at", "compaction_due"]
            .contains(&key.as_str());
        assert!(is_other || value.is_u64(), "{key} is {value}");
    }
    assert_eq!(stats["namespaces"], json!([{"name": "", "concepts": 3, "time_to_live": null}]));
}

#[test]
fn stats_of_a_store_whose_coordinator_has_stopped_are_as_last_published() {
    let served = animals();
    let stopped = served.json(&["stop", "store"]);
    assert_eq!(keys(&stopped), ["writer_pid"]);
    let stats = served.json(&["stats", "store"]);
    assert_eq!(
        (&stats["concepts"], &stats["edges"], &stats["pending"]),
        (&json!(3), &json!(2), &json!(0))
    );
    assert_eq!(served.json(&["get", "store", "wolf"])["content"], json!("a wild dog"));
    assert_eq!(served.sutra(&["stop", "store"]).code, 3);
}

#[test]
fn verify_lists_its_checks() {
    let served = animals();
    let report = served.json(&["verify", "store"]);
    assert_eq!(keys(&report), ["checks", "sound"]);
    assert_eq!(report["sound"], json!(true));
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() >= 3, "{report}");
    assert_eq!(keys(&checks[0]), ["detail", "name", "problem"]);

    let report = served.json(&["verify", "store", "--deep"]);
    assert_eq!(keys(&report), ["checks", "findings", "findings_left_off", "sound"]);
    assert_eq!((&report["sound"], &report["findings"]), (&json!(true), &json!([])));
}

#[test]
fn learn_and_associate_give_the_lsn_and_are_visible_at_once() {
    let served = Served::new(&[]);
    let wolf = served.json(&["learn", "store", "a wild dog", "--id", "wolf"]);
    assert_eq!(keys(&wolf), ["id", "lsn"]);
    let again = served.json(&["learn", "store", "--id", "wolf", "--strength", "0.5"]);
    assert!(again["lsn"].as_u64() > wolf["lsn"].as_u64());
    let wolf = served.json(&["get", "store", "wolf"]);
    assert_eq!((&wolf["content"], &wolf["strength"]), (&json!("a wild dog"), &json!(0.5)));

    let nameless = served.sutra_with(&["learn", "store", "-", "--json"], b"no name").json(0);
    let hash = nameless["id"].as_str().unwrap();
    assert_eq!(served.json(&["get", "store", hash])["content"], json!("no name"));

    let associated = served.json(&["associate", "store", "wolf", hash, "causal", "--weight", "-2"]);
    assert_eq!(keys(&associated), ["lsn", "source", "target", "type"]);
    assert_eq!(served.json(&["neighbors", "store", "wolf"])[0]["weight"], json!(-2.0));
    let created =
        served.sutra(&["associate", "store", "wolf", "pack", "member", "--create-missing"]);
    assert_eq!(created.code, 0, "{created:?}");
    assert_eq!(served.json(&["get", "store", "pack"])["content"], json!(""));
}

#[test]
fn paths_and_surroundings_are_explained() {
    let served = Served::new(&[]);
    for id in ["home", "park", "road", "work"] {
        served.json(&["learn", "store", id, "--id", id]);
    }
    for (source, target, confidence) in [
        ("home", "park", "0.9"),
        ("park", "work", "0.9"),
        ("home", "road", "0.5"),
        ("road", "work", "1"),
    ] {
        let associate =
            ["associate", "store", source, target, "leads to", "--confidence", confidence];
        served.json(&associate);
    }
    let found = served.json(&["path", "store", "home", "work", "--best", "--k", "3"]);
    let ways: Vec<&Value> =
        found["paths"].as_array().unwrap().iter().map(|path| &path["nodes"]).collect();
    assert_eq!(ways, [&json!(["home", "park", "work"]), &json!(["home", "road", "work"])]);
    assert_eq!(found["paths"][0]["associations"][0]["type"], json!("leads to"));
    assert_eq!(found["stopped"], json!(null));

    let found = served.json(&["expand", "store", "home", "--min-confidence", "0.6", "--hops", "1"]);
    let ids: Vec<&Value> =
        found["concepts"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&json!("home"), &json!("park")]);
    assert_eq!(found["associations"].as_array().unwrap().len(), 1);

    let first = served.json(&["neighbors", "store", "home", "--limit", "1"]);
    assert_eq!(first[0]["id"], json!("road"));
    let edge = first[0]["edge"].to_string();
    let rest = served.json(&["neighbors", "store", "home", "--after", &edge]);
    assert_eq!(rest[0]["id"], json!("park"));
}
