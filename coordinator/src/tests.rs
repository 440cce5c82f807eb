//! The rules that only the writer's own rooms can show: the same log gives the same truth, and
//! whatever is derived comes out the same from truth.

use std::path::Path;
use std::sync::atomic::Ordering;

use sutra_client::protocol::{
    Associate, FrameHeader, FrameKind, HEADER_SIZE, Learn, Level, Request,
};
use sutra_client::{Batch, Disassociate, Forget, MakeSpace, Reinforce};
use sutra_layout::adjacency::Entries;
use sutra_layout::column::{IN_HEAD, OUT_HEAD};
use sutra_layout::geometry::Region;
use sutra_layout::id::Id;
use sutra_layout::lookup::{find_concept, find_edge, newest_record};
use sutra_layout::record::ConceptRecord;
use sutra_layout::run_mark::RunMark;
use sutra_layout::space::{GraphSettings, Metric};

use crate::apply::Writer;
use crate::decide::Decider;
use crate::options::Options;
use crate::reconciler::{Answer, Reconciler, Session};
use crate::recovery::{self, State};
use crate::store_dir::StoreDir;

/// A store open for writing, without sockets.
pub(crate) struct Rig {
    pub(crate) reconciler: Reconciler,
    dir: StoreDir,
    sequence: u64,
    state: State,
}

impl Rig {
    pub(crate) fn open(path: &Path) -> Rig {
        let options = Options::new(path);
        let dir = StoreDir::acquire(path, "test", &options.socket_path()).unwrap();
        let opened = recovery::open(&dir, &options).unwrap();
        let state = opened.state;
        let (reconciler, _) =
            Reconciler::new(opened, Decider::new(Metric::Cosine, GraphSettings::default()));
        Rig { reconciler, dir, sequence: 0, state }
    }

    /// Writes one frame; returns the indices of the operations refused.
    pub(crate) fn write(&mut self, fill: impl FnOnce(&mut Batch)) -> Vec<u32> {
        self.sequence += 1;
        let answer = self.arrive(self.sequence, fill);
        self.reconciler.commit().unwrap();
        answer.reply.errors.iter().map(|error| error.index).collect()
    }

    /// Decides a frame under a sequence number, as one of several that have arrived.
    pub(crate) fn arrive(&mut self, sequence: u64, fill: impl FnOnce(&mut Batch)) -> Answer {
        let mut batch = Batch::new();
        fill(&mut batch);
        let mut frame = Vec::new();
        batch.encode(1, sequence, Level::Durable, &mut frame);
        let (header, body) = frame.split_first_chunk::<HEADER_SIZE>().unwrap();
        let header = FrameHeader::parse(header, u32::MAX).unwrap();
        assert_eq!(header.kind, FrameKind::Write);
        let Request::Write(write) = Request::decode(header.kind, body).unwrap() else { panic!() };
        let session = Session { client_id: [7; 16], author: "test".to_owned() };
        self.reconciler.write(&session, &write).unwrap()
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.reconciler.writer
    }

    /// Publishes what is applied.
    pub(crate) fn publish(&mut self) {
        let durable_lsn = self.reconciler.wal.syncer().sync().unwrap();
        let slot = sutra_layout::slot::Slot { durable_lsn, ..self.reconciler.writer.now };
        self.reconciler.publisher.publish(&slot, true).unwrap();
    }
}

pub(crate) fn learn(batch: &mut Batch, id: &str, content: &str, embedding: Option<&[f32]>) {
    let learn = Learn { id: Id::Text(id), content: Some(content), embedding, ..Learn::default() };
    batch.learn(&learn).unwrap();
}

pub(crate) fn associate(
    batch: &mut Batch,
    source: &str,
    target: &str,
    kind: &str,
    create_missing: bool,
) {
    let associate = Associate {
        source: Id::Text(source),
        target: Id::Text(target),
        kind: kind.into(),
        create_missing,
        ..Associate::default()
    };
    batch.associate(&associate).unwrap();
}

/// Writes a little of everything, so that lists have several blocks and the index splits.
fn write_something(rig: &mut Rig, round: usize) {
    rig.write(|batch| {
        for n in 0..300 {
            let vector = [n as f32 + 1.0, round as f32, 1.0];
            learn(batch, &format!("c{n}"), &format!("content {n} of round {round}"), Some(&vector));
        }
    });
    rig.write(|batch| {
        for n in 0..300 {
            associate(batch, "c0", &format!("c{n}"), "hub", false);
            associate(batch, &format!("c{n}"), &format!("new{round}-{n}"), "made", true);
            associate(batch, &format!("c{n}"), "c1", &format!("type{}", n % 7), false);
        }
    });
    let refused = rig.write(|batch| {
        associate(batch, "c0", "nobody", "hub", false);
        learn(batch, "wrong", "dimension", Some(&[1.0; 5]));
        learn(batch, "right", "one", None);
    });
    assert_eq!(refused, [0, 1]);
}

/// Every byte of truth that is applied.
fn truth_of(writer: &Writer) -> Vec<(&'static str, Vec<u8>)> {
    let (view, now) = (writer.image.view(), &writer.now);
    let mut truth = Vec::new();
    let mut add = |region: Region, count: u64| {
        let shape = view.shape(region).unwrap();
        let mut bytes = Vec::new();
        for ordinal in 0..count {
            let offset = view.locate(region, shape, ordinal).unwrap();
            let size = shape.stride.max(8);
            let words = view.map().words(offset / 8 * 8, size / 8).unwrap();
            bytes.extend(words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()));
        }
        truth.push((region.name(), bytes));
    };
    add(Region::RECORDS, now.records);
    add(Region::EDGES, now.edges);
    add(Region::CONTENT, now.content_size);
    add(Region::SYMBOLS, now.symbols_size);
    add(Region::vectors(0), now.spaces[0].count);
    add(Region::vector_columns(0), now.spaces[0].count);
    truth
}

/// Neighbour and edge of each entry of a list.
type Edges = Vec<(u32, u32)>;

/// Everything derived, as a look-up sees it: of each concept the newest record and both lists.
fn derived_of(writer: &Writer) -> Vec<(u64, Edges, Edges)> {
    let (view, now) = (writer.image.view(), &writer.now);
    let list = |concept: u32, head: usize| {
        let head = view.columns(concept).unwrap()[head].load(Ordering::Relaxed);
        let entries = Entries::new(view, head).map(Result::unwrap);
        entries
            .filter(|entry| entry.lives_in(now.edges))
            .map(|entry| (entry.neighbor, entry.edge))
            .collect()
    };
    (0..now.concepts as u32)
        .map(|concept| {
            let (ordinal, record) = newest_record(view, now, concept).unwrap().unwrap();
            let found = find_concept(view, now, record.namespace, &record.id).unwrap();
            assert_eq!(found.map(|(ordinal, _)| ordinal), Some(ordinal));
            (ordinal, list(concept, OUT_HEAD), list(concept, IN_HEAD))
        })
        .collect()
}

#[test]
fn the_same_log_gives_the_same_truth_and_the_same_derived_state() {
    let folder = tempfile::tempdir().unwrap();
    let (live_path, copy_path) = (folder.path().join("live"), folder.path().join("copy"));
    let mut rig = Rig::open(&live_path);
    std::fs::create_dir(&copy_path).unwrap();
    std::fs::copy(live_path.join("storage.dat"), copy_path.join("storage.dat")).unwrap();
    for round in 0..4 {
        write_something(&mut rig, round);
        rig.publish();
    }
    let (truth, derived) = (truth_of(rig.writer()), derived_of(rig.writer()));
    drop(rig);

    // A copy of the file as it was at first, with the whole log: what a replica would do.
    copy_folder(&live_path.join("wal"), &copy_path.join("wal"));
    let replica = Rig::open(&copy_path);
    assert_eq!(replica.state, State::PowerLost);
    assert_truth(&truth, &truth_of(replica.writer()));
    assert_eq!(derived, derived_of(replica.writer()));
}

#[test]
fn a_tail_that_was_applied_but_not_published_is_applied_again_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut rig = Rig::open(&path);
    write_something(&mut rig, 0);
    rig.publish();
    write_something(&mut rig, 1);
    write_something(&mut rig, 2);
    let (truth, derived) = (truth_of(rig.writer()), derived_of(rig.writer()));
    drop(rig); // nothing was published after round 0, as if killed

    let again = Rig::open(&path);
    assert_eq!(again.state, State::ProcessDied);
    assert_truth(&truth, &truth_of(again.writer()));
    assert_eq!(derived, derived_of(again.writer()));
    let key = (0, 5, 16);
    assert!(find_edge(again.writer().image.view(), &again.writer().now, key).unwrap().is_some());
}

#[test]
fn a_rebuild_from_truth_gives_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut rig = Rig::open(&path);
    for round in 0..3 {
        write_something(&mut rig, round);
    }
    rig.publish();
    let derived = derived_of(rig.writer());
    let now = rig.writer().now;
    let outgrown = |writer: &Writer| writer.image.outgrown_units().load(Ordering::Relaxed);
    assert!(outgrown(rig.writer()) > 0);
    crate::rebuild::clear_derived(rig.writer().image.view()).unwrap();
    let writer = &mut rig.reconciler.writer;
    writer.rebuild_derived(&mut || Ok(())).unwrap();
    assert_eq!(derived_of(writer), derived);
    assert_eq!(outgrown(writer), 0, "each list has one block, large enough from the start");
    assert_eq!((writer.now.concepts, writer.now.edges), (now.concepts, now.edges));
}

#[test]
fn a_row_or_a_column_that_changed_is_found_before_anything_is_rebuilt() {
    for region in [Region::vectors(0), Region::vector_columns(0)] {
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(&folder.path().join("store"));
        write_something(&mut rig, 0);
        let writer = &mut rig.reconciler.writer;
        crate::rebuild::clear_derived(writer.image.view()).unwrap();
        let shape = writer.image.view().shape(region).unwrap();
        let offset = writer.image.view().locate(region, shape, 200).unwrap();
        let word = writer.image.view().map().word(offset).unwrap();
        word.store(word.load(Ordering::Relaxed) ^ 1, Ordering::Relaxed);
        let damaged = writer.rebuild_derived(&mut || Ok(())).unwrap_err().to_string();
        assert!(damaged.contains("200"), "{damaged}");
    }
}

#[test]
fn what_a_power_cut_left_behind_the_last_extent_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (live_path, copy_path) = (folder.path().join("live"), folder.path().join("copy"));
    drop(Rig::open(&live_path));
    std::fs::create_dir(&copy_path).unwrap();
    // Bytes of extents whose words in the directory did not reach the disk.
    let mut bytes = std::fs::read(live_path.join("storage.dat")).unwrap();
    bytes.resize(bytes.len() + (4 << 20), 0x55);
    std::fs::write(copy_path.join("storage.dat"), bytes).unwrap();
    copy_folder(&live_path.join("wal"), &copy_path.join("wal"));

    let mut rig = Rig::open(&copy_path);
    assert_eq!(rig.state, State::PowerLost);
    write_something(&mut rig, 0);
    let mut other = Rig::open(&folder.path().join("other"));
    write_something(&mut other, 0);
    assert_eq!(derived_of(rig.writer()), derived_of(other.writer()));
}

#[test]
fn a_writer_that_was_replaced_writes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    write_something(&mut rig, 0);
    let mark = rig.writer().image.view().run_mark();
    let newer = RunMark { writer_epoch: mark.writer_epoch + 1, ..mark };
    rig.writer().image.store_run_mark(newer).unwrap();
    let slot = rig.writer().now;
    assert!(rig.reconciler.publisher.publish(&slot, false).is_err());
    assert!(rig.reconciler.publisher.check_epoch().is_err());
    assert_eq!(rig.dir.storage_path().file_name().unwrap(), "storage.dat");
}

#[test]
fn a_checkpoint_has_room_for_its_client_table_before_anything_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    rig.write(|batch| learn(batch, "a", "x", None));
    let view = rig.writer().image.view();
    for region in [Region::CLIENTS_A, Region::CLIENTS_B] {
        assert!(view.words(region, 63, 8).is_ok(), "a full disk would end the service");
    }
}

#[test]
fn content_that_did_not_change_is_not_stored_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    rig.write(|batch| learn(batch, "a", "the same text", None));
    let size = rig.writer().now.content_size;
    rig.write(|batch| learn(batch, "a", "the same text", None));
    assert_eq!(rig.writer().now.content_size, size);
    assert_eq!(rig.writer().now.records, 2);
    rig.write(|batch| learn(batch, "a", "another text", None));
    assert!(rig.writer().now.content_size > size);
}

pub(crate) fn forget(batch: &mut Batch, id: &str) {
    batch.forget(&Forget { id: Id::Text(id), if_lsn: None }).unwrap();
}

pub(crate) fn reinforce(batch: &mut Batch, id: &str, strength: f32) {
    let (strength, id) = (Some(strength), Id::Text(id));
    batch.reinforce(&Reinforce { id, strength, confidence: None, if_lsn: None }).unwrap();
}

/// The newest version of a concept of the default namespace.
fn record_of(rig: &Rig, id: &str) -> ConceptRecord {
    let (view, now) = (rig.writer().image.view(), &rig.writer().now);
    *find_concept(view, now, 0, &Id::Text(id).key("", "")).unwrap().unwrap().1
}

#[test]
fn a_concept_that_is_forgotten_and_learnt_again_starts_without_associations() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    write_something(&mut rig, 0);
    let before = rig.writer().now;
    assert!(rig.write(|batch| forget(batch, "c0")).is_empty());
    let now = rig.writer().now;
    assert_eq!(now.concepts_live, before.concepts_live - 1);
    assert!(record_of(&rig, "c0").is_tombstone());
    let c0 = record_of(&rig, "c0").concept_ordinal;
    assert_eq!(rig.writer().live_edge_count(c0).unwrap(), 0);
    assert_eq!(rig.write(|batch| associate(batch, "c0", "c1", "hub", false)), [0]);
    assert_eq!(rig.write(|batch| forget(batch, "c0")), [0]);

    rig.write(|batch| learn(batch, "c0", "anew", None));
    assert_eq!(record_of(&rig, "c0").vector, 0);
    assert_eq!(rig.writer().live_edge_count(c0).unwrap(), 0);
    let (truth, derived) = (truth_of(rig.writer()), derived_of(rig.writer()));
    drop(rig);
    let again = Rig::open(&folder.path().join("store"));
    assert_truth(&truth, &truth_of(again.writer()));
    assert_eq!(derived, derived_of(again.writer()));
}

#[test]
fn one_frame_sees_its_own_operations_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    let refused = rig.write(|batch| {
        associate(batch, "a", "b", "t", true);
        forget(batch, "a");
        associate(batch, "a", "b", "t", false); // 2: a is gone
        learn(batch, "a", "back", None);
        let again = Associate {
            source: Id::Text("a"),
            target: Id::Text("b"),
            kind: "t".into(),
            if_absent: true,
            ..Associate::default()
        };
        batch.associate(&again).unwrap();
        batch.associate(&again).unwrap(); // 5: it is there now
        let end =
            Disassociate { source: Id::Text("a"), target: Id::Text("b"), kind: None, if_lsn: None };
        batch.disassociate(&end).unwrap();
        batch.disassociate(&end).unwrap(); // 7: nothing is left
        batch.associate(&again).unwrap();
    });
    assert_eq!(refused, [2, 5, 7]);
    assert_eq!(rig.writer().now.edges_live, 1);
}

#[test]
fn reinforcements_between_two_publications_become_one_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut rig = Rig::open(&path);
    rig.write(|batch| {
        let learn = Learn {
            id: Id::Text("a"),
            content: Some("x"),
            strength: Some(0.5),
            ..Learn::default()
        };
        batch.learn(&learn).unwrap();
    });
    for _ in 0..10 {
        rig.write(|batch| reinforce(batch, "a", 0.01));
    }
    assert_eq!(rig.writer().now.records, 1);
    rig.reconciler.settle().unwrap();
    assert_eq!(rig.writer().now.records, 2);
    assert!((record_of(&rig, "a").strength - 0.6).abs() < 1e-5);
    rig.publish();
    rig.write(|batch| reinforce(batch, "a", 1.0));
    drop(rig); // killed before that became a version

    let mut again = Rig::open(&path);
    again.reconciler.settle().unwrap();
    assert_eq!(record_of(&again, "a").strength, 1.0);
    assert_eq!(record_of(&again, "a").version, 3);
}

#[test]
fn a_concept_keeps_its_vector_of_each_space() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    rig.write(|batch| learn(batch, "a", "x", Some(&[1.0, 2.0])));
    let graph = GraphSettings::default();
    let made = MakeSpace { name: "new", model: "m", dimension: 3, metric: Metric::Dot, graph };
    assert!(rig.write(|batch| batch.make_space(&made).unwrap()).is_empty());
    assert!(rig.write(|batch| batch.make_space(&made).unwrap()).is_empty());
    rig.write(|batch| {
        let values = Some(&[1.0, 2.0, 3.0][..]);
        let learn = Learn { id: Id::Text("a"), embedding: values, space: 1, ..Learn::default() };
        batch.learn(&learn).unwrap();
    });
    let record = record_of(&rig, "a");
    let (view, now) = (rig.writer().image.view(), &rig.writer().now);
    for space in 0..2 {
        let row = view.row_of(&record, space, now).unwrap().unwrap();
        assert_eq!(view.vector(space, row.into(), now).unwrap().len(), 2 + space);
    }
}

fn assert_truth(expected: &[(&'static str, Vec<u8>)], found: &[(&'static str, Vec<u8>)]) {
    for ((name, expected), (_, found)) in expected.iter().zip(found) {
        assert_eq!(expected.len(), found.len(), "bytes of {name}");
        let differs = expected.iter().zip(found).position(|(a, b)| a != b);
        assert_eq!(differs, None, "first byte of {name} that differs");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_hosted_coordinator_serves_both_its_process_and_others_and_ends_when_dropped() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let host = crate::Host::start(Options::new(&path)).unwrap();
    let refused = crate::Host::start(Options::new(&path)).unwrap_err();
    assert!(refused.to_string().contains("is being written by"), "{refused}");

    let mut other = sutra_client::Client::connect(&path).unwrap();
    let mut batch = Batch::new();
    batch.learn(&Learn { id: "wolf".into(), ..Learn::default() }).unwrap();
    assert_eq!(other.write(&batch, Level::Visible).unwrap().last_lsn, 1);
    host.stop().unwrap();
    assert!(!sutra_client::socket::path_in(&path).exists());

    struct Own(crate::Host);
    impl sutra_client::Dial for Own {
        fn dial(
            &self,
            _: std::time::Duration,
        ) -> std::io::Result<sutra_layout::sys::fork::Kept<std::os::unix::net::UnixStream>>
        {
            self.0.connect()
        }
    }
    let options = Options { listens: false, ..Options::new(&path) };
    let own = std::sync::Arc::new(Own(crate::Host::start(options).unwrap()));
    let mut client = sutra_client::Client::builder(&path).dialer(own.clone()).connect().unwrap();
    assert_eq!(client.write(&batch, Level::Visible).unwrap().last_lsn, 2);
    assert!(!sutra_client::socket::path_in(&path).exists());
    drop((client, own));
    assert!(crate::Host::start(Options::new(&path)).is_ok());
}
