//! A store reached over the loopback interface: writes go on to its coordinator, questions are
//! answered beside it, and whatever else is sent harms nobody.

use std::net::SocketAddr;
use std::path::PathBuf;

use nix::unistd::{Uid, setfsuid};
use sutra_client::protocol::read::READ_SIZE_MAX;
use sutra_client::protocol::{ErrorCode, F32s, FrameKind, Read, Reply};
use sutra_client::{
    Associate, Batch, Client, ClientError, FoundId, Id, Learn, Level, Query, Touch, Way,
};
use sutra_store::{ListenOptions, Listening, Options, Store, StoreError};
use sutra_tests::raw::{Session, bare, header, hello, learn};
use sutra_tests::{Random, wait};
use tempfile::TempDir;

struct Home {
    store: Store,
    listening: Listening,
    root: TempDir,
}

impl Home {
    fn new() -> Home {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path().join("store"), Options::default()).unwrap();
        let listening = store.listen("127.0.0.1:0").unwrap();
        Home { store, listening, root }
    }

    fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    fn client(&self) -> Client {
        Client::connect(self.address().to_string()).unwrap()
    }

    fn session(&self) -> Session {
        Session::connect_tcp(self.address())
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("store")
    }
}

fn learnt(id: &str, content: &str, embedding: &[f32]) -> Batch {
    let mut batch = Batch::new();
    let learn = Learn {
        id: id.into(),
        content: Some(content),
        embedding: Some(embedding),
        ..Learn::default()
    };
    batch.learn(&learn).unwrap();
    batch
}

fn text(id: &str) -> FoundId {
    FoundId::Text(id.to_owned())
}

/// A question, as it is sent.
fn read(request_id: u64, query: Query<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    Read { min_lsn: 0, timeout_ms: 1000, namespace: "", query }.encode(request_id, &mut frame);
    frame
}

#[test]
fn a_client_over_tcp_finds_what_it_has_just_written() {
    let home = Home::new();
    let mut client = home.client();
    let lsn = client.write(&learnt("wolf", "a wild dog", &[1.0, 0.0]), Level::Accepted).unwrap();
    let wolf = client.get("", "wolf".into()).unwrap().unwrap();
    assert_eq!((wolf.content.as_str(), wolf.lsn, wolf.version), ("a wild dog", lsn.last_lsn, 1));
    assert_eq!((wolf.id, wolf.embedding), (text("wolf"), vec![1.0, 0.0]));
    client.write(&learnt("dog", "a tame animal", &[0.9, 0.1]), Level::Accepted).unwrap();
    client.write(&learnt("cat", "sleeps", &[0.0, 1.0]), Level::Accepted).unwrap();
    let mut batch = Batch::new();
    let mut join = |source: &'static str, target: &'static str| {
        let associate =
            Associate { source: source.into(), target: target.into(), ..Associate::default() };
        batch.associate(&associate).unwrap();
    };
    join("wolf", "dog");
    join("dog", "cat");
    client.write(&batch, Level::Accepted).unwrap();

    assert!(client.contains("", "cat".into()).unwrap());
    assert!(!client.contains("", "nobody".into()).unwrap());
    assert_eq!(client.get("", "nobody".into()).unwrap(), None);
    assert_eq!(client.get("alice", "wolf".into()).unwrap(), None);
    let neighbors = client.neighbors("", "dog".into(), Way::Both, 10).unwrap();
    let seen: Vec<_> = neighbors.iter().map(|found| (&found.id, found.way)).collect();
    assert_eq!(seen, [(&text("cat"), Way::Out), (&text("wolf"), Way::In)]);
    assert_eq!(client.neighbors("", "dog".into(), Way::Both, 1).unwrap().len(), 1);
    let ends = |from: &'static str, to: &'static str| (Id::from(from), Id::from(to));
    let path = client.find_path("", ends("wolf", "cat"), Way::Out, 6).unwrap().unwrap();
    assert_eq!(path.ids, ["wolf", "dog", "cat"].map(text));
    assert_eq!(path.kinds, ["semantic", "semantic"]);
    assert_eq!(client.find_path("", ends("cat", "wolf"), Way::Out, 6).unwrap(), None);
    let hits = client.nearest("", &[1.0, 0.05], 2, Some(64), "").unwrap();
    assert_eq!([&hits[0].id, &hits[1].id], [&text("wolf"), &text("dog")]);
    let hits = client.search("", "wild", 5, "").unwrap();
    assert_eq!(hits.iter().map(|hit| &hit.id).collect::<Vec<_>>(), [&text("wolf")]);
    let stats = client.read_stats().unwrap();
    assert_eq!((stats.concepts, stats.edges, stats.vectors), (3, 2, 3));
    // The other requests go on to the coordinator.
    assert_eq!(client.stats().unwrap().written, 5);
    client.flush().unwrap();
    assert!(home.store.contains("wolf").unwrap());
}

#[test]
fn a_question_that_has_no_answer_says_why_and_the_connection_goes_on() {
    let home = Home::new();
    let mut client = home.client();
    client.write(&learnt("a", "", &[1.0, 0.0]), Level::Durable).unwrap();
    let code = |asked: Result<_, ClientError>| asked.map(|_: Option<_>| ()).unwrap_err().code();
    assert_eq!(
        code(client.neighbors("", "nobody".into(), Way::Out, 1).map(|_| None::<()>)),
        Some(ErrorCode::UnknownConcept)
    );
    let mut nearest = |vector: &[f32], filter| {
        code(client.nearest("", vector, 1, None, filter).map(|_| None::<()>))
    };
    assert_eq!(nearest(&[1.0], ""), Some(ErrorCode::DimensionMismatch));
    assert_eq!(nearest(&[0.0, 0.0], ""), Some(ErrorCode::InvalidVector));
    assert_eq!(nearest(&[f32::NAN, 0.0], ""), Some(ErrorCode::InvalidVector));
    assert_eq!(nearest(&[1.0, 0.0], "kind ="), Some(ErrorCode::InvalidText));
    assert!(client.contains("", "a".into()).unwrap());

    // What is asked by hand: a query that this version does not know, and a version that is not
    // there yet.
    let mut session = home.session().and_greet([1; 16]);
    let mut unknown = read(7, Query::Stats);
    *unknown.last_mut().unwrap() = 99;
    let mut future = Vec::new();
    Read { min_lsn: u64::MAX, timeout_ms: 20, namespace: "", query: Query::Stats }
        .encode(8, &mut future);
    for (frame, code) in [(unknown, ErrorCode::Unsupported), (future, ErrorCode::StoppedEarly)] {
        session.send(&frame);
        let Some((_, Reply::Found(reply))) = session.reply() else { panic!("no answer") };
        assert_eq!(reply.outcome.unwrap_err().code, code);
    }
    session.send(&read(9, Query::Stats));
    assert!(matches!(session.reply(), Some((9, Reply::Found(reply))) if reply.outcome.is_ok()));
}

#[test]
fn writes_and_reads_sent_together_are_each_answered() {
    let home = Home::new();
    let mut session = home.session().and_greet([2; 16]);
    let mut frames = Vec::new();
    for number in 1..=200 {
        frames.extend(learn(number, &format!("c{number}"), "text", Level::Durable));
        frames.extend(read(10_000 + number, Query::Contains(Id::Text("c1"))));
        frames.extend(bare(FrameKind::Stats, 20_000 + number));
    }
    for piece in frames.chunks(7) {
        session.send(piece);
    }
    let mut seen = [0; 3];
    while seen.iter().sum::<u32>() < 600 {
        match session.reply() {
            Some((101..=300, Reply::Write(_))) => seen[0] += 1,
            Some((10_001..=10_200, Reply::Found(_))) => seen[1] += 1,
            Some((20_001..=20_200, Reply::Stats(_))) => seen[2] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [200; 3]);
}

#[test]
fn whoever_breaks_the_protocol_is_told_and_nobody_else_notices() {
    let home = Home::new();
    let mut honest = home.client();
    honest.write(&learnt("honest", "", &[1.0]), Level::Durable).unwrap();
    // A question before the greeting; one that is too large; what is no frame at all.
    let mut session = home.session();
    session.send(&read(1, Query::Stats));
    assert_eq!(session.refusal(), ErrorCode::Unsupported);
    for (bytes, code) in [
        (header(FrameKind::Read, READ_SIZE_MAX as u32 + 1), ErrorCode::TooLarge),
        (header(FrameKind::Write, u32::MAX), ErrorCode::TooLarge),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), ErrorCode::Unsupported),
        (hello([4; 16]), ErrorCode::Malformed),
    ] {
        let mut session = home.session().and_greet([4; 16]);
        session.send(&bytes);
        assert_eq!(session.refusal(), code, "{bytes:?}");
    }
    let mut random = Random::from_env("tcp");
    let elements = [0; 16];
    let vector = F32s::new(&elements).unwrap();
    let valid = [
        hello([5; 16]),
        read(1, Query::Get(Id::Text("honest"))),
        read(2, Query::Nearest { k: 1, ef: None, filter: "kind = note", vector }),
        learn(1, "flipped", "a few words", Level::Accepted),
    ]
    .concat();
    for turn in 0..300 {
        let mut bytes = valid.clone();
        for _ in 0..=random.below(3) {
            let at = random.index(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        // And a part of a session, left at every byte.
        bytes.truncate(bytes.len() - turn % bytes.len());
        let mut session = home.session();
        session.send(&bytes);
        session.end();
        while session.reply().is_some() {}
    }
    assert!(honest.contains("", "honest".into()).unwrap());
    assert!(home.client().contains("", "honest".into()).unwrap());
}

#[test]
fn more_clients_than_there_are_places_are_told_so_and_served_later() {
    let home = Home::new();
    let sessions: Vec<Session> =
        (0..128).map(|number| home.session().and_greet([number; 16])).collect();
    assert_eq!(home.session().refusal(), ErrorCode::LimitReached);
    drop(sessions);
    wait::until("a place is free again", || Client::connect(home.address().to_string()).ok());
}

#[test]
fn the_exactly_once_of_writes_holds_over_tcp() {
    let home = Home::new();
    let frame = learn(1, "once", "text", Level::Durable);
    for turn in 0..3 {
        let mut session = home.session().and_greet([6; 16]);
        session.send(&frame);
        let Some((_, Reply::Write(reply))) = session.reply() else { panic!("no answer") };
        assert_eq!(reply.already_applied, turn > 0);
    }
    let version = home.store.get("once").unwrap().unwrap().concept().unwrap().version();
    assert_eq!(version, 1);
}

#[test]
fn a_client_goes_on_when_the_listener_is_gone_for_a_moment() {
    let home = Home::new();
    let mut client = home.client();
    let address = home.address();
    let Home { store, listening, root } = home;
    drop(listening);
    assert!(matches!(Client::connect(address.to_string()), Err(ClientError::NotListening { .. })));
    let again = wait::until("the port is free", || store.listen(&address.to_string()).ok());
    let mut batch = Batch::new();
    batch.learn(&Learn { id: "a".into(), ..Learn::default() }).unwrap();
    client.write(&batch, Level::Durable).unwrap();
    let mut touch = Batch::new();
    touch.touch(&Touch { id: "a".into(), count: 1, at: None }).unwrap();
    client.write(&touch, Level::Durable).unwrap();
    assert!(client.contains("", "a".into()).unwrap());
    drop((again, root));
}

#[test]
fn no_address_of_another_interface_is_listened_on() {
    let home = Home::new();
    for address in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "example.org:80", "nonsense"] {
        let error = home.store.listen(address).unwrap_err();
        assert!(matches!(error, StoreError::Client(ClientError::NotLoopback { .. })), "{error}");
    }
    let taken = home.address().to_string();
    let error = home.store.listen(&taken).unwrap_err().to_string();
    assert!(error.contains(&taken), "{error}");
}

#[test]
fn another_user_is_turned_away_unless_named() {
    const OTHER: u32 = 60_002;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED, as it needs root: another user connects over TCP");
        return;
    }
    let home = Home::new();
    let connect_as_other = |address| {
        // Of this thread alone: what it opens from here on is of that user.
        setfsuid(Uid::from_raw(OTHER));
        let session = Session::connect_tcp(address);
        setfsuid(Uid::from_raw(0));
        session
    };
    assert_eq!(connect_as_other(home.address()).refusal(), ErrorCode::NotAllowed);
    let named = Listening::start(&ListenOptions {
        store: home.path(),
        socket: sutra_client::socket::path_in(home.path()),
        address: "127.0.0.1:0".to_owned(),
        allow_uids: vec![OTHER],
        allow_gids: Vec::new(),
    })
    .unwrap();
    let mut session = connect_as_other(named.address()).and_greet([8; 16]);
    session.send(&read(1, Query::Stats));
    assert!(matches!(session.reply(), Some((1, Reply::Found(_)))));
}
