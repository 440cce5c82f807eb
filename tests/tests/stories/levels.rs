//! What an acknowledgement says, and what is done once: levels, waiting, retries, refusals.

use std::time::Duration;

use sutra_client::{
    Associate, Batch, ClientError, ErrorCode, Learn, Level, OperationError, Receipt, Reinforce,
};
use sutra_coordinator::{Options, SyncMode};
use sutra_reader::{ReadError, Snapshot};
use sutra_tests::TestStore;
use sutra_tests::store::Writing;
use sutra_tests::wait::DEADLINE;

/// Nothing is synced, and nothing published unless somebody waits for it.
fn lazy(options: &mut Options) {
    options.sync = SyncMode::Off;
    options.reconcile_interval = Duration::from_secs(3600);
}

fn one(id: &str, content: &str) -> Batch {
    let mut batch = Batch::new();
    batch.learn(&learn(id, content)).unwrap();
    batch
}

fn learn<'a>(id: &'a str, content: &'a str) -> Learn<'a> {
    Learn { id: id.into(), content: Some(content), ..Learn::default() }
}

fn associate<'a>(source: &'a str, target: &'a str) -> Associate<'a> {
    Associate { source: source.into(), target: target.into(), ..Associate::default() }
}

fn now(store: &TestStore) -> Snapshot {
    store.reader().snapshot().unwrap()
}

fn content(store: &TestStore, id: &str) -> Option<String> {
    let snapshot = now(store);
    let concept = snapshot.get(id).unwrap();
    concept.map(|concept| concept.content().unwrap().to_owned())
}

fn codes(errors: &[OperationError]) -> Vec<(u32, ErrorCode)> {
    errors.iter().map(|error| (error.index, error.code)).collect()
}

#[test]
fn accepted_is_kept_though_nobody_sees_it_yet() {
    let mut store = TestStore::started_with(lazy);
    let mut client = store.client();
    let receipt = client.write(&one("a", "kept"), Level::Accepted).unwrap();
    assert_eq!(receipt.level_reached, Level::Accepted);
    assert!(now(&store).published_lsn() < receipt.last_lsn);
    store.kill_and_restart();
    assert_eq!(content(&store, "a").as_deref(), Some("kept"));
}

#[test]
fn an_accepted_reinforcement_survives_one_kill_after_another() {
    let mut store = TestStore::started_with(lazy);
    let mut client = store.client();
    let weak = Learn { strength: Some(0.25), ..learn("a", "") };
    client.batch(|batch| batch.learn(&weak).unwrap()).unwrap();
    let mut batch = Batch::new();
    for _ in 0..2 {
        let reinforce =
            Reinforce { id: "a".into(), strength: Some(0.125), confidence: None, if_lsn: None };
        batch.reinforce(&reinforce).unwrap();
    }
    client.write(&batch, Level::Accepted).unwrap();
    for _ in 0..3 {
        store.kill_and_restart();
        let snapshot = now(&store);
        let concept = snapshot.get("a").unwrap().unwrap();
        assert_eq!((concept.strength(), concept.version()), (0.5, 2));
    }
}

#[test]
fn durable_is_synced_and_visible_is_seen() {
    let store = TestStore::started();
    let mut client = store.client();
    for turn in 0..50 {
        let durable = client.write(&one("a", &format!("{turn}")), Level::Durable).unwrap();
        assert!(client.stats().unwrap().durable_lsn >= durable.last_lsn);
        let visible = client.write(&one("b", &format!("{turn}")), Level::Visible).unwrap();
        assert_eq!(visible.level_reached, Level::Visible);
        assert!(now(&store).published_lsn() >= visible.last_lsn);
        assert_eq!(content(&store, "b"), Some(format!("{turn}")));
    }
}

#[test]
fn visible_is_seen_at_once_though_publications_are_rare() {
    let store = TestStore::started_with(lazy);
    let mut client = store.client();
    for turn in 0..20 {
        client.learn("a", &format!("{turn}"));
        assert_eq!(content(&store, "a"), Some(format!("{turn}")));
    }
}

#[test]
fn a_flush_makes_everything_before_it_durable_visible_and_checkpointed() {
    for change in [lazy, |_: &mut Options| {}] {
        let mut store = TestStore::started_with(change);
        let mut client = store.client();
        let written = client.write(&one("a", "kept"), Level::Accepted).unwrap();
        let flushed = client.flush().unwrap();
        assert!(flushed.last_lsn >= written.last_lsn);
        let stats = client.stats().unwrap();
        assert!(stats.checkpoint_lsn >= written.last_lsn && stats.durable_lsn >= written.last_lsn);
        assert_eq!(content(&store, "a").as_deref(), Some("kept"));
        assert!(client.flush().unwrap().last_lsn >= flushed.last_lsn, "with nothing to do");
        store.kill_and_restart();
        assert!(now(&store).stats().checkpoint_lsn >= written.last_lsn);
    }
}

#[test]
fn waiting_ends_when_it_is_reached_and_with_an_error_when_it_is_not() {
    let store = TestStore::started();
    let mut client = store.client();
    let lsn = client.write(&one("a", "x"), Level::Accepted).unwrap().last_lsn;
    for level in [Level::Accepted, Level::Durable, Level::Visible] {
        assert!(client.wait(lsn, level, DEADLINE).unwrap() >= lsn);
        match client.wait(lsn + 1, level, Duration::from_millis(20)) {
            Err(ClientError::Timeout { reached, .. }) => assert_eq!(reached, lsn),
            other => panic!("{other:?}"),
        }
    }
    // One waits, another writes.
    let mut waiting = store.client();
    let waits = std::thread::spawn(move || waiting.wait(lsn + 1, Level::Visible, DEADLINE));
    client.write(&one("a", "y"), Level::Accepted).unwrap();
    assert!(waits.join().unwrap().unwrap() > lsn);
}

#[test]
fn a_reader_waits_for_what_its_own_program_wrote() {
    let store = TestStore::started();
    let (mut client, reader) = (store.client(), store.reader());
    for turn in 0..50 {
        let text = format!("{turn}");
        client.write(&one("a", &text), Level::Accepted).unwrap();
        let snapshot = reader.wait_for_lsn(client.last_lsn(), DEADLINE).unwrap();
        assert_eq!(snapshot.get("a").unwrap().unwrap().content().unwrap(), text);
    }
    let lsn = client.last_lsn();
    let waited = reader.wait_for_lsn(lsn + 1, Duration::from_millis(20));
    assert!(matches!(waited, Err(ReadError::Timeout { wanted, .. }) if wanted == lsn + 1));
}

#[test]
fn a_waiting_reader_wakes_when_something_is_published() {
    let store = TestStore::started();
    let (mut client, reader) = (store.client(), store.reader());
    let mut seen = reader.snapshot().unwrap().commit_seq();
    assert!(!reader.wait_for_update(seen, Duration::from_millis(20)).unwrap());
    for turn in 0..20 {
        let woken = std::thread::scope(|scope| {
            let waits = scope.spawn(|| reader.wait_for_update(seen, DEADLINE).unwrap());
            client.learn("a", &format!("{turn}"));
            waits.join().unwrap()
        });
        assert!(woken);
        let newer = reader.snapshot().unwrap().commit_seq();
        assert!(newer > seen);
        seen = newer;
    }
}

fn repeat(store: &TestStore, client_id: [u8; 16], batch: &Batch) -> Result<Receipt, ClientError> {
    let builder = store.client_builder().client_id(client_id).first_sequence(1);
    builder.connect().unwrap().write(batch, Level::Visible)
}

#[test]
fn a_frame_that_is_sent_twice_is_applied_once() {
    let mut store = TestStore::started();
    let client_id = [9; 16];
    let first = repeat(&store, client_id, &one("a", "first")).unwrap();
    assert!(!first.already_applied);
    for change in [|_: &mut TestStore| {}, TestStore::kill_and_restart, TestStore::restart] {
        change(&mut store);
        // Whatever is in it the second time: the number decides.
        let again = repeat(&store, client_id, &one("a", "second")).unwrap();
        assert!(again.already_applied && again.errors.is_empty());
        let snapshot = now(&store);
        let concept = snapshot.get("a").unwrap().unwrap();
        assert_eq!((concept.content().unwrap(), concept.version()), ("first", 1));
        assert_eq!(store.client_as(client_id).last_sequence_at_connect(), 1);
    }
    // Another client's numbers are its own.
    assert!(!repeat(&store, [8; 16], &one("a", "other")).unwrap().already_applied);
    assert_eq!(content(&store, "a").as_deref(), Some("other"));
}

#[test]
fn a_refused_frame_that_is_sent_again_stays_refused() {
    let mut store = TestStore::started();
    let mut atomic = one("a", "never");
    atomic.atomic(true);
    atomic.associate(&associate("a", "nobody")).unwrap();
    let code = |result: Result<Receipt, ClientError>| match result {
        Err(ClientError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(repeat(&store, [9; 16], &atomic)), ErrorCode::UnknownConcept);
    // What made it fail is there by now; its number was used up by the refusal.
    store.client().learn("nobody", "somebody after all");
    assert_eq!(code(repeat(&store, [9; 16], &atomic)), ErrorCode::UnknownConcept);
    store.kill_and_restart();
    assert_eq!(code(repeat(&store, [9; 16], &atomic)), ErrorCode::UnknownConcept);
    // After a checkpoint the reason may be forgotten, but not the refusal.
    store.client().flush().unwrap();
    store.kill_and_restart();
    code(repeat(&store, [9; 16], &atomic));
    store.restart();
    code(repeat(&store, [9; 16], &atomic));
    assert_eq!(content(&store, "a"), None);
}

#[test]
fn a_refused_operation_of_a_frame_that_is_sent_again_is_not_told_as_applied() {
    let mut store = TestStore::started();
    let mut batch = one("a", "applied");
    batch.associate(&associate("a", "nobody")).unwrap();
    let refused = [(1, ErrorCode::UnknownConcept)];
    for change in [|_: &mut TestStore| {}, |_: &mut TestStore| {}, TestStore::kill_and_restart] {
        change(&mut store);
        let receipt = repeat(&store, [9; 16], &batch).unwrap();
        assert_eq!(codes(&receipt.errors), refused);
    }
    store.client().flush().unwrap();
    for change in [TestStore::kill_and_restart, TestStore::restart] {
        change(&mut store);
        match repeat(&store, [9; 16], &batch) {
            Ok(receipt) => assert_eq!(codes(&receipt.errors), refused),
            Err(ClientError::Refused { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(now(&store).get("a").unwrap().unwrap().version(), 1);
}
