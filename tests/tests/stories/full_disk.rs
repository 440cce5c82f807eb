//! The disk is full: writers are told, readers notice nothing, and it goes on when there is space.
//! And a disk that fails for good. Each needs root, and says loudly when it is skipped.

use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use sutra_client::{Client, ClientError, ErrorCode, Horizon, Level};
use sutra_coordinator::Plant;
use sutra_reader::Reader;
use sutra_tests::mount::{Mount, may_mount};
use sutra_tests::store::Writing;
use sutra_tests::text::{text_of, version_of};
use sutra_tests::{TestStore, wait};

const MIB: u64 = 1 << 20;
/// Versions of the text of one concept, so that it is large.
const VERSIONS: u32 = 40;

fn name_of(number: u64) -> String {
    format!("c{number}")
}

fn content_of(number: u64) -> String {
    (1..=VERSIONS).map(|version| text_of(&name_of(number), version) + "\n").collect()
}

/// Learns one concept after the other until one is refused; gives the number of those learnt.
fn fill(client: &mut Client, first: u64) -> Result<u64, (u64, ClientError)> {
    for number in first..100_000 {
        let name = name_of(number);
        let content = content_of(number);
        let learn = sutra_client::Learn {
            id: name.as_str().into(),
            content: Some(&content),
            ..Default::default()
        };
        let receipt = client.batch(|batch| batch.learn(&learn).expect("it fits"));
        match receipt {
            Ok(receipt) => match receipt.errors.first() {
                None => {}
                Some(error) if error.code == ErrorCode::StorageFull => return Ok(number),
                Some(error) => panic!("refused for another reason: {error:?}"),
            },
            Err(ClientError::Refused { code: ErrorCode::StorageFull, .. }) => return Ok(number),
            Err(error) => return Err((number, error)),
        }
    }
    panic!("the disk does not become full");
}

/// Everything that was learnt is there, whole.
fn check(reader: &Reader, count: u64) {
    let snapshot = reader.snapshot().unwrap();
    for number in 0..count {
        let name = name_of(number);
        let concept = snapshot.get(&name).unwrap();
        let concept = concept.unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
        let content = concept.content().unwrap();
        assert_eq!(content.lines().count(), VERSIONS as usize);
        for (line, version) in content.lines().zip(1..) {
            assert_eq!(version_of(&name, line), Ok(version));
        }
    }
}

fn store_in(path: &Path, planted: Option<Plant>) -> TestStore {
    let mut store = TestStore::with(|options| {
        options.store = path.join("store");
        options.log_segment_size = 64 << 10;
        options.checkpoint_log_size = MIB;
    });
    store.planted = planted;
    store.start();
    store
}

/// Runs a story with a bug in it, which it must find.
fn assert_caught(planted: Plant, story: impl FnOnce(Option<Plant>)) {
    let told = catch_unwind(AssertUnwindSafe(|| story(Some(planted))));
    let found = told.expect_err("the planted bug was not caught");
    let said = found.downcast_ref::<String>().map(String::as_str);
    println!("caught {planted:?}: {}", said.or(found.downcast_ref().copied()).unwrap_or("?"));
}

fn is_survived_when_full(place: &Mount, planted: Option<Plant>) {
    let ballast = place.join("ballast");
    std::fs::write(&ballast, vec![1; 6 << 20]).unwrap();
    let mut store = store_in(place.path(), planted);
    let reader = store.reader();
    // One with a bug is not waited for as long as a busy machine may take.
    let deadline = if planted.is_some() { Duration::from_secs(2) } else { wait::DEADLINE };
    let mut client = store.client_builder().deadline(deadline).connect().unwrap();

    let mut count = fill(&mut client, 0).unwrap();
    assert!(count > 20, "only {count} fit");
    check(&reader, count);
    for _ in 0..10 {
        assert_eq!(fill(&mut client, count).unwrap(), count, "it is full");
    }
    check(&reader, count);
    // A checkpoint goes through, by what writers leave of the disk; a compaction does not begin.
    client.flush().unwrap();
    let horizon = Horizon::Time(u64::MAX);
    let refused = client.compact(horizon, &[], Duration::from_secs(60)).unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::StorageFull), "{refused}");
    check(&reader, count);

    std::fs::remove_file(&ballast).unwrap();
    let freed_at = Instant::now();
    let before = count;
    count = wait::until("that writing resumes", || {
        let now = fill(&mut client, count).unwrap();
        (now > count).then_some(now)
    });
    println!("{before} fitted, then {count}; again full after {:?}", freed_at.elapsed());
    check(&reader, count);

    // A clean stop on a full disk.
    store.stop();
    check(&store.reader(), count);
    store.start();
    check(&store.reader(), count);
    store.stop();
}

#[test]
fn a_full_file_system_in_memory_is_told_to_writers_and_not_to_readers() {
    if may_mount("a full tmpfs") {
        is_survived_when_full(&Mount::tmpfs(20 * MIB).unwrap(), None);
    }
}

#[test]
fn a_full_ext4_is_told_to_writers_and_not_to_readers() {
    if may_mount("a full ext4") {
        let memory = Mount::tmpfs(64 * MIB).unwrap();
        is_survived_when_full(&Mount::ext4(&memory.join("image"), 32 * MIB).unwrap(), None);
    }
}

/// The planted bug: space is not reserved before it is stored to, so the system ends the coordinator.
#[test]
fn space_that_was_not_reserved_is_caught() {
    if may_mount("space that is not reserved") {
        let place = Mount::tmpfs(20 * MIB).unwrap();
        assert_caught(Plant::SparseSpace, |planted| is_survived_when_full(&place, planted));
    }
}

#[test]
fn a_sync_that_failed_ends_the_coordinator_and_nothing_acknowledged_is_lost() {
    if may_mount("a write-back that fails") {
        is_told_when_write_back_fails(None);
    }
}

/// The planted bug: what a failed sync says is not heard.
#[test]
fn a_failed_sync_that_is_not_heard_is_caught() {
    if may_mount("a failed sync that is not heard") {
        assert_caught(Plant::ForgivenSync, is_told_when_write_back_fails);
    }
}

/// The ext4 is in a file of a file system that becomes full: contents that the kernel writes back
/// are lost, and one sync says so.
fn is_told_when_write_back_fails(planted: Option<Plant>) {
    let memory = Mount::tmpfs(128 * MIB).unwrap();
    let image = memory.join("image");
    let disk = Mount::ext4_without_data(&image, 64 * MIB).unwrap();
    let used_size = std::fs::metadata(&image).unwrap().blocks() * 512;
    memory.resize(used_size + 8 * MIB).unwrap();
    let mut store = store_in(disk.path(), planted);
    let mut client = store.client_builder().deadline(Duration::from_secs(3)).connect().unwrap();
    let (count, error) = fill(&mut client, 0).expect_err("the disk is larger than its image");
    println!("{count} acknowledged, then: {error}");
    assert!(client.wait(1, Level::Durable, Duration::from_secs(1)).is_err(), "it goes on");
    store.wait_for_failure();
    drop(client);

    // The image gets its space, and the disk comes back with what was written to it.
    memory.resize(128 * MIB).unwrap();
    drop(disk);
    let disk = Mount::image(&image).unwrap();
    store.options.store = disk.join("store");
    match store.try_start() {
        Ok(()) => {
            check(&store.reader(), count);
            store.client().learn("after", "written again");
            store.stop();
        }
        Err(refusal) => panic!("the restart: {refusal}"),
    }
}
