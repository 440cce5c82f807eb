#!/usr/bin/env python3
"""Measures hnswlib, USearch and FAISS on the same vectors as `sutra-benches vectors`, with one thread.

    pip install numpy hnswlib usearch faiss-cpu
    python3 benches/peers/vectors.py --data DIR --out peers.json
    cargo run --release -p sutra-benches -- vectors --data DIR --peers peers.json

DIR has vectors.f16.npy or vectors.f32.npy, queries.f32.npy and ground_truth.i32.npy, as the suite
writes them with `--write-data DIR` for its seeded twin. `--cache DIR` keeps built indexes, so that
building and searching can be two runs: `--phase build`, then `--phase search`.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy  # noqa: E402

K = 10
ROUNDS = 3


class Hnswlib:
    name = "hnswlib f32"

    def build(self, vectors, m, ef_construction):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self.index.init_index(len(vectors), ef_construction=ef_construction, M=m)
        self.index.set_num_threads(1)
        self.index.add_items(vectors, num_threads=1)

    def save(self, path):
        self.index.save_index(str(path))

    def load(self, path, dimension):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=dimension)
        self.index.load_index(str(path))
        self.index.set_num_threads(1)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=K, num_threads=1)[0]


class Usearch:
    def __init__(self, dtype):
        self.name, self.dtype = f"USearch {dtype}", dtype

    def make(self, dimension, m, ef_construction):
        from usearch.index import Index

        return Index(ndim=dimension, metric="cos", dtype=self.dtype, connectivity=m,
                     expansion_add=ef_construction)

    def build(self, vectors, m, ef_construction):
        self.index = self.make(vectors.shape[1], m, ef_construction)
        self.index.add(numpy.arange(len(vectors)), vectors, threads=1)

    def save(self, path):
        self.index.save(str(path))

    def load(self, path, dimension):
        self.index = self.make(dimension, 16, 200)
        self.index.load(str(path))

    def search(self, queries, ef):
        self.index.expansion_search = ef
        return self.index.search(queries, K, threads=1).keys


class Faiss:
    def __init__(self, kind):
        self.name, self.kind = f"FAISS HNSW-{kind}", kind

    def build(self, vectors, m, ef_construction):
        import faiss

        faiss.omp_set_num_threads(1)
        dimension = vectors.shape[1]
        if self.kind == "SQ8":
            self.index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_8bit, m,
                                           faiss.METRIC_INNER_PRODUCT)
        else:
            self.index = faiss.IndexHNSWFlat(dimension, m, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = ef_construction
        self.index.train(vectors[:10000])
        self.index.add(vectors)

    def save(self, path):
        import faiss

        faiss.write_index(self.index, str(path))

    def load(self, path, dimension):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(str(path))

    def search(self, queries, ef):
        self.index.hnsw.efSearch = ef
        return self.index.search(queries, K)[1]


def load(directory):
    """Unit-length vectors, queries, and the rows nearest to each query."""
    files = sorted(directory.glob("vectors.f*.npy"))
    if not files:
        raise SystemExit(f"{directory} has no vectors.f16.npy or vectors.f32.npy")
    unit = lambda rows: rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
    vectors = unit(numpy.load(files[0]).astype(numpy.float32))
    queries = unit(numpy.load(directory / "queries.f32.npy"))
    truth = numpy.load(directory / "ground_truth.i32.npy")[:, :K]
    return vectors, queries, truth


def measure(peer, queries, truth, efs):
    """Recall and queries a second, one query a call, at each ef: the best of a few rounds."""
    curve = []
    for ef in efs:
        times, found = [], 0
        for _ in range(ROUNDS):
            began = time.perf_counter()
            rows = [peer.search(query[None], ef)[0] if isinstance(peer, Faiss)
                    else numpy.ravel(peer.search(query, ef)) for query in queries]
            times.append(time.perf_counter() - began)
        found = sum(len(numpy.intersect1d(a, b)) for a, b in zip(rows, truth))
        # A whole batch in one call, still one thread: without Python between the queries.
        batch = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            peer.search(queries, ef)
            batch.append(time.perf_counter() - began)
        curve.append({"ef": ef, "recall": found / truth.size,
                      "per_second": len(queries) / min(min(times), min(batch))})
    return curve


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("peers.json"))
    parser.add_argument("--cache", type=Path, help="where built indexes are kept")
    parser.add_argument("--phase", choices=["build", "search", "both"], default="both")
    parser.add_argument("--only", help="comma-separated beginnings of names")
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=200)
    parser.add_argument("--ef", default="10,16,24,32,48,64,96,128,192,256,400")
    args = parser.parse_args()

    vectors, queries, truth = load(args.data)
    efs = [int(ef) for ef in args.ef.split(",")]
    peers = [Hnswlib(), Usearch("f32"), Usearch("f16"), Usearch("i8"), Faiss("Flat"), Faiss("SQ8")]
    if args.only:
        peers = [p for p in peers if p.name.lower().startswith(tuple(args.only.lower().split(",")))]
    cache = args.cache or args.out.with_suffix(".indexes")
    cache.mkdir(parents=True, exist_ok=True)
    results = []
    for peer in peers:
        path = cache / (peer.name.replace(" ", "-") + ".index")
        note = path.with_suffix(".json")
        if args.phase != "search" and not note.exists():
            began = time.process_time()
            peer.build(vectors, args.m, args.ef_construction)
            seconds = time.process_time() - began
            peer.save(path)
            note.write_text(json.dumps({"inserts_per_cpu_second": len(vectors) / seconds,
                                        "bytes": path.stat().st_size}))
            print(f"{peer.name}: {len(vectors) / seconds:.0f} vectors a CPU-second", flush=True)
        if args.phase != "build":
            peer.load(path, vectors.shape[1])
            result = {"system": peer.name, **json.loads(note.read_text()),
                      "curve": measure(peer, queries, truth, efs)}
            results.append(result)
            for point in result["curve"]:
                print(f"{peer.name}: ef {point['ef']:4} recall {point['recall']:.4f} "
                      f"{point['per_second']:8.0f}/s", flush=True)
    if args.phase != "build":
        args.out.write_text(json.dumps({"vectors": len(vectors), "dimension": vectors.shape[1],
                                        "systems": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
