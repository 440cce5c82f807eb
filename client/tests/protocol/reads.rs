//! Questions over the wire come back as they were asked; what is no question is told by its field.

use sutra_client::protocol::frame::HEADER_SIZE;
use sutra_client::protocol::read::{FOUND_COUNT_MAX, READ_SIZE_MAX};
use sutra_client::protocol::{F32s, FrameHeader, FrameKind, Read, Request};
use sutra_client::{ErrorCode, Id, Query, Way};
use sutra_layout::limits::{ID_SIZE_MAX, SYMBOL_SIZE_MAX, VECTOR_DIMENSION_MAX};

fn vector(elements: &[u8]) -> F32s<'_> {
    F32s::new(elements).unwrap()
}

fn every_query(elements: &[u8]) -> Vec<Query<'_>> {
    let (id, other) = (Id::Text("wolf"), Id::Raw([7; 16]));
    vec![
        Query::Get(id),
        Query::Contains(Id::Hex([1; 16])),
        Query::Neighbors { id, way: Way::Both, limit: 10 },
        Query::Path { from: id, to: other, way: Way::In, max_depth: 6 },
        Query::Nearest { k: 10, ef: None, filter: "", vector: vector(elements) },
        Query::Nearest { k: 1, ef: Some(64), filter: "kind = note", vector: vector(elements) },
        Query::Search { text: "wild dog", limit: 5, filter: "" },
        Query::Stats,
    ]
}

fn body(read: &Read<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    read.encode(5, &mut frame);
    let (header, body) = frame.split_first_chunk::<HEADER_SIZE>().unwrap();
    let header = FrameHeader::parse(header, READ_SIZE_MAX as u32).unwrap();
    assert_eq!((header.kind, header.request_id), (FrameKind::Read, 5));
    body.to_vec()
}

fn asked(query: Query<'_>) -> Read<'_> {
    Read { min_lsn: 77, timeout_ms: 9, namespace: "alice", query }
}

#[test]
fn a_question_comes_back_and_no_part_of_one_is_taken_for_it() {
    for query in every_query(&[1, 2, 3, 4, 5, 6, 7, 8]) {
        let read = asked(query);
        let body = body(&read);
        assert_eq!(Read::decode(&body).unwrap(), read);
        for end in 0..body.len() {
            assert!(Read::decode(&body[..end]).is_err(), "{end} bytes of {read:?}");
        }
        let longer = [&body[..], &[0]].concat();
        assert!(Read::decode(&longer).is_err());
        let mut flipped = body.clone();
        for bit in 0..8 * flipped.len() {
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = Read::decode(&flipped);
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn the_largest_question_fits_and_a_larger_one_is_told_by_its_field() {
    let (elements, words) = (vec![0; 4 * VECTOR_DIMENSION_MAX], "w".repeat(u16::MAX.into()));
    let filter = words.as_str();
    let largest = Query::Nearest { k: 1, ef: None, filter, vector: vector(&elements) };
    let namespace = "n".repeat(SYMBOL_SIZE_MAX);
    let read = Read { namespace: &namespace, ..asked(largest) };
    assert_eq!(Read::decode(&body(&read)).unwrap(), read);

    let code = |query| Read::decode(&body(&asked(query))).unwrap_err().code;
    let (elements, long) = (vec![0; 4 * VECTOR_DIMENSION_MAX + 4], "i".repeat(ID_SIZE_MAX + 1));
    let nearest =
        |k, elements| Query::Nearest { k, ef: None, filter: "", vector: vector(elements) };
    assert_eq!(code(nearest(1, &elements)), ErrorCode::TooLarge);
    assert_eq!(code(nearest(1, &[])), ErrorCode::InvalidVector);
    assert_eq!(code(nearest(FOUND_COUNT_MAX + 1, &elements[..4])), ErrorCode::LimitReached);
    assert_eq!(code(Query::Get(Id::Text(&long))), ErrorCode::InvalidId);
    assert_eq!(code(Query::Get(Id::Text(""))), ErrorCode::InvalidId);
}

#[test]
fn what_this_version_does_not_know_is_unsupported_and_not_the_end() {
    let mut body = body(&asked(Query::Stats));
    *body.last_mut().unwrap() = 99;
    let fault = Read::decode(&body).unwrap_err();
    assert_eq!((fault.code, fault.detail), (ErrorCode::Unsupported, 99));
}

#[test]
fn a_coordinators_own_socket_takes_no_questions() {
    assert!(Request::decode(FrameKind::Read, &body(&asked(Query::Stats))).is_err());
}
