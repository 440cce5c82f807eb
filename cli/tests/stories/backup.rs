//! Backups at the command line: made, checked, interrupted, and brought back.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::{Served, keys};

fn fill(served: &Served, count: u32, text: &str) {
    let line = |n: u32| format!("{{\"id\": \"c{n}\", \"content\": \"{text} {n}\"}}\n");
    served.import(&(0..count).map(line).collect::<String>());
}

#[test]
fn a_backup_is_made_checked_and_restored_to_a_point() {
    let served = Served::new(&["--keep-log", "kept"]);
    fill(&served, 50, "first");
    let made = served.json(&["backup", "store", "copies"]);
    let expected =
        ["copied", "flushed", "generation", "log_lsn", "lsn", "size", "store_id", "time"];
    assert_eq!(keys(&made), expected);
    assert_eq!(made["flushed"], json!(true));
    let lsn = served.json(&["learn", "store", "later", "--id", "later"])["lsn"].to_string();
    served.json(&["learn", "store", "too late", "--id", "too-late"]);
    let again = served.sutra(&["backup", "store", "copies"]);
    assert!(again.code == 0 && again.stdout.contains("is made: LSN "), "{again:?}");
    let checked = served.json(&["backup", "--check", "copies"]);
    assert!(checked["lsn"].as_u64() > made["lsn"].as_u64() && keys(&checked).len() == 6);

    let restored = served.json(&["restore", "copies", "again"]);
    assert_eq!(keys(&restored), ["backup_lsn", "lsn", "sound", "store_id"]);
    assert_eq!(served.json(&["get", "again", "too-late"])["content"], json!("too late"));
    let early = served.sutra(&["restore", "copies", "early", "--log", "kept", "--to", &lsn]);
    assert!(early.code == 2 && early.stderr.contains("take an older backup"), "{early:?}");
    let onto = served.sutra(&["restore", "copies", "again"]);
    assert!(onto.code == 2 && onto.stderr.contains("is not empty"), "{onto:?}");
    assert_eq!(served.sutra(&["backup", "copies"]).code, 2);
}

#[test]
fn a_damaged_backup_ends_with_1() {
    let served = Served::new(&[]);
    fill(&served, 50, "text of number");
    served.json(&["backup", "store", "copies"]);
    let truth = std::fs::read_dir(served.path("copies")).unwrap();
    let mut truth = truth.map(|entry| entry.unwrap().path());
    let truth = truth.find(|path| path.to_string_lossy().contains("truth-")).unwrap();
    let mut bytes = std::fs::read(&truth).unwrap();
    let at = bytes.windows(17).position(|window| window == b"text of number 31").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&truth, bytes).unwrap();
    let told = served.sutra(&["backup", "--check", "copies"]);
    assert!(told.code == 1 && told.stderr.contains("is damaged at byte"), "{told:?}");
    let told = served.sutra(&["restore", "copies", "again"]);
    assert!(told.code == 1 && !served.path("again").exists(), "{told:?}");
}

#[test]
fn a_backup_that_is_killed_again_and_again_comes_to_its_end() {
    let served = Served::new(&[]);
    let text = "a text of some length ".repeat(400);
    for round in 0..3 {
        fill(&served, 1500, &format!("{round} {text}"));
        for patience_us in [0, 500, 2_000, 5_000, 10_000, 20_000, 40_000] {
            let mut backup = Command::new(env!("CARGO_BIN_EXE_sutra"))
                .args(["backup", "store", "copies"])
                .current_dir(served.path("."))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_micros(patience_us));
            let _ = backup.kill(); // it may have come to its end
            backup.wait().unwrap();
            let checked = served.sutra(&["backup", "--check", "copies"]);
            // Whatever was killed, the backup before it is whole; before the first there is none.
            assert!(round == 0 || checked.code == 0, "{checked:?}");
            assert_ne!(checked.code, 1, "{checked:?}");
        }
        served.json(&["backup", "store", "copies"]);
    }
    let expected = served.sutra(&["export", "store"]);
    assert_eq!(served.json(&["restore", "copies", "again"])["sound"], json!(true));
    assert_eq!(served.sutra(&["export", "again"]).stdout, expected.stdout);
}
