//! Nearest concepts, against a sort of all distances in 64 bits.

use sutra_reader::{Hit, Metric, NearestQuery, ReadError, Reader};

use crate::support::random::Random;
use crate::support::{Learn, Writer};

fn with_vector(vector: &[f32]) -> Learn<'_> {
    Learn { content: "has a vector", vector: Some(vector), ..Learn::default() }
}

fn score(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| f(f64::from(*a), f64::from(*b))).sum()
    };
    let dot = sum(&|a, b| a * b);
    match metric {
        Metric::Cosine => dot / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt(),
        Metric::Dot => dot,
        Metric::L2 => -sum(&|a, b| (a - b) * (a - b)).sqrt(),
    }
}

#[test]
fn every_metric_ranks_as_a_sort_of_all_scores_does() {
    let mut random = Random::new(11);
    for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
        // 100 elements: rows of 448 bytes, so that blocks, extents and their columns' extents end
        // at different rows.
        let (dimension, count) = (100, 3000);
        let mut store = Writer::create();
        store.make_space(dimension, metric);
        let vectors: Vec<Vec<f32>> = (0..count).map(|_| random.vector(dimension)).collect();
        for (n, vector) in vectors.iter().enumerate() {
            store.learn_as(format!("{n}").as_str().into(), with_vector(vector));
        }
        store.publish();
        let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
        for _ in 0..5 {
            let query = random.vector(dimension);
            let mut expected: Vec<(f64, u32)> = vectors
                .iter()
                .enumerate()
                .map(|(n, vector)| (score(metric, &query, vector), n as u32))
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let k = 20;
            let nearest = NearestQuery { k, ..NearestQuery::default() };
            let hits = snapshot.nearest(&query, &nearest).unwrap();
            assert_eq!(hits.len(), k);
            for (hit, expected) in hits.iter().zip(&expected) {
                assert_eq!(hit.ordinal, expected.1, "{metric:?}");
                assert!((f64::from(hit.score) - expected.0).abs() < 1e-4);
            }
        }
    }
}

#[test]
fn only_the_newest_vector_of_a_present_concept_counts() {
    let mut store = Writer::create();
    store.make_space(2, Metric::L2);
    let at = |x: f32| [x, 0.0];
    let a = store.learn_as("a".into(), with_vector(&at(1.0)));
    let b = store.learn_as("b".into(), with_vector(&at(2.0)));
    let c = store.learn_as("c".into(), with_vector(&at(3.0)));
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let before = reader.snapshot().unwrap();

    store.learn_as("a".into(), with_vector(&at(10.0)));
    store.forget("b");
    let brief = Learn { expires_at: 1, ..with_vector(&[0.0, 0.0]) };
    store.learn_as("brief".into(), brief);
    store.learn("c", "has no vector any more");
    let d = store.learn_as("d".into(), with_vector(&at(4.0)));
    store.publish();
    let after = reader.snapshot().unwrap();

    let hit = |ordinal, score| Hit { ordinal, score };
    let origin = [0.0, 0.0];
    let all = NearestQuery { k: usize::MAX, ..NearestQuery::default() };
    assert_eq!(before.nearest(&origin, &all).unwrap(), [hit(a, -1.0), hit(b, -2.0), hit(c, -3.0)]);
    assert_eq!(after.nearest(&origin, &all).unwrap(), [hit(d, -4.0), hit(a, -10.0)]);
    let without = NearestQuery { exclude: Some(d), k: 1, ..all };
    assert_eq!(after.nearest(&origin, &without).unwrap(), [hit(a, -10.0)]);
    assert_eq!(after.nearest(&origin, &NearestQuery { k: 0, ..all }).unwrap(), []);
}

#[test]
fn a_concept_keeps_its_vector_in_one_space_when_it_is_given_one_in_another() {
    let mut store = Writer::create();
    let old = store.make_space(2, Metric::L2);
    let new = store.make_space(3, Metric::Dot);
    let a = store.learn_as("a".into(), with_vector(&[1.0, 0.0]));
    let of_new_model = Learn { space: new, ..with_vector(&[1.0, 2.0, 3.0]) };
    store.learn_as("a".into(), of_new_model);
    let b = store.learn_as("b".into(), of_new_model);
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let found = |space, vector: &[f32]| {
        let query = NearestQuery { space, ..NearestQuery::default() };
        let hits = snapshot.nearest(vector, &query).unwrap();
        hits.iter().map(|hit| hit.ordinal).collect::<Vec<u32>>()
    };
    assert_eq!(found(old, &[1.0, 0.0]), [a]);
    assert_eq!(found(new, &[1.0, 1.0, 1.0]), [a, b]);
    let concept = snapshot.get("a").unwrap().unwrap();
    assert_eq!(concept.embedding_in(old).unwrap(), Some(&[1.0, 0.0][..]));
    assert_eq!(concept.embedding_in(new).unwrap(), concept.embedding().unwrap());
    assert_eq!(concept.embedding_in(2).unwrap(), None);
    let concept = snapshot.get("b").unwrap().unwrap();
    assert_eq!(concept.embedding_in(old).unwrap(), None);
}

#[test]
fn equally_near_concepts_come_by_ordinal_whichever_row_is_first() {
    let mut store = Writer::create();
    store.make_space(3, Metric::Dot);
    let ordinals: Vec<u32> = (0..40).map(|n| store.learn(&format!("{n}"), "")).collect();
    for n in ordinals.iter().rev() {
        store.learn_as(format!("{n}").as_str().into(), with_vector(&[1.0, 2.0, 3.0]));
    }
    store.publish();
    let snapshot = Reader::open(store.path()).unwrap().snapshot().unwrap();
    let query = NearestQuery { k: 7, ..NearestQuery::default() };
    let hits = snapshot.nearest(&[1.0, 1.0, 1.0], &query).unwrap();
    let found: Vec<u32> = hits.iter().map(|hit| hit.ordinal).collect();
    assert_eq!(found, ordinals[..7]);
}

#[test]
fn a_vector_that_cannot_be_compared_is_refused_by_name() {
    let mut store = Writer::create();
    let empty = Reader::open(store.path()).unwrap();
    let query = NearestQuery::default();
    assert_eq!(empty.snapshot().unwrap().nearest(&[1.0], &query).unwrap(), []);

    store.make_space(2, Metric::Cosine);
    store.make_space(2, Metric::Dot);
    store.publish();
    let snapshot = empty.snapshot().unwrap();
    assert_eq!(snapshot.nearest(&[1.0, 0.0], &query).unwrap(), []);
    let refused = |vector: &[f32], space| {
        let query = NearestQuery { space, ..query };
        snapshot.nearest(vector, &query).unwrap_err()
    };
    assert!(matches!(
        refused(&[1.0], 0),
        ReadError::WrongDimension { space: 0, found: 1, expected: 2 }
    ));
    assert!(matches!(refused(&[0.0, f32::NAN], 1), ReadError::NotFinite { at: 1, .. }));
    assert!(matches!(refused(&[f32::INFINITY, 0.0], 0), ReadError::NotFinite { at: 0, .. }));
    assert!(matches!(refused(&[0.0, -0.0], 0), ReadError::ZeroVector));
    assert!(snapshot.nearest(&[0.0, 0.0], &NearestQuery { space: 1, ..query }).is_ok());
    assert!(matches!(refused(&[1.0, 0.0], 2), ReadError::NoSuchSpace { space: 2, count: 2 }));
    assert!(matches!(refused(&[1.0], usize::MAX), ReadError::NoSuchSpace { .. }));
}
