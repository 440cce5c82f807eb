//! The graph of vectors at the command line: its settings, waiting for it, searching by it, and what
//! a check of it says.

use std::fmt::Write;

use serde_json::json;

use crate::support::{Served, npy};

const COUNT: usize = 1500;

/// The vector of concept `number`: no two alike, and near to those of neighbouring numbers.
fn vector(number: usize) -> [f32; 3] {
    let angle = number as f32 / COUNT as f32 * 6.0;
    [angle.cos(), angle.sin(), 0.3 * (7.0 * angle).sin()]
}

fn filled(flags: &[&str]) -> Served {
    let served = Served::new(flags);
    let mut lines = String::new();
    for number in 0..COUNT {
        let kind = if number % 300 == 7 { "rare" } else { "usual" };
        writeln!(
            lines,
            "{}",
            json!({"id": format!("c{number}"), "content": "x", "kind": kind,
                   "embedding": vector(number)})
        )
        .unwrap();
    }
    served.import(&lines);
    served
}

#[test]
fn a_store_is_waited_for_searched_and_checked() {
    let served = filled(&["--m", "8", "--ef-construction", "60", "--ef", "40"]);
    let waited = served.json(&["wait", "store", "--indexed"]);
    assert_eq!((&waited["vectors"], &waited["indexed_vectors"]), (&json!(COUNT), &json!(COUNT)));
    let lsn = waited["published_lsn"].to_string();
    assert_eq!(served.sutra(&["wait", "store", "--lsn", &lsn]).code, 0);
    let late = served.sutra(&["wait", "store", "--lsn", "99999", "--timeout", "1ms"]);
    assert!(late.code == 3 && late.stderr.contains("99999"), "{late:?}");

    let space = &served.json(&["space", "list", "store"])[0];
    let settings = ["m", "ef_construction", "ef", "quantization", "indexed"];
    let found = settings.map(|setting| space[setting].clone());
    assert_eq!(found, [json!(8), json!(60), json!(40), json!("int8"), json!(COUNT)]);

    served.file("q.npy", npy("(3,)", &vector(700)));
    let ids = |flags: &[&str]| -> Vec<String> {
        let nearest = [&["nearest", "store", "--vector", "q.npy", "-k", "5"], flags].concat();
        let hits = served.json(&nearest);
        let ids = hits.as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    let exact = ids(&["--exact"]);
    assert_eq!(exact[0], "c700");
    assert_eq!(ids(&["--ef", "200"]), exact);
    assert_eq!(ids(&["--filter", "kind = rare"]).len(), 5);
    assert_eq!(ids(&["--filter", "kind = rare"]), ids(&["--filter", "kind = rare", "--exact"]));
    assert!(ids(&["--min-score", "0.9999999"]).len() < 5);

    served.json(&["forget", "store", "c700", "c701"]);
    assert_eq!(served.json(&["stats", "store"])["dead_vectors"], json!(2));
    assert!(ids(&["--ef", "200"]).iter().all(|id| id != "c700" && id != "c701"));
    let checked = served.sutra(&["verify", "store", "--deep", "--recall"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stdout.contains("1500 of 1500 rows of space 0 linked"), "{checked:?}");
    assert!(checked.stdout.contains("of the ten nearest to"), "{checked:?}");
}

#[test]
fn a_graph_without_codes_finds_the_same() {
    let served = filled(&["--quantization", "none"]);
    served.json(&["wait", "store", "--indexed"]);
    served.file("q.npy", npy("(3,)", &vector(300)));
    let nearest = ["nearest", "store", "--vector", "q.npy", "--ef", "100"];
    let exact = ["nearest", "store", "--vector", "q.npy", "--exact"];
    assert_eq!(served.json(&nearest), served.json(&exact));
    assert_eq!(served.sutra(&["verify", "store", "--deep"]).code, 0);
}
