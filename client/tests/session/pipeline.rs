//! Many frames in flight, answered in whatever order.

use sutra_client::protocol::WriteReply;
use sutra_client::{BatchError, ClientError, ErrorCode, Level, OperationError};

use crate::fake::{Store, applied, batch, hello_reply};

#[test]
fn answers_out_of_order_find_their_frames() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.writes(3);
        assert_eq!(seen.iter().map(|it| it.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        for index in [2, 0, 1] {
            peer.applied(&seen[index]);
        }
        peer.wait_for_end();
    });
    let mut client = store.client();
    let ids: Vec<_> = (0..3).map(|_| client.submit(&batch("a"), Level::Visible).unwrap()).collect();
    assert_eq!(client.in_flight(), 3);
    let found: Vec<_> = std::iter::from_fn(|| client.next_receipt().unwrap())
        .map(|receipt| (receipt.request_id, receipt.sequence, receipt.last_lsn))
        .collect();
    assert_eq!(found, [(ids[2], 3, 103), (ids[0], 1, 101), (ids[1], 2, 102)]);
    assert_eq!((client.in_flight(), client.last_lsn()), (0, 103));
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_write_waits_for_its_own_answer_and_keeps_the_others() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.writes(3);
        seen.iter().for_each(|it| peer.applied(it));
        peer.wait_for_end();
    });
    let mut client = store.client();
    client.submit(&batch("a"), Level::Accepted).unwrap();
    client.submit(&batch("b"), Level::Accepted).unwrap();
    assert_eq!(client.write(&batch("c"), Level::Durable).unwrap().sequence, 3);
    let rest: Vec<_> = client.drain().unwrap().iter().map(|it| it.sequence).collect();
    assert_eq!(rest, [1, 2]);
    assert!(client.drain().unwrap().is_empty());
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_refused_frame_is_an_error_and_loses_no_other_answer() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.writes(3);
        peer.applied(&seen[0]);
        let refused = WriteReply::refused(ErrorCode::StorageFull, 4096, "the disk is full");
        peer.send(|out| refused.encode(seen[1].request_id, out));
        let error = OperationError {
            index: 0,
            code: ErrorCode::UnknownConcept,
            detail: 0,
            message: "there is no `b`".into(),
        };
        let reply = WriteReply { errors: vec![error], ..applied(&seen[2]) };
        peer.send(|out| reply.encode(seen[2].request_id, out));
        peer.wait_for_end();
    });
    let mut client = store.client();
    let ids: Vec<_> = (0..3).map(|_| client.submit(&batch("a"), Level::Durable).unwrap()).collect();
    match client.drain().unwrap_err() {
        ClientError::Refused { request_id, code, detail, message } => {
            assert_eq!((request_id, code, detail), (ids[1], ErrorCode::StorageFull, 4096));
            assert_eq!(message, "the disk is full");
        }
        other => panic!("{other}"),
    }
    let receipts = client.drain().unwrap();
    assert_eq!(receipts.iter().map(|it| it.sequence).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(receipts[1].errors[0].to_string(), "operation 0: there is no `b` (UnknownConcept)");
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_batch_above_what_the_coordinator_takes_is_not_sent() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        let (header, _) = peer.frame().unwrap();
        let reply =
            sutra_client::protocol::HelloReply { operations_per_frame_max: 1, ..hello_reply(0) };
        peer.send(|out| reply.encode(header.request_id, out));
        peer.wait_for_end();
    });
    let mut client = store.client();
    let mut two = batch("a");
    two.learn(&sutra_client::Learn { id: "b".into(), ..Default::default() }).unwrap();
    let error = client.submit(&two, Level::Durable).unwrap_err();
    assert!(matches!(error, ClientError::Batch(BatchError::Full { operation_count: 2, .. })));
    assert_eq!((client.in_flight(), client.next_sequence()), (0, 1));
    drop(client);
    server.join().unwrap();
}

#[test]
fn gathered_frames_go_out_together_once_there_are_enough_of_them_or_an_answer_is_waited_for() {
    let store = Store::new();
    let (tell, told) = std::sync::mpsc::channel();
    let server = store.serve(1, move |_, mut peer| {
        peer.greet(0);
        for count in [3, 1, 2] {
            let seen = peer.writes(count);
            tell.send(seen.len()).unwrap();
            seen.iter().for_each(|it| peer.applied(it));
        }
        peer.wait_for_end();
    });
    let size = {
        let mut frame = Vec::new();
        batch("a").encode(1, 1, Level::Accepted, &mut frame);
        frame.len()
    };
    let mut client = store.builder().gather(3 * size).connect().unwrap();
    client.submit(&batch("a"), Level::Accepted).unwrap();
    client.submit(&batch("b"), Level::Accepted).unwrap();
    assert!(told.recv_timeout(std::time::Duration::from_millis(20)).is_err(), "nothing was sent");
    client.submit(&batch("c"), Level::Accepted).unwrap();
    assert_eq!(told.recv().unwrap(), 3);

    client.submit(&batch("d"), Level::Accepted).unwrap();
    client.send_gathered().unwrap();
    assert_eq!(told.recv().unwrap(), 1);

    client.submit(&batch("e"), Level::Accepted).unwrap();
    assert_eq!(client.write(&batch("f"), Level::Accepted).unwrap().sequence, 6);
    assert_eq!(client.drain().unwrap().len(), 5);
    drop(client);
    server.join().unwrap();
}
