//! What keeps a store from working well is found, and told with what mends it.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};

use serde_json::{Value, json};
use sutra_client::{Batch, Client, Learn, Level};

use crate::support::{Served, keys, sutra_in};

fn finding<'v>(diagnosis: &'v Value, name: &str) -> &'v Value {
    let findings = diagnosis["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn log_of(served: &Served) -> Value {
    let report = served.sutra(&["verify", "store", "--json"]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "log").unwrap().clone()
}

#[test]
fn a_store_that_is_served_is_well() {
    let mut served = Served::new(&[]);
    served.import(r#"{"id": "wolf", "content": "a wild dog"}"#);
    let diagnosis = served.json(&["doctor", "store"]);
    assert_eq!(keys(&diagnosis), ["findings", "healthy"]);
    assert_eq!(keys(&diagnosis["findings"][0]), ["detail", "fix", "name", "state"]);
    for name in ["reading", "coordinator", "socket", "version", "connections"] {
        assert_eq!(finding(&diagnosis, name)["state"], json!("ok"), "{diagnosis}");
    }
    served.stop();
    let stopped = served.json(&["doctor", "store"]);
    assert_eq!(finding(&stopped, "coordinator")["state"], json!("note"), "{stopped}");
}

#[test]
fn a_killed_coordinator_and_its_socket_are_found() {
    let mut served = Served::new(&[]);
    served.import(r#"{"id": "wolf", "content": "a wild dog"}"#);
    served.kill();
    let started = std::time::Instant::now();
    let diagnosis = loop {
        let ran = served.sutra(&["doctor", "store", "--json"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let diagnosis = ran.json(1);
        // For a second its heart may just have beaten.
        if finding(&diagnosis, "coordinator")["state"] == json!("fix") {
            break diagnosis;
        }
        assert!(started.elapsed().as_secs() < 60, "{diagnosis}");
    };
    assert_eq!(diagnosis["healthy"], json!(false));
    let coordinator = finding(&diagnosis, "coordinator");
    assert!(coordinator["fix"].as_str().unwrap().contains("sutra serve store"), "{coordinator}");
    let socket = finding(&diagnosis, "socket");
    assert!(socket["detail"].as_str().unwrap().contains("stale"), "{socket}");
}

#[test]
fn permissions_that_let_everybody_in_are_found() {
    let served = Served::new(&[]);
    fs::set_permissions(served.path("store"), Permissions::from_mode(0o777)).unwrap();
    let diagnosis = served.sutra(&["doctor", "store", "--json"]).json(1);
    assert_eq!(finding(&diagnosis, "permissions")["fix"], json!("chmod 0750 store"));
    let text = served.sutra(&["doctor", "store"]).stdout;
    assert!(text.ends_with("store needs one thing mended\n"), "{text}");
}

#[test]
fn a_failed_sync_is_found() {
    let mut served = Served::new(&[]);
    served.stop();
    served.file("store/wal/poisoned", "fdatasync: Input/output error");
    let diagnosis = served.sutra(&["doctor", "store", "--json"]).json(1);
    assert!(finding(&diagnosis, "log")["detail"].as_str().unwrap().contains("Input/output"));
}

#[test]
fn verify_reads_the_log_beside_a_live_writer() {
    let served = Served::new(&[]);
    served.import(r#"{"id": "wolf", "content": "a wild dog"}"#);
    let log = log_of(&served);
    assert_eq!(log["problem"], Value::Null);
    assert!(log["detail"].as_str().unwrap().starts_with("entries 1 to 1 in 1 segments"), "{log}");
}

#[test]
fn a_torn_end_of_the_log_is_a_note_and_a_hole_in_it_damage() {
    let mut served = Served::new(&["--sync", "off", "--reconcile-ms", "60000"]);
    for number in 0..19 {
        served.import(&format!("{{\"id\": \"c{number}\", \"content\": \"number {number}\"}}"));
    }
    // Written to the log, and neither published nor synced.
    let mut batch = Batch::new();
    batch.learn(&Learn { content: Some("number 19"), ..Learn::default() }).unwrap();
    let mut client = Client::connect(served.path("store")).unwrap();
    client.write(&batch, Level::Accepted).unwrap();
    let segment = fs::read_dir(served.path("store/wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::read(path).unwrap().windows(8).any(|bytes| bytes == b"number 0"))
        .unwrap();
    served.kill();
    let bytes = fs::read(&segment).unwrap();
    let place = |text: &str| {
        bytes.windows(text.len()).position(|bytes| bytes == text.as_bytes()).unwrap() as u64
    };
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(b"torn here", place("number 19")).unwrap();
    let verify = served.sutra(&["verify", "store"]);
    assert_eq!(verify.code, 0, "{verify:?}");
    assert!(verify.stdout.contains("its end is torn"), "{verify:?}");

    file.write_all_at(b"hole here", place("number 3")).unwrap();
    let verify = served.sutra(&["verify", "store"]);
    assert_eq!(verify.code, 1, "{verify:?}");
    assert!(verify.stdout.contains("BAD  log"), "{verify:?}");
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = sutra_in(folder.path(), &["completions", shell], b"");
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains("reinforce"), "{shell} does not know reinforce");
    }
    let man = sutra_in(folder.path(), &["man", "man1"], b"");
    assert_eq!(man.code, 0, "{man:?}");
    for page in ["sutra.1", "sutra-learn.1", "sutra-space-make.1"] {
        let text = fs::read_to_string(folder.path().join("man1").join(page)).unwrap();
        assert!(text.contains("Examples"), "{page} has no examples");
    }
    assert!(
        !folder.path().join("man1/sutra-demo-reader.1").exists(),
        "a hidden command has a page"
    );
}
