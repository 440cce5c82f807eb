//! Neither side waits for the other for ever, however full the socket is.

use sutra_client::{Batch, ErrorCode, Learn, Level, OperationError};

use crate::fake::{Store, applied};

/// A frame that fills a socket's buffer several times.
fn large() -> Batch {
    let content = "x".repeat(1 << 20);
    let mut batch = Batch::new();
    (0..3).for_each(|_| {
        batch.learn(&Learn { content: Some(&content), ..Learn::default() }).unwrap();
    });
    batch
}

#[test]
fn submitting_reads_answers_while_the_peer_reads_nothing_until_it_has_sent_them() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        // One frame after the other is read, and its answer, larger than the socket's buffer, is
        // sent before the next is read: while the client still sends that one.
        for _ in 0..20 {
            let seen = peer.write();
            let error = |index| OperationError {
                index,
                code: ErrorCode::UnknownConcept,
                detail: 0,
                message: "m".repeat(1000),
            };
            let mut reply = applied(&seen);
            reply.errors = (0..1000).map(error).collect();
            peer.send(|out| reply.encode(seen.request_id, out));
        }
        peer.wait_for_end();
    });
    let mut client = store.client();
    let batch = large();
    for _ in 0..20 {
        client.submit(&batch, Level::Accepted).unwrap();
    }
    let receipts = client.drain().unwrap();
    assert_eq!(receipts.len(), 20);
    assert!(receipts.iter().all(|receipt| receipt.errors.len() == 1000));
    drop(client);
    server.join().unwrap();
}

#[test]
fn no_more_is_in_flight_than_the_window_allows() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let mut waiting = Vec::new();
        let mut waiting_count_max = 0;
        for _ in 0..1000 {
            waiting.push(peer.write());
            waiting_count_max = waiting_count_max.max(waiting.len());
            // 256 frames are all that a client sends without an answer.
            if waiting.len() == 256 {
                waiting.drain(..).for_each(|seen| peer.applied(&seen));
            }
        }
        waiting.drain(..).for_each(|seen| peer.applied(&seen));
        assert_eq!(waiting_count_max, 256);
        peer.wait_for_end();
    });
    let mut client = store.client();
    let batch = crate::fake::batch("a");
    for _ in 0..1000 {
        client.submit(&batch, Level::Accepted).unwrap();
        assert!(client.in_flight() <= 256);
    }
    assert_eq!(client.drain().unwrap().len(), 1000);
    drop(client);
    server.join().unwrap();
}
