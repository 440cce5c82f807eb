//! What cannot be opened, and how it is told.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};

use sutra_layout::geometry::{DIRECTORY_OFFSET, DURABLE_SLOTS_OFFSET, HEADER_SIZE, PAGE_SIZE};
use sutra_layout::run_mark::RunMark;
use sutra_layout::slot::Slot;
use sutra_layout::superblock::UncheckedSuperblock;
use sutra_reader::{OpenError, Reader};
use zerocopy::IntoBytes;

use crate::support::Writer;

/// The store's file after `change`, in a directory of its own.
fn copied(store: &Writer, change: impl FnOnce(&fs::File)) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("storage.dat");
    fs::copy(store.file_path(), &path).unwrap();
    change(&OpenOptions::new().write(true).open(&path).unwrap());
    directory
}

fn refusal(directory: &tempfile::TempDir) -> OpenError {
    let error = Reader::open(directory.path()).unwrap_err();
    assert!(error.to_string().contains("storage.dat"), "{error}");
    error
}

fn store_of_one() -> Writer {
    let mut store = Writer::create();
    store.learn("a", "content");
    store.publish();
    store
}

#[test]
fn a_directory_without_a_store_is_not_found_and_stays_empty() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(refusal(&directory), OpenError::NotFound { .. }));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let missing = Reader::open(directory.path().join("nowhere")).unwrap_err();
    assert!(matches!(missing, OpenError::NotFound { .. }));
}

#[test]
fn what_is_no_store_is_told_from_a_store_that_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("storage.dat");
    for bytes in [&b""[..], b"SQ", b"SQLite format 3\0", &[0x42; 200_000]] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(refusal(&directory), OpenError::NotAStore { .. }));
    }
    let store = store_of_one();
    for size in [1, 8, 127, 128, 4096, HEADER_SIZE - 1] {
        let cut = copied(&store, |file| file.set_len(size).unwrap());
        let error = refusal(&cut);
        assert!(matches!(error, OpenError::Damaged { .. }), "{size}: {error}");
    }
}

#[test]
fn links_pipes_and_directories_are_not_followed_and_not_waited_for() {
    let store = store_of_one();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("storage.dat");
    std::os::unix::fs::symlink(store.file_path(), &path).unwrap();
    assert!(matches!(refusal(&directory), OpenError::NotAStore { .. }));
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(matches!(refusal(&directory), OpenError::NotAStore { .. }));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(refusal(&directory), OpenError::NotAStore { .. }));
    let inside_a_file = Reader::open(store.file_path()).unwrap_err();
    assert!(matches!(inside_a_file, OpenError::NotAStore { .. }));
}

#[test]
fn a_file_without_read_permission_is_told_as_such() {
    let store = store_of_one();
    fs::set_permissions(store.file_path(), fs::Permissions::from_mode(0o000)).unwrap();
    match Reader::open(store.path()) {
        Err(error) => assert!(matches!(error, OpenError::NotReadable { .. }), "{error}"),
        // Not through println!, which the test harness keeps to itself.
        Ok(_) => writeln!(
            std::io::stderr(),
            "SKIPPED a_file_without_read_permission_is_told_as_such: root reads any file"
        )
        .unwrap(),
    }
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let store = store_of_one();
    let mut block = UncheckedSuperblock::new([9; 16], 1, 1, 0x5eed);
    block.format_major = 2;
    block.checksum = sutra_layout::checksum::checksum_of(&block);
    let newer = copied(&store, |file| file.write_all_at(block.as_bytes(), 0).unwrap());
    assert!(matches!(refusal(&newer), OpenError::Newer { .. }));
    let flipped = copied(&store, |file| file.write_all_at(&[0xff], 30).unwrap());
    assert!(matches!(refusal(&flipped), OpenError::Damaged { offset: 0, what: "checksum", .. }));
}

#[test]
fn a_damaged_directory_names_its_byte() {
    let store = store_of_one();
    store.put(DIRECTORY_OFFSET, &[0x55; 8]);
    let error = Reader::open(store.path()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { offset: DIRECTORY_OFFSET, .. }), "{error}");
    assert!(error.to_string().contains("sutra verify"), "{error}");
}

#[test]
fn a_copy_opens_after_a_clean_stop_only() {
    let mut store = store_of_one();
    assert!(Reader::open(store.path()).is_ok(), "this very file is of this boot");
    let copy = copied(&store, |_| ());
    let error = refusal(&copy);
    assert!(matches!(error, OpenError::NeedsRecovery { .. }), "{error}");
    assert!(error.to_string().contains("sutra serve"), "{error}");

    store.checkpoint(Slot::CLEAN);
    let clean = copied(&store, |_| ());
    let reader = Reader::open(clean.path()).unwrap();
    assert!(reader.snapshot().unwrap().contains("a").unwrap());
    assert!(!reader.writer().alive);

    // Written on after the clean stop: the flag was taken away, or the newer slot is without it.
    store.learn("b", "later");
    store.publish();
    store.checkpoint(0);
    assert!(matches!(refusal(&copied(&store, |_| ())), OpenError::NeedsRecovery { .. }));
}

#[test]
fn a_clean_copy_without_a_ring_opens_at_its_checkpoint() {
    let store = store_of_one();
    store.checkpoint(Slot::CLEAN);
    let commit_page = sutra_layout::geometry::COMMIT_SEQ_OFFSET;
    let copy = copied(&store, |file| {
        file.write_all_at(&[0; 2 * PAGE_SIZE as usize], commit_page).unwrap();
    });
    let snapshot = Reader::open(copy.path()).unwrap().snapshot().unwrap();
    assert!(snapshot.contains("a").unwrap());
}

#[test]
fn a_poisoned_store_needs_recovery_even_in_its_own_boot() {
    let store = store_of_one();
    store.mark_run(RunMark { flags: RunMark::POISONED, ..RunMark::default() });
    let error = Reader::open(store.path()).unwrap_err();
    assert!(matches!(error, OpenError::NeedsRecovery { .. }), "{error}");
    let message = error.to_string();
    for part in ["a sync failed", "start its coordinator once", "sutra serve"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_slot_of_impossible_counts_is_damage() {
    let store = store_of_one();
    let good = store.slot;
    let bad: [fn(&mut Slot); 9] = [
        |slot| slot.records = u64::MAX,
        |slot| slot.concepts = slot.records + 1,
        |slot| slot.edges = 1 << 32,
        |slot| slot.content_size = u64::MAX,
        |slot| slot.symbols_size = u64::MAX,
        |slot| slot.spaces_count = 5,
        |slot| slot.spaces[3].count = 1,
        |slot| slot.id_index_depth = 64,
        |slot| slot.edge_index_depth = u64::MAX,
    ];
    for spoil in bad {
        let reader = Reader::open(store.path()).unwrap();
        let mut slot = good;
        spoil(&mut slot);
        store.publish_slot(slot);
        assert!(reader.snapshot().is_err(), "{slot:?}");
        let error = Reader::open(store.path()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        store.publish_slot(good);
    }
}

#[test]
fn a_store_that_nothing_was_published_to_is_empty() {
    let store = Writer::create();
    let pages = [sutra_layout::geometry::COMMIT_SEQ_OFFSET, DURABLE_SLOTS_OFFSET];
    for page in pages {
        store.put(page, &[0; 2 * PAGE_SIZE as usize]);
    }
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    assert_eq!((snapshot.commit_seq(), snapshot.concept_count()), (0, 0));
    assert!(!snapshot.contains("a").unwrap());
    assert_eq!(snapshot.concepts().count(), 0);
}
