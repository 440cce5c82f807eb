//! Opening what the last coordinator left, row by row of the table in `recovery/table.rs`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sutra_client::{Associate, Batch, Client, Learn, Level};
use sutra_coordinator::{Options, SyncMode};
use sutra_layout::geometry::Region;
use sutra_reader::{NeighborQuery, OpenError};
use sutra_tests::forge::{
    describe, flip, log_end, overwrite, place_of, poison_run_mark, scramble_derived, unit_place,
};
use sutra_tests::mount::{Mount, may_mount};
use sutra_tests::store::{Writing, copy_directory};
use sutra_tests::text::{text_of, vector_of};
use sutra_tests::{Random, TestStore, wait};

/// Nothing is synced or published unless somebody waits for it.
fn lazy(options: &mut Options) {
    options.sync = SyncMode::Off;
    options.reconcile_interval = Duration::from_secs(3600);
}

/// Writes a batch of concepts and associations, with updates of both among them.
fn write_some(client: &mut Client, random: &mut Random, count: u32) {
    let mut batch = Batch::new();
    for _ in 0..count {
        let name = format!("concept-{}", random.below(200));
        batch.namespace(if random.one_in(5) { "other" } else { "" });
        let (content, vector) = (text_of(&name, 1), vector_of(&name, random.below(9) as u32, 8));
        batch
            .learn(&Learn {
                id: name.as_str().into(),
                content: Some(&content).filter(|_| !random.one_in(3)).map(String::as_str),
                embedding: Some(vector.as_slice()).filter(|_| random.one_in(2)),
                metadata: Some("{}").filter(|_| random.one_in(3)),
                kind: Some("thing").filter(|_| random.one_in(3)),
                ..Learn::default()
            })
            .unwrap();
        let target = format!("concept-{}", random.below(60));
        batch
            .associate(&Associate {
                source: name.as_str().into(),
                target: target.as_str().into(),
                kind: (*random.pick(&["above", "below", "causal"])).into(),
                weight: Some(random.element()),
                properties: Some("[1, 2]").filter(|_| random.one_in(3)),
                create_missing: true,
                ..Associate::default()
            })
            .unwrap();
    }
    assert!(client.write(&batch, Level::Visible).unwrap().errors.is_empty());
}

/// What a served store shows.
fn shown(store: &TestStore) -> BTreeMap<String, String> {
    describe(&store.reader().snapshot().unwrap())
}

/// A store whose file has something, and whose log has more.
fn half_checkpointed(random: &mut Random) -> (TestStore, BTreeMap<String, String>) {
    let store = TestStore::started();
    let mut client = store.client();
    for round in 0..6 {
        write_some(&mut client, random, 150);
        if round == 3 {
            client.flush().unwrap();
        }
    }
    let shown = shown(&store);
    (store, shown)
}

#[test]
fn after_a_clean_stop_the_file_alone_opens_anywhere() {
    let mut random = Random::from_env("file alone");
    let (mut store, expected) = half_checkpointed(&mut random);
    store.client_as([3; 16]).learn("last", "word");
    store.stop();
    let mut copy = TestStore::unstarted();
    std::fs::create_dir(copy.dir()).unwrap();
    std::fs::copy(store.storage_path(), copy.storage_path()).unwrap();

    let found = shown(&copy);
    assert_eq!(found.len(), expected.len() + 1);
    assert!(expected.iter().all(|(id, text)| found.get(id) == Some(text)));
    copy.start();
    assert_eq!(shown(&copy), found);
    let mut client = copy.client_as([3; 16]);
    assert_eq!(client.last_sequence_at_connect(), 1, "what was applied of a client is in the file");
    client.learn("more", "written to the copy");
    assert_eq!(client.last_lsn(), store.reader().snapshot().unwrap().published_lsn() + 1);
    copy.kill_and_restart();
    assert_eq!(shown(&copy).len(), found.len() + 1);
}

#[test]
fn after_a_kill_everything_is_there_and_readers_need_nobody() {
    let mut random = Random::from_env("killed");
    let (mut store, expected) = half_checkpointed(&mut random);
    let reader = store.reader();
    store.kill();
    assert_eq!(shown(&store), expected, "with nobody to serve it");
    store.start();
    assert_eq!(shown(&store), expected);
    assert_eq!(describe(&reader.snapshot().unwrap()), expected, "through a reader from before");
    store.client().learn("more", "and more");
    assert!(reader.snapshot().unwrap().contains("more").unwrap());
}

#[test]
fn a_copy_of_a_killed_store_is_rebuilt_from_truth_and_log() {
    let mut random = Random::from_env("copied");
    let (mut store, expected) = half_checkpointed(&mut random);
    store.kill();
    let mut copy = TestStore::copy_of(store.dir());
    assert!(scramble_derived(&copy, &mut random) > 0);
    assert!(matches!(copy.open(), Err(OpenError::NeedsRecovery { .. })));
    // A recovery that is killed is begun again.
    for _ in 0..5 {
        copy.spawn();
        std::thread::sleep(Duration::from_micros(random.below(15_000)));
        copy.kill();
    }
    copy.start();
    assert_eq!(shown(&copy), expected);
    // And what was rebuilt is fit to be written to, as the original is.
    store.start();
    for copied in [&mut store, &mut copy] {
        write_some(&mut copied.client(), &mut random.clone(), 300);
        copied.kill_and_restart();
    }
    let created = |text: &String| text.split(" {").next().unwrap_or_default().len();
    let (original, copied) = (shown(&store), shown(&copy));
    assert_eq!(original.keys().collect::<Vec<_>>(), copied.keys().collect::<Vec<_>>());
    assert!(original.values().map(created).eq(copied.values().map(created)));
}

#[test]
fn a_copy_that_was_never_checkpointed_is_rebuilt_from_the_log_alone() {
    let mut random = Random::from_env("log alone");
    let mut store = TestStore::started();
    write_some(&mut store.client(), &mut random, 300);
    let expected = shown(&store);
    store.kill();
    let mut copy = TestStore::copy_of(store.dir());
    copy.start();
    assert_eq!(shown(&copy), expected);
    copy.stop();
    assert_eq!(shown(&copy), expected);
}

#[test]
fn a_copy_of_a_store_that_was_being_written_has_everything_up_to_the_copied_log() {
    let mut random = Random::from_env("live copy");
    let store = TestStore::started();
    write_some(&mut store.client(), &mut random, 200);
    store.client().flush().unwrap();
    let is_over = AtomicBool::new(false);
    let copies: Vec<(u64, TestStore)> = std::thread::scope(|scope| {
        let (mut writer, mut client) = (random.fork(), store.client());
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                write_some(&mut client, &mut writer, 20);
            }
        });
        let copies = (0..4)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(random.below(30)));
                let lsn = store.reader().snapshot().unwrap().published_lsn();
                let copy = TestStore::unstarted();
                copy_directory(store.dir(), copy.dir());
                (lsn, copy)
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        copies
    });
    for (lsn, mut copy) in copies {
        assert!(matches!(copy.open(), Err(OpenError::NeedsRecovery { .. })));
        copy.start();
        let snapshot = copy.reader().snapshot().unwrap();
        assert!(snapshot.published_lsn() >= lsn, "{} of {lsn}", snapshot.published_lsn());
        describe(&snapshot);
        write_some(&mut copy.client(), &mut random, 50);
    }
}

/// Ten concepts that nobody has published or synced, killed, and where the log ended after each.
fn ten_accepted() -> (TestStore, Vec<u64>) {
    let mut store = TestStore::started_with(lazy);
    let mut client = store.client();
    let mut batch = Batch::new();
    let mut ends = Vec::new();
    for at in 0..10 {
        let name = format!("id-{at}");
        batch.clear();
        batch
            .learn(&Learn { id: name.as_str().into(), content: Some(&name), ..Learn::default() })
            .unwrap();
        client.write(&batch, Level::Accepted).unwrap();
        ends.push(log_end(&store.wal_dir()).1);
    }
    store.kill();
    (store, ends)
}

fn assert_first(store: &TestStore, count: usize) {
    let snapshot = store.reader().snapshot().unwrap();
    for at in 0..10 {
        let name = format!("id-{at}");
        assert_eq!(snapshot.contains(&name).unwrap(), at < count, "{name} of {count}");
    }
    assert_eq!(snapshot.concept_count(), count as u64);
}

#[test]
fn a_log_whose_tail_is_cut_off_or_garbled_keeps_the_entries_before_it() {
    for kept in [0, 1, 5, 9, 10] {
        for is_cut in [true, false] {
            let (mut store, ends) = ten_accepted();
            let (segment, end) = log_end(&store.wal_dir());
            assert_eq!(end, ends[9]);
            if kept < 10 {
                let begin = if kept == 0 { 4096 } else { ends[kept - 1] };
                if is_cut {
                    // In the midst of the first entry that is not kept.
                    let file = std::fs::OpenOptions::new().write(true).open(&segment).unwrap();
                    file.set_len(ends[kept] - 20).unwrap();
                } else {
                    overwrite(&segment, begin + 9, &vec![0xa5; (end - begin - 9) as usize]);
                }
            }
            store.start();
            assert_first(&store, kept);
            // What is written over the cut stays, and the cut does not come back.
            let mut client = store.client();
            client.learn("after", "the cut");
            store.kill_and_restart();
            client.associate("after", "next to", "after");
            store.restart();
            let snapshot = store.reader().snapshot().unwrap();
            assert_eq!(snapshot.concept_count(), kept as u64 + 1);
            assert_eq!(snapshot.association_count(), 1);
            describe(&snapshot);
        }
    }
}

#[test]
fn what_was_applied_of_a_cut_tail_leaves_no_trace() {
    let mut store = TestStore::started_with(lazy);
    let mut client = store.client();
    for id in ["a", "b", "c", "d"] {
        client.learn(id, "first");
    }
    client.associate("a", "near", "b");
    client.flush().unwrap();
    let (_, end) = log_end(&store.wal_dir());
    // Applied, and neither synced nor published: new versions, new ends, new lists.
    let mut batch = Batch::new();
    for (source, target) in [("a", "c"), ("c", "a"), ("a", "b"), ("d", "new")] {
        batch
            .learn(&Learn { id: source.into(), content: Some("lost"), ..Learn::default() })
            .unwrap();
        let associate = Associate {
            source: source.into(),
            target: target.into(),
            kind: "near".into(),
            create_missing: true,
            ..Associate::default()
        };
        batch.associate(&associate).unwrap();
    }
    client.write(&batch, Level::Accepted).unwrap();
    drop(client);
    let reader = store.reader();
    let held = reader.snapshot().unwrap();
    let held_shows = describe(&held);
    store.kill();
    let (segment, lost_end) = log_end(&store.wal_dir());
    assert!(lost_end > end);
    overwrite(&segment, end + 9, &[0xa5; 64]);
    store.start();
    let check = |store: &TestStore, own: &[(&str, &str)]| {
        let snapshot = store.reader().snapshot().unwrap();
        for id in ["a", "b", "c", "d"] {
            let concept = snapshot.get(id).unwrap().unwrap_or_else(|| panic!("{id} is gone"));
            assert_eq!((concept.content().unwrap(), concept.version()), ("first", 1), "{id}");
            assert_eq!(snapshot.concept(concept.ordinal()).unwrap().unwrap().version(), 1);
            let found = snapshot.neighbors(&concept, &NeighborQuery::default()).unwrap();
            let found: Vec<String> = found
                .iter()
                .map(|n| snapshot.concept(n.ordinal).unwrap().unwrap().id().unwrap().to_string())
                .collect();
            let expected: Vec<&str> = own
                .iter()
                .filter_map(|(source, target)| (*source == id).then_some(*target))
                .collect();
            assert_eq!(found, expected, "neighbors of {id}");
        }
        describe(&snapshot);
    };
    check(&store, &[("a", "b")]);
    // What comes now gets the same ordinals, and is something else.
    let mut client = store.client();
    client.learn("e", "new");
    client.associate("b", "near", "d");
    client.associate("c", "far", "d");
    client.associate("d", "far", "e");
    for _ in 0..2 {
        check(&store, &[("a", "b"), ("b", "d"), ("c", "d"), ("d", "e")]);
        store.kill_and_restart();
    }
    // A reader from before sees no less than it saw, and then what is new.
    assert_eq!(describe(&held), held_shows);
    let now = reader.snapshot().unwrap();
    assert!(now.commit_seq() > held.commit_seq() && now.published_lsn() > held.published_lsn());
    assert_eq!(describe(&now), shown(&store));
}

#[test]
fn damaged_truth_is_refused_with_its_place_and_left_as_it_is() {
    let mut random = Random::from_env("damaged truth");
    let (mut store, _) = half_checkpointed(&mut random);
    let mut client = store.client();
    client.learn("marked", "these words stand in the file only once, and are checkpointed");
    client.flush().unwrap();
    store.kill();
    let words = b"stand in the file only once";
    let places = [
        ("blob", place_of(&store.storage_path(), words)),
        ("record", unit_place(&store, Region::RECORDS, 7) + 17),
        ("edge", unit_place(&store, Region::EDGES, 9) + 20),
        ("symbol", unit_place(&store, Region::SYMBOLS, 0) + 13),
    ];
    for (what, place) in places {
        let mut copy = TestStore::copy_of(store.dir());
        flip(&copy.storage_path(), place);
        let damaged = std::fs::read(copy.storage_path()).unwrap();
        let errors = copy.try_start().unwrap_err();
        println!("{what}: {errors}");
        assert!(errors.contains("storage.dat") && errors.contains("damaged"), "{what}: {errors}");
        assert!(errors.contains(what), "{what}: {errors}");
        assert!(matches!(copy.open(), Err(OpenError::NeedsRecovery { .. })));
        // Refused again, and what is damaged was not touched meanwhile.
        copy.try_start().unwrap_err();
        let now = std::fs::read(copy.storage_path()).unwrap();
        let from = place as usize / 4096 * 4096;
        assert_eq!(now[from..from + 4096], damaged[from..from + 4096]);
        // Mended, it opens.
        flip(&copy.storage_path(), place);
        copy.start();
        assert!(copy.reader().snapshot().unwrap().contains("marked").unwrap());
    }
}

#[test]
fn a_log_without_its_file_is_refused_and_no_file_is_made() {
    let mut store = TestStore::started();
    store.client().learn("a", "kept in the log");
    store.kill();
    let kept = store.dir().with_extension("elsewhere");
    std::fs::rename(store.storage_path(), &kept).unwrap();
    let errors = store.try_start().unwrap_err();
    assert!(errors.contains("storage.dat") && errors.contains("log"), "{errors}");
    assert!(!store.storage_path().exists());
    assert!(matches!(store.open(), Err(OpenError::NotFound { .. })));
    std::fs::rename(&kept, store.storage_path()).unwrap();
    store.start();
    assert!(store.reader().snapshot().unwrap().contains("a").unwrap());
}

#[test]
fn a_store_whose_sync_failed_is_made_anew_from_what_the_disk_has() {
    let mut random = Random::from_env("sync failed");
    let (mut store, expected) = half_checkpointed(&mut random);
    let reader = store.reader();
    let held = reader.snapshot().unwrap();
    store.kill();
    let mark = store.wal_dir().join("poisoned");
    std::fs::write(&mark, "the disk said EIO").unwrap();
    // Again and again, if it is killed meanwhile; the mark goes last.
    for _ in 0..4 {
        store.spawn();
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        store.kill();
        assert_eq!(shown(&store), expected, "it stays readable");
        if !mark.exists() {
            std::fs::write(&mark, "the disk said EIO").unwrap();
        }
    }
    let generation = store.reader().snapshot().unwrap().stats().generation;
    store.start();
    assert!(!mark.exists());
    assert_eq!(shown(&store), expected);
    assert_eq!(store.reader().snapshot().unwrap().stats().generation, generation + 1);
    assert_eq!(describe(&held), expected);
    write_some(&mut store.client(), &mut random, 50);
    let lsn = store.reader().snapshot().unwrap().published_lsn();
    let moved = reader.wait_for_lsn(lsn, Duration::from_secs(20)).unwrap();
    assert_eq!(describe(&moved), shown(&store));

    // Told by the run mark alone.
    store.kill();
    let expected = describe(&moved);
    poison_run_mark(&store);
    assert!(matches!(store.open(), Err(OpenError::NeedsRecovery { .. })));
    store.start();
    assert_eq!(shown(&store), expected);
    store.kill_and_restart();
    assert_eq!(shown(&store), expected);
}

#[test]
fn a_directory_of_something_else_is_not_made_a_store() {
    let mut store = TestStore::unstarted();
    std::fs::create_dir(store.dir()).unwrap();
    std::fs::write(store.dir().join("letter.txt"), "dear").unwrap();
    let errors = store.try_start().unwrap_err();
    assert!(errors.contains("letter.txt"), "{errors}");
    assert_eq!(std::fs::read_dir(store.dir()).unwrap().count(), 1);
}

#[test]
fn what_a_killed_creation_left_is_swept_away() {
    let mut store = TestStore::unstarted();
    std::fs::create_dir_all(store.wal_dir()).unwrap();
    let half_made = store.dir().join("storage.dat.tmp");
    std::fs::write(&half_made, [0x5a; 10_000]).unwrap();
    std::fs::write(store.wal_dir().join("prepare.tmp"), [0x5a; 5_000]).unwrap();
    store.start();
    store.client().learn("a", "in a new store");
    assert!(!half_made.exists());
    store.kill_and_restart();
    assert!(store.reader().snapshot().unwrap().contains("a").unwrap());
}

#[test]
fn a_killed_store_whose_disk_is_mounted_again_is_whole() {
    if !may_mount("a disk that is mounted again") {
        return;
    }
    let mut random = Random::from_env("mounted again");
    let memory = Mount::tmpfs(160 << 20).unwrap();
    let image = memory.join("image");
    let disk = Mount::ext4(&image, 128 << 20).unwrap();
    let mut store = TestStore::with(|options| options.store = disk.join("store"));
    store.start();
    write_some(&mut store.client(), &mut random, 300);
    store.client().flush().unwrap();
    write_some(&mut store.client(), &mut random, 300);
    let expected = shown(&store);
    store.kill();
    drop(disk);

    // First for readers alone: they find all of it, or are told to ask a coordinator.
    let disk = Mount::image_read_only(&image).unwrap();
    store.options.store = disk.join("store");
    match store.open() {
        Ok(reader) => assert_eq!(describe(&reader.snapshot().unwrap()), expected),
        Err(OpenError::NeedsRecovery { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    drop(disk);
    let disk = Mount::image(&image).unwrap();
    store.options.store = disk.join("store");
    store.start();
    assert_eq!(shown(&store), expected);
    store.stop();
    drop(disk);
    // After a clean stop it is read wherever it is mounted.
    let disk = Mount::image_read_only(&image).unwrap();
    store.options.store = disk.join("store");
    assert_eq!(shown(&store), expected);
    let errors = store.try_start().unwrap_err();
    assert!(errors.contains("ead-only"), "{errors}");
}

#[test]
fn a_store_that_is_killed_again_and_again_makes_checkpoints_like_any_other() {
    let mut random = Random::from_env("killed again and again");
    let mut store = TestStore::started_with(|options| options.memory_threshold = 400);
    // Fewer records in each life than a checkpoint is made after.
    for _ in 0..8 {
        write_some(&mut store.client(), &mut random, 100);
        store.kill_and_restart();
    }
    let mut client = store.client();
    let checkpoint_lsn = wait::until("a checkpoint", || {
        client.learn("once", "more");
        Some(client.stats().unwrap().checkpoint_lsn).filter(|lsn| *lsn > 0)
    });
    assert!(checkpoint_lsn > 0);
    let expected = shown(&store);
    store.kill_and_restart();
    assert_eq!(shown(&store), expected);
}
