//! Operations and replies of every shape, for the property tests.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use sutra_client::protocol::{
    CompactReply, Compacted, ErrorCode, ErrorReply, FoundReply, HelloReply, Refusal, Reply,
    WaitReply, WriteReply, WriterStats,
};
use sutra_client::{
    Associate, Batch, Found, FoundConcept, FoundHit, FoundId, FoundNeighbor, FoundPath, FoundStats,
    Learn, Level, OperationError, TypeRef, Way,
};
use sutra_layout::id::Id;

/// An id that owns its text.
#[derive(Clone, Debug)]
pub enum OwnedId {
    Text(String),
    Hex([u8; 16]),
    Raw([u8; 16]),
}

impl OwnedId {
    pub fn borrow(&self) -> Id<'_> {
        match self {
            OwnedId::Text(text) => Id::Text(text),
            OwnedId::Hex(key) => Id::Hex(*key),
            OwnedId::Raw(key) => Id::Raw(*key),
        }
    }
}

/// A learn that owns its fields. `None` as id: the content's hash.
#[derive(Clone, Debug)]
pub struct OwnedLearn {
    id: Option<OwnedId>,
    texts: [Option<String>; 3],
    numbers: [Option<f32>; 2],
    embedding: Option<Vec<f32>>,
    space: u8,
    times: [Option<u64>; 3],
    if_absent: bool,
}

impl OwnedLearn {
    pub fn borrow(&self) -> Learn<'_> {
        let [content, metadata, kind] = &self.texts;
        let content = match self.id {
            // Without an id there must be content to hash.
            None => Some(content.as_deref().unwrap_or("hashed")),
            Some(_) => content.as_deref(),
        };
        Learn {
            id: self.id.as_ref().map_or(Id::Content, OwnedId::borrow),
            content,
            strength: self.numbers[0],
            confidence: self.numbers[1],
            embedding: self.embedding.as_deref(),
            space: self.space,
            metadata: metadata.as_deref(),
            kind: kind.as_deref(),
            expires_at: self.times[0],
            created_at: self.times[1],
            if_lsn: self.times[2],
            if_absent: self.if_absent,
        }
    }
}

/// An associate that owns its fields.
#[derive(Clone, Debug)]
pub struct OwnedAssociate {
    source: OwnedId,
    target: OwnedId,
    name: Option<String>,
    number: u16,
    confidence: Option<f32>,
    weight: Option<f32>,
    properties: Option<String>,
    times: [Option<u64>; 3],
    flags: [bool; 2],
}

impl OwnedAssociate {
    pub fn borrow(&self) -> Associate<'_> {
        Associate {
            source: self.source.borrow(),
            target: self.target.borrow(),
            kind: match &self.name {
                Some(name) => TypeRef::Name(name),
                None => TypeRef::Number(self.number),
            },
            confidence: self.confidence,
            weight: self.weight,
            properties: self.properties.as_deref(),
            valid_until: self.times[0],
            create_missing: self.flags[0],
            created_at: self.times[1],
            if_lsn: self.times[2],
            if_absent: self.flags[1],
        }
    }
}

/// One or the other, with its namespace.
#[derive(Clone, Debug)]
pub enum OwnedOperation {
    Learn(String, OwnedLearn),
    Associate(String, OwnedAssociate),
}

pub fn batch_of(operations: &[OwnedOperation]) -> Batch {
    let mut batch = Batch::new();
    for operation in operations {
        match operation {
            OwnedOperation::Learn(namespace, learn) => {
                batch.namespace(namespace).learn(&learn.borrow()).unwrap();
            }
            OwnedOperation::Associate(namespace, associate) => {
                batch.namespace(namespace).associate(&associate.borrow()).unwrap();
            }
        }
    }
    batch
}

pub fn id() -> impl Strategy<Value = OwnedId> {
    prop_oneof![
        "\\PC{1,40}".prop_map(OwnedId::Text),
        any::<[u8; 16]>().prop_map(OwnedId::Hex),
        any::<[u8; 16]>().prop_map(OwnedId::Raw),
    ]
}

fn learn() -> impl Strategy<Value = OwnedLearn> {
    (
        of(id()),
        [of(".{0,200}"), of(".{0,50}"), of("\\PC{0,20}")],
        [of(0f32..=1.0), of(0f32..=1.0)],
        of(vec(-1e30f32..1e30, 1..40)),
        any::<u8>(),
        [of(any::<u64>()), of(any::<u64>()), of(any::<u64>())],
        any::<bool>(),
    )
        .prop_map(|(id, texts, numbers, embedding, space, times, if_absent)| OwnedLearn {
            id,
            texts,
            numbers,
            embedding,
            space,
            times,
            if_absent,
        })
}

fn associate() -> impl Strategy<Value = OwnedAssociate> {
    (
        id(),
        id(),
        of("\\PC{1,20}"),
        any::<u16>(),
        of(0f32..=1.0),
        of(-1e30f32..1e30),
        of(".{0,50}"),
        [of(any::<u64>()), of(any::<u64>()), of(any::<u64>())],
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(source, target, name, number, confidence, weight, properties, times, flags)| {
                OwnedAssociate {
                    source,
                    target,
                    name,
                    number,
                    confidence,
                    weight,
                    properties,
                    times,
                    flags,
                }
            },
        )
}

pub fn operation() -> impl Strategy<Value = OwnedOperation> {
    prop_oneof![
        ("\\PC{0,10}", learn()).prop_map(|(namespace, it)| OwnedOperation::Learn(namespace, it)),
        ("\\PC{0,10}", associate())
            .prop_map(|(namespace, it)| OwnedOperation::Associate(namespace, it)),
    ]
}

pub fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Accepted), Just(Level::Durable), Just(Level::Visible)]
}

fn code() -> impl Strategy<Value = ErrorCode> {
    (0..ErrorCode::ALL.len()).prop_map(|index| ErrorCode::ALL[index])
}

fn hello_reply() -> impl Strategy<Value = HelloReply> {
    any::<(u16, u64, u32, [u8; 16], u32, u32, u64, u64)>().prop_map(
        |(version, writer_epoch, writer_pid, store_id, size, count, last_sequence, lsn)| {
            HelloReply {
                version,
                writer_epoch,
                writer_pid,
                store_id,
                frame_size_max: size,
                operations_per_frame_max: count,
                last_sequence,
                published_lsn: lsn,
            }
        },
    )
}

pub fn write_reply() -> impl Strategy<Value = WriteReply> {
    let refusal = (code(), any::<u64>(), ".{0,60}").prop_map(|(code, detail, message)| Refusal {
        code,
        detail,
        message,
    });
    let error = (any::<u32>(), code(), any::<u64>(), ".{0,60}")
        .prop_map(|(index, code, detail, message)| OperationError { index, code, detail, message });
    (of(refusal), any::<bool>(), level(), any::<[u64; 3]>(), vec(error, 0..8)).prop_map(
        |(refusal, already_applied, level_reached, numbers, errors)| WriteReply {
            refusal,
            already_applied,
            level_reached,
            writer_epoch: numbers[0],
            first_lsn: numbers[1],
            last_lsn: numbers[2],
            errors,
        },
    )
}

fn stats() -> impl Strategy<Value = WriterStats> {
    any::<[u64; 20]>().prop_map(|n| WriterStats {
        written: n[0],
        dropped: n[1],
        pending: n[2],
        reconciliations: n[3],
        written_lsn: n[4],
        applied_lsn: n[5],
        published_lsn: n[6],
        durable_lsn: n[7],
        checkpoint_lsn: n[8],
        writer_epoch: n[9],
        writer_pid: n[10],
        connections: n[11],
        log_size: n[12],
        storage_size: n[13],
        started_at: n[14],
        dead_size: n[15],
        generation: n[16],
        compactions: n[17],
        compacted_at: n[18],
        is_compacting: n[19],
    })
}

fn found_id() -> impl Strategy<Value = FoundId> {
    prop_oneof![
        "\\PC{1,20}".prop_map(FoundId::Text),
        any::<[u8; 16]>().prop_map(FoundId::Hex),
        any::<[u8; 16]>().prop_map(FoundId::Raw),
    ]
}

fn found_concept() -> impl Strategy<Value = FoundConcept> {
    let text = (".{0,40}", of(".{0,20}"), vec(-2.0f32..2.0, 0..9));
    (found_id(), text, any::<[u64; 3]>(), any::<u32>(), 0.0f32..1.0).prop_map(
        |(id, (content, metadata, embedding), times, version, strength)| FoundConcept {
            id,
            content,
            metadata,
            strength,
            confidence: strength / 2.0,
            created_at: times[0],
            updated_at: times[1],
            lsn: times[2],
            version,
            embedding,
        },
    )
}

fn found() -> impl Strategy<Value = Found> {
    let way = prop_oneof![Just(Way::Out), Just(Way::In)];
    let neighbor = (found_id(), way, ".{0,9}", 0.0f32..1.0)
        .prop_map(|(id, way, kind, confidence)| FoundNeighbor { id, way, kind, confidence });
    let path = (vec((found_id(), ".{0,9}"), 1..6), 0.0f32..1.0).prop_map(|(steps, confidence)| {
        let (ids, kinds): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        FoundPath { kinds: kinds[1..].to_vec(), ids, confidence }
    });
    let hits = || {
        let hit = (found_id(), -1.0f32..1.0).prop_map(|(id, score)| FoundHit { id, score });
        vec(hit, 0..6)
    };
    prop_oneof![
        of(found_concept()).prop_map(Found::Get),
        any::<bool>().prop_map(Found::Contains),
        vec(neighbor, 0..6).prop_map(Found::Neighbors),
        of(path).prop_map(Found::Path),
        hits().prop_map(Found::Nearest),
        hits().prop_map(Found::Search),
        any::<[u64; 5]>().prop_map(|n| {
            let [concepts, edges, vectors, indexed_vectors, file_size] = n;
            Found::Stats(FoundStats { concepts, edges, vectors, indexed_vectors, file_size })
        }),
    ]
}

fn found_reply() -> impl Strategy<Value = FoundReply> {
    let refusal = (code(), any::<u64>(), ".{0,60}").prop_map(|(code, detail, message)| Refusal {
        code,
        detail,
        message,
    });
    let outcome = prop_oneof![found().prop_map(Ok), refusal.prop_map(Err)];
    (any::<u64>(), outcome).prop_map(|(lsn, outcome)| FoundReply { lsn, outcome })
}

pub fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        hello_reply().prop_map(Reply::Hello),
        write_reply().prop_map(Reply::Write),
        write_reply().prop_map(Reply::Flush),
        any::<(bool, u64)>().prop_map(|(timed_out, lsn)| Reply::Wait(WaitReply { timed_out, lsn })),
        stats().prop_map(Reply::Stats),
        Just(Reply::Stop),
        (code(), any::<(bool, u64)>(), ".{0,60}").prop_map(|(code, (done, number), message)| {
            let refusal = Refusal { code, detail: number, message };
            let compacted = Compacted { took_us: number, ..Compacted::default() };
            Reply::Compact(CompactReply { outcome: done.then_some(compacted).ok_or(refusal) })
        }),
        found_reply().prop_map(Reply::Found),
        (code(), ".{0,60}").prop_map(|(code, message)| Reply::Error(ErrorReply { code, message })),
    ]
}

/// The frame of a reply, as a coordinator sends it.
pub fn encode_reply(reply: &Reply, request_id: u64) -> Vec<u8> {
    let mut out = Vec::new();
    match reply {
        Reply::Hello(it) => it.encode(request_id, &mut out),
        Reply::Write(it) => it.encode(request_id, &mut out),
        Reply::Flush(it) => it.encode_flush(request_id, &mut out),
        Reply::Wait(it) => it.encode(request_id, &mut out),
        Reply::Stats(it) => it.encode(request_id, &mut out),
        Reply::Stop => sutra_client::protocol::encode_stop_reply(request_id, &mut out),
        Reply::Compact(it) => it.encode(request_id, &mut out),
        Reply::Found(it) => it.encode(request_id, &mut out),
        Reply::Error(it) => it.encode(request_id, &mut out),
    }
    out
}
