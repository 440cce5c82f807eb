//! The exit codes, and that commands which read leave nothing behind.

use crate::support::{Served, npy, sutra_in};

#[test]
fn only_learn_and_import_make_a_store_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in.ndjson"), "").unwrap();
    let commands: [&[&str]; 24] = [
        &["repair", "store"],
        &["backup", "store", "copies"],
        &["restore", "store", "again"],
        &["forget", "store", "wolf"],
        &["disassociate", "store", "a", "b"],
        &["reinforce", "store", "a", "--strength", "0.1"],
        &["touch", "store", "a"],
        &["ttl", "store", "alice", "30d"],
        &["space", "make", "store", "b", "--dimension", "2"],
        &["space", "list", "store"],
        &["list", "store"],
        &["search", "store", "dog"],
        &["history", "store", "wolf"],
        &["tail", "store"],
        &["watch", "store", "--count", "1"],
        &["doctor", "store"],
        &["get", "store", "wolf"],
        &["neighbors", "store", "wolf"],
        &["path", "store", "wolf", "dog"],
        &["nearest", "store", "--like", "wolf"],
        &["stats", "store"],
        &["verify", "store"],
        &["stop", "store"],
        &["associate", "store", "a", "b", "causal"],
    ];
    for command in commands {
        let ran = sutra_in(folder.path(), command, b"");
        assert_eq!(ran.code, 3, "{command:?}: {ran:?}");
        assert!(
            ran.stderr.starts_with("sutra: ") && ran.stderr.contains("store"),
            "{command:?}: {ran:?}"
        );
        for name in ["store", "copies", "again"] {
            assert!(!folder.path().join(name).exists(), "{command:?} made {name}");
        }
    }
    for command in [&["import", "made", "in.ndjson"], &["learn", "too", "text"]] {
        let ran = sutra_in(folder.path(), command, b"");
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
        assert!(folder.path().join(command[1]).join("storage.dat").exists(), "{command:?}");
    }
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("store")).unwrap();
    std::fs::write(folder.path().join("store/storage.dat"), vec![7; 1 << 20]).unwrap();
    let ran = sutra_in(folder.path(), &["get", "store", "wolf"], b"");
    assert_eq!(ran.code, 3, "{ran:?}");
}

#[test]
fn arguments_that_cannot_be_used_end_with_2() {
    let served = Served::new(&[]);
    served.file("text", "no numpy");
    served.file("three.npy", npy("(3,)", &[1.0, 2.0, 3.0]));
    served.import(r#"{"id": "wolf", "content": "a wild dog", "embedding": [1, 0]}"#);
    let commands: [&[&str]; 25] = [
        &[],
        &["forget", "store"],
        &["reinforce", "store", "wolf"],
        &["reinforce", "store", "wolf", "--strength", "7"],
        &["touch", "store", "wolf", "--at", "noon"],
        &["ttl", "store", "alice", "soon"],
        &["learn", "store", "x", "--metadata", "[1]"],
        &["learn", "store", "x", "--if-lsn", "1", "--if-absent"],
        &["get", "store", "wolf", "--as-of", "yesterday"],
        &["get", "store", "wolf", "--as-of", "999999"],
        &["list", "store", "--filter", "colour = red"],
        &["list", "store", "--filter", "kind ="],
        &["search", "store", "--", "--"],
        &["export", "store", "--namespace"],
        &["frobnicate"],
        &["get", "store"],
        &["get", "store", ""],
        &["neighbors", "store", "wolf", "--direction", "up"],
        &["nearest", "store"],
        &["nearest", "store", "--like", "wolf", "--vector", "three.npy"],
        &["nearest", "store", "--vector", "text"],
        &["nearest", "store", "--vector", "three.npy"],
        &["import", "store", "not-there.ndjson"],
        &["learn", "store"],
        &["learn", "store", "x", "--strength", "2"],
    ];
    for command in commands {
        let ran = served.sutra(command);
        assert_eq!(ran.code, 2, "{command:?}: {ran:?}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{command:?}: {ran:?}");
    }
}

#[test]
fn what_is_not_there_ends_with_1() {
    let served = Served::new(&[]);
    served.file("one.npy", npy("(1,)", &[1.0]));
    served.import(r#"{"id": "wolf", "content": "a wild dog"}"#);
    let commands: [&[&str]; 15] = [
        &["get", "store", "wolf", "--namespace", "alice"],
        &["forget", "store", "unicorn"],
        &["disassociate", "store", "wolf", "wolf"],
        &["reinforce", "store", "unicorn", "--strength", "0.1"],
        &["touch", "store", "unicorn"],
        &["history", "store", "unicorn"],
        &["nearest", "store", "--like", "wolf", "--space", "b"],
        &["learn", "store", "x", "--vector", "one.npy", "--space", "b"],
        &["get", "store", "unicorn"],
        &["neighbors", "store", "unicorn"],
        &["neighbors", "store", "wolf", "--type", "unheard-of"],
        &["path", "store", "wolf", "unicorn"],
        &["nearest", "store", "--like", "unicorn"],
        &["nearest", "store", "--like", "wolf"],
        &["associate", "store", "wolf", "unicorn", "causal"],
    ];
    for command in commands {
        let ran = served.sutra(command);
        assert_eq!(ran.code, 1, "{command:?}: {ran:?}");
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{command:?}: {ran:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    for command in [["--help"], ["--version"]] {
        assert_eq!(sutra_in(folder.path(), &command, b"").code, 0);
    }
    let help = sutra_in(folder.path(), &["import", "--help"], b"");
    assert!(help.stdout.contains("Examples:"), "{help:?}");
}

#[test]
fn a_second_coordinator_is_refused_and_told_the_first() {
    let served = Served::new(&[]);
    let second = served.sutra(&["serve", "store"]);
    assert_eq!(second.code, 3, "{second:?}");
    let pid = served.json(&["stats", "store"])["writer_pid"].to_string();
    assert!(second.stderr.contains(&pid), "{second:?} does not name {pid}");
}

#[test]
fn damage_is_listed_by_verify_which_ends_with_1() {
    let served = Served::new(&[]);
    served.import(r#"{"id": "wolf", "content": "a wild dog"}"#);
    assert_eq!(served.sutra(&["stop", "store"]).code, 0);
    assert_eq!(served.sutra(&["verify", "store"]).code, 0);

    // A byte of what was learnt.
    let file = served.path("store/storage.dat");
    let mut bytes = std::fs::read(&file).unwrap();
    let content = bytes.windows(10).position(|bytes| bytes == b"a wild dog").unwrap();
    bytes[content] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let verify = served.sutra(&["verify", "store", "--deep"]);
    let finding = format!("byte {}, content", content - 8);
    assert!(verify.code == 1 && verify.stdout.contains(&finding), "{verify:?}");

    // Bytes of the superblock that no reader can do without.
    bytes[16..24].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let verify = served.sutra(&["verify", "store"]);
    assert_eq!(verify.code, 1, "{verify:?}");
    assert!(
        verify.stdout.contains("BAD  superblock") && verify.stdout.contains("is damaged"),
        "{verify:?}"
    );
    assert_eq!(served.sutra(&["get", "store", "wolf"]).code, 3);
}

#[test]
fn a_repair_that_loses_something_ends_with_1_and_one_that_does_not_with_0() {
    let served = Served::new(&[]);
    served.import(r#"{"id": "wolf", "content": "a wild dog"}"#);
    served.import(r#"{"id": "dog", "content": "a tame wolf"}"#);
    assert_eq!(served.sutra(&["repair", "store"]).code, 0, "there is nothing to repair");
    let file = served.path("store/storage.dat");
    assert_eq!(served.sutra(&["stop", "store"]).code, 0);
    let mut bytes = std::fs::read(&file).unwrap();
    let content = bytes.windows(11).position(|bytes| bytes == b"a tame wolf").unwrap();
    bytes[content] ^= 1;
    std::fs::write(&file, &bytes).unwrap();

    let dry = served.sutra(&["repair", "store", "--dry-run"]);
    assert!(dry.code == 1 && dry.stdout.contains("LOST  a version of a concept, 1: "), "{dry:?}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "a dry run changed the file");
    let report = served.sutra(&["repair", "store", "--json"]).json(1);
    assert_eq!((&report["repaired"], &report["records"]["saved"]), (&true.into(), &1.into()));
    assert!(served.path("store/storage.dat.damaged-1").exists());
    assert_eq!(served.sutra(&["verify", "store", "--deep"]).code, 0);
    assert_eq!(served.json(&["get", "store", "wolf"])["content"], "a wild dog");
    let again = served.sutra(&["repair", "store"]);
    assert!(again.code == 0 && again.stdout.contains("nothing to repair"), "{again:?}");
}

#[test]
fn a_condition_that_does_not_hold_ends_with_5_and_names_the_lsn() {
    let served = Served::new(&[]);
    let lsn = served.json(&["learn", "store", "a wild dog", "--id", "wolf"])["lsn"].to_string();
    served.sutra(&["associate", "store", "wolf", "wolf", "t"]);
    let newer =
        served.json(&["learn", "store", "--id", "wolf", "--strength", "0.5"])["lsn"].to_string();
    let commands: [&[&str]; 5] = [
        &["learn", "store", "x", "--id", "wolf", "--if-lsn", &lsn],
        &["learn", "store", "x", "--id", "wolf", "--if-absent"],
        &["reinforce", "store", "wolf", "--strength", "0.1", "--if-lsn", &lsn],
        &["forget", "store", "wolf", "--if-lsn", &lsn],
        &["forget", "store", "wolf", "--if-lsn", &lsn, "--atomic"],
    ];
    for command in commands {
        let ran = served.sutra(command);
        assert_eq!(ran.code, 5, "{command:?}: {ran:?}");
        assert!(ran.stderr.contains(&newer) && ran.stdout.is_empty(), "{command:?}: {ran:?}");
    }
    let associate = ["associate", "store", "wolf", "wolf", "t", "--if-absent"];
    assert_eq!(served.sutra(&associate).code, 5);
    assert_eq!(served.json(&["get", "store", "wolf"])["content"], "a wild dog");
    let held = served.sutra(&["learn", "store", "grey", "--id", "wolf", "--if-lsn", &newer]);
    assert_eq!(held.code, 0, "{held:?}");
}

#[test]
fn without_a_coordinator_a_command_that_writes_is_one_for_as_long_as_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10 {
        let (id, content) = (format!("k{number}"), format!("text {number}"));
        let ran = sutra_in(folder.path(), &["learn", "store", &content, "--id", &id], b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    }
    let ran = sutra_in(folder.path(), &["associate", "store", "k0", "k9", "causal"], b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    let stats = sutra_in(folder.path(), &["stats", "store", "--json"], b"").json(0);
    assert_eq!(stats["concepts"], 10, "{stats}");
    assert!(!folder.path().join("store/coordinator.sock").exists());
    // A socket that is named means somebody who listens there.
    let arguments = ["learn", "store", "x", "--socket", "store/coordinator.sock"];
    let ran = sutra_in(folder.path(), &arguments, b"");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("no coordinator answers"), "{ran:?}");
}
