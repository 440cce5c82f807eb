//! Clients that take more than their share: they are slowed, or closed, and nobody else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sutra_client::protocol::{ErrorCode, FrameKind, Reply, Wait};
use sutra_client::{Batch, Client, Learn, Level};
use sutra_tests::raw::{Session, bare, header, learn};
use sutra_tests::store::Writing;
use sutra_tests::{TestStore, wait};

/// What all clients may have in memory, in stories about it.
const MEMORY_SIZE: usize = 16 << 20;
/// What a coordinator has in memory beside that: its code, tables, and a turn's worth of bytes.
const OTHER_MEMORY_SIZE: u64 = 24 << 20;

/// Anonymous memory of the coordinator: without the mapped store.
fn memory_size(store: &TestStore) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", store.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn descriptors(store: &TestStore) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", store.pid())).unwrap().count()
}

/// How long a client goes on that is held back, in stories where it may be.
const PATIENCE: Duration = Duration::from_millis(50);

/// Sends as much of `bytes` as is taken before nothing has been for so long.
fn push(session: &mut Session, bytes: &[u8], patience: Duration) {
    let (mut sent, mut taken_at) = (0, Instant::now());
    while sent < bytes.len() && taken_at.elapsed() < patience {
        match session.send_without_waiting(&bytes[sent..]) {
            0 => std::thread::sleep(Duration::from_millis(1)),
            taken => (sent, taken_at) = (sent + taken, Instant::now()),
        }
    }
}

/// A concept with so many bytes of content.
fn learn_large(client: &mut Client, id: &str, size: usize) {
    let mut batch = Batch::new();
    let content = "w".repeat(size);
    for part in 0..size.div_ceil(1 << 20) {
        let id = format!("{id}-{part}");
        let content = &content[..content.len().min(1 << 20)];
        let learn = Learn { id: id.as_str().into(), content: Some(content), ..Learn::default() };
        batch.learn(&learn).unwrap();
    }
    client.write(&batch, Level::Visible).unwrap();
}

/// Clients that together send 96 MiB of frames that they do not finish.
fn hogs(store: &TestStore, patience: Duration) -> Vec<Session> {
    let part = [header(FrameKind::Write, 16 << 20), vec![0; 2 << 20]].concat();
    let hog = |number| {
        let mut session = Session::greeted(store.dir(), [number; 16]);
        push(&mut session, &part, patience);
        session
    };
    (0..48).map(hog).collect()
}

#[test]
fn a_limit_that_did_not_hold_would_be_seen() {
    let store = TestStore::started_with(|options| options.client_memory_size = 1 << 30);
    let _hogs = hogs(&store, wait::DEADLINE); // all of it is taken
    let memory = memory_size(&store);
    assert!(memory > MEMORY_SIZE as u64 + OTHER_MEMORY_SIZE, "{memory} bytes");
}

#[test]
fn unfinished_frames_of_all_clients_together_stay_within_the_limit() {
    let store = TestStore::started_with(|options| options.client_memory_size = MEMORY_SIZE);
    let mut honest = store.client();
    honest.learn("honest", "served");
    let mut hogs = hogs(&store, PATIENCE);
    let memory = memory_size(&store);
    assert!(memory < MEMORY_SIZE as u64 + OTHER_MEMORY_SIZE, "{memory} bytes");
    // A small frame is read whatever the others have, and a large one is when they are closed.
    honest.learn("honest", "still served");
    learn_large(&mut honest, "large", 8 << 20);
    let memory = memory_size(&store);
    assert!(memory < MEMORY_SIZE as u64 + OTHER_MEMORY_SIZE, "{memory} bytes");
    let refused = hogs.iter_mut().map(Session::refusal);
    let of_memory = refused.filter(|code| *code == ErrorCode::LimitReached).count();
    assert!(of_memory > 0, "all were only slow");
}

#[test]
fn large_frames_of_many_honest_clients_are_all_served_within_the_limit() {
    let store = TestStore::started_with(|options| options.client_memory_size = MEMORY_SIZE);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let mut client = store.client();
            scope.spawn(move || {
                for round in 0..3 {
                    learn_large(&mut client, &format!("{number}-{round}"), 4 << 20);
                }
            });
        }
    });
    let snapshot = store.reader().snapshot().unwrap();
    assert_eq!(snapshot.stats().concepts, 12 * 3 * 4);
    let memory = memory_size(&store);
    assert!(memory < MEMORY_SIZE as u64 + OTHER_MEMORY_SIZE, "{memory} bytes");
}

#[test]
fn whoever_never_takes_its_answers_is_closed() {
    let store = TestStore::started();
    let mut honest = store.client();
    let questions: Vec<u8> = (0..1000).flat_map(|id| bare(FrameKind::Stats, id)).collect();
    let questions = Arc::new(questions);
    let deaf = |number| {
        let mut session = Session::greeted(store.dir(), [number; 16]);
        let questions = Arc::clone(&questions);
        std::thread::spawn(move || {
            session.send_until_closed(&questions);
            session
        })
    };
    let deaf: Vec<_> = (0..4).map(deaf).collect();
    honest.learn("honest", "served meanwhile");
    wait::until("they are closed", || (honest.stats().unwrap().connections == 1).then_some(()));
    // What was under way is still there to be read, and then the end.
    for deaf in deaf {
        let mut session = deaf.join().unwrap();
        while session.reply().is_some() {}
    }
}

#[test]
fn questions_that_wait_are_answered_a_few_at_a_time_and_forgotten_with_their_client() {
    let store = TestStore::started();
    let mut honest = store.client();
    let wait_for = |lsn, timeout_ms, request_id| {
        let mut bytes = Vec::new();
        Wait { lsn, level: Level::Visible, timeout_ms }.encode(request_id, &mut bytes);
        bytes
    };
    let mut session = Session::greeted(store.dir(), [1; 16]);
    let questions: Vec<u8> = (0..200).flat_map(|id| wait_for(u64::MAX, 20, id)).collect();
    session.send(&questions);
    for id in 0..200 {
        let (answered, reply) = session.reply().unwrap();
        assert!(matches!(reply, Reply::Wait(reply) if reply.timed_out), "{reply:?}");
        assert_eq!(answered, id);
    }
    drop(session);
    for number in 0..200u8 {
        let mut session = Session::greeted(store.dir(), [number; 16]);
        let questions: Vec<u8> =
            (0..5000).flat_map(|id| wait_for(u64::MAX, u32::MAX, id)).collect();
        push(&mut session, &questions, PATIENCE);
    }
    honest.learn("honest", "served");
    wait::until("they are gone", || (honest.stats().unwrap().connections == 1).then_some(()));
    assert!(memory_size(&store) < OTHER_MEMORY_SIZE);
}

#[test]
fn more_strangers_than_there_are_places_keep_no_client_out() {
    let store = TestStore::started();
    let mut honest = store.client();
    let strangers: Vec<Session> = (0..1200).map(|_| Session::connect(store.dir())).collect();
    let mut another = store.client();
    honest.learn("honest", "served");
    another.learn("another", "served, too");
    assert!(descriptors(&store) < 1024 + 64, "{} descriptors", descriptors(&store));
    drop(strangers);
    wait::until("they are gone", || (honest.stats().unwrap().connections == 2).then_some(()));
}

#[test]
fn a_flood_is_served_and_so_is_everybody_else() {
    let store = TestStore::started();
    let mut honest = store.client();
    let mut flood = Session::greeted(store.dir(), [1; 16]);
    // So many answers at a time may wait to be taken, twice.
    const BATCH: u32 = 1000;
    let mut sequence = 0;
    let mut frames = || {
        let frames = (0..BATCH).flat_map(|_| {
            sequence += 1;
            learn(sequence, "flood", "as fast as it goes", Level::Accepted)
        });
        frames.collect::<Vec<u8>>()
    };
    // The flood ends when the other was served so often, and not before: each of those writes has
    // its turn while thousands of frames wait.
    let is_over = AtomicBool::new(false);
    let flooded = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let mut count = 0;
            flood.send(&frames());
            while !is_over.load(Ordering::Relaxed) {
                flood.send(&frames());
                for _ in 0..BATCH {
                    assert!(matches!(flood.reply(), Some((_, Reply::Write(_)))));
                }
                count += BATCH;
            }
            for _ in 0..BATCH {
                assert!(matches!(flood.reply(), Some((_, Reply::Write(_)))));
            }
            count + BATCH
        });
        for _ in 0..20 {
            honest.learn("honest", "served");
        }
        is_over.store(true, Ordering::Relaxed);
        flooding.join().unwrap()
    });
    honest.flush().unwrap(); // the last of them need not be visible before
    let snapshot = store.reader().snapshot().unwrap();
    assert_eq!(snapshot.get("flood").unwrap().unwrap().version(), flooded);
    assert_eq!(snapshot.get("honest").unwrap().unwrap().version(), 20);
}
