//! The store at every one of its log entries, what its changes tell, and what filters let through,
//! against plain models in memory, after random frames, clean stops and kills.
//!
//! The shortest frames that fail are printed; `PROPTEST_CASES` sets how many runs there are, and
//! `SUTRA_SEED` repeats them.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sutra_client::{Batch, ClientError, Level};
use sutra_reader::{Filter, Snapshot};
use sutra_tests::model::{DIMENSION, Kind, LONG_AGO_US, Model, Name, Step, encode};
use sutra_tests::replay::{check_changes, living, replay};
use sutra_tests::sieve::{Sieve, compare_filtered};
use sutra_tests::{Random, TestStore, wait};

#[derive(Clone, Debug)]
enum Turn {
    Frame { steps: Vec<Step>, is_atomic: bool, is_waited: bool },
    Restart,
    Kill,
    Hold,
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(""), 1 => Just("other")].prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        5 => (0..4u8).prop_map(|at| Name::Text(format!("id-{at}"))),
        1 => (0..2u8).prop_map(|at| Name::Raw([at; 16])),
    ]
}

/// A time that is over, or one that no story sees.
fn end() -> impl Strategy<Value = u64> {
    let far = 1u64 << 60;
    prop_oneof![1 => 1..LONG_AGO_US, 1 => far..far + 9]
}

fn metadata() -> impl Strategy<Value = String> {
    (option::of(0..4u8), option::of("[ab]"), option::of("[a-c]{1,2}")).prop_map(|(n, s, key)| {
        let fields = [
            n.map(|n| format!("\"n\":{n}")),
            s.map(|s| format!("\"s\":\"{s}\"")),
            key.map(|key| format!("\"deep\":{{\"key\":\"{key}\"}}")),
        ];
        format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(", "))
    })
}

/// From 0 to 1 in steps that are exact, so that sums do not depend on their order.
fn part() -> impl Strategy<Value = f32> {
    (0..=8u8).prop_map(|eighths| f32::from(eighths) / 8.0)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => "[ab]".prop_map(Kind::Name),
        1 => (0..3u16).prop_map(Kind::Number),
    ]
}

fn learn() -> impl Strategy<Value = Step> {
    let id = prop_oneof![8 => name(), 1 => Just(Name::Content)];
    let fields = (option::of("[a-z]{0,6}"), option::of(part()), option::of(part()));
    let more = (
        option::weighted(0.2, vec(0.5f32..1.0, DIMENSION)),
        option::of(metadata()),
        option::of("[kl]"),
    );
    let times = (option::weighted(0.2, 1..9u64), option::weighted(0.2, end()));
    (namespace(), id, fields, more, times).prop_map(
        |(namespace, id, (content, strength, confidence), (embedding, metadata, kind), times)| {
            // Without an id there must be a content to hash.
            let is_nameless = id == Name::Content;
            let content = content.or(is_nameless.then(|| "only this".to_owned()));
            Step::Learn {
                namespace,
                id,
                content,
                strength,
                confidence,
                embedding,
                metadata,
                kind,
                created_at: times.0,
                expires_at: times.1,
                if_absent: false,
            }
        },
    )
}

fn associate() -> impl Strategy<Value = Step> {
    let fields = (option::of(part()), option::of(part()), option::of(metadata()));
    let rest = (option::weighted(0.2, end()), prop::bool::weighted(0.5));
    (namespace(), name(), name(), kind(), fields, rest).prop_map(
        |(namespace, source, target, kind, (confidence, weight, properties), rest)| {
            Step::Associate {
                namespace,
                source,
                target,
                kind,
                confidence,
                weight,
                properties,
                valid_until: rest.0,
                create_missing: rest.1,
                if_absent: false,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let forget = (namespace(), name()).prop_map(|(namespace, id)| Step::Forget { namespace, id });
    let disassociate = (namespace(), name(), name(), option::of(kind())).prop_map(
        |(namespace, source, target, kind)| Step::Disassociate { namespace, source, target, kind },
    );
    let delta = || option::of((-8..8i8).prop_map(|steps| f32::from(steps) / 64.0));
    let reinforce = (namespace(), name(), delta(), delta()).prop_map(
        |(namespace, id, strength, confidence)| Step::Reinforce {
            namespace,
            id,
            strength,
            confidence,
        },
    );
    prop_oneof![6 => learn(), 6 => associate(), 2 => forget, 2 => disassociate, 2 => reinforce]
}

fn turn() -> impl Strategy<Value = Turn> {
    let frame = (vec(step(), 1..7), prop::bool::weighted(0.3), any::<bool>());
    prop_oneof![
        20 => frame.prop_map(|(steps, is_atomic, is_waited)| {
            // What is reinforced gets its version before the next publication: after this frame.
            let is_waited =
                is_waited || steps.iter().any(|step| matches!(step, Step::Reinforce { .. }));
            Turn::Frame { steps, is_atomic, is_waited }
        }),
        1 => Just(Turn::Restart),
        1 => Just(Turn::Kill),
        1 => Just(Turn::Hold),
    ]
}

fn sieve() -> impl Strategy<Value = Sieve> {
    let relation = || prop::sample::select(vec!["<", "<=", "=", "!=", ">=", ">"]);
    let numbers = vec!["strength", "confidence", "version", "lsn", "meta.n", "meta.s"];
    let number = (prop::sample::select(numbers), relation(), 0..=16u8)
        .prop_map(|(field, relation, n)| Sieve::Number(field, relation, f64::from(n) / 8.0));
    let texts = vec!["kind", "namespace", "id", "author", "meta.s", "meta.deep.key", "meta.n"];
    let word = || prop::sample::select(vec!["", "a", "b", "k", "l", "id-1", "other", "bc"]);
    let text = (prop::sample::select(texts.clone()), relation(), word())
        .prop_map(|(field, relation, text)| Sieve::Text(field, relation, text.to_owned()));
    let is_in = (prop::sample::select(texts), vec(word().prop_map(str::to_owned), 1..4))
        .prop_map(|(field, texts)| Sieve::In(field, texts));
    let optional = vec!["kind", "expires_at", "meta.n", "meta.deep", "meta.deep.key", "meta.none"];
    let exists = prop::sample::select(optional).prop_map(Sieve::Exists);
    prop_oneof![3 => number, 3 => text, 1 => is_in, 1 => exists].prop_recursive(3, 8, 2, |inner| {
        let pair = || (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.clone().prop_map(|inner| Sieve::Not(Box::new(inner))),
            pair().prop_map(|(a, b)| Sieve::And(a, b)),
            pair().prop_map(|(a, b)| Sieve::Or(a, b)),
        ]
    })
}

fn store() -> TestStore {
    TestStore::started_with(|options| {
        options.vector_dimension = Some(DIMENSION as u32);
        options.memory_threshold = 8;
    })
}

/// How many stores as they were have been compared, for who wants to know how much was tried.
static AS_OF_COUNT: AtomicU64 = AtomicU64::new(0);

/// Holds the store as it was after each log entry against the model of then.
fn compare_all(snapshot: &Snapshot, states: &[Model]) -> Result<(), String> {
    for lsn in 0..=snapshot.published_lsn() {
        let then = snapshot.as_of(lsn).map_err(|error| error.to_string())?;
        states[lsn as usize]
            .compare(&then)
            .map_err(|difference| format!("as of LSN {lsn}: {difference}"))?;
    }
    AS_OF_COUNT.fetch_add(snapshot.published_lsn() + 1, Ordering::Relaxed);
    Ok(())
}

fn run(turns: &[Turn], sieves: &[Sieve]) -> Result<(), String> {
    let mut store = store();
    let mut client = store.client();
    let reader = store.reader();
    let mut states = vec![Model::default()];
    let mut model = Model::default();
    let mut held = Vec::new();
    for turn in turns {
        match turn {
            Turn::Frame { steps, is_atomic, is_waited } => {
                let mut batch = Batch::new();
                encode(steps, *is_atomic, &mut batch);
                let level = if *is_waited { Level::Visible } else { Level::Accepted };
                let found = match client.write(&batch, level) {
                    Ok(receipt) => {
                        Ok(receipt.errors.iter().map(|error| (error.index, error.code)).collect())
                    }
                    Err(ClientError::Refused { code, .. }) => Err(code),
                    Err(error) => return Err(error.to_string()),
                };
                let expected =
                    model.apply_told(steps, *is_atomic, |state| states.push(state.clone()));
                if found != expected {
                    return Err(format!("the answer is {found:?}, not {expected:?}"));
                }
            }
            Turn::Restart => store.restart(),
            Turn::Kill => store.kill_and_restart(),
            Turn::Hold => held.push(reader.snapshot().map_err(|error| error.to_string())?),
        }
    }
    client.wait(model.lsn, Level::Visible, wait::DEADLINE).map_err(|error| error.to_string())?;
    held.push(reader.snapshot().map_err(|error| error.to_string())?);
    held.push(store.reader().snapshot().map_err(|error| error.to_string())?);
    for snapshot in &held {
        compare_all(snapshot, &states)?;
        compare_filtered(snapshot, sieves)?;
    }
    let newest = held.last().ok_or("no snapshot")?;
    if newest.published_lsn() != model.lsn {
        return Err(format!("{} is published, not {}", newest.published_lsn(), model.lsn));
    }
    compare_filtered(&newest.as_of(model.lsn / 2).unwrap(), sieves)?;
    compare_changes(newest)?;
    let as_of_count = AS_OF_COUNT.load(Ordering::Relaxed);
    println!("{} log entries; {as_of_count} stores as they were, up to now", model.lsn);
    Ok(())
}

/// Checks the changes of a snapshot, does them again in an empty store, and compares the two.
fn compare_changes(snapshot: &Snapshot) -> Result<(), String> {
    let all = check_changes(snapshot, 0)?;
    for since in [1, snapshot.published_lsn() / 2, snapshot.published_lsn()] {
        let later: Vec<u64> = all.iter().copied().filter(|lsn| *lsn > since).collect();
        if since > 0 && check_changes(snapshot, since)? != later {
            return Err(format!("the changes since {since} are not the last of all"));
        }
    }
    let copy = store();
    replay(snapshot, &mut copy.client())?;
    let copied = copy.reader().snapshot().map_err(|error| error.to_string())?;
    compare_living(snapshot, &copied)
}

fn compare_living(snapshot: &Snapshot, copied: &Snapshot) -> Result<(), String> {
    let counts = |of: &Snapshot| (of.concept_count(), of.association_count());
    if counts(copied) != counts(snapshot) {
        return Err(format!("the copy has {:?}, not {:?}", counts(copied), counts(snapshot)));
    }
    let (found, expected) = (living(copied)?, living(snapshot)?);
    match found == expected {
        true => Ok(()),
        false => Err(format!("the copy has {found:#?}, not {expected:#?}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(24, |cases| cases.parse().unwrap()),
        max_shrink_iters: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(Random::from_env("history").next()),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_as_it_was_is_what_the_model_was(
        turns in vec(turn(), 1..40),
        sieves in vec(sieve(), 8),
    ) {
        run(&turns, &sieves).map_err(TestCaseError::fail)?;
    }
}

fn learnt(content: &str) -> Step {
    Step::Learn {
        namespace: "other".to_owned(),
        id: Name::Text("id-0".to_owned()),
        content: Some(content.to_owned()),
        strength: Some(0.5),
        confidence: None,
        embedding: None,
        metadata: Some("{\"s\":\"a\"}".to_owned()),
        kind: Some("k".to_owned()),
        created_at: None,
        expires_at: None,
        if_absent: false,
    }
}

/// Each changes something that a reader sees, the reinforcing only by its second log entry.
fn life_of_a_concept() -> [Step; 7] {
    let (namespace, id) = ("other".to_owned(), Name::Text("id-0".to_owned()));
    let kind = Kind::Name("a".to_owned());
    let target = Name::Raw([1; 16]);
    [
        learnt("first"),
        learnt("second"),
        Step::Associate {
            namespace: namespace.clone(),
            source: id.clone(),
            target: target.clone(),
            kind: kind.clone(),
            confidence: None,
            weight: None,
            properties: None,
            valid_until: None,
            create_missing: true,
            if_absent: false,
        },
        Step::Reinforce {
            namespace: namespace.clone(),
            id: id.clone(),
            strength: Some(0.25),
            confidence: None,
        },
        Step::Disassociate {
            namespace: namespace.clone(),
            source: id.clone(),
            target,
            kind: Some(kind),
        },
        Step::Forget { namespace, id },
        learnt("third"),
    ]
}

#[test]
fn a_state_that_is_one_log_entry_behind_is_told_from_the_store() {
    let mut store = store();
    let mut client = store.client();
    let (mut model, mut states) = (Model::default(), vec![Model::default()]);
    for step in life_of_a_concept() {
        let mut batch = Batch::new();
        encode(std::slice::from_ref(&step), false, &mut batch);
        client.write(&batch, Level::Visible).unwrap();
        model.apply_told(&[step], false, |state| states.push(state.clone())).unwrap();
    }
    store.kill_and_restart();
    let snapshot = store.reader().snapshot().unwrap();
    compare_all(&snapshot, &states).unwrap();
    let reinforced_lsn = 4;
    for lsn in 1..=model.lsn {
        let mut behind = states[lsn as usize - 1].clone();
        behind.lsn = lsn;
        let difference = behind.compare(&snapshot.as_of(lsn).unwrap());
        assert_eq!(difference.is_ok(), lsn == reinforced_lsn, "LSN {lsn}: {difference:?}");
    }
    compare_changes(&snapshot).unwrap();
    // What was replayed is not what lived before the last log entry.
    let copy = self::store();
    replay(&snapshot, &mut copy.client()).unwrap();
    let copied = copy.reader().snapshot().unwrap();
    compare_living(&snapshot, &copied).unwrap();
    compare_living(&snapshot.as_of(model.lsn - 1).unwrap(), &copied).unwrap_err();
}

#[test]
fn a_filter_that_is_the_other_way_round_is_told_from_brute_force() {
    let store = store();
    let mut batch = Batch::new();
    encode(&[learnt("first")], false, &mut batch);
    store.client().write(&batch, Level::Visible).unwrap();
    let snapshot = store.reader().snapshot().unwrap();
    let sieve = Sieve::Text("meta.s", "=", "a".to_owned());
    let taken = compare_filtered(&snapshot, std::slice::from_ref(&sieve)).unwrap();
    assert_eq!(taken, 1);
    let other = Filter::parse(&Sieve::Not(Box::new(sieve.clone())).text()).unwrap();
    let concept = snapshot.get_in("other", "id-0").unwrap().unwrap();
    assert_ne!(other.matches(&concept).unwrap(), sieve.takes(&concept));
}
