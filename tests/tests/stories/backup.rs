//! Backups of a live store, brought back as they were and to points in time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sutra_client::{Associate, Batch, Client, Forget, Horizon, Learn, Level, Touch};
use sutra_coordinator::backup::{BackupError, BackupReport, Until, backup, check, restore};
use sutra_coordinator::{Host, Options};
use sutra_reader::verify::{self, DeepOptions};
use sutra_reader::{Reader, parse_time};
use sutra_tests::forge::{describe, flip};
use sutra_tests::store::Writing;
use sutra_tests::text::{text_of, vector_of};
use sutra_tests::{Random, TestStore};
use tempfile::TempDir;

type Shown = BTreeMap<String, String>;

/// A place for backups and what is restored of them.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Shelf {
        Shelf(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn backup(&self, store: &Path) -> BackupReport {
        backup(store, &self.path("backup"), &mut |_, _| true).unwrap()
    }

    /// Restores into a new directory and gives what the store shows, which must be sound.
    fn restored(&self, name: &str, until: Until) -> (u64, Shown) {
        let (store, log) = (self.path(name), self.path("kept"));
        let log = log.exists().then_some(log);
        let report =
            restore(&self.path("backup"), &store, log.as_deref(), until, &mut |_, _| true).unwrap();
        let sound = verify::deep(&store, DeepOptions::default(), &mut |_| {}).unwrap();
        assert!(sound.is_sound(), "{sound:#?}");
        (report.lsn, shown(&store))
    }
}

fn shown(store: &Path) -> Shown {
    describe(&Reader::open(store).unwrap().snapshot().unwrap())
}

fn shown_as_of(store: &Path, lsn: u64) -> Shown {
    describe(&Reader::open(store).unwrap().snapshot().unwrap().as_of(lsn).unwrap())
}

/// Writes a batch of everything that can be written, and waits until it is visible.
fn write_some(client: &mut Client, random: &mut Random, count: u32) -> u64 {
    let mut batch = Batch::new();
    for _ in 0..count {
        let names = [0; 2].map(|_| format!("concept-{}", random.below(300)));
        let [id, other] = [0, 1].map(|at: usize| names[at].as_str().into());
        let version = random.below(1 << 20) as u32;
        let (content, vector) = (text_of(&names[0], version), vector_of(&names[0], version, 8));
        let embedding = Some(vector.as_slice()).filter(|_| random.one_in(3));
        let content = Some(content.as_str());
        batch.learn(&Learn { id, content, embedding, ..Learn::default() }).unwrap();
        let kind = (*random.pick(&["above", "below", "causal"])).into();
        let create_missing = true;
        batch
            .associate(&Associate {
                source: id,
                target: other,
                kind,
                create_missing,
                ..Associate::default()
            })
            .unwrap();
        if random.one_in(12) {
            batch.forget(&Forget { id: other, if_lsn: None }).unwrap();
        }
        if random.one_in(4) {
            batch.touch(&Touch { id, count: 1, at: None }).unwrap();
        }
    }
    client.write(&batch, Level::Visible).unwrap().last_lsn
}

/// A coordinator in this process that keeps its log.
fn hosted(shelf: &Shelf) -> (Host, Client, PathBuf) {
    let mut options = Options::new(shelf.path("store"));
    options.log_segment_size = 16 << 10;
    options.keep_log = Some(shelf.path("kept"));
    let host = Host::start(options).unwrap();
    let store = shelf.path("store");
    let client = Client::connect(&store).unwrap();
    (host, client, store)
}

/// Ends the writers of a story, also when it fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_backup_made_while_others_write_is_the_store_at_its_lsn() {
    let (shelf, store, is_done) = (Shelf::new(), TestStore::started(), AtomicBool::new(false));
    write_some(&mut store.client(), &mut Random::from_env("before the backups"), 40);
    std::thread::scope(|scope| {
        let done = Done(&is_done);
        for writer in 0..2 {
            let (store, is_done) = (&store, &is_done);
            scope.spawn(move || {
                let mut random = Random::from_env(&format!("writer {writer} beside a backup"));
                let mut client = store.client();
                while !is_done.load(Ordering::Relaxed) {
                    write_some(&mut client, &mut random, 40);
                }
            });
        }
        for round in 0..4 {
            let made = shelf.backup(store.dir());
            assert!(made.was_flushed && made.is_new == (round == 0), "{made:?}");
            let name = format!("restored-{round}");
            let (lsn, restored) = shelf.restored(&name, Until::Lsn(made.manifest.lsn));
            assert_eq!(lsn, made.manifest.lsn);
            assert_eq!(restored, shown_as_of(store.dir(), lsn), "round {round}");
            let (lsn, restored) = shelf.restored(&format!("{name}-log"), Until::End);
            assert_eq!((lsn, restored), (made.log_last_lsn, shown_as_of(store.dir(), lsn)));
        }
        drop(done);
    });
}

#[test]
fn a_backup_made_while_the_store_is_compacted_is_of_one_generation() {
    let (shelf, store, is_done) = (Shelf::new(), TestStore::started(), AtomicBool::new(false));
    write_some(&mut store.client(), &mut Random::from_env("before the compactions"), 200);
    std::thread::scope(|scope| {
        let done = Done(&is_done);
        scope.spawn(|| {
            let mut random = Random::from_env("beside compactions and backups");
            let mut client = store.client();
            while !is_done.load(Ordering::Relaxed) {
                write_some(&mut client, &mut random, 40);
            }
        });
        scope.spawn(|| {
            // Nothing is left out, so that what is restored can be compared ordinal by ordinal.
            let mut client = store.client();
            while !is_done.load(Ordering::Relaxed) {
                client.compact(Horizon::AsServed, &[], Duration::from_secs(60)).unwrap();
            }
        });
        let mut generations = Vec::new();
        for round in 0..6 {
            let made = shelf.backup(store.dir());
            generations.push(made.manifest.generation);
            let (lsn, restored) =
                shelf.restored(&format!("restored-{round}"), Until::Lsn(made.manifest.lsn));
            assert_eq!(restored, shown_as_of(store.dir(), lsn), "round {round}");
        }
        assert!(generations.is_sorted() && generations[5] > generations[0], "{generations:?}");
        drop(done);
    });
}

#[test]
fn a_vector_space_made_since_the_checkpoint_is_not_in_the_backup() {
    let (shelf, mut store) = (Shelf::new(), TestStore::started());
    let mut client = store.client();
    client.learn("before", "the first vector");
    client.flush().unwrap();
    let flushed = shown(store.dir());
    let vector = vector_of("x", 0, 8);
    let mut batch = Batch::new();
    let learn = Learn { id: "x".into(), embedding: Some(&vector), ..Learn::default() };
    batch.learn(&learn).unwrap();
    client.write(&batch, Level::Visible).unwrap();
    let expected = shown(store.dir());
    drop(client);
    store.kill(); // so that nobody makes another checkpoint for the backup
    let made = shelf.backup(store.dir());
    assert!(!made.was_flushed, "{made:?}");
    assert_eq!(shelf.restored("then", Until::Lsn(made.manifest.lsn)).1, flushed);
    assert_eq!(shelf.restored("now", Until::End).1, expected);
}

#[test]
fn the_next_backup_copies_only_what_is_new() {
    let (shelf, mut store) = (Shelf::new(), TestStore::started());
    let mut random = Random::from_env("a growing store");
    let mut client = store.client();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        write_some(&mut client, &mut random, 400);
        sizes.push(shelf.backup(store.dir()).copied_size);
    }
    assert_eq!(shelf.backup(store.dir()).copied_size, 0);
    // Pieces that grew are copied whole: small ones, here.
    let total = shelf.backup(store.dir()).manifest.truth_size();
    assert!(sizes[2] <= total, "{sizes:?} of {total}");
    store.stop();
    let made = shelf.backup(store.dir());
    assert!(!made.was_flushed && !made.is_new);
    assert_eq!(shelf.restored("again", Until::End).1, shown(store.dir()));
    let names: Vec<_> = std::fs::read_dir(shelf.path("backup")).unwrap().collect();
    assert_eq!(names.len(), 5, "manifest, truth, header, accesses, log: {names:?}");
}

#[test]
fn a_store_is_restored_to_any_point_after_its_backup() {
    let shelf = Shelf::new();
    let (host, mut client, store) = hosted(&shelf);
    let mut random = Random::from_env("points in time");
    write_some(&mut client, &mut random, 300);
    let made = shelf.backup(&store);
    let mut points = vec![made.manifest.lsn];
    for _ in 0..12 {
        points.push(write_some(&mut client, &mut random, 60));
        client.flush().unwrap(); // the log before it is recycled, and kept
    }
    let times: Vec<u64> = {
        let snapshot = Reader::open(&store).unwrap().snapshot().unwrap();
        let time = |lsn: &u64| snapshot.as_of(*lsn).unwrap().published_at();
        points.iter().map(time).collect()
    };
    // Segments go there behind the writer's back; what the log still has is not there yet.
    sutra_tests::wait::until("a segment in the archive", || {
        (!sutra_coordinator::wal::archived_segments(&shelf.path("kept")).unwrap().is_empty())
            .then_some(())
    });
    drop(client);
    host.stop().unwrap();
    shelf_log(&shelf, &store, made.manifest.lsn);
    for (at, lsn) in points.iter().enumerate() {
        let expected = shown_as_of(&store, *lsn);
        let (restored_to, restored) = shelf.restored(&format!("lsn-{at}"), Until::Lsn(*lsn));
        assert_eq!((restored_to, &restored), (*lsn, &expected), "LSN {lsn}");
        if at > 0 {
            let (restored_to, restored) =
                shelf.restored(&format!("time-{at}"), Until::Time(times[at]));
            assert_eq!((restored_to, &restored), (*lsn, &expected), "time of LSN {lsn}");
        }
    }

    let nowhere = shelf.path("nowhere");
    let asked = |until| restore(&shelf.path("backup"), &nowhere, None, until, &mut |_, _| true);
    let before = asked(Until::Lsn(made.manifest.lsn - 1)).unwrap_err();
    assert!(matches!(before, BackupError::BeforeBackup { .. }), "{before}");
    let before = asked(Until::Time(parse_time("2020-01-01T00:00:00Z").unwrap())).unwrap_err();
    assert!(matches!(before, BackupError::BeforeBackup { .. }), "{before}");
    let beyond = asked(Until::Lsn(points[12] + 1)).unwrap_err();
    assert!(matches!(beyond, BackupError::BeyondLog { .. }), "{beyond}");
    assert!(!nowhere.exists());
    let occupied = restore(&shelf.path("backup"), &store, None, Until::End, &mut |_, _| true);
    assert!(matches!(occupied.unwrap_err(), BackupError::NotEmpty { .. }));
}

/// Copies the log of a stopped store to the archive.
fn shelf_log(shelf: &Shelf, store: &Path, after_lsn: u64) {
    sutra_coordinator::wal::archive_log(&store.join("wal"), after_lsn, &shelf.path("kept"))
        .unwrap();
}

#[test]
fn a_store_written_on_after_a_restore_has_a_history_of_its_own() {
    let shelf = Shelf::new();
    let (host, mut client, store) = hosted(&shelf);
    let mut random = Random::from_env("two histories");
    write_some(&mut client, &mut random, 200);
    shelf.backup(&store);
    let fork = write_some(&mut client, &mut random, 50);
    write_some(&mut client, &mut random, 50);
    client.flush().unwrap();
    drop(client);
    host.stop().unwrap();
    shelf_log(&shelf, &store, 0);

    // Back to the fork, and on from there: the same numbers, other entries.
    shelf.restored("restored", Until::Lsn(fork));
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(shelf.path("restored"), &store).unwrap();
    let (host, mut client, store) = hosted(&shelf);
    let lsn = client.learn("second", "history").last_lsn;
    assert_eq!(lsn, fork + 1);
    client.flush().unwrap();
    drop(client);
    host.stop().unwrap();
    shelf_log(&shelf, &store, 0);
    let (end, restored) = shelf.restored("again", Until::End);
    assert_eq!((end, &restored), (lsn, &shown(&store)));
    assert!(restored.contains_key(" second"));

    // The restored store is no later state of what the backup has: it begins anew.
    let made = shelf.backup(&store);
    assert_eq!(shelf.restored("newest", Until::End), (made.manifest.lsn, restored));
}

#[test]
fn a_backup_that_was_interrupted_goes_on_and_the_one_before_stays_whole() {
    let (shelf, store) = (Shelf::new(), TestStore::started());
    let mut random = Random::from_env("interrupted");
    let mut client = store.client();
    let to = shelf.path("backup");
    for round in 0..3 {
        let before = if round == 0 { None } else { Some(check(&to, &mut |_, _| true).unwrap()) };
        let before_shown =
            before.as_ref().map(|before| shown_as_of(store.dir(), before.manifest.lsn));
        write_some(&mut client, &mut random, 500);
        for pieces in 1..4 {
            let mut left = pieces;
            let stopped = backup(store.dir(), &to, &mut |_, _| {
                left -= 1;
                left >= 0
            });
            assert!(matches!(stopped.unwrap_err(), BackupError::Stopped));
            match (&before, &before_shown) {
                (Some(before), Some(shown)) => {
                    assert_eq!(&check(&to, &mut |_, _| true).unwrap().manifest, &before.manifest);
                    let name = format!("before-{round}-{pieces}");
                    let until = Until::Lsn(before.manifest.lsn);
                    assert_eq!(&shelf.restored(&name, until).1, shown);
                }
                _ => assert!(check(&to, &mut |_, _| true).is_err()),
            }
        }
        let made = shelf.backup(store.dir());
        let total = made.manifest.truth_size();
        assert!(made.copied_size < total, "{} of {total} copied again", made.copied_size);
        let name = format!("after-{round}");
        let restored = shelf.restored(&name, Until::Lsn(made.manifest.lsn)).1;
        assert_eq!(restored, shown_as_of(store.dir(), made.manifest.lsn));
    }
}

#[test]
fn each_damaged_part_of_a_backup_is_told_and_nothing_is_restored_of_it() {
    let (shelf, store) = (Shelf::new(), TestStore::started());
    let mut random = Random::from_env("a damaged backup");
    write_some(&mut store.client(), &mut random, 200);
    let made = shelf.backup(store.dir());
    // Beside the backup there is a log only if something was written since.
    write_some(&mut store.client(), &mut random, 5);
    sutra_coordinator::wal::archive_log(
        &store.wal_dir(),
        made.manifest.lsn,
        &shelf.path("backup").join("log"),
    )
    .unwrap();
    let truth = made.manifest.truth.clone();
    let last = made.manifest.pieces.last().unwrap();
    let accesses = made.manifest.accesses.as_ref().unwrap().name.clone();
    let log = std::fs::read_dir(shelf.path("backup").join("log")).unwrap().next().unwrap();
    let log = Path::new("log").join(log.unwrap().file_name());
    let damages = [
        (PathBuf::from(&truth), made.manifest.pieces[0].offset),
        (PathBuf::from(&truth), last.offset + last.size - 1),
        (PathBuf::from(&made.manifest.header.name), 8),
        (PathBuf::from(accesses), 0),
        (PathBuf::from("manifest.json"), 40),
        (log, 4200),
    ];
    for (name, offset) in damages {
        let path = shelf.path("backup").join(&name);
        flip(&path, offset);
        let told = check(&shelf.path("backup"), &mut |_, _| true).unwrap_err().to_string();
        assert!(told.contains(&*path.to_string_lossy()), "{name:?}: {told}");
        let until = Until::Lsn(made.manifest.lsn);
        let nowhere = shelf.path("nowhere");
        let restored = restore(&shelf.path("backup"), &nowhere, None, until, &mut |_, _| true);
        assert!(restored.is_err(), "{name:?}");
        assert!(!nowhere.exists(), "{name:?}");
        flip(&path, offset);
    }
    check(&shelf.path("backup"), &mut |_, _| true).unwrap();

    let truth = shelf.path("backup").join(truth);
    let file = std::fs::File::options().write(true).open(&truth).unwrap();
    file.set_len(last.offset + last.size - 1).unwrap();
    let told = check(&shelf.path("backup"), &mut |_, _| true).unwrap_err();
    assert!(matches!(told, BackupError::Damaged { what: "its size", .. }), "{told}");
}

#[test]
fn a_backup_of_another_store_or_of_something_else_is_left_alone() {
    let (shelf, store, other) = (Shelf::new(), TestStore::started(), TestStore::started());
    shelf.backup(store.dir());
    let refused = backup(other.dir(), &shelf.path("backup"), &mut |_, _| true).unwrap_err();
    assert!(matches!(refused, BackupError::OtherStore { .. }), "{refused}");
    std::fs::create_dir(shelf.path("photos")).unwrap();
    std::fs::write(shelf.path("photos").join("cat.jpg"), "cat").unwrap();
    let refused = backup(store.dir(), &shelf.path("photos"), &mut |_, _| true).unwrap_err();
    assert!(refused.to_string().contains("cat.jpg"), "{refused}");
    assert_eq!(std::fs::read_dir(shelf.path("photos")).unwrap().count(), 1);
}

#[test]
fn after_a_clean_stop_the_file_alone_opens_and_verifies() {
    let (shelf, mut store) = (Shelf::new(), TestStore::started());
    let mut random = Random::from_env("the file alone");
    write_some(&mut store.client(), &mut random, 300);
    let expected = shown(store.dir());
    store.stop();
    let alone = shelf.path("alone");
    std::fs::create_dir(&alone).unwrap();
    std::fs::copy(store.storage_path(), alone.join("storage.dat")).unwrap();
    let report = verify::deep(&alone, DeepOptions::default(), &mut |_| {}).unwrap();
    assert!(report.is_sound() && report.checks.iter().any(|c| c.name == "lists of associations"));
    assert_eq!(shown(&alone), expected);
}
