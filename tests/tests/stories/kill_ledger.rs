//! The coordinator is killed at random moments, again and again, while writers write and a reader
//! reads. Whatever was acknowledged, at whatever level, is there afterwards, once.
//!
//! `SUTRA_KILL_CYCLES` or `SUTRA_KILL_SECONDS` sets how often it is killed, `SUTRA_SEED` repeats a
//! run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sutra_client::Client;
use sutra_client::protocol::{FrameKind, Horizon};
use sutra_coordinator::{KillPoint, Options, SyncMode};
use sutra_reader::Reader;
use sutra_tests::ledger::{
    Ledger, LedgerWatch, Sharing, Style, Versions, count_versions, verify, write_until,
};
use sutra_tests::raw::{Session, bare, compact};
use sutra_tests::store::Writing;
use sutra_tests::text::text_of;
use sutra_tests::{Random, TestStore};

/// With all of its history, or with none: mostly that, or the store becomes large.
const HORIZONS: [Horizon; 3] =
    [Horizon::AsServed, Horizon::Time(u64::MAX), Horizon::Time(u64::MAX)];
const STYLES: [Style; 3] = [Style::Pipelined, Style::Repeating, Style::Pipelined];

/// Small enough that checkpoints, recycled segments and split indexes come often.
fn often(options: &mut Options, random: &mut Random) {
    options.memory_threshold = 50 + random.below(500);
    options.checkpoint_log_size = 16 << (10 + random.below(6));
    options.sync = match random.below(6) {
        0 => SyncMode::Off,
        1 => SyncMode::Interval(Duration::from_millis(5)),
        _ => SyncMode::Always,
    };
}

/// How one run of a coordinator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Recovery,
    Checkpoint,
    Compaction,
    Growth,
    Pause,
    Anywhere,
    Stop,
}

/// One run of a coordinator, and its end.
fn live_and_die(store: &mut TestStore, random: &mut Random) -> End {
    if store.kill_at.is_none() && random.one_in(6) {
        // In the midst of its recovery.
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        store.kill();
        return End::Recovery;
    }
    store.wait_until_ready().unwrap();
    std::thread::sleep(Duration::from_millis(5 + random.below(50)));
    if store.kill_at.is_some() {
        let _session = ask_for_compaction(store, random);
        store.wait_for_kill();
        return End::Compaction;
    }
    match random.below(8) {
        0 => return kill_in_a_checkpoint(store, random),
        1 => return kill_after_growth(store, random),
        2 => return kill_in_a_compaction(store, random),
        _ => {}
    }
    if random.one_in(5) {
        store.client().flush().unwrap();
    }
    if random.one_in(5) {
        let horizon = *random.pick(&HORIZONS);
        let done = store.client().compact(horizon, &[], Duration::from_secs(60)).unwrap();
        assert!(done.generation > 1, "{done:?}");
    }
    match random.below(20) {
        0 => {
            store.client().stop().unwrap();
            store.wait_for_end();
            return End::Stop;
        }
        1 => {
            store.stop();
            return End::Stop;
        }
        2 | 3 => {
            store.pause();
            std::thread::sleep(Duration::from_millis(random.below(5)));
            store.kill();
            return End::Pause;
        }
        _ => store.kill(),
    }
    End::Anywhere
}

/// A checkpoint is asked for, and not waited for.
fn kill_in_a_checkpoint(store: &mut TestStore, random: &mut Random) -> End {
    let mut session = Session::greeted(store.dir(), [99; 16]);
    session.send(&bare(FrameKind::Flush, 1));
    std::thread::sleep(Duration::from_micros(random.below(4000)));
    store.kill();
    End::Checkpoint
}

fn ask_for_compaction(store: &TestStore, random: &mut Random) -> Session {
    let mut session = Session::greeted(store.dir(), [98; 16]);
    session.send(&compact(*random.pick(&HORIZONS), 1));
    session
}

/// A compaction is asked for, and not waited for.
fn kill_in_a_compaction(store: &mut TestStore, random: &mut Random) -> End {
    let _session = ask_for_compaction(store, random);
    std::thread::sleep(Duration::from_micros(random.below(30_000)));
    store.kill();
    End::Compaction
}

/// The file has just become larger.
fn kill_after_growth(store: &mut TestStore, random: &mut Random) -> End {
    let size = || std::fs::metadata(store.storage_path()).map_or(0, |metadata| metadata.len());
    let (before, started_at) = (size(), Instant::now());
    while size() == before && started_at.elapsed() < Duration::from_millis(100) {
        std::thread::sleep(Duration::from_micros(50));
    }
    std::thread::sleep(Duration::from_micros(random.below(500)));
    store.kill();
    End::Growth
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_applied_twice_however_often_it_is_killed() {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seconds = number("SUTRA_KILL_SECONDS");
    // By time, or so many.
    let cycles_max = number("SUTRA_KILL_CYCLES").unwrap_or(seconds.map_or(300, |_| u64::MAX));
    let mut cycles = 0;
    let mut ends: BTreeMap<End, u64> = BTreeMap::new();
    let mut random = Random::from_env("kill_ledger");
    let mut store = TestStore::started();
    let sharing = Sharing::new(store.dir(), STYLES.len());
    let started_at = Instant::now();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, style) in STYLES.into_iter().enumerate() {
            let (sharing, random) = (&sharing, random.fork());
            threads.push(scope.spawn(move || write_until(sharing, number, style, random)));
        }
        let reader = store.reader();
        let watching = &sharing;
        threads.push(scope.spawn(move || watch(&reader, watching)));

        let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while cycles < cycles_max
                && seconds.is_none_or(|seconds| started_at.elapsed().as_secs() < seconds)
            {
                let cycle = cycles;
                cycles += 1;
                *ends.entry(live_and_die(&mut store, &mut random)).or_insert(0) += 1;
                let acknowledged = sharing.ledgers();
                often(&mut store.options, &mut random);
                // Or by itself, at one of the steps by which files take each other's place.
                store.kill_at = random.one_in(12).then(|| *random.pick(&KillPoint::ALL));
                store.spawn();
                if random.one_in(3) {
                    store.wait_until_ready().unwrap();
                    let snapshot = store.reader().snapshot().unwrap();
                    for (before, after) in acknowledged.iter().zip(sharing.ledgers()) {
                        verify(&snapshot, before, &after)
                            .unwrap_or_else(|problem| panic!("cycle {cycle}: {problem}"));
                    }
                }
                if threads.iter().any(|thread| thread.is_finished()) {
                    break; // it says why below
                }
            }
            store.wait_until_ready().unwrap();
        }));
        sharing.end();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        if let Err(panic) = died {
            std::panic::resume_unwind(panic);
        }
    });

    let ledgers = sharing.ledgers();
    store.client().flush().unwrap();
    check_end(&store, &ledgers);
    store.restart();
    check_end(&store, &ledgers);
    let operations: u64 = ledgers.iter().map(Ledger::operations).sum();
    println!(
        "CHECKS {cycles} kills and stops {ends:?}, {operations} operations acknowledged, in {:.1} s",
        started_at.elapsed().as_secs_f32()
    );
}

/// Everything was answered: the store holds exactly what the ledgers say.
fn check_end(store: &TestStore, ledgers: &[Ledger]) {
    let snapshot = store.reader().snapshot().unwrap();
    for ledger in ledgers {
        assert!(ledger.is_settled());
        verify(&snapshot, ledger, ledger).unwrap();
    }
    count_versions(&snapshot).unwrap();
    let operations: u64 = ledgers.iter().map(Ledger::operations).sum();
    assert_eq!(snapshot.stats().written, operations);
}

/// The reader that stays open across all kills.
fn watch(reader: &Reader, sharing: &Sharing) -> Result<(), String> {
    let mut watch = LedgerWatch::default();
    while !sharing.is_over() {
        watch.look(reader, || sharing.ledgers())?;
        let snapshot = reader.snapshot().map_err(|error| error.to_string())?;
        reader
            .wait_for_update(snapshot.commit_seq(), Duration::from_millis(10))
            .map_err(|error| error.to_string())?;
        // A look is long beside a publication, and the others need the processors too.
        std::thread::sleep(Duration::from_millis(3));
    }
    println!("the reader that stayed open looked {} times", watch.looks);
    Ok(())
}

/// A store with a few frames of one writer, and its ledger.
fn settled() -> (TestStore, Client, Ledger) {
    let store = TestStore::started();
    let mut client = store.client();
    let mut ledger = Ledger::new("w0");
    let mut random = Random::new(7);
    while (0..6).any(|concept| ledger.versions(concept).sent == 0) {
        let frame = ledger.next_frame(&mut random);
        let answer = client.write(&frame.batch, sutra_client::Level::Visible);
        ledger.answered(&frame, &answer).unwrap();
    }
    verify(&store.reader().snapshot().unwrap(), &ledger, &ledger).unwrap();
    (store, client, ledger)
}

#[test]
fn a_ledger_that_is_told_of_a_write_that_never_was_finds_it_lost() {
    let (store, _client, mut ledger) = settled();
    let Versions { sent, acknowledged } = ledger.versions(2);
    ledger.lie(2, Versions { sent: sent + 1, acknowledged: acknowledged + 1 });
    let snapshot = store.reader().snapshot().unwrap();
    let problem = verify(&snapshot, &ledger, &ledger).unwrap_err();
    assert!(problem.contains("is lost"), "{problem}");
}

#[test]
fn a_write_that_is_applied_twice_is_found() {
    let (store, mut client, ledger) = settled();
    let name = ledger.name(2);
    client.learn(&name, &text_of(&name, ledger.versions(2).sent));
    let snapshot = store.reader().snapshot().unwrap();
    let problem = verify(&snapshot, &ledger, &ledger).unwrap_err();
    assert!(problem.contains("applied twice"), "{problem}");
}

#[test]
fn an_association_that_is_applied_twice_is_found() {
    let (store, mut client, _ledger) = settled();
    let mut snapshot = store.reader().snapshot().unwrap();
    assert!(count_versions(&snapshot).unwrap() > 0);
    client.associate("w0-1", "beside", "w0-0");
    snapshot = store.reader().snapshot().unwrap();
    count_versions(&snapshot).unwrap();
    client.associate("w0-1", "beside", "w0-0");
    snapshot = store.reader().snapshot().unwrap();
    let problem = count_versions(&snapshot).unwrap_err();
    assert!(problem.contains("applied twice"), "{problem}");
}

#[test]
fn a_reader_that_was_shown_a_later_version_finds_that_it_went_back() {
    let (store, _client, ledger) = settled();
    let mut watch = LedgerWatch::default();
    let ledgers = || vec![ledger.clone()];
    watch.look(&store.reader(), ledgers).unwrap();
    watch.remember("w0-2", ledger.versions(2).sent + 1);
    let problem = watch.look(&store.reader(), ledgers).unwrap_err();
    assert!(problem.contains("went back"), "{problem}");
}
