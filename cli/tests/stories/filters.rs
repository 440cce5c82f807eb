//! Filters, lists and text search, as they are typed.

use serde_json::{Value, json};

use crate::support::Served;

fn animals() -> Served {
    let served = Served::new(&[]);
    served.import(
        r#"{"id": "wolf", "content": "a wild dog that hunts", "metadata": {"pos": "n", "legs": 4}, "kind": "animal", "embedding": [1, 0]}
           {"id": "hunt", "content": "to chase, as dogs do", "metadata": {"pos": "v"}, "embedding": [0.9, 0.1]}
           {"id": "dog", "content": "Dog: a tame dog", "metadata": {"pos": "n", "legs": 4}, "confidence": 0.25, "embedding": [0.5, 0.5]}
           {"id": "worm", "content": "no dog at all", "metadata": {"pos": "n", "legs": 0}, "embedding": [0, 1]}
           {"source": "wolf", "target": "hunt", "type": "t"}
           {"source": "wolf", "target": "dog", "type": "t"}
           {"source": "hunt", "target": "worm", "type": "t"}
           {"source": "dog", "target": "worm", "type": "t"}"#,
    );
    served
}

fn ids(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[test]
fn a_list_holds_what_the_filter_says() {
    let served = animals();
    let list = |filter: &str| {
        let ran = served.sutra(&["list", "store", "--filter", filter]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let ids = ran.stdout.lines().map(|line| line.split("  ").next().unwrap().to_owned());
        ids.collect::<Vec<String>>()
    };
    assert_eq!(list("meta.pos = n and meta.legs > 0"), ["wolf", "dog"]);
    assert_eq!(list("kind = animal or meta.pos in (v, a)"), ["wolf", "hunt"]);
    assert_eq!(list("not exists meta.legs"), ["hunt"]);
    assert_eq!(list("confidence < 0.5"), ["dog"]);
    assert_eq!(list("created_at > 2100-01-01T00:00:00Z"), [""; 0]);
    let count = served.json(&["list", "store", "--filter", "meta.pos = n", "--count"]);
    assert_eq!(count, json!({"count": 3}));
    let bad = served.sutra(&["list", "store", "--filter", "legs = 4"]);
    assert!(bad.code == 2 && bad.stderr.contains("meta.PATH"), "{bad:?}");
}

#[test]
fn neighbors_paths_and_nearest_keep_to_the_filter() {
    let served = animals();
    let nouns = ["--filter", "meta.pos = n"];
    let ask = |command: &[&str]| served.json(&[command, &nouns].concat());
    assert_eq!(ids(&ask(&["neighbors", "store", "wolf"])), ["dog"]);
    assert_eq!(ask(&["path", "store", "wolf", "worm"])["nodes"], json!(["wolf", "dog", "worm"]));
    assert_eq!(ids(&ask(&["nearest", "store", "--like", "wolf", "-k", "2"])), ["dog", "worm"]);
    let none = ["path", "store", "wolf", "worm", "--filter", "meta.pos = x"];
    assert_eq!(served.sutra(&none).code, 1);
}

#[test]
fn search_finds_all_words_whatever_their_case() {
    let served = animals();
    assert_eq!(ids(&served.json(&["search", "store", "DOG"]))[0], "dog");
    assert_eq!(ids(&served.json(&["search", "store", "dog hunt"])), ["wolf"]);
    let verbs = served.json(&["search", "store", "dog", "--filter", "meta.pos = v"]);
    assert_eq!(ids(&verbs), ["hunt"]);
    assert_eq!(ids(&served.json(&["search", "store", "dog", "--limit", "2"])).len(), 2);
    let none = served.sutra(&["search", "store", "unicorn"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, "nothing has all these words\n"));
}
