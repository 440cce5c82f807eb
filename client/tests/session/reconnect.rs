//! A lost connection is a pause: what was not answered is sent again under the same number.

use std::time::Duration;

use sutra_client::protocol::{ErrorReply, HelloReply, WriteReply};
use sutra_client::{ClientError, ErrorCode, Level};

use crate::fake::{Store, batch, hello_reply};

#[test]
fn a_write_is_sent_again_with_the_same_sequence_when_the_connection_drops() {
    let store = Store::new();
    let server = store.serve(2, |turn, mut peer| {
        peer.greet(turn as u64);
        let seen = peer.write();
        assert_eq!((seen.sequence, seen.operation_count), (1, 1));
        if turn == 1 {
            // The first coordinator had applied it and died before it could say so.
            peer.applied_earlier(&seen);
            peer.wait_for_end();
        }
    });
    let mut client = store.client();
    let receipt = client.write(&batch("a"), Level::Durable).unwrap();
    assert!(receipt.already_applied);
    assert_eq!((receipt.sequence, client.next_sequence()), (1, 2));
    drop(client);
    server.join().unwrap();
}

#[test]
fn only_what_is_unanswered_is_sent_again_and_in_order() {
    let store = Store::new();
    let server = store.serve(2, |turn, mut peer| {
        peer.greet(0);
        match turn {
            0 => {
                let seen = peer.writes(4);
                peer.applied(&seen[1]);
                peer.applied(&seen[2]);
            }
            _ => {
                let seen = peer.writes(3);
                let sequences: Vec<_> = seen.iter().map(|it| it.sequence).collect();
                assert_eq!(sequences, [1, 4, 5]);
                seen.iter().for_each(|it| peer.applied(it));
                peer.wait_for_end();
            }
        }
    });
    let mut client = store.client();
    for _ in 0..4 {
        client.submit(&batch("a"), Level::Durable).unwrap();
    }
    let first: Vec<_> = (0..2).map(|_| client.next_receipt().unwrap().unwrap().sequence).collect();
    assert_eq!(first, [2, 3]);
    client.submit(&batch("e"), Level::Durable).unwrap();
    let rest: Vec<_> = client.drain().unwrap().iter().map(|it| it.sequence).collect();
    assert_eq!(rest, [1, 4, 5]);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_connection_cut_inside_an_answer_gives_that_answer_once() {
    let store = Store::new();
    let server = store.serve(17, |turn, mut peer| {
        // The answer has 62 bytes; each connection brings four more of them.
        peer.greet(0);
        let seen = peer.write();
        assert_eq!(seen.sequence, 1);
        peer.send(|out| {
            crate::fake::applied(&seen).encode(seen.request_id, out);
            assert_eq!(out.len(), 62);
            out.truncate(4 * turn);
        });
    });
    let mut client = store.client();
    let receipt = client.write(&batch("a"), Level::Durable).unwrap();
    assert_eq!((receipt.sequence, receipt.last_lsn), (1, 101));
    assert!(client.next_receipt().unwrap().is_none());
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_frame_cut_while_it_is_sent_is_sent_again_whole() {
    let store = Store::new();
    let server = store.serve(2, |turn, mut peer| {
        peer.greet(0);
        if turn == 1 {
            let seen = peer.write();
            assert_eq!((seen.sequence, seen.operation_count), (1, 8));
            peer.applied(&seen);
            peer.wait_for_end();
        }
        // The first time nothing is read: the client is in the middle of its frame.
    });
    let mut client = store.client();
    let content = "x".repeat(1 << 20);
    let mut large = sutra_client::Batch::new();
    (0..8).for_each(|_| {
        let learn = sutra_client::Learn { content: Some(&content), ..Default::default() };
        large.learn(&learn).unwrap();
    });
    assert_eq!(client.write(&large, Level::Durable).unwrap().sequence, 1);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_coordinator_that_comes_back_in_time_is_waited_for() {
    let store = Store::new();
    let first = store.serve(1, |_, mut peer| {
        peer.greet(0);
        peer.write();
    });
    let mut client = store.client();
    client.submit(&batch("a"), Level::Durable).unwrap();
    first.join().unwrap();

    // Nobody listens now; the client tries until somebody does.
    let writer = std::thread::spawn(move || client.drain().unwrap());
    std::thread::sleep(Duration::from_millis(50));
    let second = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.write();
        peer.applied(&seen);
        peer.wait_for_end();
    });
    assert_eq!(writer.join().unwrap()[0].sequence, 1);
    second.join().unwrap();
}

#[test]
fn a_write_that_nobody_answers_in_time_stays_in_flight() {
    let store = Store::new();
    let first = store.serve(1, |_, mut peer| {
        peer.greet(0);
        peer.write();
    });
    let mut client = store.builder().deadline(Duration::from_millis(300)).connect().unwrap();
    let error = client.write(&batch("a"), Level::Durable).unwrap_err();
    match &error {
        ClientError::Unanswered { sequence: 1, source, .. } => {
            assert!(matches!(**source, ClientError::NotRunning { .. }), "{source}");
        }
        other => panic!("{other}"),
    }
    first.join().unwrap();
    assert_eq!(client.in_flight(), 1);
    // With nobody there, a further one is not even taken.
    let error = client.submit(&batch("b"), Level::Durable).unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
    assert_eq!((client.in_flight(), client.next_sequence()), (1, 2));

    let second = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.write();
        assert_eq!(seen.sequence, 1);
        peer.applied(&seen);
        peer.wait_for_end();
    });
    assert_eq!(client.next_receipt().unwrap().unwrap().sequence, 1);
    drop(client);
    second.join().unwrap();
}

#[test]
fn a_frame_refused_because_the_coordinator_stops_goes_to_the_next_one() {
    let store = Store::new();
    let server = store.serve(3, |turn, mut peer| {
        peer.greet(0);
        let seen = peer.write();
        assert_eq!(seen.sequence, 1);
        let message = "the coordinator is stopping";
        match turn {
            0 => {
                let reply = WriteReply::refused(ErrorCode::Stopping, 0, message);
                peer.send(|out| reply.encode(seen.request_id, out));
            }
            1 => {
                let reply = ErrorReply { code: ErrorCode::Stopping, message: message.into() };
                peer.send(|out| reply.encode(0, out));
            }
            _ => {
                peer.applied(&seen);
                peer.wait_for_end();
            }
        }
    });
    let mut client = store.client();
    assert_eq!(client.write(&batch("a"), Level::Durable).unwrap().sequence, 1);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_coordinator_that_always_hangs_up_is_given_up_by_the_deadline() {
    let store = Store::new();
    let path = sutra_client::socket::path_in(store.path());
    // Runs until the test's process ends.
    store.serve(usize::MAX, |_, mut peer| {
        if let Some((header, _)) = peer.frame() {
            peer.send(|out| hello_reply(0).encode(header.request_id, out));
        }
    });
    let mut client = store.builder().deadline(Duration::from_millis(300)).connect().unwrap();
    let error = client.write(&batch("a"), Level::Durable).unwrap_err();
    assert!(matches!(error, ClientError::Unanswered { .. }), "{error}");
    assert!(path.exists());
}

#[test]
fn a_stop_that_nothing_follows_is_told_in_the_coordinators_words() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.write();
        let reply = WriteReply::refused(ErrorCode::Poisoned, 0, "fdatasync failed");
        peer.send(|out| reply.encode(seen.request_id, out));
    });
    let mut client = store.builder().deadline(Duration::from_millis(300)).connect().unwrap();
    let error = client.write(&batch("a"), Level::Durable).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Poisoned));
    assert!(error.to_string().contains("fdatasync failed"), "{error}");
    server.join().unwrap();
}

#[test]
fn nothing_is_sent_again_to_another_store() {
    let store = Store::new();
    let server = store.serve(2, |turn, mut peer| {
        let (header, _) = peer.frame().unwrap();
        let store_id = [turn as u8; 16];
        peer.send(|out| HelloReply { store_id, ..hello_reply(0) }.encode(header.request_id, out));
        match turn {
            0 => drop(peer.write()),
            _ => peer.wait_for_end(),
        }
    });
    let mut client = store.client();
    let error = client.write(&batch("a"), Level::Durable).unwrap_err();
    match error {
        ClientError::Unanswered { source, .. } => {
            assert!(matches!(*source, ClientError::StoreChanged { .. }), "{source}");
        }
        other => panic!("{other}"),
    }
    server.join().unwrap();
}

#[test]
fn a_client_that_was_closed_for_its_slowness_connects_again_and_goes_on() {
    for code in [ErrorCode::TooSlow, ErrorCode::LimitReached] {
        let store = Store::new();
        let server = store.serve(2, move |turn, mut peer| {
            peer.greet(0);
            let seen = peer.write();
            match turn {
                0 => {
                    let message = "closed".to_owned();
                    peer.send(|out| ErrorReply { code, message }.encode(0, out));
                }
                _ => {
                    peer.applied(&seen);
                    peer.wait_for_end();
                }
            }
        });
        let mut client = store.client();
        assert_eq!(client.write(&batch("a"), Level::Durable).unwrap().sequence, 1);
        drop(client);
        server.join().unwrap();
    }
}
