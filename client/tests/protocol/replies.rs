//! Replies come back as they were given, alone and in a stream cut anywhere.

use proptest::collection::vec;
use proptest::prelude::*;
use sutra_client::protocol::frame::{FrameKind, HEADER_SIZE};
use sutra_client::protocol::{HelloReply, Inbox, Reply, WriteReply, WriterStats};
use sutra_client::{ErrorCode, OperationError};
use sutra_layout::limits::{FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};

use crate::generate::{encode_reply, reply};

proptest! {
    #[test]
    fn replies_in_a_stream_cut_anywhere_come_back_as_they_were_given(
        replies in vec((reply(), any::<u64>()), 1..8),
        cuts in vec(1usize..200, 1..8),
    ) {
        let stream: Vec<u8> =
            replies.iter().flat_map(|(reply, id)| encode_reply(reply, *id)).collect();
        let mut inbox = Inbox::new(FRAME_SIZE_MAX as u32);
        let mut found = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at(rest.len().min(*cut));
            inbox.room()[..piece.len()].copy_from_slice(piece);
            inbox.filled(piece.len());
            rest = behind;
            while let Some((header, body)) = inbox.next().unwrap() {
                found.push((Reply::decode(header.kind, body).unwrap(), header.request_id));
            }
        }
        assert_eq!(found, replies);
        assert_eq!(inbox.size(), 0);
    }
}

#[test]
fn an_error_for_every_operation_of_the_largest_frame_still_fits_a_frame() {
    let message = "é".repeat(1000);
    let errors = (0..OPERATIONS_PER_FRAME_MAX as u32).map(|index| {
        let (code, detail) = (ErrorCode::UnknownConcept, index.into());
        OperationError { index, code, detail, message: message.clone() }
    });
    let reply = WriteReply { errors: errors.collect(), ..WriteReply::default() };
    let mut frame = Vec::new();
    reply.encode(1, &mut frame);
    assert!(frame.len() - HEADER_SIZE <= FRAME_SIZE_MAX);
    let found = WriteReply::decode(&frame[HEADER_SIZE..]).unwrap();
    assert_eq!(found.errors.len(), reply.errors.len());
    assert_eq!(found.errors[0], reply.errors[0]);
    // What did not fit is the text of the last ones, not that they are errors.
    let last = found.errors.last().unwrap();
    assert_eq!(
        (last.code, last.detail, last.message.as_str()),
        (ErrorCode::UnknownConcept, 65535, "")
    );
}

#[test]
fn figures_of_a_later_version_are_ignored_and_missing_ones_are_zero() {
    let stats = WriterStats { written: 7, started_at: 9, ..WriterStats::default() };
    let mut frame = Vec::new();
    stats.encode(1, &mut frame);
    let mut body = frame.split_off(HEADER_SIZE);
    body[0] += 1;
    body.extend_from_slice(&77u64.to_le_bytes());
    assert_eq!(WriterStats::decode(&body), Ok(stats));

    let short = [&1u32.to_le_bytes()[..], &7u64.to_le_bytes()].concat();
    assert_eq!(
        WriterStats::decode(&short),
        Ok(WriterStats { written: 7, ..WriterStats::default() })
    );
    assert!(WriterStats::decode(&short[..9]).is_err());
}

#[test]
fn a_greeting_of_a_later_version_may_say_more() {
    let mut frame = Vec::new();
    let reply = HelloReply {
        version: 1,
        writer_epoch: 2,
        writer_pid: 3,
        store_id: [4; 16],
        frame_size_max: 5,
        operations_per_frame_max: 6,
        last_sequence: 7,
        published_lsn: 8,
    };
    reply.encode(1, &mut frame);
    frame.extend_from_slice(b"and more");
    assert_eq!(
        Reply::decode(FrameKind::HelloReply, &frame[HEADER_SIZE..]),
        Ok(Reply::Hello(reply))
    );
}
