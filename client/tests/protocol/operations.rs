//! Operations come back as they were given, and a bad one spoils itself alone.

use proptest::collection::vec;
use proptest::prelude::*;
use sutra_client::protocol::frame::{FrameKind, HEADER_SIZE};
use sutra_client::protocol::{
    AssociateOp, Fault, FrameHeader, Hello, LearnOp, Operation, Operations, ProtocolError, Request,
    Wait, Write,
};
use sutra_client::{
    Associate, Batch, BatchError, Disassociate, ErrorCode, Forget, Learn, Level, MakeSpace,
    Reinforce, TimeToLive, Touch, TypeRef,
};
use sutra_layout::id::Id;
use sutra_layout::limits::{CONTENT_SIZE_MAX, FRAME_SIZE_MAX, OPERATIONS_PER_FRAME_MAX};
use sutra_layout::space::{GraphSettings, Metric, Quantization};

use crate::generate::{OwnedOperation, batch_of, level, operation};

fn assert_learn(namespace: &str, given: &Learn<'_>, found: &LearnOp<'_>) {
    let embedding = found.embedding().map(|(space, values)| (space, values.iter().collect()));
    let expected: Option<(u8, Vec<f32>)> = given.embedding.map(|it| (given.space, it.to_vec()));
    assert_eq!(embedding, expected);
    assert_eq!(found.namespace, namespace);
    let again = Learn {
        id: found.id,
        content: found.content,
        strength: found.strength,
        confidence: found.confidence,
        embedding: given.embedding,
        space: given.space,
        metadata: found.metadata,
        kind: found.kind,
        expires_at: found.expires_at,
        created_at: found.created_at,
        if_lsn: found.if_lsn,
        if_absent: found.if_absent,
    };
    assert_eq!(&again, given);
}

fn assert_associate(namespace: &str, given: &Associate<'_>, found: &AssociateOp<'_>) {
    assert_eq!(found.namespace, namespace);
    let again = Associate {
        source: found.source,
        target: found.target,
        kind: found.kind,
        confidence: found.confidence,
        weight: found.weight,
        properties: found.properties,
        valid_until: found.valid_until,
        create_missing: found.create_missing,
        created_at: found.created_at,
        if_lsn: found.if_lsn,
        if_absent: found.if_absent,
    };
    assert_eq!(&again, given);
}

proptest! {
    #[test]
    fn a_write_comes_back_as_it_was_given(
        operations in vec(operation(), 0..12),
        sequence in 1u64..,
        request_id: u64,
        level in level(),
        atomic: bool,
    ) {
        let mut batch = batch_of(&operations);
        batch.atomic(atomic);
        let mut frame = Vec::new();
        batch.encode(request_id, sequence, level, &mut frame);

        let (header, body) = frame.split_first_chunk::<HEADER_SIZE>().unwrap();
        let header = FrameHeader::parse(header, FRAME_SIZE_MAX as u32).unwrap();
        assert_eq!(header.body_size as usize, body.len());
        assert_eq!(header.request_id, request_id);
        let Ok(Request::Write(write)) = Request::decode(header.kind, body) else {
            panic!("not a write");
        };
        assert_eq!((write.sequence, write.level, write.atomic), (sequence, level, atomic));
        assert_eq!(write.operations.len(), operations.len());
        assert_eq!(write.operations, batch.operations());
        for (given, found) in operations.iter().zip(write.operations) {
            match (given, found.unwrap()) {
                (OwnedOperation::Learn(namespace, given), Operation::Learn(found)) => {
                    assert_learn(namespace, &given.borrow(), &found);
                }
                (OwnedOperation::Associate(namespace, given), Operation::Associate(found)) => {
                    assert_associate(namespace, &given.borrow(), &found);
                }
                (given, found) => panic!("{given:?} came back as {found:?}"),
            }
        }
    }

    #[test]
    fn hello_and_wait_come_back_as_they_were_given(
        client_id: [u8; 16],
        author in "\\PC{0,16}",
        lsn: u64,
        level in level(),
        timeout_ms: u32,
    ) {
        let hello = Hello::new(client_id, &author);
        let mut frame = Vec::new();
        hello.encode(1, &mut frame);
        let decoded = Request::decode(FrameKind::Hello, &frame[HEADER_SIZE..]);
        assert_eq!(decoded, Ok(Request::Hello(hello)));
        assert_eq!(hello.negotiate(), Ok(1));

        let wait = Wait { lsn, level, timeout_ms };
        let mut frame = Vec::new();
        wait.encode(1, &mut frame);
        let decoded = Request::decode(FrameKind::Wait, &frame[HEADER_SIZE..]);
        assert_eq!(decoded, Ok(Request::Wait(wait)));
    }
}

/// What the coordinator finds in a batch of these two with a good one behind them.
fn faults_of(learns: &[Learn<'_>], associates: &[Associate<'_>]) -> Vec<Fault> {
    let mut batch = Batch::new();
    learns.iter().for_each(|learn| batch.learn(learn).unwrap());
    associates.iter().for_each(|associate| batch.associate(associate).unwrap());
    batch.learn(&Learn { id: Id::Text("good"), ..Learn::default() }).unwrap();
    let mut found: Vec<_> = batch.operations().collect();
    let last = found.pop().unwrap();
    assert!(matches!(last, Ok(Operation::Learn(it)) if it.id == Id::Text("good")));
    found.into_iter().map(Result::unwrap_err).collect()
}

#[test]
fn a_bad_field_is_a_typed_fault_of_its_operation_and_the_next_one_stands() {
    let good = Learn { id: Id::Text("a"), ..Learn::default() };
    let edge = Associate { source: Id::Text("a"), target: Id::Text("b"), ..Associate::default() };
    let found = faults_of(
        &[
            Learn { strength: Some(f32::NAN), ..good },
            Learn { confidence: Some(1.5), ..good },
            Learn { embedding: Some(&[1.0, f32::INFINITY]), ..good },
            Learn { embedding: Some(&[]), ..good },
            Learn { kind: Some("a\0b"), ..good },
        ],
        &[
            Associate { weight: Some(f32::NEG_INFINITY), ..edge },
            Associate { confidence: Some(-0.1), ..edge },
            Associate { kind: TypeRef::Name(""), ..edge },
        ],
    );
    let codes: Vec<_> = found.iter().map(|fault| (fault.code, fault.field)).collect();
    assert_eq!(
        codes,
        [
            (ErrorCode::InvalidNumber, "strength"),
            (ErrorCode::InvalidNumber, "confidence"),
            (ErrorCode::InvalidVector, "embedding"),
            (ErrorCode::InvalidVector, "embedding"),
            (ErrorCode::InvalidText, "kind"),
            (ErrorCode::InvalidNumber, "weight"),
            (ErrorCode::InvalidNumber, "confidence"),
            (ErrorCode::InvalidType, "type"),
        ]
    );
    let error = found[0].at(7);
    assert_eq!((error.index, error.code), (7, ErrorCode::InvalidNumber));
    assert!(error.message.starts_with("strength: "), "{}", error.message);
}

/// One framed operation of these bytes.
fn framed(operation: &[u8]) -> Vec<u8> {
    let mut bytes = (operation.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(operation);
    bytes
}

#[test]
fn what_a_batch_never_encodes_is_refused_too() {
    let decode = |operation: &[u8]| {
        let bytes = framed(operation);
        let mut operations = Operations::new(1, &bytes).unwrap();
        operations.next().unwrap().map(|_| ()).map_err(|fault| (fault.code, fault.detail))
    };
    let learn = |present: u32, rest: &[u8]| {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&present.to_le_bytes());
        bytes.extend_from_slice(rest);
        bytes
    };
    let id = [0, 1, 0, b'a'];
    let with_id = |rest: &[u8]| [&id[..], rest].concat();
    let above = (CONTENT_SIZE_MAX + 1) as u32;
    let long = [&above.to_le_bytes()[..], &vec![b'x'; above as usize]].concat();
    for (bytes, expected) in [
        (vec![], (ErrorCode::Malformed, 0)),
        (learn(1 << 11, &id), (ErrorCode::Unsupported, 1 << 11)),
        (learn(0, &[7, 1, 0, b'a']), (ErrorCode::InvalidId, 1)),
        (learn(0, &[0, 0, 0]), (ErrorCode::InvalidId, 0)),
        (learn(0, &[1, 1, 0, b'a']), (ErrorCode::InvalidId, 1)),
        (learn(0, &[0, 1, 0, 0xff]), (ErrorCode::InvalidText, 0)),
        (learn(0, &[3, 0, 0]), (ErrorCode::InvalidId, 0)),
        (learn(0, &with_id(&[9, 9])), (ErrorCode::Malformed, 2)),
        (learn(2, &with_id(&[9, 0, 0, 0])), (ErrorCode::Malformed, 0)),
        (learn(2, &with_id(&[1, 0, 0, 0, 0xc3])), (ErrorCode::InvalidText, 0)),
        (learn(2, &with_id(&long)), (ErrorCode::TooLarge, above.into())),
        (learn(16, &with_id(&[0, 1, 16, 0, 0])), (ErrorCode::TooLarge, 4097)),
    ] {
        assert_eq!(decode(&bytes), Err(expected), "{:02x?}", &bytes[..bytes.len().min(32)]);
    }
    for opcode in [0, 9, 255] {
        let bytes = framed(&[opcode, 1, 2, 3]);
        let found: Vec<_> = Operations::new(1, &bytes).unwrap().collect();
        assert_eq!(found, [Ok(Operation::Unsupported(opcode))]);
    }
}

#[test]
fn what_is_done_to_concepts_that_exist_comes_back_as_it_was_sent() {
    let id = Id::Text("wolf");
    let key = Id::Raw([9; 16]);
    let mut batch = Batch::new();
    batch.namespace("n");
    let forget = Forget { id, if_lsn: Some(7) };
    let ends = [None, Some(TypeRef::Name("t")), Some(TypeRef::Number(3))]
        .map(|kind| Disassociate { source: id, target: key, kind, if_lsn: None });
    let steps = Reinforce { id, strength: Some(-0.5), confidence: None, if_lsn: Some(1) };
    let touch = Touch { id: key, count: 3, at: Some(5) };
    let graph = GraphSettings {
        m: 8,
        ef_construction: 90,
        ef_search: 30,
        quantization: Quantization::None,
    };
    let space = MakeSpace { name: "new", model: "m", dimension: 3, metric: Metric::Dot, graph };
    let time_to_live = TimeToLive { namespace: "other", time_us: 9 };
    batch.forget(&forget).unwrap();
    for end in &ends {
        batch.disassociate(end).unwrap();
    }
    batch.reinforce(&steps).unwrap();
    batch.touch(&touch).unwrap();
    batch.make_space(&space).unwrap();
    batch.time_to_live(&time_to_live).unwrap();
    let found: Vec<_> = batch.operations().map(Result::unwrap).collect();
    let expected = [
        Operation::Forget("n", forget),
        Operation::Disassociate("n", ends[0]),
        Operation::Disassociate("n", ends[1]),
        Operation::Disassociate("n", ends[2]),
        Operation::Reinforce("n", steps),
        Operation::Touch("n", touch),
        Operation::MakeSpace(space),
        Operation::TimeToLive(time_to_live),
    ];
    assert_eq!(found, expected);

    // Cut anywhere, or with a byte too many, each is a fault and nothing else.
    let mut rest = batch.operations().as_bytes();
    while let Some((size, behind)) = rest.split_first_chunk::<4>() {
        let (operation, behind) = behind.split_at(u32::from_le_bytes(*size) as usize);
        for end in 0..operation.len() {
            assert!(Operation::decode(&operation[..end]).is_err(), "{operation:02x?} to {end}");
        }
        assert!(Operation::decode(&[operation, &[0]].concat()).is_err());
        rest = behind;
    }
}

#[test]
fn broken_framing_spoils_the_frame() {
    let good = framed(&[3]);
    let short = [&good[..], &[1, 0, 0]].concat();
    let long = [&good[..], &[2, 0, 0, 0, 9]].concat();
    assert_eq!(Operations::new(2, &short), Err(ProtocolError::Truncated { field: "operation" }));
    assert_eq!(Operations::new(2, &long), Err(ProtocolError::Truncated { field: "operation" }));
    assert_eq!(Operations::new(0, &good), Err(ProtocolError::TrailingBytes { count: 5 }));
    let limit = OPERATIONS_PER_FRAME_MAX as u32;
    assert_eq!(
        Operations::new(limit + 1, &good),
        Err(ProtocolError::TooManyOperations { found: limit + 1, limit })
    );
}

#[test]
fn a_write_with_bits_from_the_future_is_refused() {
    let mut frame = Vec::new();
    Batch::new().encode(1, 1, Level::Durable, &mut frame);
    let with = |at: usize, value: u8| {
        let mut body = frame[HEADER_SIZE..].to_vec();
        body[at] = value;
        Write::decode(&body).map(|_| ()).unwrap_err()
    };
    assert_eq!(with(0, 0), ProtocolError::BadValue { field: "write sequence" });
    assert_eq!(with(8, 3), ProtocolError::BadValue { field: "write level" });
    assert_eq!(with(9, 2), ProtocolError::Reserved { field: "write flags", found: 2 });
    assert_eq!(with(10, 1), ProtocolError::Reserved { field: "write reserved", found: 1 });
}

#[test]
fn a_batch_refuses_what_cannot_be_framed_and_stays_as_it_was() {
    let mut batch = Batch::new();
    batch.learn(&Learn { id: Id::Text("kept"), ..Learn::default() }).unwrap();
    let size = batch.size();
    let long = "x".repeat(CONTENT_SIZE_MAX + 1);
    let id = Id::Text("a");
    for error in [
        batch.learn(&Learn { id, content: Some(&long), ..Learn::default() }),
        batch.learn(&Learn { id, metadata: Some(&long), ..Learn::default() }),
        batch.learn(&Learn { id, kind: Some(&long), ..Learn::default() }),
        batch.learn(&Learn { id, embedding: Some(&[0.0; 4097]), ..Learn::default() }),
        batch.learn(&Learn { id: Id::Text(""), ..Learn::default() }),
        batch.learn(&Learn { id: Id::Text(&long), ..Learn::default() }),
        batch.learn(&Learn::default()),
        batch.associate(&Associate { source: id, ..Associate::default() }),
        batch.associate(&Associate {
            source: id,
            target: id,
            kind: TypeRef::Name(&long),
            ..Associate::default()
        }),
    ] {
        assert!(error.is_err());
    }
    assert_eq!((batch.len(), batch.size()), (1, size));
    assert_eq!(batch.operations().len(), 1);
}

#[test]
fn a_full_batch_says_so_by_count_and_by_size() {
    let mut batch = Batch::new();
    let small =
        Associate { source: Id::Raw([1; 16]), target: Id::Raw([2; 16]), ..Associate::default() };
    for _ in 0..OPERATIONS_PER_FRAME_MAX {
        batch.associate(&small).unwrap();
    }
    assert!(matches!(batch.associate(&small), Err(BatchError::Full { .. })));
    assert_eq!(batch.len(), OPERATIONS_PER_FRAME_MAX);

    batch.clear();
    let content = "x".repeat(CONTENT_SIZE_MAX);
    let large = Learn { content: Some(&content), ..Learn::default() };
    let full = (0..).find_map(|_| batch.learn(&large).err()).unwrap();
    assert!(matches!(full, BatchError::Full { operation_count: 15, .. }), "{full}");
    let mut frame = Vec::new();
    batch.encode(1, 1, Level::Durable, &mut frame);
    assert!(frame.len() - HEADER_SIZE <= FRAME_SIZE_MAX);
    assert_eq!(Write::decode(&frame[HEADER_SIZE..]).unwrap().operations.len(), 15);
}
