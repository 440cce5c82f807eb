//! Random frames, restarts and kills against a plain model in memory, compared after every step.
//!
//! The shortest frames that fail are printed; `PROPTEST_CASES` sets how many runs there are, and
//! `SUTRA_SEED` repeats them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sutra_client::{Batch, ClientError, Level};
use sutra_reader::Snapshot;
use sutra_tests::model::{DIMENSION, Kind, Model, Name, Step, encode};
use sutra_tests::{Random, TestStore};

#[derive(Clone, Debug)]
enum Turn {
    Frame { steps: Vec<Step>, is_atomic: bool },
    Restart,
    Kill,
    Flush,
    Hold,
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(""), 1 => Just("other")].prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        8 => (0..6u8).prop_map(|at| Name::Text(format!("id-{at}"))),
        2 => (0..3u8).prop_map(|at| Name::Raw([at; 16])),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z]{0,12}", 1 => "\\PC{0,40}", 1 => Just("x".repeat(5000))]
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    prop_oneof![
        6 => vec(-1.0f32..1.0, DIMENSION),
        1 => vec(-1.0f32..1.0, DIMENSION - 1),
        1 => Just(vec![0.0; DIMENSION]),
        1 => Just(vec![f32::NAN; DIMENSION]),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => "[ab]".prop_map(Kind::Name),
        2 => Just(Kind::Name("causal".to_owned())),
        2 => (0..5u16).prop_map(Kind::Number),
        1 => (14..19u16).prop_map(Kind::Number),
    ]
}

fn learn() -> impl Strategy<Value = Step> {
    let id = prop_oneof![6 => name(), 1 => Just(Name::Content)];
    let fields = (option::of(text()), option::of(0.0f32..1.0), option::of(0.0f32..1.0));
    let more = (option::of(vector()), option::of(text()), option::of("[kl]"));
    let rest = (option::of(1..9u64), prop::bool::weighted(0.1));
    (namespace(), id, fields, more, rest).prop_map(
        |(namespace, id, (content, strength, confidence), (embedding, metadata, kind), rest)| {
            let is_nameless = id == Name::Content;
            Step::Learn {
                namespace,
                content: if is_nameless {
                    content.or(Some("only this".to_owned()))
                } else {
                    content
                },
                id,
                strength,
                confidence,
                embedding,
                metadata,
                kind,
                created_at: rest.0,
                expires_at: None,
                if_absent: rest.1,
            }
        },
    )
}

fn associate() -> impl Strategy<Value = Step> {
    let fields = (option::of(0.0f32..1.0), option::of(-9.0f32..9.0), option::of(text()));
    let far = 1u64 << 60;
    let rest = (option::of(far..far + 9), prop::bool::weighted(0.3), prop::bool::weighted(0.1));
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
                if_absent: rest.2,
            }
        },
    )
}

fn forget() -> impl Strategy<Value = Step> {
    (namespace(), name()).prop_map(|(namespace, id)| Step::Forget { namespace, id })
}

fn disassociate() -> impl Strategy<Value = Step> {
    (namespace(), name(), name(), option::of(kind())).prop_map(
        |(namespace, source, target, kind)| Step::Disassociate { namespace, source, target, kind },
    )
}

fn reinforce() -> impl Strategy<Value = Step> {
    // Steps that are exact in 32 bits, in whatever order they are added.
    let delta = || option::of((-64..64i8).prop_map(|steps| f32::from(steps) / 64.0));
    (namespace(), name(), delta(), delta()).prop_map(|(namespace, id, strength, confidence)| {
        Step::Reinforce { namespace, id, strength, confidence }
    })
}

fn turn() -> impl Strategy<Value = Turn> {
    let step = prop_oneof![
        6 => learn(),
        6 => associate(),
        1 => forget(),
        1 => disassociate(),
        2 => reinforce(),
    ];
    let frame = (vec(step, 1..8), prop::bool::weighted(0.3));
    prop_oneof![
        16 => frame.prop_map(|(steps, is_atomic)| Turn::Frame { steps, is_atomic }),
        1 => Just(Turn::Restart),
        2 => Just(Turn::Kill),
        1 => Just(Turn::Flush),
        2 => Just(Turn::Hold),
    ]
}

fn run(turns: &[Turn]) -> Result<(), String> {
    let mut store = TestStore::started_with(|options| {
        options.vector_dimension = Some(DIMENSION as u32);
        options.memory_threshold = 8;
    });
    let mut client = store.client();
    let reader = store.reader();
    let mut model = Model::default();
    let mut held: Vec<(Snapshot, Model)> = Vec::new();
    for turn in turns {
        match turn {
            Turn::Frame { steps, is_atomic } => {
                let mut batch = Batch::new();
                encode(steps, *is_atomic, &mut batch);
                let found = match client.write(&batch, Level::Visible) {
                    Ok(receipt) => {
                        Ok(receipt.errors.iter().map(|error| (error.index, error.code)).collect())
                    }
                    Err(ClientError::Refused { code, .. }) => Err(code),
                    Err(error) => return Err(error.to_string()),
                };
                let expected = model.apply(steps, *is_atomic);
                if found != expected {
                    return Err(format!("the answer is {found:?}, not {expected:?}"));
                }
                if expected.is_err() {
                    // A refusal is answered when it is kept, which may be before it is visible.
                    client.wait(model.lsn, Level::Visible, sutra_tests::wait::DEADLINE).unwrap();
                }
            }
            Turn::Restart => store.restart(),
            Turn::Kill => store.kill_and_restart(),
            Turn::Flush => drop(client.flush().map_err(|error| error.to_string())?),
            Turn::Hold => held.push((reader.snapshot().unwrap(), model.clone())),
        }
        let snapshot = reader.snapshot().map_err(|error| error.to_string())?;
        model.compare(&snapshot)?;
    }
    for (snapshot, then) in &held {
        then.compare(snapshot).map_err(|difference| format!("a held snapshot: {difference}"))?;
    }
    model.compare(&store.reader().snapshot().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(48, |cases| cases.parse().unwrap()),
        max_shrink_iters: 200,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(Random::from_env("model").next()),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_does_what_the_model_does(turns in vec(turn(), 1..30)) {
        run(&turns).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_model_that_forgets_a_field_is_told_from_the_store() {
    let store = TestStore::started_with(|options| options.vector_dimension = Some(3));
    let learn = |content: &str, metadata: Option<&str>| Step::Learn {
        namespace: String::new(),
        id: Name::Text("id-0".to_owned()),
        content: Some(content.to_owned()),
        strength: None,
        confidence: None,
        embedding: None,
        metadata: metadata.map(str::to_owned),
        kind: None,
        created_at: None,
        expires_at: None,
        if_absent: false,
    };
    let frames = [[learn("a", Some("kept"))], [learn("b", None)]];
    let mut model = Model::default();
    let mut client = store.client();
    for steps in &frames {
        let mut batch = Batch::new();
        encode(steps, false, &mut batch);
        client.write(&batch, Level::Visible).unwrap();
        model.apply(steps, false).unwrap();
    }
    let snapshot = store.reader().snapshot().unwrap();
    model.compare(&snapshot).unwrap();
    for concept in model.concepts.values_mut() {
        concept.metadata = None;
    }
    let difference = model.compare(&snapshot).unwrap_err();
    assert!(difference.contains("kept"), "{difference}");
}
