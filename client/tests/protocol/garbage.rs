//! Whatever arrives, decoding ends with a value or an error, and never with a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use sutra_client::Level;
use sutra_client::protocol::frame::HEADER_SIZE;
use sutra_client::protocol::{
    FrameHeader, FrameKind, Hello, Inbox, Operations, Read, Reply, Request,
};
use sutra_layout::limits::FRAME_SIZE_MAX;

use crate::generate::{batch_of, encode_reply, operation, reply};

/// Decodes a body as every kind in both directions, and every operation in it.
fn decode_as_everything(body: &[u8]) {
    for kind in FrameKind::ALL {
        if let Ok(Request::Write(write)) = Request::decode(kind, body) {
            let count = write.operations.len();
            assert_eq!(write.operations.count(), count);
        }
        let _ = Reply::decode(kind, body);
    }
    let _ = Read::decode(body);
}

fn decode_stream(bytes: &[u8]) {
    let mut inbox = Inbox::new(FRAME_SIZE_MAX as u32);
    for piece in bytes.chunks(40_000) {
        inbox.room()[..piece.len()].copy_from_slice(piece);
        inbox.filled(piece.len());
        while let Ok(Some((header, body))) = inbox.next() {
            let _ = Request::decode(header.kind, body);
            let _ = Reply::decode(header.kind, body);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_an_error(bytes in vec(any::<u8>(), 0..400), count in 0u32..20) {
        decode_as_everything(&bytes);
        decode_stream(&bytes);
        if let Some(header) = bytes.first_chunk::<HEADER_SIZE>() {
            let _ = FrameHeader::parse(header, FRAME_SIZE_MAX as u32);
        }
        if let Ok(operations) = Operations::new(count, &bytes) {
            operations.for_each(|_| {});
        }
    }

    #[test]
    fn garbage_in_a_sound_frame_is_a_fault_of_its_operation(
        opcode in 0u8..4,
        present in 0u32..4096,
        rest in vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..120),
    ) {
        let mut bytes = ((5 + rest.len()) as u32).to_le_bytes().to_vec();
        bytes.push(opcode);
        bytes.extend_from_slice(&present.to_le_bytes());
        bytes.extend_from_slice(&rest);
        assert_eq!(Operations::new(1, &bytes).unwrap().count(), 1);
        Operations::new(1, &bytes).unwrap().for_each(|_| {});
    }
}

proptest! {
    #[test]
    fn a_write_cut_anywhere_or_with_any_bit_flipped_is_no_panic(
        operations in vec(operation(), 1..4),
    ) {
        let mut frame = Vec::new();
        batch_of(&operations).encode(1, 1, Level::Durable, &mut frame);
        let mut body = frame.split_off(HEADER_SIZE);
        for size in 0..body.len() {
            // Fewer bytes than announced are never a whole write.
            assert!(Request::decode(FrameKind::Write, &body[..size]).is_err());
        }
        for bit in 0..8 * body.len() {
            body[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Request::Write(write)) = Request::decode(FrameKind::Write, &body) {
                assert_eq!(write.operations.len(), Iterator::count(write.operations));
            }
            body[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_reply_cut_anywhere_or_with_any_bit_flipped_is_no_panic(reply in reply()) {
        let mut frame = encode_reply(&reply, 1);
        let header = *frame.first_chunk::<HEADER_SIZE>().unwrap();
        let kind = FrameHeader::parse(&header, FRAME_SIZE_MAX as u32).unwrap().kind;
        for size in 0..frame.len() - HEADER_SIZE {
            assert!(Reply::decode(kind, &frame[HEADER_SIZE..HEADER_SIZE + size]).is_err());
        }
        for bit in 0..8 * frame.len() {
            frame[bit / 8] ^= 1 << (bit % 8);
            decode_stream(&frame);
            frame[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_stranger_is_told_by_its_first_bytes() {
    let mut frame = Vec::new();
    Hello::new([0; 16], "x").encode(1, &mut frame);
    frame[HEADER_SIZE] = b'G';
    let error = Hello::decode(&frame[HEADER_SIZE..]).unwrap_err();
    assert!(error.to_string().contains("does not speak the write protocol"), "{error}");

    let error = FrameHeader::parse(b"GET / HTTP/1.1\r\n", 1 << 24).unwrap_err();
    assert!(error.to_string().contains("kind 47"), "{error}");
}

#[test]
fn an_author_that_is_too_long_is_refused() {
    let mut frame = Vec::new();
    Hello::new([0; 16], &"é".repeat(40)).encode(1, &mut frame);
    // The encoder cuts it at a character.
    assert_eq!(Hello::decode(&frame[HEADER_SIZE..]).unwrap().author, "é".repeat(32));
    let mut body = frame[HEADER_SIZE..].to_vec();
    body[28..30].copy_from_slice(&65u16.to_le_bytes());
    body.push(b'x');
    assert!(Hello::decode(&body).is_err());
}
