//! Imports through the socket, as they look from outside.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Served, keys, npy};

#[test]
fn lines_come_in_any_order_and_all_of_them_arrive() {
    let served = Served::new(&[]);
    let mut lines = String::new();
    for number in (0..500).rev() {
        lines += &format!(
            "{{\"source\": \"c{number}\", \"target\": \"c{}\", \"type\": \"next\"}}\n",
            (number + 1) % 500
        );
        lines += &format!("{{\"id\": \"c{number}\", \"content\": \"concept {number}\"}}\n");
    }
    served.file("in.ndjson", lines);
    let summary = served.json(&["import", "store", "in.ndjson", "--batch", "7"]);
    assert_eq!((&summary["concepts"], &summary["associations"]), (&json!(500), &json!(500)));
    assert_eq!((&summary["rejects"], &summary["rejects_file"]), (&json!(0), &Value::Null));
    let stats = served.json(&["stats", "store"]);
    assert_eq!((&stats["concepts"], &stats["edges"]), (&json!(500), &json!(500)));
    assert!(stats["durable_lsn"].as_u64() >= summary["lsn"].as_u64(), "{stats} {summary}");
    assert_eq!(served.json(&["neighbors", "store", "c499"])[0]["id"], json!("c0"));
}

#[test]
fn bad_lines_are_in_the_rejects_file_with_number_and_reason() {
    let served = Served::new(&[]);
    let lines = [
        r#"{"id": "a", "content": "A", "embedding": [1, 0]}"#,
        r#"{"id": "b", "content": "B", "embedding": [1, 0, 0]}"#,
        r#"{"id": "c", "content": "C", "strength": 7}"#,
        r#"{"source": "a", "target": "nowhere", "type": "t"}"#,
        "not json",
        r#"{"source": "a", "target": "a", "type": "t"}"#,
    ];
    served.file("in.ndjson", lines.join("\n"));
    let summary = served.sutra(&["import", "store", "in.ndjson", "--json"]).json(4);
    assert_eq!((&summary["concepts"], &summary["associations"]), (&json!(1), &json!(1)));
    assert_eq!((&summary["vectors"], &summary["rejects"]), (&json!(1), &json!(4)));
    assert_eq!(summary["rejects_file"], json!("in.ndjson.rejects.ndjson"));

    let rejects = fs::read_to_string(served.path("in.ndjson.rejects.ndjson")).unwrap();
    let mut rejects: Vec<Value> =
        rejects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rejects.sort_by_key(|reject| reject["line"].as_u64());
    let expected = [(2, "3 elements"), (3, "strength"), (4, "nowhere"), (5, "expected")];
    assert_eq!(rejects.len(), expected.len());
    for (reject, (line, reason)) in rejects.iter().zip(expected) {
        assert_eq!(keys(reject), ["file", "line", "reason", "text"]);
        assert_eq!((&reject["file"], &reject["line"]), (&json!("in.ndjson"), &json!(line)));
        assert_eq!(reject["text"], json!(lines[line - 1]));
        assert!(reject["reason"].as_str().unwrap().contains(reason), "{reject}");
    }
}

#[test]
fn an_import_may_be_repeated_and_may_rely_on_what_the_store_has() {
    let served = Served::new(&[]);
    let concepts = "{\"id\": \"a\", \"content\": \"A\"}\n{\"id\": \"b\", \"content\": \"B\"}\n";
    let associations = "{\"source\": \"a\", \"target\": \"b\", \"type\": \"t\", \"weight\": 3}\n";
    served.import(concepts);
    served.import(associations);
    served.import(&[associations, concepts].concat());
    let stats = served.json(&["stats", "store"]);
    assert_eq!((&stats["concepts"], &stats["edges"]), (&json!(2), &json!(1)));
    assert_eq!(served.json(&["neighbors", "store", "a"]).as_array().unwrap().len(), 1);
}

#[test]
fn rows_of_vectors_go_to_the_concept_lines() {
    let served = Served::new(&[]);
    served.file(
        "concepts.ndjson",
        "{\"id\": \"a\", \"content\": \"A\"}\n{\"id\": \"b\", \"content\": \"B\"}\n",
    );
    served.file("links.ndjson", "{\"source\": \"a\", \"target\": \"b\", \"type\": 1}\n{\"id\": \"c\", \"content\": \"C\"}\n");
    served.file("rows.npy", npy("(4, 2)", &[1.0, 0.0, 0.0, 1.0, 0.5, 0.5, 9.0, 9.0]));
    let ran = served.sutra(&[
        "import",
        "store",
        "concepts.ndjson",
        "links.ndjson",
        "--vectors",
        "rows.npy",
        "--json",
    ]);
    assert_eq!(ran.json(0)["vectors"], json!(3));
    assert_eq!(ran.json(0)["vectors_unused"], json!(1));
    assert!(ran.stderr.contains("1 rows more than there were concept lines"), "{ran:?}");
    for (id, expected) in [("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("c", [0.5, 0.5])] {
        assert_eq!(served.json(&["get", "store", id, "--embedding"])["embedding"], json!(expected));
    }
    assert_eq!(served.json(&["neighbors", "store", "a"])[0]["type"], json!("causal"));
}

#[test]
fn lines_of_a_slow_producer_are_visible_before_it_ends() {
    let served = Served::new(&[]);
    let mut import = Command::new(env!("CARGO_BIN_EXE_sutra"))
        .args(["import", "store", "-"])
        .current_dir(served.path("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = import.stdin.take().unwrap();
    stdin.write_all(b"{\"id\": \"early\", \"content\": \"E\"}\n").unwrap();
    let reader = loop {
        // The import has not begun to send before it has read; look until the line is there.
        if let Ok(reader) = sutra_reader::Reader::open(served.path("store")) {
            break reader;
        }
    };
    while !reader.snapshot().unwrap().contains("early").unwrap() {
        assert!(import.try_wait().unwrap().is_none(), "the import ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    drop(stdin);
    let mut summary = String::new();
    import.stdout.take().unwrap().read_to_string(&mut summary).unwrap();
    assert!(import.wait().unwrap().success());
    assert!(summary.starts_with("1 concepts and 0 associations"), "{summary}");
}
