//! Repairs: what is whole is saved, what is not is listed, and the old file stays.

use std::collections::BTreeMap;
use std::path::Path;

use sutra_client::{Associate, Batch, Client, Learn, Level};
use sutra_coordinator::repair::{RepairReport, repair};
use sutra_layout::directory::word_offset;
use sutra_layout::geometry::{
    DURABLE_SLOTS_OFFSET, LIVE_ENDS_OFFSET, PAGE_SIZE, RING_OFFSET, Region,
};
use sutra_reader::Reader;
use sutra_reader::verify::{self, DeepOptions};
use sutra_tests::TestStore;
use sutra_tests::forge::{describe, flip, overwrite, place_of, unit_place};
use sutra_tests::store::Writing;
use sutra_tests::text::{text_of, vector_of};

type Shown = BTreeMap<String, String>;

fn shown(store: &Path) -> Shown {
    describe(&Reader::open(store).unwrap().snapshot().unwrap())
}

/// Three versions of concepts in a namespace, of a kind and with vectors, and associations.
fn write_everything(client: &mut Client, count: u32) {
    for round in 0..3 {
        let mut batch = Batch::new();
        batch.namespace("n");
        for number in 0..count {
            let name = format!("concept-{number}");
            let (content, vector) = (text_of(&name, round), vector_of(&name, round, 8));
            let learn = Learn {
                id: name.as_str().into(),
                content: Some(&content),
                embedding: Some(vector.as_slice()).filter(|_| number % 3 == 0),
                kind: Some("thing"),
                ..Learn::default()
            };
            batch.learn(&learn).unwrap();
        }
        client.write(&batch, Level::Visible).unwrap();
        let mut batch = Batch::new();
        batch.namespace("n");
        for number in 0..count {
            let ends = [number, number * 7 % count].map(|end| format!("concept-{end}"));
            let [source, target] = [0, 1].map(|end: usize| ends[end].as_str().into());
            let associate =
                Associate { source, target, kind: "near".into(), ..Associate::default() };
            batch.associate(&associate).unwrap();
        }
        client.write(&batch, Level::Visible).unwrap();
    }
}

/// A store of everything, stopped cleanly, and what it shows.
fn stopped() -> (TestStore, Shown) {
    let mut store = TestStore::started();
    write_everything(&mut store.client(), 700);
    store.stop();
    let shown = shown(store.dir());
    (store, shown)
}

/// Repairs a store, which must be sound then and go on.
fn repaired(store: &mut TestStore) -> RepairReport {
    let report = repair(store.dir(), false).unwrap();
    let sound = verify::deep(store.dir(), DeepOptions::default(), &mut |_| {}).unwrap();
    assert!(sound.is_sound(), "{sound:#?}\n{report:#?}");
    let shown_before = shown(store.dir());
    store.start();
    assert_eq!(shown(store.dir()), shown_before);
    assert!(store.client().learn("after", "the repair").last_lsn > report.lsn);
    store.stop();
    report
}

#[test]
fn a_store_whose_sync_failed_is_repaired_from_what_the_disk_has() {
    let (mut store, _) = stopped();
    store.start();
    store.client().learn("last", "in the log alone");
    let expected = shown(store.dir());
    store.kill();
    let (poisoned, words) = (store.wal_dir().join("poisoned"), b"in the log alone");
    for is_damaged in [false, true] {
        std::fs::write(&poisoned, "the disk said EIO").unwrap();
        if is_damaged {
            // In the record that came last: its blob is damaged, and the version is left out.
            flip(&store.storage_path(), place_of(&store.storage_path(), words));
        }
        let report = repaired(&mut store);
        assert!(!poisoned.exists());
        assert_eq!(report.lost.is_empty(), !is_damaged, "{report:#?}");
        let now = shown(store.dir());
        let kept = expected.iter().filter(|(id, text)| now.get(*id) == Some(text)).count();
        assert_eq!(kept, expected.len() - usize::from(is_damaged));
    }
}

#[test]
fn what_is_derived_is_made_anew_and_nothing_is_lost() {
    let (store, expected) = stopped();
    let spoilt: [fn(&TestStore); 4] = [
        |s| overwrite(&s.storage_path(), unit_place(s, Region::ID_DIRECTORY, 0), &[0x55; 64]),
        |s| overwrite(&s.storage_path(), unit_place(s, Region::COLUMNS, 0), &[0x55; 320]),
        |s| overwrite(&s.storage_path(), unit_place(s, Region::ADJACENCY, 0), &[0x55; 4096]),
        |s| overwrite(&s.storage_path(), LIVE_ENDS_OFFSET + 6 * 8, &[0x55; 48]),
    ];
    for spoil in spoilt {
        let mut copy = TestStore::copy_of(store.dir());
        spoil(&copy);
        let before = std::fs::read(copy.storage_path()).unwrap();
        let dry = repair(copy.dir(), true).unwrap();
        assert_eq!(std::fs::read(copy.storage_path()).unwrap(), before, "a dry run changed it");
        let report = repair(copy.dir(), false).unwrap();
        assert!(report.lost.is_empty(), "{report:#?}");
        assert_eq!((&dry.lost, dry.records, dry.lsn), (&report.lost, report.records, report.lsn));
        assert_eq!(shown(copy.dir()), expected);
        // The damaged file is kept, as it was.
        assert_eq!(std::fs::read(&report.kept[0]).unwrap(), before);
        assert!(report.kept[0].ends_with("storage.dat.damaged-1"), "{report:?}");
        let again = repaired(&mut copy);
        assert!(again.kept[0].ends_with("storage.dat.damaged-2"), "{again:?}");
    }
}

#[test]
fn a_damaged_version_is_left_out_and_the_one_before_is_the_newest() {
    let (mut store, expected) = stopped();
    let newest = place_of(&store.storage_path(), text_of("concept-9", 2).as_bytes());
    flip(&store.storage_path(), newest);
    flip(&store.storage_path(), unit_place(&store, Region::EDGES, 100) + 40);
    let report = repaired(&mut store);
    let lost: Vec<_> = report.lost.iter().map(|lost| (lost.what.as_str(), lost.first)).collect();
    assert_eq!(lost, [("a version of a concept", 1409), ("a version of an association", 100)]);
    assert_eq!(report.records, (2100, 2099));
    let after = shown(store.dir());
    let wolf = &after["n concept-9"];
    assert!(wolf.contains(&text_of("concept-9", 1)), "{wolf}");
    let others = |shown: &Shown| shown.keys().cloned().collect::<Vec<_>>();
    let expected: Vec<_> = others(&expected).into_iter().chain([" after".to_owned()]).collect();
    let mut found = others(&after);
    found.sort();
    let mut expected = expected;
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn names_that_are_lost_are_told_and_their_numbers_are_not_given_again() {
    let (mut store, _) = stopped();
    flip(&store.storage_path(), unit_place(&store, Region::SYMBOLS, 0) + 12);
    let report = repaired(&mut store);
    assert!(report.lost.iter().any(|lost| lost.what.contains("name")), "{report:#?}");
    assert_eq!(report.records, (2100, 2100));
    // What is learnt in the namespace now is not mixed with what was in the lost one.
    store.start();
    let mut batch = Batch::new();
    batch.namespace("n");
    batch.learn(&Learn { id: "x".into(), content: Some("new"), ..Learn::default() }).unwrap();
    store.client().write(&batch, Level::Visible).unwrap();
    let snapshot = store.reader().snapshot().unwrap();
    assert_eq!(snapshot.concept_count(), 702);
    assert!(snapshot.get_in("n", "x").unwrap().is_some());
    assert!(snapshot.get_in("n", "concept-1").unwrap().is_none());
}

#[test]
fn without_any_slot_what_there_is_is_counted() {
    let (mut store, expected) = stopped();
    for page in 0..2 {
        overwrite(&store.storage_path(), DURABLE_SLOTS_OFFSET + page * PAGE_SIZE, &[0x55; 512]);
    }
    let copy = TestStore::copy_of(store.dir());
    let report = repair(copy.dir(), false).unwrap();
    assert!(report.notes.iter().any(|note| note.contains("newest published version")));
    assert_eq!((shown(copy.dir()), report.lost), (expected.clone(), vec![]));

    overwrite(&store.storage_path(), RING_OFFSET, &[0x55; 4096]);
    let report = repaired(&mut store);
    assert!(report.notes.iter().any(|note| note.contains("by counting")), "{report:#?}");
    assert!(report.lost.is_empty(), "{report:#?}");
    let after = shown(store.dir());
    assert!(expected.iter().all(|(name, said)| after.get(name) == Some(said)));
}

#[test]
fn an_extent_whose_word_is_damaged_is_found_again() {
    let (store, expected) = stopped();
    for (region, extent) in [
        (Region::RECORDS, 0),
        (Region::RECORDS, 1),
        (Region::EDGES, 1),
        (Region::CONTENT, 0),
        (Region::SYMBOLS, 0),
        (Region::vectors(0), 0),
        (Region::vector_columns(0), 0),
    ] {
        let copy = TestStore::copy_of(store.dir());
        flip(&copy.storage_path(), word_offset(region, extent) + 3);
        let report = repair(copy.dir(), false).unwrap();
        let what = format!("{region:?} {extent}: {report:#?}");
        assert!(report.notes.iter().any(|note| note.contains("found again at byte")), "{what}");
        assert!(report.lost.is_empty(), "{what}");
        assert_eq!(shown(copy.dir()), expected, "{what}");
    }
}

#[test]
fn of_a_log_damaged_in_the_middle_what_precedes_is_applied() {
    let mut store = TestStore::started();
    let mut client = store.client();
    write_everything(&mut client, 50);
    client.flush().unwrap();
    for number in 0..20 {
        client.learn(&format!("late-{number}"), &format!("number {number} of the log"));
    }
    store.kill();
    let segment = std::fs::read_dir(store.wal_dir()).unwrap().map(|entry| entry.unwrap().path());
    let segment =
        segment.filter(|path| path.extension().is_some_and(|end| end == "wal")).find(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(12).any(|bytes| bytes == b"number 9 of ")
        });
    let segment = segment.unwrap();
    flip(&segment, place_of(&segment, b"number 9 of the log"));
    // After a loss of power: what was only in the file's cache is not believed.
    let mut copy = TestStore::copy_of(store.dir());
    assert!(copy.try_start().is_err());
    let report = repaired(&mut copy);
    assert!(report.lost.iter().any(|lost| lost.what.contains("log entries")), "{report:#?}");
    assert!(report.kept.iter().any(|path| path.ends_with("wal.damaged-1")), "{report:#?}");
    let after = shown(copy.dir());
    assert!(after.contains_key(" late-8") && !after.contains_key(" late-10"));
}

#[test]
fn a_missing_file_is_made_of_a_log_that_begins_with_entry_1() {
    let mut store = TestStore::started();
    write_everything(&mut store.client(), 50);
    let expected = shown(store.dir());
    store.kill();
    let log_alone = TestStore::copy_of(store.dir());
    std::fs::remove_file(log_alone.storage_path()).unwrap();
    let report = repair(log_alone.dir(), false).unwrap();
    assert!(report.lost.is_empty() && report.kept.is_empty(), "{report:#?}");
    assert_eq!(shown(log_alone.dir()), expected);

    let mut headless = TestStore::copy_of(store.dir());
    overwrite(&headless.storage_path(), 0, &[0x55; 128]);
    assert!(repaired(&mut headless).kept[0].ends_with("storage.dat.damaged-1"));

    // Without the whole log it is said plainly, and nothing is changed.
    for entry in std::fs::read_dir(store.wal_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "wal") {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::remove_file(store.storage_path()).unwrap();
    let refused = repair(store.dir(), false).unwrap_err().to_string();
    assert!(refused.contains("cannot be repaired") && refused.contains("backup"), "{refused}");
}

#[test]
fn a_store_that_is_served_is_not_repaired() {
    let store = TestStore::started();
    let refused = repair(store.dir(), false).unwrap_err().to_string();
    assert!(refused.contains(&store.pid().to_string()), "{refused}");
}
