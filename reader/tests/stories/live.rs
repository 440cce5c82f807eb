//! A store that others write while it is read: waiting, liveness, replacement, many threads.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sutra_layout::run_mark::RunMark;
use sutra_reader::{Concept, ReadError, Reader, Snapshot};

use crate::support::Writer;

/// Long enough for any machine; no test waits for it to end unless something is broken.
const LONG: Duration = Duration::from_secs(60);

fn assert_shared<T: Send + Sync>() {}

#[test]
fn a_reader_its_snapshots_and_what_they_give_are_shared_between_threads() {
    assert_shared::<Reader>();
    assert_shared::<Snapshot>();
    assert_shared::<Concept<'_>>();
    assert_shared::<ReadError>();
}

#[test]
fn a_waiting_reader_is_woken_by_the_next_publication() {
    let mut store = Writer::create();
    let reader = Arc::new(Reader::open(store.path()).unwrap());
    let seen = reader.snapshot().unwrap().commit_seq();
    assert!(!reader.wait_for_update(seen, Duration::ZERO).unwrap());
    assert!(!reader.wait_for_update(seen, Duration::from_millis(5)).unwrap());
    assert!(reader.wait_for_update(seen - 1, Duration::ZERO).unwrap());

    let waiting = Arc::clone(&reader);
    let waiter = thread::spawn(move || {
        assert!(waiting.wait_for_update(seen, LONG).unwrap());
        waiting.snapshot().unwrap().commit_seq()
    });
    let other = Arc::clone(&reader);
    let by_lsn = thread::spawn(move || {
        let snapshot = other.wait_for_lsn(1, Duration::MAX).unwrap();
        snapshot.contains("a").unwrap()
    });
    store.learn("a", "awaited");
    let published = store.publish();
    assert_eq!(waiter.join().unwrap(), published);
    assert!(by_lsn.join().unwrap());
}

#[test]
fn waiting_for_what_is_never_written_ends_with_what_is_there() {
    let mut store = Writer::create();
    store.learn("a", "");
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    assert!(reader.wait_for_lsn(1, Duration::ZERO).is_ok());
    let timeout = reader.wait_for_lsn(7, Duration::from_millis(5)).unwrap_err();
    assert!(matches!(timeout, ReadError::Timeout { wanted: 7, published: 1 }));
}

#[test]
fn a_writer_is_alive_while_its_heart_beats_in_this_boot() {
    let store = Writer::create();
    let reader = Reader::open(store.path()).unwrap();
    let never = reader.writer();
    assert_eq!((never.alive, never.pid, never.epoch), (false, 0, 1));
    assert_eq!(never.heartbeat_age, Duration::MAX);

    // Beaten again until it is seen in time, however busy the machine is.
    let alive = (0..100).find_map(|_| {
        store.beat(4121, 0);
        Some(reader.writer()).filter(|writer| writer.alive)
    });
    assert_eq!(alive.unwrap().pid, 4121);
    assert!((0..100).any(|_| {
        store.beat(4121, 0);
        reader.snapshot().unwrap().stats().writer_pid == 4121
    }));

    store.beat(4121, 2_000_000_000);
    let dead = reader.writer();
    assert_eq!((dead.alive, dead.pid), (false, 4121));
    assert!(dead.heartbeat_age >= Duration::from_secs(2));
    assert_eq!(reader.snapshot().unwrap().stats().writer_pid, 0);

    store.beat(4121, 0);
    let other_boot = RunMark { started_at: 1, ..RunMark::default() };
    store.put(
        sutra_layout::geometry::RUN_MARK_OFFSET,
        zerocopy::IntoBytes::as_bytes(&other_boot.sealed()),
    );
    assert!(!reader.writer().alive, "a copied heartbeat is nobody's");
}

#[test]
fn stats_add_up() {
    let mut store = Writer::create();
    let [a, b] = ["a", "b"].map(|id| store.learn(id, id));
    store.associate(a, b, Default::default());
    store.learn("c", "");
    store.forget("c");
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let second = Reader::open(store.path()).unwrap();
    let snapshot = second.snapshot().unwrap();
    let stats = snapshot.stats();
    assert_eq!((stats.concepts, stats.edges, stats.vectors), (2, 1, 0));
    assert_eq!((stats.written, stats.published_lsn), (5, 5));
    assert_eq!((stats.commit_seq, stats.reconciliations), (2, 2));
    assert_eq!((stats.dropped, stats.pending, stats.generation), (0, 0, 1));
    assert_eq!(stats.readers, 1, "both are of this process");
    assert_eq!(snapshot.readers().unwrap(), [std::process::id()]);
    let size = fs::metadata(store.file_path()).unwrap().len();
    assert!(stats.file_size > 0 && stats.file_size <= size.next_multiple_of(4096));
    drop(reader);
}

#[test]
fn a_reader_moves_to_the_file_that_supersedes_its_own_and_old_snapshots_stay() {
    let mut store = Writer::create();
    store.learn("a", "of the old file");
    store.publish();
    let reader = Arc::new(Reader::open(store.path()).unwrap());
    let old = reader.snapshot().unwrap();

    let (old_store, mut new_store) = store.replaced();
    new_store.learn("a", "of the new file");
    for _ in 0..old.commit_seq() {
        new_store.publish();
    }
    let waiting = Arc::clone(&reader);
    let seen = old.commit_seq();
    let waiter = thread::spawn(move || waiting.wait_for_update(seen, LONG).unwrap());
    old_store.supersede(2);
    assert!(waiter.join().unwrap(), "the waiter moved to the new file");

    let new = reader.snapshot().unwrap();
    let content = |snapshot: &Snapshot| {
        let a = snapshot.get("a").unwrap().unwrap();
        a.content().unwrap().to_owned()
    };
    assert_eq!(content(&new), "of the new file");
    assert_eq!((old.stats().generation, new.stats().generation), (1, 2));
    drop(old_store);
    assert_eq!(content(&old), "of the old file");
}

#[test]
fn without_a_heartbeat_a_reader_finds_the_new_file_by_itself() {
    let store = Writer::create();
    store.beat(1, 5_000_000_000);
    let reader = Reader::open(store.path()).unwrap();
    let (_old, new) = store.replaced();
    // Nobody said so: the path is looked at about once a second.
    for _ in 0..60_000 {
        if reader.snapshot().unwrap().stats().generation == 2 {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("still on the old file of {:?}", new.path());
}

#[test]
fn a_store_whose_directory_is_gone_stays_readable() {
    let mut store = Writer::create();
    store.learn("a", "still here");
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    fs::remove_file(store.file_path()).unwrap();
    let snapshot = reader.snapshot().unwrap();
    assert!(snapshot.contains("a").unwrap());
    assert!(snapshot.readers().is_err());
    assert_eq!(snapshot.stats().readers, 0);
}

/// Each publication brings all concepts to one more round; whoever sees two rounds at once, an
/// older one than before, or a key that is away, has caught a torn version.
#[test]
fn readers_beside_a_writer_see_whole_versions_in_order() {
    let (keys, rounds) = (40, 400);
    let content = |key: u32, round: u32| format!("{key}:{round}:").repeat(1 + key as usize % 7);
    let mut store = Writer::create();
    for key in 0..keys {
        store.learn(&format!("{key}"), &content(key, 0));
    }
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = (0, 0);
                while !is_done.load(Ordering::Relaxed) {
                    let snapshot = reader.snapshot().unwrap();
                    let first = snapshot.get("0").unwrap().unwrap();
                    let round = first.version() - 1;
                    for key in 0..keys {
                        let concept = snapshot.get(&format!("{key}")).unwrap().unwrap();
                        assert_eq!(concept.content().unwrap(), content(key, round));
                        for neighbor in snapshot.neighbors(&concept, &Default::default()).unwrap() {
                            assert!(snapshot.concept(neighbor.ordinal).unwrap().is_some());
                        }
                    }
                    assert!((snapshot.commit_seq(), round) >= last);
                    last = (snapshot.commit_seq(), round);
                }
            });
        }
        for round in 1..=rounds {
            for key in 0..keys {
                store.learn(&format!("{key}"), &content(key, round));
                store.associate(key, (key + round) % keys, Default::default());
            }
            store.publish();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    let snapshot = reader.snapshot().unwrap();
    assert_eq!(snapshot.get("1").unwrap().unwrap().version(), rounds + 1);
}
