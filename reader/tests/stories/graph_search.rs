//! Nearest through the graph, against the exact scan, on stores with updates, forgets and filters.

use std::collections::HashSet;

use sutra_reader::{Filter, Hit, Metric, NearestQuery, Predicate, Reader, Snapshot};

use crate::support::random::Random;
use crate::support::{Learn, Writer};

const DIMENSION: usize = 24;

/// A store whose vectors lie in clusters, as those of texts do.
struct Clustered {
    store: Writer,
    random: Random,
    centers: Vec<Vec<f32>>,
    known: u32,
}

impl Clustered {
    fn new(seed: u64, metric: Metric) -> Clustered {
        let mut random = Random::new(seed);
        let mut store = Writer::create();
        store.make_space(DIMENSION, metric);
        let centers = (0..40).map(|_| random.vector(DIMENSION)).collect();
        Clustered { store, random, centers, known: 0 }
    }

    fn vector(&mut self) -> Vec<f32> {
        let center = self.random.below(self.centers.len() as u64) as usize;
        let noise = self.random.vector(DIMENSION);
        self.centers[center].iter().zip(noise).map(|(center, noise)| center + 0.4 * noise).collect()
    }

    /// Learns concepts under new names, or some of them under names that are there.
    fn learn(&mut self, count: usize, updates: bool) {
        for _ in 0..count {
            let vector = self.vector();
            let number = match updates && self.random.below(2) == 0 {
                true => self.random.below(u64::from(self.known)) as u32,
                false => {
                    self.known += 1;
                    self.known - 1
                }
            };
            let learn = Learn {
                content: "clustered",
                vector: Some(&vector),
                kind: (number % 100) as u16 + 1,
                ..Learn::default()
            };
            self.store.learn_as(format!("{number}").as_str().into(), learn);
        }
    }

    fn forget(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.random.below(u64::from(self.known));
            let id = format!("{number}");
            let snapshot = Reader::open(self.store.path()).unwrap().snapshot().unwrap();
            if snapshot.contains(id.as_str()).unwrap() {
                self.store.forget(&id);
                self.store.publish();
            }
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        self.store.publish();
        Reader::open(self.store.path()).unwrap().snapshot().unwrap()
    }
}

/// The share of the exact hits that the search found as well. It found as many, scored them alike,
/// and has none that the exact scan says is not there.
fn recall(snapshot: &Snapshot, vector: &[f32], query: &NearestQuery<'_>) -> f64 {
    let exact = NearestQuery { exact: true, ..*query };
    let expected = snapshot.nearest(vector, &exact).unwrap();
    let found = snapshot.nearest(vector, query).unwrap();
    assert_eq!(found.len(), expected.len(), "as many as there are");
    assert!(found.is_sorted_by(|a, b| a.score >= b.score), "nearest first");
    let all = NearestQuery { k: usize::MAX, ..exact };
    let all = snapshot.nearest(vector, &all).unwrap();
    let mut owners = HashSet::new();
    for hit in &found {
        assert!(owners.insert(hit.ordinal), "a concept came twice");
        let scored = all.iter().find(|other| other.ordinal == hit.ordinal);
        let scored = scored.expect("a hit is one of the exact scan");
        assert!((scored.score - hit.score).abs() <= 1e-4 * scored.score.abs().max(1.0));
    }
    let worst = expected.last().map_or(f32::NEG_INFINITY, |hit: &Hit| hit.score);
    let hits = found.iter().filter(|hit| hit.score >= worst - 1e-5).count();
    if expected.is_empty() { 1.0 } else { hits as f64 / expected.len() as f64 }
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / f64::from(count)
}

#[test]
fn the_graph_and_the_tail_together_find_what_the_exact_scan_finds() {
    // By dot product, the longest vectors are near to everything and crowd the lists of links: of
    // vectors whose lengths differ, as here, a walk finds fewer.
    let all = [(1, Metric::Cosine, 0.95), (2, Metric::Dot, 0.55), (3, Metric::L2, 0.95)];
    for (seed, metric, least) in all {
        let mut data = Clustered::new(seed, metric);
        data.learn(4000, false);
        data.store.index(0, 3000);
        data.learn(1000, true);
        data.forget(40);
        let snapshot = data.snapshot();
        let query = NearestQuery::default();
        let found = mean((0..60).map(|_| recall(&snapshot, &data.vector(), &query)));
        assert!(found >= least, "{metric:?}: {found}");
        let wide = NearestQuery { ef: Some(400), ..query };
        let found = mean((0..30).map(|_| recall(&snapshot, &data.vector(), &wide)));
        assert!(found >= least + 0.04, "{metric:?}: {found}");
    }
}

#[test]
fn every_filter_gives_k_where_k_exist() {
    let mut data = Clustered::new(4, Metric::Cosine);
    data.learn(6000, false);
    data.store.index(0, 5500);
    data.learn(500, true);
    let snapshot = data.snapshot();
    // Kinds are numbers below 100, evenly: these take from all of them to none of them.
    let texts = ["kind exists", "strength < 2", "version = 1", "version > 1", "version > 9"];
    for text in texts {
        let filter = Filter::parse(&text.replace("kind exists", "exists strength")).unwrap();
        let query = NearestQuery { filter: Some(&filter), ..NearestQuery::default() };
        let found = mean((0..20).map(|_| recall(&snapshot, &data.vector(), &query)));
        assert!(found >= 0.95, "{text}: {found}");
    }
    for share in [1, 2, 5, 20, 100, 1000] {
        let takes = move |ordinal: u32| ordinal.wrapping_mul(2_654_435_761) % 1000 < 1000 / share;
        let predicate = |concept: &sutra_reader::Concept<'_>| takes(concept.ordinal());
        let query =
            NearestQuery { predicate: Some(Predicate(&predicate)), ..NearestQuery::default() };
        let found = mean((0..20).map(|_| recall(&snapshot, &data.vector(), &query)));
        assert!(found >= 0.95, "one in {share}: {found}");

        let among: Vec<u32> = (0..snapshot.concept_count() as u32).filter(|n| takes(*n)).collect();
        let query = NearestQuery { among: Some(&among), ..NearestQuery::default() };
        let found = mean((0..20).map(|_| recall(&snapshot, &data.vector(), &query)));
        assert!(found >= 0.95, "{} among all: {found}", among.len());
    }
}

#[test]
fn an_older_snapshot_finds_what_was_current_in_it_in_the_newest_graph() {
    let mut data = Clustered::new(5, Metric::Cosine);
    data.learn(2500, false);
    data.store.index(0, 1500);
    let reader = Reader::open(data.store.path()).unwrap();
    data.store.publish();
    let held = reader.snapshot().unwrap();
    let vectors: Vec<Vec<f32>> = (0..40).map(|_| data.vector()).collect();
    let query = NearestQuery { ef: Some(200), ..NearestQuery::default() };
    let before: Vec<Vec<Hit>> =
        vectors.iter().map(|vector| held.nearest(vector, &query).unwrap()).collect();

    data.learn(2500, true);
    data.forget(100);
    data.store.index(0, 5000);
    data.store.publish();
    let newest = reader.snapshot().unwrap();
    let lsn = held.published_lsn();
    let as_of = newest.as_of(lsn).unwrap();
    let mut same = Vec::new();
    for (vector, before) in vectors.iter().zip(&before) {
        for snapshot in [&held, &as_of, &newest] {
            same.push(recall(snapshot, vector, &query));
        }
        let again = held.nearest(vector, &query).unwrap();
        let kept = before.iter().filter(|hit| again.contains(hit)).count();
        same.push(kept as f64 / before.len() as f64);
    }
    let found = mean(same);
    assert!(found >= 0.97, "{found}");
}

#[test]
fn rows_that_are_over_eat_nothing_of_ef() {
    let mut data = Clustered::new(6, Metric::Cosine);
    data.learn(2000, false);
    let id = "often".into();
    let target = data.vector();
    // A concept that is learnt over and over leaves a crowd of dead rows at one place.
    for n in 0..600 {
        let vector: Vec<f32> = target.iter().map(|x| x + 1e-4 * n as f32).collect();
        data.store.learn_as(id, Learn { content: "x", vector: Some(&vector), ..Learn::default() });
    }
    data.learn(100, false);
    data.store.index(0, 2700);
    let snapshot = data.snapshot();
    for ef in [10, 32] {
        let query = NearestQuery { ef: Some(ef), ..NearestQuery::default() };
        let hits = snapshot.nearest(&target, &query).unwrap();
        let often = snapshot.get("often").unwrap().unwrap().ordinal();
        assert_eq!(hits[0].ordinal, often);
        assert_eq!(hits.len(), 10);
        assert!(recall(&snapshot, &target, &query) >= 0.8);
    }
}

#[test]
fn every_vector_finds_itself_in_the_graph_and_in_the_tail() {
    let mut data = Clustered::new(7, Metric::Cosine);
    data.learn(3000, false);
    data.store.index(0, 2400);
    let snapshot = data.snapshot();
    let query = NearestQuery { k: 1, ef: Some(64), ..NearestQuery::default() };
    let mut missed = 0;
    for concept in snapshot.concepts() {
        let concept = concept.unwrap();
        let hits = snapshot.nearest(concept.embedding().unwrap().unwrap(), &query).unwrap();
        let is_found = hits[0].score >= 1.0 - 1e-5;
        if concept.ordinal() >= 2400 {
            assert!(is_found, "a row of the tail is looked at");
        }
        missed += u32::from(!is_found);
    }
    // These clusters are islands with hardly a link between them; of the vectors of texts, fewer
    // than one in a thousand does not find itself.
    assert!(missed <= 24, "{missed} of 3000 vectors do not find themselves");
}

#[test]
fn a_minimum_score_an_excluded_concept_and_a_batch_hold_in_the_graph_too() {
    let mut data = Clustered::new(8, Metric::Cosine);
    data.learn(2000, false);
    data.store.index(0, 2000);
    let snapshot = data.snapshot();
    let vectors: Vec<Vec<f32>> = (0..10).map(|_| data.vector()).collect();
    let query = NearestQuery { ef: Some(300), ..NearestQuery::default() };
    let lists = snapshot.nearest_batch(vectors.iter().map(Vec::as_slice), &query).unwrap();
    for (vector, list) in vectors.iter().zip(&lists) {
        assert_eq!(list, &snapshot.nearest(vector, &query).unwrap());
        let [first, second] = [list[0], list[1]];
        let without = NearestQuery { exclude: Some(first.ordinal), ..query };
        let hits = snapshot.nearest(vector, &without).unwrap();
        assert_eq!((hits[0], hits.len()), (second, 10));
        let near = NearestQuery { min_score: Some(second.score), ..query };
        assert_eq!(snapshot.nearest(vector, &near).unwrap(), [first, second]);
    }
}
