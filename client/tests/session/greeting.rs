//! Connecting: what is said, what is learnt, and what may stand in the way.

use std::time::Duration;

use sutra_client::protocol::ErrorReply;
use sutra_client::{Client, ClientError, ErrorCode, Level, socket};

use crate::fake::{STORE_ID, Store, batch, hello_reply};

#[test]
fn a_client_says_who_it_is_and_learns_whom_it_reached() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        assert_eq!(peer.greet(0), "importer");
        let seen = peer.write();
        assert_eq!((seen.sequence, seen.level, seen.operation_count), (1, Level::Durable, 1));
        peer.applied(&seen);
        peer.wait_for_end();
    });
    let mut client = store.builder().author("importer").connect().unwrap();
    assert_eq!((client.writer_pid(), client.writer_epoch()), (4121, 3));
    assert_eq!((client.store_id(), client.client_id()), (STORE_ID, [1; 16]));
    let receipt = client.write(&batch("a"), Level::Durable).unwrap();
    assert_eq!((receipt.sequence, receipt.first_lsn, receipt.last_lsn), (1, 101, 101));
    assert!(!receipt.already_applied && receipt.errors.is_empty());
    assert_eq!(client.last_lsn(), 101);
    drop(client);
    server.join().unwrap();
}

#[test]
fn sequence_numbers_go_on_where_the_coordinator_knows_the_client() {
    let store = Store::new();
    let server = store.serve(2, |_, mut peer| {
        peer.greet(41);
        peer.wait_for_end();
    });
    assert_eq!(store.client().next_sequence(), 42);
    // A ledger that does not know what became of number 40 asks for it again.
    let client = store.builder().first_sequence(40).connect().unwrap();
    assert_eq!((client.next_sequence(), client.last_sequence_at_connect()), (40, 41));
    drop(client);
    server.join().unwrap();
}

#[test]
fn random_client_ids_differ() {
    let store = Store::new();
    let server = store.serve(2, |_, mut peer| {
        peer.greet(0);
        peer.wait_for_end();
    });
    let first = Client::connect(store.path()).unwrap().client_id();
    let second = Client::connect(store.path()).unwrap().client_id();
    assert_ne!(first, second);
    server.join().unwrap();
}

#[test]
fn a_store_without_a_coordinator_is_told_from_no_store() {
    let store = Store::new();
    let error = Client::connect(store.path()).unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert!(error.to_string().contains("start one with `sutra serve"), "{error}");

    let stale = socket::bind(socket::path_in(store.path()), 0o660).unwrap();
    drop(stale);
    let error = Client::connect(store.path()).unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");

    let error = Client::connect(store.path().join("nothing")).unwrap_err();
    assert!(matches!(error, ClientError::NoStore { .. }), "{error}");
}

#[test]
fn a_coordinator_that_does_not_greet_is_given_up_by_the_deadline() {
    let store = Store::new();
    // Listens and never accepts, as a process that was stopped does.
    let _listener = socket::bind(socket::path_in(store.path()), 0o660).unwrap();
    let error = store.builder().deadline(Duration::from_millis(50)).connect().unwrap_err();
    assert!(matches!(error, ClientError::Stalled { .. }), "{error}");
}

#[test]
fn a_refused_greeting_carries_the_coordinators_words() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.frame().unwrap();
        let message = "1024 clients are connected".to_owned();
        peer.send(|out| ErrorReply { code: ErrorCode::LimitReached, message }.encode(0, out));
    });
    let error = store.builder().connect().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::LimitReached));
    assert!(error.to_string().contains("1024 clients are connected"), "{error}");
    server.join().unwrap();
}

#[test]
fn a_greeting_that_is_none_breaks_the_protocol() {
    let store = Store::new();
    let server = store.serve(2, |turn, mut peer| {
        peer.frame().unwrap();
        match turn {
            0 => peer.send(|out| out.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n")),
            _ => peer.send(|out| {
                let reply = sutra_client::protocol::HelloReply { version: 9, ..hello_reply(0) };
                reply.encode(1, out);
            }),
        }
    });
    for _ in 0..2 {
        let error = store.builder().connect().unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    }
    server.join().unwrap();
}

#[test]
fn a_client_may_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Client>();
    is_send::<ClientError>();
}
