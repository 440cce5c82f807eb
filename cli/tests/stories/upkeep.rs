//! What is done to concepts that exist, and the settings of a store.

use serde_json::{Value, json};

use crate::support::{Served, keys, npy};

#[test]
fn forgetting_takes_the_associations_along_and_leaves_the_history() {
    let served = Served::new(&[]);
    served.import(
        r#"{"id": "wolf", "content": "a wild dog"}
           {"id": "dog", "content": "a tame wolf"}
           {"source": "wolf", "target": "dog", "type": "hyponym"}"#,
    );
    let forgotten = served.json(&["forget", "store", "wolf"]);
    assert_eq!(keys(&forgotten), ["forgotten", "lsn"]);
    assert_eq!(forgotten["forgotten"], json!(["wolf"]));
    assert_eq!(served.sutra(&["get", "store", "wolf"]).code, 1);
    assert_eq!(served.json(&["neighbors", "store", "dog", "--direction", "in"]), json!([]));

    let history = served.json(&["history", "store", "wolf"]);
    assert_eq!(history[0]["forgotten"], json!(true));
    let before = history[1]["lsn"].to_string();
    let wolf = served.json(&["get", "store", "wolf", "--as-of", &before]);
    assert_eq!(wolf["content"], json!("a wild dog"));
}

#[test]
fn several_are_forgotten_one_by_one_or_all_at_once() {
    let served = Served::new(&[]);
    served.import("{\"id\": \"a\", \"content\": \"A\"}\n{\"id\": \"b\", \"content\": \"B\"}");
    let atomic = served.sutra(&["forget", "store", "a", "unicorn", "b", "--atomic"]);
    assert_eq!(atomic.code, 1, "{atomic:?}");
    assert!(atomic.stderr.contains("unicorn"), "{atomic:?}");
    assert_eq!(served.json(&["stats", "store"])["concepts"], json!(2));
    let each = served.sutra(&["forget", "store", "a", "unicorn", "b", "--json"]);
    assert_eq!(each.json(1)["forgotten"], json!(["a", "b"]));
    assert_eq!(served.json(&["stats", "store"])["concepts"], json!(0));
}

#[test]
fn an_association_ends_by_its_type_or_with_all_between_two() {
    let served = Served::new(&[]);
    served.import("{\"id\": \"a\", \"content\": \"A\"}\n{\"id\": \"b\", \"content\": \"B\"}");
    for kind in ["x", "y", "z"] {
        assert_eq!(served.sutra(&["associate", "store", "a", "b", kind]).code, 0);
    }
    let ended = served.json(&["disassociate", "store", "a", "b", "y"]);
    assert_eq!(keys(&ended), ["lsn", "source", "target", "type"]);
    assert_eq!(served.json(&["neighbors", "store", "a"]).as_array().unwrap().len(), 2);
    assert_eq!(served.json(&["disassociate", "store", "a", "b"])["type"], Value::Null);
    assert_eq!(served.json(&["neighbors", "store", "a"]), json!([]));
    assert_eq!(served.sutra(&["disassociate", "store", "a", "b"]).code, 1);
}

#[test]
fn reinforcing_adds_within_bounds_and_touching_counts() {
    let served = Served::new(&[]);
    served.import(r#"{"id": "wolf", "content": "a wild dog", "strength": 0.5}"#);
    served.json(&["reinforce", "store", "wolf", "--strength", "0.25", "--confidence", "-0.2"]);
    let wolf = served.json(&["get", "store", "wolf"]);
    assert_eq!((&wolf["strength"], &wolf["content"]), (&json!(0.75), &json!("a wild dog")));
    assert!((wolf["confidence"].as_f64().unwrap() - 0.8).abs() < 1e-6, "{wolf}");
    assert_eq!(wolf["access_count"], Value::Null);

    served.json(&["touch", "store", "wolf"]);
    let at = "2026-11-20T11:05:17.000000Z";
    served.json(&["touch", "store", "wolf", "--count", "4", "--at", at]);
    let touched = served.json(&["get", "store", "wolf"]);
    assert_eq!(touched["access_count"], json!(5));
    assert!(touched["last_access"].is_string(), "{touched}");
    assert_eq!(touched["version"], wolf["version"], "touching makes no version");
}

#[test]
fn a_half_life_shows_what_is_left_and_changes_nothing() {
    let served = Served::new(&[]);
    served.import(r#"{"id": "wolf", "content": "a wild dog", "strength": 0.5}"#);
    let wolf = served.json(&["get", "store", "wolf", "--half-life", "1000years"]);
    let left = wolf["effective_strength"].as_f64().unwrap();
    assert!((left - 0.5).abs() < 1e-3, "{wolf}");
    let faded = served.json(&["get", "store", "wolf", "--half-life", "1us"]);
    assert!(faded["effective_strength"].as_f64().unwrap() < 0.01, "{faded}");
    assert_eq!(faded["strength"], json!(0.5));
}

#[test]
fn namespaces_do_not_see_each_other_and_are_listed() {
    let served = Served::new(&[]);
    for name in ["alice", "bob"] {
        let text = format!("a note of {name}");
        let learn = ["learn", "store", &text, "--id", "note", "--namespace", name];
        assert_eq!(served.sutra(&learn).code, 0);
    }
    let get = |name: &str| served.json(&["get", "store", "note", "--namespace", name]);
    assert_eq!(get("alice")["content"], json!("a note of alice"));
    assert_eq!(get("bob")["namespace"], json!("bob"));
    assert_eq!(served.sutra(&["get", "store", "note"]).code, 1);
    assert_eq!(served.sutra(&["list", "store"]).stdout, "");
    let all = served.sutra(&["list", "store", "--all-namespaces", "--count"]);
    assert_eq!(all.stdout, "2\n");

    served.json(&["ttl", "store", "alice", "30d"]);
    let stats = served.json(&["stats", "store"]);
    let expected = json!([
        {"name": "", "concepts": 0, "time_to_live": null},
        {"name": "alice", "concepts": 1, "time_to_live": "30days"},
        {"name": "bob", "concepts": 1, "time_to_live": null},
    ]);
    assert_eq!(stats["namespaces"], expected);
    let hash = served.json(&["learn", "store", "no name", "--namespace", "alice"]);
    let hash = hash["id"].as_str().unwrap();
    let found = served.json(&["get", "store", hash, "--namespace", "alice"]);
    assert!(found["expires_at"].is_string(), "{found}");
    served.json(&["ttl", "store", "alice", "never"]);
    assert_eq!(served.json(&["stats", "store"])["namespaces"][1]["time_to_live"], Value::Null);
}

#[test]
fn what_expired_is_not_found_any_more() {
    let served = Served::new(&[]);
    let short = ["learn", "store", "soon gone", "--id", "a", "--expires-in", "1us"];
    assert_eq!(served.sutra(&short).code, 0);
    served.json(&["learn", "store", "stays", "--id", "b", "--expires-in", "1000days"]);
    assert_eq!(served.sutra(&["get", "store", "a"]).code, 1);
    assert!(served.json(&["get", "store", "b"])["expires_at"].is_string());
}

#[test]
fn metadata_and_kind_come_back_as_they_were_given() {
    let served = Served::new(&[]);
    let metadata = r#"{"z": 1, "a": [1.50, "x"]}"#;
    served.json(&["learn", "store", "x", "--id", "a", "--kind", "note", "--metadata", metadata]);
    let ran = served.sutra(&["get", "store", "a", "--json"]);
    assert!(ran.stdout.contains(&format!("\"metadata\":{metadata},\"kind\":\"note\"")), "{ran:?}");
    assert!(served.sutra(&["get", "store", "a"]).stdout.contains(metadata));
}

#[test]
fn a_second_vector_space_answers_beside_the_first() {
    let served = Served::new(&[]);
    for (name, row) in [("a.npy", [1.0, 0.0]), ("b.npy", [0.0, 1.0])] {
        served.file(name, npy("(2,)", &row));
    }
    served.file("a3.npy", npy("(3,)", &[0.0, 0.0, 1.0]));
    served.json(&["learn", "store", "A", "--id", "a", "--vector", "a.npy"]);
    served.json(&["learn", "store", "B", "--id", "b", "--vector", "b.npy"]);
    let make = ["space", "make", "store", "new", "--dimension", "3", "--model", "m-2"];
    assert_eq!(keys(&served.json(&make)), ["dimension", "lsn", "metric", "model", "name"]);
    let spaces = served.json(&["space", "list", "store"]);
    assert_eq!((&spaces[0]["name"], &spaces[0]["dimension"]), (&json!(""), &json!(2)));
    assert_eq!((&spaces[1]["model"], &spaces[1]["dimension"]), (&json!("m-2"), &json!(3)));

    let other = ["space", "make", "store", "new", "--dimension", "4"];
    assert_eq!(served.sutra(&other).code, 2);
    let wrong = ["learn", "store", "--id", "a", "--vector", "a.npy", "--space", "new"];
    let wrong = served.sutra(&wrong);
    assert!(wrong.code == 2 && wrong.stderr.contains('3'), "{wrong:?}");
    served.json(&["learn", "store", "--id", "a", "--vector", "a3.npy", "--space", "new"]);
    let near = served.json(&["nearest", "store", "--vector", "a3.npy", "--space", "new"]);
    assert_eq!((near[0]["id"].as_str(), near.as_array().unwrap().len()), (Some("a"), 1));
    assert_eq!(served.json(&["nearest", "store", "--like", "b"])[0]["id"], json!("a"));
    let both = |space: &[&str]| {
        served.json(&[&["get", "store", "a", "--embedding"], space].concat())["embedding"].clone()
    };
    assert_eq!(both(&["--space", ""]), json!([1.0, 0.0]));
    assert_eq!(both(&["--space", "new"]), json!([0.0, 0.0, 1.0]));
}
