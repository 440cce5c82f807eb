//! The store that stands in `tests/golden/format-1`: written once by a release's writer, and read by
//! every later one. Everything that the format can hold is in it.
//!
//! `cargo run -p sutra-tests --bin sutra-test-golden` writes it anew. That is for a format that no
//! release has written yet; afterwards the files stay as they are, whatever changes.
//!
//! `storage.packed` is the file without its zeros, most of which is space in reserve: its size
//! (`u64`), then for each run of other bytes the offset (`u64`), the size (`u64`) and the bytes.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use sutra_client::{
    Associate, Batch, Client, Disassociate, Forget, Learn, Level, MakeSpace, Reinforce, TimeToLive,
    Touch, TypeRef,
};
use sutra_layout::id::key_to_hex;
use sutra_layout::space::{GraphSettings, Metric, Quantization};
use sutra_reader::{Concept, Direction, Id, NeighborQuery, ReadError, Snapshot};

use crate::TestStore;
use crate::store::all_concepts;
use crate::text::{text_of, vector_of};

/// The clients that wrote it, and how many frames each.
pub const CLIENTS: [([u8; 16], u64); 2] = [([0x11; 16], 21), ([0x22; 16], 1)];
/// Associations of the hub, enough for several blocks.
pub const HUB_SIZE: u32 = 40;
/// Versions of the concept that has many.
pub const VERSIONS: u32 = 13;
/// Long after whoever reads this, in microseconds since the Unix epoch: the year 2500.
pub const FAR: u64 = 16_725_225_600_000_000;
/// The key of the concept that is called by it.
pub const RAW_KEY: [u8; 16] = *b"sixteen raw byte";
/// Likewise, in digits.
pub const HEX_ID: &str = "00112233445566778899aabbccddeeff";
/// The content of the concept that is called by nothing else.
pub const NAMELESS: &str = "filed under the hash of these words";
/// The dimension of the default space, and of the other.
pub const DIMENSIONS: [usize; 2] = [6, 3];

/// The directory of the golden files.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join("format-1")
}

/// Shorter runs of zeros are kept: the offset and size of another run take as much.
const ZEROS_MIN: usize = 16;

/// A file without its zeros.
pub fn pack(file: &[u8]) -> Vec<u8> {
    let mut packed = (file.len() as u64).to_le_bytes().to_vec();
    let mut start = 0;
    while let Some(begin) = file[start..].iter().position(|byte| *byte != 0) {
        let begin = start + begin;
        let is_gap = |window: &[u8]| window.iter().all(|byte| *byte == 0);
        let size = file[begin..].windows(ZEROS_MIN).position(is_gap);
        let size = size.unwrap_or(file.len() - begin);
        for number in [begin, size] {
            packed.extend_from_slice(&(number as u64).to_le_bytes());
        }
        packed.extend_from_slice(&file[begin..begin + size]);
        start = begin + size;
    }
    packed
}

/// The file that was packed.
///
/// # Panics
/// If nothing was packed so.
pub fn unpack(packed: &[u8]) -> Vec<u8> {
    fn number(rest: &mut &[u8]) -> usize {
        let (bytes, after) = rest.split_first_chunk().expect("it is packed");
        *rest = after;
        u64::from_le_bytes(*bytes) as usize
    }
    let mut rest = packed;
    let mut file = vec![0; number(&mut rest)];
    while !rest.is_empty() {
        let (begin, size) = (number(&mut rest), number(&mut rest));
        let (bytes, after) = rest.split_at(size);
        file[begin..begin + size].copy_from_slice(bytes);
        rest = after;
    }
    file
}

/// The golden store in a directory of its own, that nobody serves.
pub fn store() -> TestStore {
    let store = TestStore::unstarted();
    let packed = std::fs::read(directory().join("storage.packed")).expect("it is committed");
    std::fs::create_dir(store.dir()).expect("the directory is new");
    std::fs::write(store.storage_path(), unpack(&packed)).expect("there is room for it");
    store
}

/// The longest id there may be.
pub fn long_id() -> String {
    "long ".repeat(205)[..1024].to_owned()
}

/// Writes everything into an empty store that is served, and stops it cleanly.
///
/// # Panics
/// If anything is refused.
pub fn write(store: &mut TestStore) {
    let mut client = store.client_as(CLIENTS[0].0);
    write_full(&mut client);
    for version in 1..=VERSIONS {
        let learn = Learn {
            id: "often".into(),
            content: Some(&text_of("often", version)),
            embedding: Some(&vector_of("often", version, DIMENSIONS[0])),
            ..Learn::default()
        };
        send(&mut client, |batch| batch.learn(&learn).expect("it fits"));
    }
    client.flush().expect("it is served");
    store.kill_and_restart();
    write_hub(&mut client);
    write_ends(&mut client);
    write_upkeep(&mut client);
    assert_eq!(client.next_sequence() - 1, CLIENTS[0].1);
    send(&mut store.client_as(CLIENTS[1].0), |batch| {
        let learn = Learn { id: "second client".into(), ..Learn::default() };
        batch.learn(&learn).expect("it fits");
    });
    store.stop();
}

fn send(client: &mut Client, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    fill(&mut batch);
    let receipt = client.write(&batch, Level::Visible).expect("it is served");
    assert!(receipt.errors.is_empty(), "{:?}", receipt.errors);
}

fn write_full(client: &mut Client) {
    let vector = [1.0, -0.5, 0.25, 0.0, f32::MIN_POSITIVE, 1.0e30];
    let full = Learn {
        id: "full".into(),
        content: Some("every field is given: \u{fc}\u{1f43a}\n"),
        strength: Some(0.625),
        confidence: Some(0.125),
        embedding: Some(&vector),
        metadata: Some("{\"source\":\"golden\"}"),
        kind: Some("example"),
        expires_at: Some(FAR),
        created_at: Some(1_000_000),
        ..Learn::default()
    };
    let long = long_id();
    send(client, |batch| {
        batch.learn(&full).expect("it fits");
        let empty = Learn { id: "empty".into(), ..Learn::default() };
        batch.learn(&empty).expect("it fits");
        for id in [Id::Text(&long), Id::from(HEX_ID), Id::Raw(RAW_KEY), Id::Text("\u{fc}\u{1f43a}")]
        {
            batch.learn(&Learn { id, content: Some("ids"), ..Learn::default() }).expect("it fits");
        }
        batch.learn(&Learn { content: Some(NAMELESS), ..Learn::default() }).expect("it fits");
        let over = Learn { id: "over".into(), expires_at: Some(1), ..Learn::default() };
        batch.learn(&over).expect("it fits");
        batch.namespace("elsewhere").learn(&full).expect("it fits");
    });
    send(client, |batch| {
        let space = MakeSpace {
            name: "small",
            model: "a model of three",
            dimension: DIMENSIONS[1] as u32,
            metric: Metric::L2,
            graph: GraphSettings {
                m: 6,
                ef_construction: 50,
                ef_search: 20,
                quantization: Quantization::None,
            },
        };
        batch.make_space(&space).expect("it fits");
    });
    send(client, |batch| {
        let small = Learn {
            id: "full".into(),
            embedding: Some(&[3.0, 2.0, 1.0]),
            space: 1,
            ..Learn::default()
        };
        batch.learn(&small).expect("it fits");
    });
}

fn write_hub(client: &mut Client) {
    send(client, |batch| {
        batch.learn(&Learn { id: "hub".into(), ..Learn::default() }).expect("it fits");
        for at in 0..HUB_SIZE {
            let spoke = format!("spoke-{at}");
            let associate = Associate {
                source: "hub".into(),
                target: spoke.as_str().into(),
                kind: TypeRef::Name(if at % 2 == 0 { "even" } else { "odd" }),
                confidence: Some(at as f32 / HUB_SIZE as f32),
                weight: Some(-(at as f32)),
                properties: Some("{}"),
                valid_until: Some(FAR + u64::from(at)),
                create_missing: true,
                created_at: Some(2_000_000 + u64::from(at)),
                ..Associate::default()
            };
            batch.associate(&associate).expect("it fits");
            let back = Associate {
                source: spoke.as_str().into(),
                target: "hub".into(),
                kind: TypeRef::Number((at % 5) as u16),
                ..Associate::default()
            };
            batch.associate(&back).expect("it fits");
        }
    });
}

/// What ends: associations that were replaced, ended or have run out, and concepts forgotten.
fn write_ends(client: &mut Client) {
    send(client, |batch| {
        let again = Associate {
            source: "hub".into(),
            target: "spoke-0".into(),
            kind: "even".into(),
            weight: Some(100.0),
            ..Associate::default()
        };
        batch.associate(&again).expect("it fits");
        let over = Associate { kind: "over".into(), valid_until: Some(1), ..again };
        batch.associate(&over).expect("it fits");
        let end = Disassociate {
            source: "hub".into(),
            target: "spoke-1".into(),
            kind: None,
            if_lsn: None,
        };
        batch.disassociate(&end).expect("it fits");
    });
    send(client, |batch| {
        for id in ["spoke-2", "spoke-3"] {
            batch.forget(&Forget { id: id.into(), if_lsn: None }).expect("it fits");
        }
        let again = Learn { id: "spoke-3".into(), content: Some("again"), ..Learn::default() };
        batch.learn(&again).expect("it fits");
    });
}

fn write_upkeep(client: &mut Client) {
    send(client, |batch| {
        let namespace = "for a time";
        let time_to_live = TimeToLive { namespace, time_us: FAR };
        batch.time_to_live(&time_to_live).expect("it fits");
        batch.namespace(namespace);
        batch.learn(&Learn { id: "for a time".into(), ..Learn::default() }).expect("it fits");
        batch.namespace("");
        let reinforce = Reinforce {
            id: "full".into(),
            strength: Some(0.125),
            confidence: Some(-0.0625),
            if_lsn: None,
        };
        batch.reinforce(&reinforce).expect("it fits");
        let touch = Touch { id: "full".into(), count: 3, at: Some(3_000_000) };
        batch.touch(&touch).expect("it fits");
    });
    // The same again: what was gathered is a version by now.
    send(client, |batch| {
        let learn = Learn { id: "last".into(), content: Some("word"), ..Learn::default() };
        batch.learn(&learn).expect("it fits");
    });
}

/// All that a reader sees of it, a line for each concept, association, name and count.
///
/// # Errors
/// Those of the reader.
pub fn contents(snapshot: &Snapshot) -> Result<String, ReadError> {
    let mut text = String::new();
    let counts = [snapshot.published_lsn(), snapshot.concept_count(), snapshot.association_count()];
    line(&mut text, format_args!("lsn, concepts, associations {counts:?}"));
    for (number, name) in snapshot.types() {
        line(&mut text, format_args!("type {number} {name:?}"));
    }
    for at in 0..snapshot.space_count() {
        let space = snapshot.space(at)?;
        let (dimension, metric, graph) = (space.dimension, space.metric.name(), space.graph);
        let names = (&space.name, &space.model);
        line(&mut text, format_args!("space {at} {dimension} {metric} {graph:?} {names:?}"));
    }
    for concept in all_concepts(snapshot) {
        describe(&mut text, &concept, snapshot)?;
        let query = NeighborQuery { direction: Direction::Both, ..NeighborQuery::default() };
        for neighbor in snapshot.neighbors(&concept, &query)? {
            let way = if neighbor.direction == Direction::In { "from" } else { "to" };
            line(&mut text, format_args!("  edge {} {way} {}", neighbor.edge, neighbor.ordinal));
        }
    }
    for ordinal in 0.. {
        let edge = match snapshot.association(ordinal) {
            Err(ReadError::NoSuchAssociation { .. }) => break,
            edge => edge?,
        };
        let (ends, kind) = ((edge.source(), edge.target()), edge.edge_type());
        let numbers = [edge.confidence(), edge.weight()].map(f32::to_bits);
        let times = (edge.created_at(), edge.valid_until());
        let rest = (edge.properties()?, edge.author(), edge.is_tombstone());
        line(
            &mut text,
            format_args!(
                "edge {ordinal} at {} {ends:?} {kind} {numbers:x?} {times:?} {rest:?}",
                edge.lsn()
            ),
        );
    }
    Ok(text)
}

fn describe(
    text: &mut String,
    concept: &Concept<'_>,
    snapshot: &Snapshot,
) -> Result<(), ReadError> {
    let place = (concept.ordinal(), concept.version(), concept.lsn(), concept.born_lsn());
    let key = key_to_hex(&concept.key());
    let id = concept.id()?.to_string();
    line(text, format_args!("concept {place:?} {key} {:?} {id:?}", concept.namespace()));
    line(text, format_args!("  {:?} {:?}", concept.content()?, concept.metadata()?));
    let numbers = [concept.strength(), concept.confidence()].map(f32::to_bits);
    let times = (concept.created_at(), concept.updated_at(), concept.expires_at());
    let names = (concept.kind(), concept.author(), concept.is_placeholder());
    line(text, format_args!("  {numbers:x?} {times:?} {names:?}"));
    for space in 0..snapshot.space_count() {
        if let Some(vector) = concept.embedding_in(space)? {
            let bits: Vec<u32> = vector.iter().map(|x| x.to_bits()).collect();
            line(text, format_args!("  vector {space} {bits:x?}"));
        }
    }
    Ok(())
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes what it is given");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_file_comes_back_byte_for_byte() {
        let mut random = crate::Random::new(5);
        for size in [0, 1, 15, 16, 17, 4096, 70_000] {
            let mut file = vec![0; size];
            assert_eq!(unpack(&pack(&file)), file);
            for _ in 0..20 {
                for _ in 0..random.below(40).min(size as u64) {
                    let at = random.index(size);
                    file[at] = random.next() as u8;
                }
                assert_eq!(unpack(&pack(&file)), file);
            }
        }
    }
}
