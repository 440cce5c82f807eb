mod support;
use std::time::Instant;
use support::random::Random;
use support::{Learn, Writer};
use sutra_reader::*;
#[test]
fn perf() {
    let mut r = Random::new(3);
    for n in [2_000u64, 100_000] {
    for metric in [Metric::Cosine, Metric::L2] {
    let mut store = Writer::create();
    store.make_space(384, metric);
    for i in 0..n {
        let v = r.vector(384);
        store.learn_as(format!("id-{i}").as_str().into(), Learn { vector: Some(&v), ..Default::default() });
    }
    store.publish();
    let reader = Reader::open(store.path()).unwrap();
    let s = reader.snapshot().unwrap();
    let q = r.vector(384);
    for _ in 0..3 {
    let t = Instant::now();
    for _ in 0..10 { s.nearest(&q, &NearestQuery::default()).unwrap(); }
    eprintln!("nearest {n} {metric:?} {:?}", t.elapsed() / 10);
    }}}
}
