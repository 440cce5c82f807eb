//! A store is compacted while it is written and read: nothing that is to stay is lost, and nobody
//! is disturbed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sutra_client::{
    Associate, Batch, Client, ClientError, ErrorCode, Forget, Horizon, Learn, Level, Reinforce,
    Touch,
};
use sutra_coordinator::KillPoint;
use sutra_reader::{Direction, Id, NeighborQuery, ReadError, Snapshot};
use sutra_tests::store::{Writing, all_concepts};
use sutra_tests::text::{text_of, vector_of};
use sutra_tests::{Random, TestStore, wait};

const TIMEOUT: Duration = Duration::from_secs(120);

/// Learns, reinforces, associates and forgets; the same few concepts over and over.
fn write_some(client: &mut Client, random: &mut Random, count: u32) {
    let mut batch = Batch::new();
    for _ in 0..count {
        let name = format!("concept-{}", random.below(120));
        let id = Id::from(&name);
        match random.below(8) {
            0 => batch.forget(&Forget { id, if_lsn: None }).unwrap(),
            1 => batch
                .reinforce(&Reinforce { id, strength: Some(-0.01), confidence: None, if_lsn: None })
                .unwrap(),
            2 => batch.touch(&Touch { id, count: 1, at: None }).unwrap(),
            3 | 4 => {
                let (content, vector) = (text_of(&name, 1), vector_of(&name, 3, 8));
                let learn = Learn {
                    id,
                    content: Some(&content).filter(|_| !random.one_in(3)).map(String::as_str),
                    embedding: Some(vector.as_slice()).filter(|_| random.one_in(2)),
                    metadata: Some("{}").filter(|_| random.one_in(3)),
                    ..Learn::default()
                };
                batch.learn(&learn).unwrap();
            }
            _ => {
                let target = format!("concept-{}", random.below(120));
                let associate = Associate {
                    source: id,
                    target: Id::from(&target),
                    kind: (*random.pick(&["above", "causal"])).into(),
                    weight: Some(random.element()),
                    properties: Some("[1, 2]").filter(|_| random.one_in(3)),
                    create_missing: true,
                    ..Associate::default()
                };
                batch.associate(&associate).unwrap();
            }
        }
    }
    client.write(&batch, Level::Visible).unwrap();
}

/// All that a snapshot shows, by id and without ordinals, which a compaction gives anew.
fn contents(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let name_of = |ordinal: u32| {
        let concept = snapshot.concept(ordinal).unwrap().expect("an end lives");
        concept.id().unwrap().to_string()
    };
    let mut said = BTreeMap::new();
    for concept in all_concepts(snapshot) {
        let found = snapshot.get_in(concept.namespace(), concept.key()).unwrap();
        assert_eq!(found.map(|found| found.ordinal()), Some(concept.ordinal()));
        let mut lines = vec![format!(
            "v{} at {}, born {}, {:?} {:?} {:?} {} {} {} {:?} {:?}",
            concept.version(),
            concept.lsn(),
            concept.born_lsn(),
            concept.content().unwrap(),
            concept.metadata().unwrap(),
            concept.embedding().unwrap(),
            concept.strength(),
            concept.confidence(),
            concept.created_at(),
            concept.kind(),
            concept.author(),
        )];
        for direction in [Direction::Out, Direction::In] {
            let query = NeighborQuery { direction, ..NeighborQuery::default() };
            for neighbor in snapshot.neighbors(&concept, &query).unwrap() {
                let association = snapshot.association(neighbor.edge).unwrap();
                lines.push(format!(
                    "{direction:?} {} {:?} {} {:?} at {}",
                    name_of(neighbor.ordinal),
                    snapshot.type_name(neighbor.edge_type),
                    association.weight(),
                    association.properties().unwrap(),
                    association.lsn()
                ));
            }
        }
        lines[1..].sort();
        said.insert(format!("{} {}", concept.namespace(), concept.id().unwrap()), lines.join("\n"));
    }
    assert_eq!(said.len() as u64, snapshot.concept_count());
    said
}

/// A store with a history, and the LSN after each round of it.
fn with_history(random: &mut Random, rounds: u32) -> (TestStore, Vec<u64>) {
    let store = TestStore::started();
    let mut client = store.client();
    let mut lsns = Vec::new();
    for _ in 0..rounds {
        write_some(&mut client, random, 60);
        lsns.push(store.reader().snapshot().unwrap().published_lsn());
    }
    (store, lsns)
}

#[test]
fn what_lives_and_the_history_after_the_horizon_stay_and_readers_move_on() {
    let mut random = Random::from_env("compacted");
    let (mut store, lsns) = with_history(&mut random, 12);
    let reader = store.reader();
    let held = reader.snapshot().unwrap();
    let horizon = lsns[5];
    let kept: Vec<(u64, BTreeMap<String, String>)> =
        lsns[5..].iter().map(|lsn| (*lsn, contents(&held.as_of(*lsn).unwrap()))).collect();
    let touches = |snapshot: &Snapshot| {
        let accesses = |concept: &sutra_reader::Concept<'_>| concept.access().unwrap();
        all_concepts(snapshot).iter().map(accesses).map(|a| a.count).sum::<u64>()
    };
    let touched = touches(&held);
    assert!(touched > 0);

    let done = store.client().compact(Horizon::Lsn(horizon), &[], TIMEOUT).unwrap();
    assert_eq!((done.generation, done.history_floor_lsn), (2, horizon));
    assert!(done.records_copied < done.records_before && done.edges_copied < done.edges_before);
    assert!(!store.dir().join("storage.dat.tmp").exists());
    let check = |store: &TestStore| {
        let now = store.reader().snapshot().unwrap();
        assert_eq!(now.history_floor_lsn(), horizon);
        for (lsn, expected) in &kept {
            assert_eq!(&contents(&now.as_of(*lsn).unwrap()), expected, "as of {lsn}");
        }
        for lsn in [0, 1, horizon - 1] {
            let refused = now.as_of(lsn).unwrap_err();
            assert!(matches!(refused, ReadError::HistoryDropped { .. }), "{refused}");
        }
        let refused = now.changes(1).map(drop).unwrap_err();
        assert!(matches!(refused, ReadError::HistoryDropped { .. }), "{refused}");
        assert!(now.changes(0).unwrap().all(|change| change.is_ok()));
        assert!(now.changes(horizon).unwrap().all(|change| change.unwrap().lsn > horizon));
    };
    check(&store);
    // A reader from before has its old snapshot, and the new file from the next one on.
    assert_eq!(contents(&held), kept.last().unwrap().1);
    let moved = reader.snapshot().unwrap();
    assert!(moved.commit_seq() > held.commit_seq() && moved.stats().generation == 2);
    assert_eq!(contents(&moved), kept.last().unwrap().1);
    assert_eq!(touches(&moved), touched);

    // It is a store like any other: written, killed, copied, stopped.
    write_some(&mut store.client(), &mut random, 100);
    let expected = contents(&store.reader().snapshot().unwrap());
    store.kill();
    let mut copy = TestStore::copy_of(store.dir());
    copy.start();
    assert_eq!(contents(&copy.reader().snapshot().unwrap()), expected);
    store.start();
    assert_eq!(contents(&store.reader().snapshot().unwrap()), expected);
    check(&store);
    store.restart();
    assert_eq!(contents(&store.reader().snapshot().unwrap()), expected);
    let done = store.client().compact(Horizon::Time(u64::MAX), &[], TIMEOUT).unwrap();
    assert_eq!(done.generation, 3);
    let now = store.reader().snapshot().unwrap();
    assert_eq!(done.records_copied, now.concept_count());
    assert_eq!(contents(&now), expected);
}

/// Sets a flag at its end, also when a story fails: others wait for it.
struct Setting<'a>(&'a AtomicBool);

impl Drop for Setting<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn writers_and_readers_go_on_while_it_is_compacted_again_and_again() {
    let mut random = Random::from_env("compacted while written");
    let (store, _) = with_history(&mut random, 4);
    let (is_over, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    let written: Vec<(String, u64)> = std::thread::scope(|scope| {
        let _end = Setting(&is_over);
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (mut client, mut random) = (store.client(), random.fork());
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut written = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        write_some(&mut client, &mut random, 20);
                        let id = format!("kept-{writer}-{}", written.len());
                        let lsn = client.learn(&id, &id).last_lsn;
                        written.push((id, lsn));
                    }
                    written
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (reader, is_over, looks) = (store.reader(), &is_over, &looks);
                scope.spawn(move || {
                    let mut last = (0, 0);
                    while !is_over.load(Ordering::Relaxed) {
                        let snapshot = reader.snapshot().unwrap();
                        contents(&snapshot);
                        let now = (snapshot.commit_seq(), snapshot.published_lsn());
                        assert!(now >= last, "{now:?} after {last:?}");
                        last = now;
                        looks.fetch_add(1, Ordering::Relaxed);
                        // Writes are frequent: who waits for one is not forgotten by a compaction.
                        let is_new = reader.wait_for_update(now.0, Duration::from_secs(30));
                        assert!(is_new.unwrap());
                    }
                })
            })
            .collect();
        let mut client = store.client();
        // One horizon below is an entry that must be published.
        store.reader().wait_for_lsn(9, Duration::from_secs(30)).unwrap();
        for generation in 2..8 {
            let horizon = [Horizon::AsServed, Horizon::Time(u64::MAX), Horizon::Lsn(9)];
            let horizon = horizon[generation as usize % 3];
            let done = client.compact(horizon, &[], TIMEOUT).unwrap();
            println!("{done:?}");
            assert_eq!(done.generation, generation);
        }
        is_over.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(looks.load(Ordering::Relaxed) > 10 && written.len() > 10);
    let snapshot = store.reader().snapshot().unwrap();
    for (id, lsn) in &written {
        let concept = snapshot.get(id).unwrap().unwrap_or_else(|| panic!("{id} is lost"));
        assert_eq!((concept.content().unwrap(), concept.lsn()), (id.as_str(), *lsn));
    }
}

#[test]
fn killed_at_any_step_the_store_is_the_old_or_the_new_and_whole() {
    let mut random = Random::from_env("killed while compacted");
    for point in KillPoint::ALL {
        let mut store = TestStore::started();
        write_some(&mut store.client(), &mut random, 400);
        store.stop();
        store.kill_at = Some(point);
        store.start();
        let mut client = store.client();
        write_some(&mut client, &mut random, 300);
        client.flush().unwrap();
        write_some(&mut client, &mut random, 50);
        let reader = store.reader();
        let held = reader.snapshot().unwrap();
        let expected = contents(&held);
        let lost = client.compact(Horizon::Time(u64::MAX), &[], TIMEOUT).unwrap_err();
        assert!(matches!(lost, ClientError::Lost { .. }), "{point:?}: {lost}");
        store.wait_for_kill();
        // Nobody serves it, and it can be read: by who was there, and by who comes.
        assert_eq!(contents(&store.reader().snapshot().unwrap()), expected, "{point:?}");
        assert_eq!(contents(&reader.snapshot().unwrap()), expected, "{point:?}");
        let mut copy = TestStore::copy_of(store.dir());

        store.start();
        assert!(!store.dir().join("storage.dat.tmp").exists(), "{point:?}");
        let now = store.reader().snapshot().unwrap();
        assert_eq!(contents(&now), expected, "{point:?}");
        let is_new = point as usize >= KillPoint::CompactionExchanged as usize;
        assert_eq!(now.stats().generation, 1 + u64::from(is_new), "{point:?}");
        // The reader from before sees what is written from now on, too, and at once.
        store.client().learn("after", "the kill");
        assert!(reader.snapshot().unwrap().contains("after").unwrap(), "{point:?}");
        assert_eq!(contents(&held), expected, "{point:?}");
        let done = store.client().compact(Horizon::Time(u64::MAX), &[], TIMEOUT).unwrap();
        assert_eq!(done.generation, 2 + u64::from(is_new));

        // And what a loss of power would have left, by the names at least.
        copy.start();
        assert_eq!(contents(&copy.reader().snapshot().unwrap()), expected, "copy, {point:?}");
    }
}

#[test]
fn reinforcements_that_come_while_it_is_compacted_survive_a_loss_of_power() {
    const PART: f32 = 1.0 / 65_536.0;
    let mut random = Random::from_env("reinforced while compacted");
    for _ in 0..4 {
        let mut store = TestStore::unstarted();
        store.kill_at = Some(KillPoint::CompactionSettled);
        store.start();
        let mut client = store.client();
        write_some(&mut client, &mut random, 300);
        client.learn("reinforced", "often");
        let strength = |store: &TestStore| {
            let snapshot = store.reader().snapshot().unwrap();
            snapshot.get("reinforced").unwrap().unwrap().strength()
        };
        let before = strength(&store);
        let builder = store.client_builder().deadline(Duration::from_millis(200));
        let mut reinforcing = builder.connect().unwrap();
        let acknowledged = std::thread::scope(|scope| {
            // Until the coordinator is killed.
            let reinforcing = scope.spawn(move || {
                let mut batch = Batch::new();
                let reinforce = Reinforce {
                    id: "reinforced".into(),
                    strength: Some(PART),
                    confidence: None,
                    if_lsn: None,
                };
                batch.reinforce(&reinforce).unwrap();
                (0..).take_while(|_| reinforcing.write(&batch, Level::Accepted).is_ok()).count()
            });
            client.compact(Horizon::AsServed, &[], TIMEOUT).unwrap_err();
            reinforcing.join().unwrap()
        });
        store.wait_for_kill();
        let mut copy = TestStore::copy_of(store.dir());
        store.start();
        assert!(strength(&store) >= (before + acknowledged as f32 * PART).min(1.0));
        copy.start();
        assert_eq!(strength(&copy), strength(&store), "{acknowledged} were acknowledged");
    }
}

#[test]
fn the_file_of_the_generation_before_is_brought_up_by_the_log_or_refused() {
    for is_log_there in [true, false] {
        let mut random = Random::from_env("generation before");
        let mut store = TestStore::started_with(|options| options.log_segment_size = 8 << 10);
        let mut client = store.client();
        write_some(&mut client, &mut random, 60);
        // As a loss of power leaves it that takes the exchange of names back.
        let before = store.dir().with_extension("before");
        std::fs::hard_link(store.storage_path(), &before).unwrap();
        client.compact(Horizon::AsServed, &[], TIMEOUT).unwrap();
        write_some(&mut client, &mut random, 20);
        if !is_log_there {
            for _ in 0..40 {
                write_some(&mut client, &mut random, 60);
                client.flush().unwrap();
            }
        }
        let expected = contents(&store.reader().snapshot().unwrap());
        assert_eq!(store.reader().snapshot().unwrap().stats().generation, 2);
        store.kill();
        std::fs::rename(&before, store.storage_path()).unwrap();
        if is_log_there {
            store.start();
            let snapshot = store.reader().snapshot().unwrap();
            assert_eq!((snapshot.stats().generation, contents(&snapshot)), (1, expected));
            write_some(&mut store.client(), &mut random, 20);
            store.kill_and_restart();
        } else {
            let errors = store.try_start().unwrap_err();
            assert!(errors.contains("damaged"), "{errors}");
        }
    }
}

#[test]
fn what_has_expired_is_forgotten_and_what_is_purged_is_gone() {
    let mut store = TestStore::started();
    let mut client = store.client();
    let mut learn = |id: &str, content: &str, expires_at: Option<u64>| {
        let learn = Learn { id: id.into(), content: Some(content), expires_at, ..Learn::default() };
        client.batch(|batch| batch.learn(&learn).unwrap()).unwrap();
    };
    learn("over", "long ago", Some(1000));
    learn("to come", "not yet", Some(u64::MAX));
    learn("secret", "a password: hunter2", None);
    learn("secret", "a password: hunter3", None);
    learn("other", "stays", None);
    client.associate("secret", "near", "other");
    client.associate("other", "near", "over");
    let refused = client.compact(Horizon::AsServed, &[("", "nobody".into())], TIMEOUT).unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::UnknownConcept), "{refused}");
    let refused = client.compact(Horizon::Lsn(1 << 40), &[], TIMEOUT).unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::Conflict), "{refused}");
    assert_eq!(store.reader().snapshot().unwrap().stats().generation, 1);

    // History stays, but for the purged.
    let before = store.reader().snapshot().unwrap().published_lsn();
    let done = client.compact(Horizon::AsServed, &[("", "secret".into())], TIMEOUT).unwrap();
    assert_eq!((done.generation, done.purged, done.expired), (2, 1, 0));
    let snapshot = store.reader().snapshot().unwrap();
    assert!(!snapshot.contains("secret").unwrap());
    let versions = snapshot.last_version("", "secret").unwrap().unwrap();
    assert_eq!(snapshot.history(&versions).count(), 1, "only that it was forgotten");
    assert!(snapshot.as_of(before).unwrap().contains("other").unwrap());
    assert!(!snapshot.as_of(before).unwrap().contains("secret").unwrap());
    let file = std::fs::read(store.storage_path()).unwrap();
    assert!(!file.windows(7).any(|window| window == b"hunter2" || window == b"hunter3"));
    let forgotten = snapshot.changes(before).unwrap().map(|change| change.unwrap().kind);
    assert_eq!(forgotten.count(), 1, "who follows the changes is told");

    let done = client.compact(Horizon::Time(u64::MAX), &[], TIMEOUT).unwrap();
    assert_eq!((done.generation, done.expired), (3, 1));
    let snapshot = store.reader().snapshot().unwrap();
    assert_eq!((done.records_copied, snapshot.concept_count()), (2, 2));
    assert!(snapshot.last_version("", "over").unwrap().is_none());
    assert!(snapshot.last_version("", "secret").unwrap().is_none());
    client.learn("secret", "again");
    store.kill_and_restart();
    let snapshot = store.reader().snapshot().unwrap();
    let again = snapshot.get("secret").unwrap().unwrap();
    assert_eq!(
        (again.content().unwrap(), again.id().unwrap().to_string().as_str()),
        ("again", "secret")
    );
}

#[test]
fn an_association_whose_time_is_over_goes_and_one_that_was_made_again_stays() {
    let mut store = TestStore::started();
    let mut client = store.client();
    for id in ["a", "b", "c"] {
        client.learn(id, "lives");
    }
    let mut associate = |target: &str, valid_until: Option<u64>| {
        let associate = Associate {
            source: "a".into(),
            target: target.into(),
            kind: "near".into(),
            valid_until,
            ..Associate::default()
        };
        client.batch(|batch| batch.associate(&associate).unwrap()).unwrap();
    };
    associate("b", Some(1000));
    associate("c", Some(1000));
    associate("c", Some(u64::MAX));
    let done = store.client().compact(Horizon::Time(u64::MAX), &[], TIMEOUT).unwrap();
    assert_eq!((done.expired, done.edges_before, done.edges_copied), (1, 4, 1));
    let check = |store: &TestStore| {
        let snapshot = store.reader().snapshot().unwrap();
        assert_eq!((snapshot.concept_count(), snapshot.association_count()), (3, 1));
        let a = snapshot.get("a").unwrap().unwrap();
        let near = snapshot.neighbors(&a, &NeighborQuery::default()).unwrap();
        let c = snapshot.get("c").unwrap().unwrap().ordinal();
        assert_eq!(near.iter().map(|near| near.ordinal).collect::<Vec<_>>(), [c]);
    };
    check(&store);
    store.kill_and_restart();
    check(&store);
}

#[test]
fn a_store_that_is_mostly_dead_compacts_itself() {
    let store = TestStore::started_with(|options| {
        options.history_keep = Some(Duration::ZERO);
        options.compact_dead_size = 64 << 10;
    });
    let mut client = store.client();
    client.learn("a", "reinforced over and over");
    let file_size = || std::fs::metadata(store.storage_path()).unwrap().len();
    let reader = store.reader();
    let mut batch = Batch::new();
    // Until versions that nobody needs are most of the file.
    while reader.snapshot().unwrap().stats().generation == 1 {
        for _ in 0..200 {
            batch.clear();
            for n in 0..20 {
                let content = format!("{n} {}", "once more ".repeat(50));
                let learn = Learn { id: "a".into(), content: Some(&content), ..Learn::default() };
                batch.learn(&learn).unwrap();
            }
            client.write(&batch, Level::Visible).unwrap();
        }
        assert!(file_size() < 1 << 30, "it has grown for ever");
    }
    let stats = wait::until("the end of the compaction", || {
        let stats = client.stats().unwrap();
        (stats.compactions > 0).then_some(stats)
    });
    assert!(stats.generation > 1 && stats.compacted_at > stats.started_at);
    assert!(reader.snapshot().unwrap().contains("a").unwrap());
}
