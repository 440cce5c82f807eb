//! What an empty store takes of a disk, and a reader of memory; and that reading leaves no trace.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use sutra_client::{Associate, Batch, Learn, Level};
use sutra_reader::Reader;
use sutra_tests::text::{text_of, vector_of};
use sutra_tests::{TestStore, roles};

const EMPTY_STORE_SIZE_MAX: u64 = 2 << 20;
const READER_SIZE_MAX: u64 = 2 << 20;

/// Bytes that a directory takes on its disk, as `du` counts them.
fn disk_size(path: &Path) -> u64 {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let below = if metadata.is_dir() {
        std::fs::read_dir(path).unwrap().map(|entry| disk_size(&entry.unwrap().path())).sum()
    } else {
        0
    };
    metadata.blocks() * 512 + below
}

#[test]
fn an_empty_store_takes_less_than_two_mebibytes() {
    let mut store = TestStore::started();
    let size = disk_size(store.dir());
    assert!(size < EMPTY_STORE_SIZE_MAX, "{size} bytes while it is served");
    store.client().flush().unwrap();
    let size = disk_size(store.dir());
    assert!(size < EMPTY_STORE_SIZE_MAX, "{size} bytes after a flush");
    for _ in 0..3 {
        store.restart();
        store.kill_and_restart();
    }
    store.stop();
    let size = disk_size(store.dir());
    assert!(size < EMPTY_STORE_SIZE_MAX, "{size} bytes after it was stopped");
}

/// A store with some thousand concepts of some size, vectors and associations.
fn filled() -> TestStore {
    let mut store = TestStore::started();
    let mut client = store.client();
    let mut batch = Batch::new();
    for at in 0..5000u32 {
        let name = format!("concept-{at}");
        let vector = vector_of(&name, at, 128);
        let learn = Learn {
            id: name.as_str().into(),
            content: Some(&text_of(&name, at)),
            embedding: Some(&vector),
            ..Learn::default()
        };
        batch.learn(&learn).unwrap();
        for other in [at / 2, at / 3] {
            batch
                .associate(&Associate {
                    source: name.as_str().into(),
                    target: format!("concept-{other}").as_str().into(),
                    kind: "divides".into(),
                    ..Associate::default()
                })
                .unwrap();
        }
        if batch.len() > 3000 {
            client.submit(&batch, Level::Visible).unwrap();
            batch.clear();
        }
    }
    client.write(&batch, Level::Visible).unwrap();
    for receipt in client.drain().unwrap() {
        assert!(receipt.errors.is_empty());
    }
    store.stop();
    store
}

/// Bytes of a process that nobody shares with it.
fn private_size(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let size = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    // Whatever is dirty is not code; what is anonymous and clean was swapped in.
    size("Private_Dirty:").max(size("Anonymous:"))
}

#[test]
fn a_reader_that_has_read_everything_has_less_than_two_megabytes_of_its_own() {
    let mut store = filled();
    for is_served in [false, true] {
        if is_served {
            store.start();
        }
        let mut reader = store.child(&roles::hold(store.dir()));
        let line = reader.line();
        assert!(line.starts_with("ready"), "{line} {}", reader.errors());
        let size = private_size(reader.pid());
        println!("a reader has {size} bytes of its own; {line}");
        assert!(size < READER_SIZE_MAX, "{size} bytes");
        reader.tell("end");
        assert!(reader.wait().success());
    }
}

type Trace = (u64, u64, SystemTime, i64, i64);

/// Everything in a directory that would tell of a change.
fn traces(path: &Path) -> BTreeMap<String, Trace> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        let change = (metadata.ctime(), metadata.ctime_nsec());
        let modified = metadata.modified().unwrap();
        let trace = (metadata.ino(), metadata.size(), modified, change.0, change.1);
        let name = entry.path().display().to_string();
        if metadata.is_dir() {
            found.extend(traces(&entry.path()));
        }
        found.insert(name, trace);
    }
    found
}

#[test]
fn reading_leaves_no_trace_in_the_directory() {
    let mut store = filled();
    let before = traces(store.dir());
    let mut child = store.child(&roles::hold(store.dir()));
    assert!(child.line().starts_with("ready"));
    child.tell("end");
    child.wait();
    assert!(sutra_reader::verify::quick(store.dir()).unwrap().is_sound());
    let reader = store.reader();
    let snapshot = reader.snapshot().unwrap();
    snapshot.stats();
    assert!(!reader.writer().alive);
    assert_eq!(traces(store.dir()), before);
    // A store that is not there is not made, either.
    let nowhere = store.dir().join("nowhere");
    assert!(Reader::open(&nowhere).is_err() && sutra_reader::verify::quick(&nowhere).is_err());
    assert_eq!(traces(store.dir()), before);
    store.start();
    assert_ne!(traces(store.dir()), before, "a writer leaves traces, and they are seen");
}
