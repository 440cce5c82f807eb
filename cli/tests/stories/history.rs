//! The past, the log, and what happens now.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Served, keys};

/// The lines of JSON that a command printed.
fn lines(served: &Served, command: &[&str]) -> Vec<Value> {
    let ran = served.sutra(&[command, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_version_has_its_lsn_its_time_and_its_author() {
    let served = Served::new(&[]);
    for content in ["first", "second", "third"] {
        served.json(&["learn", "store", content, "--id", "a"]);
    }
    let history = served.json(&["history", "store", "a"]);
    let contents: Vec<&Value> =
        history.as_array().unwrap().iter().map(|version| &version["content"]).collect();
    assert_eq!(contents, ["third", "second", "first"]);
    let expected = [
        "author",
        "confidence",
        "content",
        "forgotten",
        "lsn",
        "strength",
        "updated_at",
        "version",
    ];
    assert_eq!(keys(&history[0]), expected);
    assert!(history[0]["author"].as_str().unwrap().starts_with("sutra ("), "{history}");
    let limited = served.json(&["history", "store", "a", "--limit", "1"]);
    assert_eq!(limited.as_array().unwrap().len(), 1);
}

#[test]
fn every_read_goes_back_to_an_lsn_or_a_time() {
    let served = Served::new(&[]);
    let summary = served.import(
        r#"{"id": "a", "content": "old", "embedding": [1, 0]}
           {"id": "b", "content": "B", "embedding": [0, 1]}
           {"source": "a", "target": "b", "type": "t"}"#,
    );
    let lsn = summary["lsn"].to_string();
    let time = served.json(&["get", "store", "a"])["updated_at"].as_str().unwrap().to_owned();
    served.json(&["learn", "store", "new", "--id", "a"]);
    served.json(&["forget", "store", "b"]);
    for as_of in [&lsn, &time] {
        let at = |command: &[&str]| served.json(&[command, &["--as-of", as_of]].concat());
        assert_eq!(at(&["get", "store", "a"])["content"], json!("old"));
        assert_eq!(at(&["neighbors", "store", "a"])[0]["id"], json!("b"), "{as_of}");
        assert_eq!(at(&["path", "store", "a", "b"])["length"], json!(1));
        assert_eq!(at(&["nearest", "store", "--like", "a"])[0]["id"], json!("b"));
        assert_eq!(at(&["search", "store", "old"])[0]["id"], json!("a"));
        assert_eq!(lines(&served, &["list", "store", "--as-of", as_of]).len(), 2);
    }
    assert_eq!(served.json(&["neighbors", "store", "a"]), json!([]));
    assert_eq!(served.json(&["get", "store", "a", "--as-of", "0s"])["content"], json!("new"));
    assert_eq!(served.sutra(&["get", "store", "a", "--as-of", "0"]).code, 1);
}

#[test]
fn tail_tells_what_was_written_in_order() {
    let served = Served::new(&[]);
    served.json(&["learn", "store", "A", "--id", "a"]);
    let since = served.json(&["learn", "store", "B", "--id", "b"])["lsn"].to_string();
    served.json(&["associate", "store", "a", "b", "t"]);
    served.json(&["associate", "store", "a", "b", "t", "--weight", "2"]);
    served.json(&["learn", "store", "A2", "--id", "a"]);
    served.json(&["learn", "store", "C", "--id", "c", "--namespace", "alice"]);
    served.json(&["forget", "store", "b"]);
    let changes = lines(&served, &["tail", "store"]);
    let names: Vec<&str> =
        changes.iter().map(|change| change["change"].as_str().unwrap()).collect();
    let expected = [
        "learnt",
        "learnt",
        "associated",
        "reassociated",
        "updated",
        "learnt",
        "forgotten",
        "disassociated",
    ];
    assert_eq!(names, expected);
    assert_eq!(keys(&changes[0]), ["at", "author", "change", "id", "lsn", "version"]);
    assert_eq!(
        (&changes[2]["source"], &changes[2]["target"], &changes[2]["type"]),
        (&json!("a"), &json!("b"), &json!("t"))
    );
    assert!(changes.is_sorted_by_key(|change| change["lsn"].as_u64()));
    assert_eq!(lines(&served, &["tail", "store", "--since", &since]).len(), 6);
    let alice = lines(&served, &["tail", "store", "--namespace", "alice"]);
    assert_eq!((alice.len(), &alice[0]["id"]), (1, &json!("c")));
    let text = served.sutra(&["tail", "store", "--limit", "3"]).stdout;
    assert!(text.ends_with('\n') && text.contains("associated a -t-> b, by sutra ("), "{text}");
}

#[test]
fn following_prints_each_change_when_it_is_there() {
    let served = Served::new(&[]);
    served.json(&["learn", "store", "before", "--id", "before"]);
    let spawn = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_sutra"))
            .args(arguments)
            .current_dir(served.path("."))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut tail = spawn(&["tail", "store", "--since", "0", "--follow", "--limit", "3", "--json"]);
    let mut watch = spawn(&["watch", "store", "--count", "2", "--json"]);
    let mut tail_lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut watch_lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = |of: &str| -> Value {
        let line = if of == "tail" { tail_lines.next() } else { watch_lines.next() };
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    };
    assert_eq!(next("tail")["id"], json!("before"));
    let first = next("watch");
    assert_eq!(keys(&first), ["commit_seq", "concepts", "edges", "published_at", "published_lsn"]);
    let lsn = served.json(&["learn", "store", "now", "--id", "now"])["lsn"].clone();
    assert_eq!(next("tail")["id"], json!("now"));
    let second = next("watch");
    assert!(second["published_lsn"].as_u64() >= lsn.as_u64(), "{second}");
    served.json(&["forget", "store", "now"]);
    assert_eq!(next("tail")["change"], json!("forgotten"));
    assert!(tail.wait().unwrap().success() && watch.wait().unwrap().success());
}
