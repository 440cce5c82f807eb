//! A hundred commands, each a process of its own, with nobody who serves the store: each opens it,
//! hosts its coordinator for the moment, and the next one goes on from there.

use std::time::{Duration, Instant};

use crate::support::sutra_in;

const COMMANDS: usize = 100;

#[test]
fn a_hundred_commands_in_a_row_need_nobody_who_serves() {
    let folder = tempfile::tempdir().unwrap();
    let sutra = |arguments: &[&str]| sutra_in(folder.path(), arguments, b"");
    let (mut taken, mut last): (Vec<Duration>, u64) = (Vec::new(), 0);
    for number in 0..COMMANDS {
        let (id, content) =
            (format!("note-{number}"), format!("what was noted as number {number}"));
        let started_at = Instant::now();
        let ran = sutra(&["learn", "store", &content, "--id", &id, "--json"]);
        taken.push(started_at.elapsed());
        let lsn = ran.json(0)["lsn"].as_u64().unwrap();
        // What one process wrote the next one goes on from.
        assert!(lsn > last, "{lsn} after {last}");
        last = lsn;
    }
    taken.sort();
    println!("learn, p50 {:?}, the longest {:?}", taken[COMMANDS / 2], taken[COMMANDS - 1]);
    let stats = sutra(&["stats", "store", "--json"]).json(0);
    assert_eq!(stats["concepts"].as_u64(), Some(COMMANDS as u64));
    assert_eq!(sutra(&["verify", "store", "--deep"]).code, 0);
}
