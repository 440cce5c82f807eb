//! Four reader processes over a writing coordinator: nothing torn, dangling, vanished or gone back.
//!
//! `SUTRA_READERS_SECONDS` sets for how long, `SUTRA_SEED` repeats the writers' choices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sutra_client::{Batch, Client, Level};
use sutra_tests::store::Writing;
use sutra_tests::text::text_of;
use sutra_tests::world::{GrowthWriter, PairWriter, Watch, World, learn_version};
use sutra_tests::{Process, Random, TestStore, roles};

const KEYS: u32 = 256;

#[test]
fn four_readers_see_only_whole_versions_while_others_write() {
    let seconds = std::env::var("SUTRA_READERS_SECONDS").map_or(5, |s| s.parse().unwrap());
    let duration = Duration::from_secs(seconds);
    let mut random = Random::from_env("four_readers");
    let store = TestStore::started_with(|options| options.memory_threshold = 5_000);
    let world = World::new(KEYS);
    world.create(&mut store.client()).unwrap();

    let mut readers: Vec<Process> = (0..4)
        .map(|_| store.child(&roles::watch(store.dir(), KEYS, duration, random.next())))
        .collect();
    for reader in &mut readers {
        let line = reader.line();
        assert_eq!(line, "ready", "{}", reader.errors());
    }
    let is_over = AtomicBool::new(false);
    let mut pairs = PairWriter::new(world, random.fork());
    let mut growth = GrowthWriter::new(world, random.fork());
    let operations = std::thread::scope(|scope| {
        let writes = |mut step: Box<dyn FnMut(&mut Client) + Send>| {
            let (mut client, is_over) = (store.client(), &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    step(&mut client);
                }
                client.drain().unwrap();
                client.stats().unwrap().written
            })
        };
        let writers = [
            writes(Box::new(move |client| pairs.step(client).unwrap())),
            writes(Box::new(move |client| growth.step(client).unwrap())),
        ];
        let ends: Vec<_> =
            readers.iter_mut().map(|reader| (reader.line(), reader.wait())).collect();
        is_over.store(true, Ordering::Relaxed);
        for (reader, (line, status)) in readers.iter().zip(ends) {
            println!("{line}");
            assert!(status.success(), "{status}: {}", reader.errors());
        }
        writers.into_iter().map(|writer| writer.join().unwrap()).max()
    });
    println!("{} operations were written meanwhile", operations.unwrap_or(0));
    let mut watch = Watch::new(world, random.fork());
    for _ in 0..600 {
        watch.look(&store.reader()).unwrap();
    }
}

/// A world at rest, and what a watch says about it after `change`.
fn said_after(change: impl FnOnce(&mut Client, &mut Watch)) -> String {
    let store = TestStore::started();
    let world = World::new(4);
    let mut client = store.client();
    world.create(&mut client).unwrap();
    let mut watch = Watch::new(world, Random::new(1));
    let reader = store.reader();
    // Long enough for every kind of check to come.
    for _ in 0..600 {
        watch.look(&reader).unwrap();
    }
    change(&mut client, &mut watch);
    (0..600).find_map(|_| watch.look(&reader).err()).expect("what was planted is found")
}

fn write(client: &mut Client, is_atomic: bool, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    fill(batch.atomic(is_atomic));
    assert!(client.write(&batch, Level::Visible).unwrap().errors.is_empty());
}

#[test]
fn a_torn_text_is_found() {
    let said = said_after(|client, _| {
        let text = text_of("key-1", 2);
        drop(client.learn("key-1", &text[..text.len() - 1]));
    });
    assert!(said.contains("torn"), "{said}");
}

#[test]
fn a_version_with_the_text_of_another_is_found() {
    let said = said_after(|client, _| drop(client.learn("key-1", &text_of("key-1", 1))));
    assert!(said.contains("version 2 of key-1 has a text"), "{said}");
}

#[test]
fn a_version_that_goes_back_is_found() {
    let said = said_after(|_, watch| watch.remember("key-1", 2));
    assert!(said.contains("key-1 went back from version 2 to 1"), "{said}");
}

#[test]
fn half_of_an_atomic_frame_is_found() {
    let said = said_after(|client, _| {
        write(client, false, |batch| learn_version(batch, "key-1", 2).unwrap());
    });
    assert!(said.contains("pair 0 has versions 1 and 2"), "{said}");
}

#[test]
fn a_key_that_vanishes_is_found() {
    let said = said_after(|client, _| {
        write(client, false, |batch| learn_version(batch, "count", 2).unwrap());
    });
    assert!(said.contains("new-0 has vanished"), "{said}");
}

#[test]
fn a_link_that_goes_back_is_found() {
    let said = said_after(|_, watch| watch.remember("the link of key-2", 9));
    assert!(said.contains("the link of key-2 went back"), "{said}");
}
