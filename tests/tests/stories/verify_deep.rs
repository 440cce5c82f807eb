//! The deep check: silent about a sound store, also while it is written, and precise about each
//! kind of damage.

use std::sync::atomic::{AtomicBool, Ordering};

use sutra_client::{
    Associate, Batch, Disassociate, Forget, Learn, Level, MakeSpace, Reinforce, TimeToLive, Touch,
};
use sutra_layout::adjacency::BlockRef;
use sutra_layout::column::{IN_HEAD, NEWEST, OUT_HEAD};
use sutra_layout::geometry::{
    DURABLE_SLOTS_OFFSET, LIVE_ENDS_OFFSET, PAGE_SIZE, RING_OFFSET, RUN_MARK_OFFSET, Region,
    SPACES_OFFSET,
};
use sutra_reader::Metric;
use sutra_reader::verify::{self, DeepOptions, Report};
use sutra_tests::forge::{flip, overwrite, place_of, scramble_derived, unit_place};
use sutra_tests::store::Writing;
use sutra_tests::text::{text_of, vector_of};
use sutra_tests::{Random, TestStore};

fn deep(store: &TestStore) -> Report {
    verify::deep(store.dir(), DeepOptions::default(), &mut |_| {}).unwrap()
}

/// Every kind of thing that a store can hold, with several versions of most of them.
fn write_everything(store: &TestStore) {
    let mut client = store.client();
    let mut write = |batch: &Batch| {
        let receipt = client.write(batch, Level::Visible).unwrap();
        assert!(receipt.errors.is_empty(), "{receipt:?}");
    };
    let mut batch = Batch::new();
    let first = vector_of("first", 0, 8);
    let content = Some("the default space has its dimension from this");
    batch
        .learn(&Learn { id: "first".into(), content, embedding: Some(&first), ..Learn::default() })
        .unwrap();
    write(&batch);
    let mut batch = Batch::new();
    let (name, model, metric) = ("wide", "model-2", Metric::L2);
    batch
        .make_space(&MakeSpace { name, model, dimension: 12, metric, graph: Default::default() })
        .unwrap();
    batch.time_to_live(&TimeToLive { namespace: "brief", time_us: 1 << 40 }).unwrap();
    write(&batch);
    for round in 0..3 {
        let mut batch = Batch::new();
        for number in 0..700 {
            let name = format!("concept-{number}");
            let (content, vector) = (text_of(&name, round), vector_of(&name, round, 8));
            batch.namespace(if number % 7 == 0 { "brief" } else { "" });
            batch
                .learn(&Learn {
                    id: name.as_str().into(),
                    content: Some(&content),
                    embedding: Some(vector.as_slice()).filter(|_| number % 3 == 0),
                    metadata: Some("{\"a\": 1}").filter(|_| number % 5 == 0),
                    kind: Some("thing").filter(|_| number % 2 == 0),
                    ..Learn::default()
                })
                .unwrap();
        }
        write(&batch);
        let mut batch = Batch::new();
        for number in 0..1500 {
            let (source, target) = (number % 37, number % 601);
            let (source, target) = (format!("concept-{source}"), format!("concept-{target}"));
            batch
                .associate(&Associate {
                    source: source.as_str().into(),
                    target: target.as_str().into(),
                    kind: if number % 2 == 0 { "causal" } else { "beside" }.into(),
                    properties: Some("[1]").filter(|_| number % 4 == 0),
                    create_missing: true,
                    ..Associate::default()
                })
                .unwrap();
        }
        write(&batch);
    }
    let mut batch = Batch::new();
    for number in [3, 90, 450] {
        let id = format!("concept-{number}");
        batch.forget(&Forget { id: id.as_str().into(), if_lsn: None }).unwrap();
    }
    let wide = vector_of("wide", 0, 12);
    let learn =
        Learn { id: "concept-21".into(), embedding: Some(&wide), space: 1, ..Learn::default() };
    batch.learn(&learn).unwrap();
    let (id, if_lsn) = ("concept-1".into(), None);
    batch.reinforce(&Reinforce { id, strength: Some(-0.25), confidence: None, if_lsn }).unwrap();
    batch.touch(&Touch { id, count: 2, at: None }).unwrap();
    let (source, target) = ("concept-5".into(), "concept-5".into());
    batch.disassociate(&Disassociate { source, target, kind: None, if_lsn }).unwrap();
    write(&batch);
    client.learn("concept-90", "again");
}

/// A store of everything, stopped cleanly.
fn stopped() -> TestStore {
    let mut store = TestStore::started();
    write_everything(&store);
    store.stop();
    store
}

fn assert_sound(report: &Report) {
    assert!(report.is_sound() && report.findings.is_empty(), "{report:#?}");
}

#[test]
fn a_sound_store_gives_no_finding_served_stopped_or_killed() {
    let mut store = TestStore::started();
    assert_sound(&deep(&store));
    write_everything(&store);
    assert_sound(&deep(&store));
    store.kill_and_restart();
    store.client().learn("one", "more");
    store.kill();
    assert_sound(&deep(&store));
    store.start();
    store.stop();
    let report = deep(&store);
    assert_sound(&report);
    let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
    for name in ["records", "vectors", "edges", "id index", "edge index", "lists of associations"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn a_store_being_written_is_checked_under_one_version() {
    let store = TestStore::started();
    write_everything(&store);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = store.client();
            let mut random = Random::from_env("writes beside the deep check");
            while !is_done.load(Ordering::Relaxed) {
                let mut batch = Batch::new();
                for _ in 0..200 {
                    let ends = [0; 2].map(|_| format!("concept-{}", random.below(4000)));
                    let content = text_of(&ends[0], random.below(1 << 20) as u32);
                    let [source, target] = [0, 1].map(|end: usize| ends[end].as_str().into());
                    let learn = Learn { id: source, content: Some(&content), ..Learn::default() };
                    batch.learn(&learn).unwrap();
                    let associate =
                        Associate { source, target, create_missing: true, ..Associate::default() };
                    batch.associate(&associate).unwrap();
                    if random.one_in(20) {
                        batch.forget(&Forget { id: target, if_lsn: None }).unwrap();
                    }
                }
                client.write(&batch, Level::Visible).unwrap();
            }
        });
        let reports: Vec<Report> = (0..12).map(|_| deep(&store)).collect();
        is_done.store(true, Ordering::Relaxed);
        reports.iter().for_each(assert_sound);
    });
}

#[test]
fn a_copy_that_needs_recovery_is_checked_up_to_its_checkpoint() {
    let store = TestStore::started();
    write_everything(&store);
    store.client().flush().unwrap();
    let copy = TestStore::copy_of(store.dir());
    scramble_derived(&copy, &mut Random::from_env("noise in what is derived"));
    assert_sound(&deep(&copy));
    flip(&copy.storage_path(), unit_place(&copy, Region::RECORDS, 7) + 70);
    let report = deep(&copy);
    let found: Vec<_> = report.findings.iter().map(|found| (found.check, found.ordinal)).collect();
    assert_eq!(found, [("records", 7)], "{report:#?}");
}

/// A damage that is planted: what the check is called that must find it, the region and the unit
/// that it must name if that is one, and how it is done.
type Planted = (&'static str, Option<(&'static str, u64)>, fn(&TestStore));

fn spoil(store: &TestStore, region: Region, ordinal: u64, byte: u64) {
    flip(&store.storage_path(), unit_place(store, region, ordinal) + byte);
}

const PLANTED: [Planted; 32] = [
    ("superblock", None, |s| flip(&s.storage_path(), 20)),
    ("directory", None, |s| {
        let word = sutra_layout::directory::word_offset(Region::EDGES, 0);
        flip(&s.storage_path(), word + 2);
    }),
    ("vector spaces", None, |s| flip(&s.storage_path(), SPACES_OFFSET + PAGE_SIZE + 20)),
    ("run mark", None, |s| flip(&s.storage_path(), RUN_MARK_OFFSET + 33)),
    ("slots", Some(("durable slot", 0)), |s| {
        // The older of the two: after a clean stop it is not what was torn.
        let other = if newest_durable(s) == 0 { PAGE_SIZE } else { 0 };
        overwrite_slot_name(s, other);
    }),
    ("slots", None, |s| flip(&s.storage_path(), RING_OFFSET + older_ring_slot(s) * 512 + 60)),
    ("slots", None, |s| spoil(s, clients(s), 0, 17)),
    ("symbols", None, |s| spoil(s, Region::SYMBOLS, 0, 13)),
    ("records", Some(("records", 5)), |s| spoil(s, Region::RECORDS, 5, 64)),
    ("records", Some(("records", 0)), |s| spoil(s, Region::RECORDS, 0, 127)),
    ("records", None, |s| {
        let content = place_of(&s.storage_path(), text_of("concept-9", 0).as_bytes());
        flip(&s.storage_path(), content);
    }),
    ("records", None, |s| spoil(s, Region::CONTENT, 0, 0)),
    ("vectors", Some(("vectors", 3)), |s| spoil(s, Region::vectors(0), 3, 2)),
    ("vectors", Some(("vector columns", 2)), |s| spoil(s, Region::vector_columns(0), 2, 6)),
    ("vectors", Some(("vector columns", 4)), |s| spoil(s, Region::vector_columns(0), 4, 8)),
    ("edges", Some(("edges", 11)), |s| spoil(s, Region::EDGES, 11, 40)),
    ("id index", None, |s| flip_word(s, Region::ID_SEGMENTS, 0)),
    ("id index", None, |s| flip_word(s, Region::ID_SEGMENTS, 6)),
    ("id index", None, |s| spoil(s, Region::ID_DIRECTORY, 1, 0)),
    ("id index", None, |s| spoil(s, Region::ID_DIRECTORY, 1, 1)),
    ("edge index", None, |s| flip_word(s, Region::EDGE_SEGMENTS, 2)),
    ("edge index", None, |s| spoil(s, Region::EDGE_DIRECTORY, 0, 1)),
    ("edge index", None, |s| {
        let word = LIVE_ENDS_OFFSET + Region::EDGE_SEGMENTS.index() as u64 * 8;
        overwrite(&s.storage_path(), word, &[1, 0, 0, 0, 0, 0, 0, 0]);
    }),
    ("concept columns", Some(("concept columns", 8)), |s| {
        spoil(s, Region::COLUMNS, 8, 8 * NEWEST as u64);
    }),
    // Concept 8 has no associations, concept 9 has.
    ("lists of associations", None, |s| spoil(s, Region::COLUMNS, 8, 8 * OUT_HEAD as u64)),
    ("lists of associations", None, |s| spoil(s, Region::COLUMNS, 9, 8 * OUT_HEAD as u64)),
    ("lists of associations", None, |s| spoil(s, Region::COLUMNS, 9, 8 * IN_HEAD as u64 + 6)),
    ("lists of associations", None, |s| spoil(s, Region::COLUMNS, 8, 8 * IN_HEAD as u64 + 6)),
    ("lists of associations", None, |s| spoil(s, Region::ADJACENCY, block_of(s, 9), 16)),
    ("lists of associations", None, |s| spoil(s, Region::ADJACENCY, block_of(s, 9), 24)),
    ("lists of associations", None, |s| spoil(s, Region::ADJACENCY, block_of(s, 9), 30)),
    ("lists of associations", None, |s| {
        let word = LIVE_ENDS_OFFSET + Region::ADJACENCY.index() as u64 * 8;
        overwrite(&s.storage_path(), word, &[1, 0, 0, 0, 0, 0, 0, 0]);
    }),
];

fn durable(store: &TestStore, at: u64) -> u64 {
    let file = std::fs::read(store.storage_path()).unwrap();
    let place = (DURABLE_SLOTS_OFFSET + at * PAGE_SIZE) as usize;
    u64::from_le_bytes(file[place..place + 8].try_into().unwrap())
}

fn newest_durable(store: &TestStore) -> u64 {
    u64::from(durable(store, 1) > durable(store, 0))
}

fn overwrite_slot_name(store: &TestStore, page: u64) {
    flip(&store.storage_path(), DURABLE_SLOTS_OFFSET + page + 60);
}

/// A slot of the ring that is not the newest.
fn older_ring_slot(store: &TestStore) -> u64 {
    let seq = store.reader().snapshot().unwrap().commit_seq();
    (seq - 2) % 8
}

fn clients(store: &TestStore) -> Region {
    sutra_layout::client_entry::clients_region(newest_durable(store) as usize)
}

/// The first unit of the newest block of associations from a concept; the ones before it may have
/// been copied and left.
fn block_of(store: &TestStore, concept: u64) -> u64 {
    let file = std::fs::read(store.storage_path()).unwrap();
    let at = unit_place(store, Region::COLUMNS, concept) as usize + 8 * OUT_HEAD;
    let head = u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    BlockRef::decode(head).unwrap().unit
}

/// Flips a bit of the `skip`-th key of the segment of an index that was given out last: those
/// before it may have been split since.
fn flip_word(store: &TestStore, segments: Region, skip: usize) {
    let path = store.storage_path();
    let file = std::fs::read(&path).unwrap();
    let live_end = LIVE_ENDS_OFFSET as usize + segments.index() * 8;
    let count = u64::from_le_bytes(file[live_end..live_end + 8].try_into().unwrap());
    let start = unit_place(store, segments, (count - 1) * 512) as usize;
    let words = file[start..start + 4096].chunks_exact(8).enumerate();
    let mut filled = words.filter(|(_, word)| word != &[0; 8]).map(|(at, _)| at);
    let at = filled.nth(skip).unwrap();
    flip(&path, (start + at * 8) as u64 + 1);
}

#[test]
fn each_kind_of_damage_is_found_and_named() {
    let store = stopped();
    assert_sound(&deep(&store));
    for (at, (check, place, plant)) in PLANTED.iter().enumerate() {
        let copy = TestStore::copy_of(store.dir());
        plant(&copy);
        let report = deep(&copy);
        let told = report.checks.iter().find(|told| told.name == *check && told.problem.is_some());
        assert!(told.is_some(), "{at}: {check} says nothing: {report:#?}");
        if let Some((region, ordinal)) = place {
            let named = report.findings.iter().any(|found| {
                (found.check, found.region) == (*check, *region)
                    && (found.ordinal == *ordinal || *region == "durable slot")
            });
            assert!(named, "{at}: {region} {ordinal} is not named: {report:#?}");
        }
        // Whatever rests on what is damaged is told there, and not everywhere.
        let few = report.findings.len() as u64 + report.findings_left_off;
        assert!(few < 60, "{at}: {few} findings: {report:#?}");
    }
}

#[test]
fn findings_beyond_the_limit_are_counted() {
    let store = stopped();
    for ordinal in 0..20 {
        spoil(&store, Region::EDGES, ordinal, 20);
    }
    let options = DeepOptions { findings_max: 5 };
    let report = verify::deep(store.dir(), options, &mut |_| {}).unwrap();
    assert_eq!((report.findings.len(), report.findings_left_off), (5, 15), "{report:#?}");
    let finding = report.findings[1].to_string();
    let byte = unit_place(&store, Region::EDGES, 1);
    assert!(finding.starts_with(&format!("byte {byte}, edges 1: its checksum is ")), "{finding}");
}
