//! The quick check calls a sound store sound, and names what is damaged in another.

use sutra_layout::column;
use sutra_layout::geometry::{
    DIRECTORY_OFFSET, DURABLE_SLOTS_OFFSET, PAGE_SIZE, RING_OFFSET, RUN_MARK_OFFSET, Region,
    SPACES_OFFSET,
};
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::symbol::SymbolTable;
use sutra_reader::verify::{self, Report};
use sutra_reader::{Metric, OpenError, Reader};

use crate::support::{Associate, Learn, Writer};

fn store_of_everything() -> Writer {
    let mut store = Writer::create();
    store.name_symbol(SymbolTable::Type, 16, "hypernym");
    store.make_space(4, Metric::Dot);
    for n in 0..900u32 {
        let learn = Learn {
            content: "content",
            vector: Some(&[1.0, 2.0, 3.0, n as f32]),
            ..Learn::default()
        };
        store.learn_as(format!("{n}").as_str().into(), learn);
    }
    for n in 0..600 {
        store.associate(n, n / 2, Associate::default());
    }
    store.associate(5, 2, Associate::default());
    store.disassociate(6, 3, 0);
    store.forget("17");
    store.learn("17", "again");
    store.publish();
    store
}

type Spoil = fn(&mut Writer);

fn problems(report: &Report) -> Vec<&'static str> {
    let damaged = report.checks.iter().filter(|check| check.problem.is_some());
    damaged.map(|check| check.name).collect()
}

#[test]
fn a_sound_store_is_called_sound() {
    let empty = Writer::create();
    assert_eq!(problems(&verify::quick(empty.path()).unwrap()), [""; 0]);
    let store = store_of_everything();
    let report = Reader::open(store.path()).unwrap().verify_quick().unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!(report.checks.len(), 11);
    assert_eq!(report.path, store.file_path());
}

#[test]
fn a_sound_store_that_needs_recovery_is_checked_at_its_checkpoint() {
    let store = store_of_everything();
    store.checkpoint(0);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(store.file_path(), copy.path().join("storage.dat")).unwrap();
    assert!(matches!(Reader::open(copy.path()), Err(OpenError::NeedsRecovery { .. })));
    let report = verify::quick(copy.path()).unwrap();
    assert!(report.is_sound(), "{report:#?}");
    let detail = |name| {
        let check = report.checks.iter().find(|check| check.name == name);
        check.unwrap().detail.clone()
    };
    assert!(detail("published slot").contains("needs recovery"));
    assert!(detail("counts").contains("900 concepts"));
}

#[test]
fn what_is_missing_or_no_store_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let missing = verify::quick(directory.path());
    assert!(matches!(missing, Err(OpenError::NotFound { .. })));
    std::fs::write(directory.path().join("storage.dat"), "not a store").unwrap();
    let report = verify::quick(directory.path()).unwrap();
    assert_eq!(problems(&report), ["superblock"]);
}

/// Spoils one place, and expects these checks to complain.
#[test]
fn each_damaged_place_is_named_by_its_check() {
    let spoilt: [(&[&str], Spoil); 12] = [
        (&["superblock"], |store| store.put(20, &[0x77])),
        (&["directory", "counts", "index roots", "concepts"], |store| {
            let word = sutra_layout::directory::word_offset(Region::ID_SEGMENTS, 0);
            store.put(word, &[0x77; 8]);
        }),
        (&["run mark"], |store| {
            store.checkpoint(Slot::CLEAN);
            store.put(RUN_MARK_OFFSET, &[0x77]);
        }),
        (&["run mark"], |store| {
            let flags = RunMark::POISONED;
            store.mark_run(RunMark { flags, ..RunMark::default() });
        }),
        (&["durable slots"], |store| {
            store.put(DURABLE_SLOTS_OFFSET, &[0x77; 2 * PAGE_SIZE as usize]);
        }),
        (&["published slot"], |store| store.put(RING_OFFSET, &[0x77; 4096])),
        (&["counts"], |store| {
            store.slot.records = 1 << 40;
            store.publish_slot(store.slot);
        }),
        (&["directory", "counts", "vector spaces"], |store| store.put(SPACES_OFFSET, &[0x77])),
        (&["symbols"], |store| {
            let symbol = store.locate(Region::SYMBOLS, 0);
            store.put(symbol + 12, b"x");
        }),
        (&["concepts"], |store| {
            let record = store.locate(Region::RECORDS, 0);
            store.put(record + 72, &[0x77]);
        }),
        (&["concepts"], |store| {
            let content = store.locate(Region::CONTENT, 12);
            store.put(content + 8, b"x"); // after the blob of the first id, its content
        }),
        (&["associations"], |store| {
            let column = store.locate(Region::COLUMNS, 0);
            store.put(column + 8 * column::IN_HEAD as u64, &[0; 8]);
        }),
    ];
    for (at, (expected, spoil)) in spoilt.into_iter().enumerate() {
        let mut store = store_of_everything();
        spoil(&mut store);
        let report = verify::quick(store.path()).unwrap();
        let found = problems(&report);
        assert!(!found.is_empty(), "{at}: {report:#?}");
        for name in &found {
            assert!(expected.contains(name), "{at}: {name}: {report:#?}");
        }
        assert_eq!(found[0], expected[0], "{at}: {report:#?}");
    }
}

#[test]
fn a_damaged_directory_word_is_shown_with_its_byte() {
    let store = store_of_everything();
    store.put(DIRECTORY_OFFSET, &[0x77; 8]);
    let report = verify::quick(store.path()).unwrap();
    let problem = report.checks[1].problem.as_ref().unwrap();
    assert!(problem.starts_with(&format!("byte {DIRECTORY_OFFSET}: ")), "{problem}");
}
