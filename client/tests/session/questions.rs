//! Flush, wait, stats and stop.

use std::time::Duration;

use sutra_client::protocol::frame::FrameKind;
use sutra_client::protocol::{
    CompactReply, Compacted, Horizon, Request, Wait, WaitReply, WriteReply, encode_stop_reply,
};
use sutra_client::{ClientError, ErrorCode, Level, WriterStats};

use crate::fake::{Store, batch};

#[test]
fn a_flush_gives_the_last_lsn_and_keeps_the_answers_before_it() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.write();
        let request_id = peer.request(FrameKind::Flush);
        peer.applied(&seen);
        let reply =
            WriteReply { last_lsn: 120, level_reached: Level::Visible, ..Default::default() };
        peer.send(|out| reply.encode_flush(request_id, out));
        peer.wait_for_end();
    });
    let mut client = store.client();
    client.submit(&batch("a"), Level::Accepted).unwrap();
    assert_eq!(client.flush().unwrap().last_lsn, 120);
    assert_eq!(client.last_lsn(), 120);
    assert_eq!(client.drain().unwrap()[0].sequence, 1);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_flush_that_is_refused_is_an_error() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let request_id = peer.request(FrameKind::Flush);
        let reply = WriteReply::refused(ErrorCode::StorageFull, 0, "no space for a checkpoint");
        peer.send(|out| reply.encode_flush(request_id, out));
        peer.wait_for_end();
    });
    let mut client = store.client();
    assert_eq!(client.flush().unwrap_err().code(), Some(ErrorCode::StorageFull));
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_compaction_keeps_the_answers_that_come_before_its_own() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.write();
        let request_id = peer.request(FrameKind::Compact);
        peer.applied(&seen);
        let done = Compacted { generation: 2, ..Compacted::default() };
        peer.send(|out| CompactReply { outcome: Ok(done) }.encode(request_id, out));
        peer.wait_for_end();
    });
    let mut client = store.client();
    client.submit(&batch("a"), Level::Accepted).unwrap();
    let done = client.compact(Horizon::AsServed, &[], Duration::from_secs(20)).unwrap();
    assert_eq!(done.generation, 2);
    assert_eq!(client.drain().unwrap()[0].sequence, 1);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_wait_ends_with_how_far_the_level_has_come() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        for timed_out in [false, true] {
            let (header, body) = peer.frame().unwrap();
            let asked = Wait { lsn: 9, level: Level::Visible, timeout_ms: 1500 };
            assert_eq!(Request::decode(header.kind, &body), Ok(Request::Wait(asked)));
            let lsn = if timed_out { 8 } else { 12 };
            peer.send(|out| WaitReply { timed_out, lsn }.encode(header.request_id, out));
        }
        peer.wait_for_end();
    });
    let mut client = store.client();
    let timeout = Duration::from_millis(1500);
    assert_eq!(client.wait(9, Level::Visible, timeout).unwrap(), 12);
    let error = client.wait(9, Level::Visible, timeout).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { lsn: 9, reached: 8, .. }), "{error}");
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_question_is_asked_again_when_the_connection_drops() {
    let store = Store::new();
    let given = WriterStats { written: 5, pending: 2, ..WriterStats::default() };
    let server = store.serve(2, move |turn, mut peer| {
        peer.greet(0);
        let request_id = peer.request(FrameKind::Stats);
        if turn == 1 {
            peer.send(|out| given.encode(request_id, out));
            peer.wait_for_end();
        }
    });
    let mut client = store.client();
    assert_eq!(client.stats().unwrap(), given);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_late_answer_to_a_question_given_up_is_passed_over() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let first = peer.request(FrameKind::Stats);
        let second = peer.request(FrameKind::Stats);
        for (request_id, written) in [(first, 1), (second, 2)] {
            let stats = WriterStats { written, ..WriterStats::default() };
            peer.send(|out| stats.encode(request_id, out));
        }
        peer.wait_for_end();
    });
    let mut client = store.builder().deadline(Duration::from_millis(500)).connect().unwrap();
    let error = client.stats().unwrap_err();
    // The process that the system names, whatever the greeting says: a number means something only
    // in the pid namespace it is read in.
    let peer = std::process::id();
    assert!(matches!(error, ClientError::Stalled { pid: Some(pid), .. } if pid == peer), "{error}");
    assert_eq!(client.stats().unwrap().written, 2);
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_stop_waits_for_what_is_in_flight_and_for_the_end() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        let seen = peer.write();
        peer.applied(&seen);
        let request_id = peer.request(FrameKind::Stop);
        peer.send(|out| encode_stop_reply(request_id, out));
    });
    let mut client = store.client();
    client.submit(&batch("a"), Level::Accepted).unwrap();
    client.stop().unwrap();
    server.join().unwrap();
    assert_eq!(client.drain().unwrap().len(), 1);
}

#[test]
fn a_stop_is_not_asked_twice() {
    let store = Store::new();
    let server = store.serve(1, |_, mut peer| {
        peer.greet(0);
        peer.request(FrameKind::Stop);
    });
    let mut client = store.client();
    let error = client.stop().unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
    server.join().unwrap();
}
