//! One store, one writer: a second coordinator is refused at once, and told who the first is.

use std::time::Duration;

use sutra_tests::store::Writing;
use sutra_tests::{Process, TestStore};

/// Much longer than the second in which it must be refused, on a machine with something else to do.
const DEADLINE: Duration = Duration::from_secs(10);

fn assert_refused(store: &TestStore, mut second: Process) {
    let status = second.wait_within(DEADLINE).expect("a second coordinator is refused");
    let errors = second.errors();
    assert_eq!(status.code(), Some(3), "{errors}");
    let pid = format!("sutra-test-host (pid {})", store.pid());
    assert!(errors.contains(&pid), "{errors}");
    assert!(errors.contains(&store.dir().join("coordinator.sock").display().to_string()));
}

#[test]
fn a_second_coordinator_is_refused_and_names_the_first() {
    let store = TestStore::started();
    assert_refused(&store, store.spawn_second());
    store.client().learn("a", "the first one still writes");
}

#[test]
fn a_second_coordinator_is_refused_after_the_lock_file_was_removed() {
    let store = TestStore::started();
    std::fs::remove_file(store.dir().join("writer.lock")).unwrap();
    assert_refused(&store, store.spawn_second());
    // Not even by its traces.
    std::fs::remove_file(store.dir().join("wal").join("holder")).unwrap();
    let mut second = store.spawn_second();
    assert_eq!(second.wait_within(DEADLINE).and_then(|status| status.code()), Some(3));
    store.client().learn("a", "the first one still writes");
}

#[test]
fn a_stopped_coordinator_keeps_its_store_and_a_dead_one_does_not() {
    let mut store = TestStore::started();
    store.client().learn("a", "kept");
    store.pause();
    assert_refused(&store, store.spawn_second());
    store.resume();
    store.kill();
    store.start();
    assert!(store.reader().snapshot().unwrap().contains("a").unwrap());
}

#[test]
fn of_many_that_start_at_once_one_writes() {
    let store = TestStore::unstarted();
    let mut processes: Vec<Process> = (0..6).map(|_| store.spawn_second()).collect();
    let refused = |process: &mut Process| process.wait_within(Duration::ZERO).is_some();
    sutra_tests::wait::until("all but one are refused", || {
        (processes.iter_mut().filter_map(|one| refused(one).then_some(())).count() == 5)
            .then_some(())
    });
    let writer = processes.iter_mut().find_map(|one| one.is_running().then(|| one.pid()));
    assert_eq!(Some(store.client().writer_pid()), writer);
}
