//! Clients that send whatever they like: each loses its own connection, and nobody else anything.

use std::time::Duration;

use sutra_client::protocol::{ErrorCode, FrameKind, Reply};
use sutra_client::{Client, Level};
use sutra_coordinator::Plant;
use sutra_layout::limits::FRAME_SIZE_MAX;
use sutra_tests::raw::{Session, bare, header, hello, learn};
use sutra_tests::store::Writing;
use sutra_tests::{Random, TestStore, wait};

/// Much more than a few connections need, much less than what they announce.
const GROWTH_MAX: u64 = 64 << 20;

/// The coordinator's memory and descriptors.
struct Usage {
    memory_size: u64,
    descriptors: usize,
}

fn usage(store: &TestStore) -> Usage {
    let process = format!("/proc/{}", store.pid());
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let descriptors = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
    Usage { memory_size: kilobytes * 1024, descriptors }
}

/// An honest client is served, and the others' descriptors are gone.
fn assert_unharmed(store: &TestStore, honest: &mut Client, before: &Usage) {
    honest.learn("honest", "still served");
    wait::until("the others' connections are closed", || {
        (usage(store).descriptors <= before.descriptors).then_some(())
    });
    let grown = usage(store).memory_size.saturating_sub(before.memory_size);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
}

fn served() -> (TestStore, Client, Usage) {
    served_with(None)
}

fn served_with(planted: Option<Plant>) -> (TestStore, Client, Usage) {
    let mut store = TestStore::unstarted();
    store.planted = planted;
    store.start();
    let mut honest = store.client();
    honest.learn("honest", "served");
    let before = usage(&store);
    (store, honest, before)
}

#[test]
fn garbage_ends_its_own_connection_with_a_typed_error() {
    let (store, mut honest, before) = served();
    let mut random = Random::from_env("garbage");
    for turn in 0..200 {
        let mut session = if turn % 2 == 0 {
            Session::connect(store.dir())
        } else {
            Session::greeted(store.dir(), [turn as u8; 16])
        };
        let mut bytes = random.bytes(16 + random.clone().index(400));
        if FrameKind::from_number(bytes[4]).is_some() {
            bytes[4] = 77; // else it might be the beginning of a long frame, and waited for
        }
        session.send(&bytes);
        assert_eq!(session.refusal(), ErrorCode::Unsupported);
    }
    assert_unharmed(&store, &mut honest, &before);
}

#[test]
fn bits_flipped_in_a_valid_session_harm_nobody() {
    let (store, mut honest, before) = served();
    let mut random = Random::from_env("flips");
    let valid = [hello([3; 16]), learn(1, "flipped", "a few words", Level::Accepted)].concat();
    for _ in 0..400 {
        let mut bytes = valid.clone();
        for _ in 0..=random.below(3) {
            let at = random.index(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        let mut session = Session::connect(store.dir());
        session.send(&bytes);
        session.end();
        while session.reply().is_some() {}
    }
    assert_unharmed(&store, &mut honest, &before);
    assert!(store.reader().verify_quick().unwrap().is_sound());
}

#[test]
fn a_frame_that_announces_too_much_is_refused_by_its_header() {
    let (store, mut honest, before) = served();
    for size in [FRAME_SIZE_MAX as u32 + 1, u32::MAX] {
        for mut session in [Session::connect(store.dir()), Session::greeted(store.dir(), [1; 16])] {
            session.send(&header(FrameKind::Write, size));
            assert_eq!(session.refusal(), ErrorCode::TooLarge);
        }
    }
    assert_unharmed(&store, &mut honest, &before);
}

/// So many clients announce the largest frame there is; by how many bytes the coordinator grows.
fn growth_by_announced_frames(planted: Option<Plant>, count: u8) -> u64 {
    let (store, mut honest, before) = served_with(planted);
    let sessions: Vec<Session> = (0..count)
        .map(|number| {
            let mut session = Session::greeted(store.dir(), [number; 16]);
            session.send(&header(FrameKind::Write, FRAME_SIZE_MAX as u32));
            session
        })
        .collect();
    honest.learn("honest", "still served");
    let grown = usage(&store).memory_size.saturating_sub(before.memory_size);
    drop(sessions);
    if planted.is_none() {
        assert_unharmed(&store, &mut honest, &before);
    }
    grown
}

#[test]
fn memory_grows_by_what_arrives_and_not_by_what_is_announced() {
    let grown = growth_by_announced_frames(None, 100);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
}

/// The planted bug: room for what a header announces is made before it comes.
#[test]
fn an_announcement_that_is_believed_is_caught() {
    let grown = growth_by_announced_frames(Some(Plant::BelievedSize), 10);
    assert!(grown > GROWTH_MAX, "only {grown} bytes more");
}

#[test]
fn whoever_does_not_begin_with_hello_is_refused() {
    let (store, mut honest, before) = served();
    for kind in [FrameKind::Stats, FrameKind::Flush, FrameKind::Stop] {
        let mut session = Session::connect(store.dir());
        session.send(&bare(kind, 1));
        assert_eq!(session.refusal(), ErrorCode::Malformed);
    }
    let mut session = Session::connect(store.dir());
    session.send(&learn(1, "a", "not from a stranger", Level::Accepted));
    assert_eq!(session.refusal(), ErrorCode::Malformed);
    let mut twice = Session::greeted(store.dir(), [1; 16]);
    twice.send(&hello([1; 16]));
    assert_eq!(twice.refusal(), ErrorCode::Malformed);
    let mut reply = Session::greeted(store.dir(), [1; 16]);
    reply.send(&bare(FrameKind::StopReply, 1));
    assert_eq!(reply.refusal(), ErrorCode::Unsupported);
    assert!(!store.reader().snapshot().unwrap().contains("a").unwrap());
    assert_unharmed(&store, &mut honest, &before);
}

#[test]
fn whoever_says_nothing_or_half_a_frame_is_not_waited_for() {
    let (store, mut honest, before) = served();
    let mut silent = Session::connect(store.dir());
    let mut half_a_hello = Session::connect(store.dir());
    half_a_hello.send(&hello([1; 16])[..20]);
    let mut half_a_header = Session::greeted(store.dir(), [3; 16]);
    half_a_header.send(&header(FrameKind::Write, 100)[..9]);
    let mut half_a_frame = Session::greeted(store.dir(), [2; 16]);
    let frame = learn(1, "a", "half of it", Level::Accepted);
    half_a_frame.send(&frame[..frame.len() / 2]);
    honest.learn("honest", "served meanwhile");
    for session in [&mut silent, &mut half_a_hello, &mut half_a_header, &mut half_a_frame] {
        assert_eq!(session.refusal(), ErrorCode::TooSlow);
    }
    assert!(!store.reader().snapshot().unwrap().contains("a").unwrap());
    assert_unharmed(&store, &mut honest, &before);
}

#[test]
fn a_session_that_ends_after_any_byte_leaves_whole_frames_only() {
    let (store, mut honest, before) = served();
    let write = learn(1, "cut", "as often as it was sent whole", Level::Accepted);
    let mut expected = 0;
    let end = hello([0; 16]).len() + write.len() + bare(FrameKind::Flush, 3).len();
    for size in 0..=end {
        let mut client_id = [7; 16];
        client_id[..8].copy_from_slice(&(size as u64).to_le_bytes());
        let hello = hello(client_id);
        let session = [hello.clone(), write.clone(), bare(FrameKind::Flush, 3)].concat();
        Session::connect(store.dir()).send(&session[..size]);
        expected += u32::from(size >= hello.len() + write.len());
    }
    assert_unharmed(&store, &mut honest, &before);
    // The last of them may still wait to be accepted.
    let reader = store.reader();
    let version = || {
        let snapshot = reader.snapshot().unwrap();
        snapshot.get("cut").unwrap().map_or(0, |concept| concept.version())
    };
    wait::until("all that were whole", || (version() >= expected).then_some(()));
    honest.learn("honest", "after all of them");
    assert_eq!(version(), expected);
}

#[test]
fn a_session_that_comes_byte_by_byte_is_served() {
    let (store, mut honest, before) = served();
    let mut session = Session::connect(store.dir());
    let write = learn(1, "slow", "one byte at a time", Level::Visible);
    for byte in [hello([4; 16]), write].concat() {
        session.send(&[byte]);
    }
    assert!(matches!(session.reply(), Some((1, Reply::Hello(_)))));
    assert!(matches!(session.reply(), Some((101, Reply::Write(_)))));
    assert!(store.reader().snapshot().unwrap().contains("slow").unwrap());
    drop(session);
    assert_unharmed(&store, &mut honest, &before);
}

#[test]
fn two_hundred_connect_and_one_is_served() {
    let (store, mut honest, before) = served();
    for _ in 0..3 {
        let strangers: Vec<Session> = (0..200).map(|_| Session::connect(store.dir())).collect();
        honest.learn("honest", "served among two hundred");
        let clients: Vec<Client> = (0..50).map(|_| store.client()).collect();
        assert_eq!(honest.stats().unwrap().connections, 251);
        drop((strangers, clients));
        wait::until("they are gone", || (honest.stats().unwrap().connections == 1).then_some(()));
    }
    assert_unharmed(&store, &mut honest, &before);
}

#[test]
fn whoever_does_not_read_its_answers_is_not_read_further() {
    let (store, mut honest, before) = served();
    let mut deaf = Session::greeted(store.dir(), [5; 16]);
    let questions: Vec<u8> = (0..1000).flat_map(|id| bare(FrameKind::Stats, id)).collect();
    // Many times what the sockets hold, unless the coordinator takes it all.
    let mut sent = 0;
    for _ in 0..2000 {
        let taken = deaf.send_without_waiting(&questions);
        sent += taken;
        if taken == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        if sent > GROWTH_MAX as usize / 4 {
            break;
        }
    }
    honest.learn("honest", "served meanwhile");
    let grown = usage(&store).memory_size.saturating_sub(before.memory_size);
    assert!(grown < GROWTH_MAX, "{grown} bytes more after {sent} bytes of questions");
    drop(deaf);
    assert_unharmed(&store, &mut honest, &before);
}
