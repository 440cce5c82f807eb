//! A next generation has what its plan says, and nothing else, whatever was written before.

use std::collections::{BTreeMap, HashMap};

use sutra_layout::Damage;
use sutra_layout::edge::EdgeRecord;
use sutra_layout::id::Id;
use sutra_layout::lookup::{find_concept, find_edge};
use sutra_layout::record::ConceptRecord;
use sutra_layout::slot::Slot;
use sutra_layout::view::View;

use super::build;
use super::plan::{Loss, OnLoss, Plan, refuse};
use crate::apply::Writer;
use crate::clients::Clients;
use crate::error::CoordinatorError;
use crate::tests::{Rig, associate, forget, learn, reinforce};

/// A concept by namespace and key.
type Key = (u32, [u8; 16]);

/// What a version says, without places in a file.
#[derive(Clone, Debug, PartialEq)]
struct Version {
    lsn: u64,
    record: ConceptRecord,
    content: Vec<u8>,
    metadata: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    rows: [Option<Vec<f32>>; 4],
}

#[derive(Clone, Debug, PartialEq)]
struct EdgeVersion {
    lsn: u64,
    edge: EdgeRecord,
    properties: Option<Vec<u8>>,
}

/// Every version of a file, by concept and by association, in the order of their writing.
#[derive(Clone, Debug, Default, PartialEq)]
struct History {
    concepts: BTreeMap<Key, Vec<Version>>,
    edges: BTreeMap<(Key, Key, u16), Vec<EdgeVersion>>,
}

fn history_of(view: &View, slot: &Slot) -> History {
    let mut history = History::default();
    let mut keys = HashMap::new();
    for ordinal in 0..slot.records {
        let record = *view.record(ordinal, slot).unwrap();
        assert!(record.is_whole());
        let key = (record.namespace, record.id);
        keys.insert(record.concept_ordinal, key);
        let blob = |at: u64| at.checked_sub(1).map(|at| view.blob(at, slot).unwrap().to_vec());
        let row = |space| {
            let row = view.row_of(&record, space, slot).unwrap()?;
            let column = view.vector_column(space, row.into(), slot).unwrap();
            assert_eq!(column.owner, record.concept_ordinal);
            Some(view.vector(space, row.into(), slot).unwrap().to_vec())
        };
        let version = Version {
            lsn: record.lsn,
            content: blob(record.content.get() + 1).unwrap(),
            metadata: blob(record.metadata.get()),
            name: blob(record.name.get()),
            rows: std::array::from_fn(row),
            record: ConceptRecord {
                previous: 0,
                concept_ordinal: 0,
                content: sutra_layout::U48::new(0),
                metadata: sutra_layout::U48::new(0),
                name: sutra_layout::U48::new(0),
                skip: sutra_layout::U48::new(0),
                vector: 0,
                checksum: 0,
                ..record
            },
        };
        history.concepts.entry(key).or_default().push(version);
    }
    for ordinal in 0..slot.edges {
        let edge = *view.edge(ordinal, slot).unwrap();
        assert!(edge.is_whole());
        let key = (keys[&edge.source], keys[&edge.target], edge.edge_type);
        let properties = edge.properties.get().checked_sub(1);
        let version = EdgeVersion {
            lsn: edge.lsn,
            properties: properties.map(|at| view.blob(at, slot).unwrap().to_vec()),
            edge: EdgeRecord {
                source: 0,
                target: 0,
                previous: 0,
                properties: sutra_layout::U48::new(0),
                checksum: 0,
                ..edge
            },
        };
        history.edges.entry(key).or_default().push(version);
    }
    history
}

/// What should be left of it, by the words of [`Plan`].
fn left_of(history: &History, horizon_lsn: u64) -> History {
    let mut left = History::default();
    for (key, versions) in &history.concepts {
        let split = versions.partition_point(|version| version.lsn <= horizon_lsn);
        let at_horizon = versions[..split].last().filter(|v| !v.record.is_tombstone());
        let kept: Vec<_> = at_horizon.into_iter().chain(&versions[split..]).cloned().collect();
        if !kept.is_empty() {
            left.concepts.insert(*key, kept);
        }
    }
    for (key, versions) in &history.edges {
        let split = versions.partition_point(|version| version.lsn <= horizon_lsn);
        let at_horizon = versions[..split].last().filter(|v| !v.edge.is_tombstone());
        let kept: Vec<_> = at_horizon.into_iter().chain(&versions[split..]).cloned().collect();
        if !kept.is_empty() {
            left.edges.insert(*key, kept);
        }
    }
    left
}

/// Every chain leads from the newest version to the oldest, by single steps and by skips.
fn check_chains(writer: &Writer, history: &History) {
    let (view, now) = (writer.image.view(), &writer.now);
    for (key, versions) in &history.concepts {
        let (newest, _) = find_concept(view, now, key.0, &key.1).unwrap().unwrap();
        let mut next = newest + 1;
        for version in versions.iter().rev() {
            let record = view.record(next - 1, now).unwrap();
            assert_eq!((record.lsn, record.version), (version.lsn, version.record.version));
            assert!(record.skip.get() < next, "a skip leads back");
            assert_eq!(record.skip.get() == 0, record.previous == 0);
            next = record.previous;
        }
        assert_eq!(next, 0, "nothing is before the oldest");
    }
}

/// Writes over and over to a few concepts; gives the LSN after each round.
fn write_history(rig: &mut Rig, rounds: u64) -> Vec<u64> {
    let mut lsns = Vec::new();
    for round in 0..rounds {
        rig.write(|batch| {
            for n in 0..40 {
                let id = format!("c{n}");
                match (n + round * 7) % 9 {
                    0 => forget(batch, &id),
                    1 | 2 => learn(batch, &id, &format!("{n} in {round}"), None),
                    3 => learn(batch, &id, "the same", Some(&[n as f32, round as f32])),
                    4 => reinforce(batch, &id, -0.1),
                    5 => associate(batch, &id, &format!("c{}", n * 3 % 40), "near", true),
                    6 => associate(batch, &format!("c{}", n / 2), &id, "far", true),
                    _ => {}
                }
            }
        });
        rig.reconciler.settle().unwrap();
        rig.publish();
        lsns.push(rig.writer().applied_lsn());
    }
    lsns
}

fn next_of(rig: &Rig, plan: &Plan) -> Writer {
    let (source, now) = (rig.writer().image.view(), rig.writer().now);
    let file = tempfile::tempfile().unwrap();
    let clients = Clients::new(&rig.writer().clients.table());
    build(source, &now, plan, clients, file, &mut refuse, &mut || Ok(())).unwrap()
}

#[test]
fn the_next_generation_has_all_versions_after_the_horizon_and_what_lived_at_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    let lsns = write_history(&mut rig, 24);
    let now = rig.writer().now;
    let history = history_of(rig.writer().image.view(), &now);
    for horizon_lsn in [0, 1, lsns[3], lsns[11], lsns[12] - 1, lsns[22], lsns[23]] {
        let writer = next_of(&rig, &Plan { horizon_lsn, ..Plan::default() });
        let left = history_of(writer.image.view(), &writer.now);
        assert_eq!(left, left_of(&history, horizon_lsn), "horizon {horizon_lsn}");
        check_chains(&writer, &left);
        let new = &writer.now;
        assert_eq!(new.history_floor_lsn, horizon_lsn);
        assert_eq!(
            (new.concepts_live, new.edges_live, new.published_lsn, new.operations),
            (now.concepts_live, now.edges_live, now.published_lsn, now.operations)
        );
        // Ordinals go on ascending with the log's entries.
        let view = writer.image.view();
        let lsn_of = |at| view.record(at, new).unwrap().lsn;
        assert!((1..new.records).all(|at| lsn_of(at - 1) <= lsn_of(at)));
        for ((source, target, kind), versions) in &left.edges {
            let end = |key: &Key| find_concept(view, new, key.0, &key.1).unwrap().unwrap().1;
            let ends = (end(source).concept_ordinal, end(target).concept_ordinal, *kind);
            let newest = find_edge(view, new, ends).unwrap().unwrap().1;
            assert_eq!(newest.lsn, versions.last().unwrap().lsn);
        }
        if horizon_lsn == lsns[23] {
            let live = left.concepts.len() as u64;
            assert_eq!((new.records, new.concepts), (live, live), "nothing dead is left");
            assert_eq!((new.edges, new.dead_rows[0]), (new.edges_live, 0));
            assert!(new.content_size * 3 < now.content_size);
        }
    }
}

#[test]
fn nothing_of_a_purged_concept_is_left_but_that_it_was_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    write_history(&mut rig, 10);
    let secret = "a very private remark";
    rig.write(|batch| learn(batch, "private name", secret, Some(&[1.0, 2.0])));
    rig.write(|batch| {
        associate(batch, "private name", "c1", "near", false);
        associate(batch, "c2", "private name", "near", false);
    });
    rig.write(|batch| forget(batch, "private name"));
    rig.publish();
    let key = Id::Text("private name").key("", "");
    let (view, now) = (rig.writer().image.view(), rig.writer().now);
    let (tombstone, record) = find_concept(view, &now, 0, &key).unwrap().unwrap();
    let mut plan = Plan::default();
    plan.purged.insert(record.concept_ordinal, tombstone);
    let history = history_of(view, &now);

    let mut writer = next_of(&rig, &plan);
    let left = history_of(writer.image.view(), &writer.now);
    let expected: Vec<_> = history.concepts.iter().filter(|(k, _)| k.1 != key).collect();
    assert!(left.concepts.iter().filter(|(k, _)| k.1 != key).eq(expected), "others are as before");
    let [version] = &left.concepts[&(0, key)][..] else { panic!("one version is left") };
    assert!(version.record.is_tombstone() && version.name.is_none() && version.content.is_empty());
    assert!(left.edges.keys().all(|(source, target, _)| source.1 != key && target.1 != key));
    let bytes = std::fs::read(format!("/proc/self/fd/{}", fd_of(&writer))).unwrap();
    for private in [secret, "private name"] {
        assert_eq!(memchr_in(&bytes, private.as_bytes()), None, "{private:?} is in the file");
    }

    // Learnt again, it has its name again.
    std::mem::swap(&mut rig.reconciler.writer, &mut writer);
    rig.write(|batch| learn(batch, "private name", "public", None));
    let (view, now) = (rig.writer().image.view(), &rig.writer().now);
    let (_, record) = find_concept(view, now, 0, &key).unwrap().unwrap();
    assert_eq!(view.blob(record.name.get() - 1, now).unwrap(), b"private name");
    assert_eq!(view.blob(record.content.get(), now).unwrap(), b"public");
}

#[test]
fn damage_ends_a_build_or_is_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    write_history(&mut rig, 6);
    let (source, now) = (rig.writer().image.view(), rig.writer().now);
    let history = history_of(source, &now);
    source.record_words(17).unwrap()[4].fetch_xor(4, std::sync::atomic::Ordering::Relaxed);
    source.edge_words(5).unwrap()[1].fetch_xor(4, std::sync::atomic::Ordering::Relaxed);
    let plan = Plan::default();
    let built = |on_loss: OnLoss<'_>| {
        let file = tempfile::tempfile().unwrap();
        build(source, &now, &plan, Clients::default(), file, on_loss, &mut || Ok(()))
    };
    let refused = built(&mut refuse).unwrap_err();
    assert!(matches!(refused, CoordinatorError::Damaged { .. }), "{refused}");
    let mut losses: Vec<Loss> = Vec::new();
    let writer = built(&mut |loss| {
        losses.push(loss);
        Ok(())
    })
    .unwrap();
    let found = |what: &str| losses.iter().filter(|loss| loss.what.contains(what)).count();
    assert!(losses.iter().any(|loss| loss.what.contains("concept") && loss.ordinal == 17));
    assert!(losses.iter().any(|loss| loss.what.contains("association") && loss.ordinal == 5));
    assert_eq!((found("concept"), found("name")), (1, 0));
    let left = history_of(writer.image.view(), &writer.now);
    let count = |history: &History| history.concepts.values().map(Vec::len).sum::<usize>();
    assert_eq!(count(&left), count(&history) - 1);
}

#[test]
fn a_build_ends_when_its_pace_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&folder.path().join("store"));
    write_history(&mut rig, 2);
    let (source, now) = (rig.writer().image.view(), rig.writer().now);
    let stop = Damage::new(0, "the patience", 0, "more");
    let plan = Plan::default();
    let file = tempfile::tempfile().unwrap();
    let stopped = build(source, &now, &plan, Clients::default(), file, &mut refuse, &mut || {
        Err(stop.clone().into())
    });
    assert!(stopped.unwrap_err().to_string().contains("the patience"));
}

fn fd_of(writer: &Writer) -> i32 {
    use std::os::fd::AsRawFd;
    writer.image.view().map().file().as_raw_fd()
}

fn memchr_in(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
