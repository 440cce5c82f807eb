//! Vectors in a live store: the dimension is learnt, what cannot be compared is refused, and nearest
//! is exact.

use sutra_client::{Client, ErrorCode, Learn, Receipt};
use sutra_layout::space::Metric;
use sutra_reader::{NearestQuery, ReadError, Snapshot};
use sutra_tests::store::Writing;
use sutra_tests::{Random, TestStore};

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];
const DIMENSION: usize = 12;

fn learn(client: &mut Client, id: &str, vector: &[f32]) -> Receipt {
    let learn = Learn { id: id.into(), embedding: Some(vector), ..Learn::default() };
    client.batch(|batch| batch.learn(&learn).unwrap()).unwrap()
}

fn code(client: &mut Client, id: &str, vector: &[f32]) -> Option<(ErrorCode, u64)> {
    let receipt = learn(client, id, vector);
    receipt.errors.first().map(|error| (error.code, error.detail))
}

#[test]
fn the_first_vector_tells_the_dimension_and_others_are_refused() {
    let mut store = TestStore::started();
    let mut client = store.client();
    let mismatch = Some((ErrorCode::DimensionMismatch, 3));
    assert_eq!(code(&mut client, "a", &[1.0, 2.0, 3.0]), None);
    assert_eq!(code(&mut client, "b", &[1.0, 2.0]), mismatch);
    // Also after a restart, by whatever end.
    store.kill_and_restart();
    assert_eq!(code(&mut client, "b", &[1.0; 4]), mismatch);
    store.restart();
    assert_eq!(code(&mut client, "b", &[1.0; 4]), mismatch);
    assert_eq!(code(&mut client, "b", &[0.0, 0.0, 1.0]), None);
    let snapshot = store.reader().snapshot().unwrap();
    assert_eq!(snapshot.space(0).unwrap().dimension, 3);
    assert_eq!(snapshot.concept_count(), 2, "a refused operation makes no concept");
}

#[test]
fn the_dimension_given_at_creation_holds_from_the_first_vector_on() {
    let store = TestStore::started_with(|options| {
        options.vector_dimension = Some(5);
        options.metric = Metric::Dot;
    });
    let mismatch = Some((ErrorCode::DimensionMismatch, 5));
    assert_eq!(code(&mut store.client(), "a", &[1.0; 4]), mismatch);
    assert_eq!(code(&mut store.client(), "a", &[1.0; 5]), None);
    assert_eq!(store.reader().snapshot().unwrap().space(0).unwrap().metric, Metric::Dot);
}

#[test]
fn vectors_of_two_dimensions_in_one_first_frame_are_told_apart() {
    let store = TestStore::started();
    let receipt = store.client().batch(|batch| {
        for (id, vector) in [("a", &[1.0, 0.0][..]), ("b", &[1.0, 0.0, 0.0]), ("c", &[0.0, 1.0])] {
            let learn = Learn { id: id.into(), embedding: Some(vector), ..Learn::default() };
            batch.learn(&learn).unwrap();
        }
    });
    let errors = receipt.unwrap().errors;
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].index, errors[0].code), (1, ErrorCode::DimensionMismatch));
}

#[test]
fn a_vector_that_cannot_be_compared_is_refused() {
    for metric in METRICS {
        let store = TestStore::started_with(|options| options.metric = metric);
        let mut client = store.client();
        let invalid = Some(ErrorCode::InvalidVector);
        let mut code_of = |vector: &[f32]| code(&mut client, "a", vector).map(|(code, _)| code);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(code_of(&[1.0, bad]), invalid, "{metric:?} {bad}");
        }
        assert_eq!(code_of(&[]), invalid);
        let of_zeros = if metric == Metric::Cosine { invalid } else { None };
        assert_eq!(code_of(&[0.0, 0.0]), of_zeros, "{metric:?}");
        assert_eq!(code_of(&[1.0, 0.0]), None);
        let snapshot = store.reader().snapshot().unwrap();
        let ask = |vector: &[f32]| snapshot.nearest(vector, &NearestQuery::default());
        assert!(matches!(ask(&[1.0]), Err(ReadError::WrongDimension { expected: 2, .. })));
        assert!(matches!(ask(&[f32::NAN, 1.0]), Err(ReadError::NotFinite { at: 0, .. })));
        assert_eq!(matches!(ask(&[0.0; 2]), Err(ReadError::ZeroVector)), metric == Metric::Cosine);
    }
}

/// How near two vectors are, in 64 bits.
fn score(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |of: fn(f64, f64) -> f64| {
        a.iter().zip(b).map(|(a, b)| of(f64::from(*a), f64::from(*b))).sum::<f64>()
    };
    let dot = sum(|a, b| a * b);
    match metric {
        Metric::Cosine => dot / (sum(|a, _| a * a).sqrt() * sum(|_, b| b * b).sqrt()),
        Metric::Dot => dot,
        Metric::L2 => -sum(|a, b| (a - b) * (a - b)).sqrt(),
    }
}

/// Holds the nearest of a snapshot against all vectors that are in it.
fn check_nearest(snapshot: &Snapshot, metric: Metric, query: &[f32], k: usize) {
    let mut expected: Vec<(u32, f64)> = Vec::new();
    for concept in snapshot.concepts() {
        let concept = concept.unwrap();
        if let Some(vector) = concept.embedding().unwrap() {
            expected.push((concept.ordinal(), score(metric, query, vector)));
        }
    }
    expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let hits = snapshot.nearest(query, &NearestQuery { k, ..NearestQuery::default() }).unwrap();
    assert_eq!(hits.len(), k.min(expected.len()));
    for (hit, (_, at_this_rank)) in hits.iter().zip(&expected) {
        let own = expected.iter().find(|(ordinal, _)| *ordinal == hit.ordinal);
        let (_, own) = own.expect("a hit has a vector in this snapshot");
        // Ranks may differ where scores are the same in 32 bits.
        for exact in [own, at_this_rank] {
            let difference = (f64::from(hit.score) - exact).abs();
            assert!(difference < 1e-4, "{metric:?}: {hit:?} and {exact}");
        }
    }
}

#[test]
fn nearest_is_exact_for_every_metric_while_vectors_come_and_change() {
    let mut random = Random::from_env("vectors");
    for metric in METRICS {
        let mut store = TestStore::started_with(|options| options.metric = metric);
        let mut client = store.client();
        let reader = store.reader();
        let mut held = Vec::new();
        for round in 0..6 {
            let written = client.batch(|batch| {
                for _ in 0..120 {
                    let id = format!("id-{}", random.below(400));
                    let vector: Vec<f32> = (0..DIMENSION).map(|_| random.element()).collect();
                    let embedding = Some(vector.as_slice()).filter(|_| !random.one_in(8));
                    let learn = Learn { id: id.as_str().into(), embedding, ..Learn::default() };
                    batch.learn(&learn).unwrap();
                }
            });
            assert!(written.unwrap().errors.is_empty());
            if round == 3 {
                store.kill_and_restart();
            }
            let query: Vec<f32> = (0..DIMENSION).map(|_| random.element()).collect();
            held.push((reader.snapshot().unwrap(), query));
            // An older snapshot has its own vectors, whatever was written since.
            for (snapshot, query) in &held {
                for k in [1, 10, 1000] {
                    check_nearest(snapshot, metric, query, k);
                }
            }
        }
    }
}
