"""What the Python package costs, beside other packages and the same store from Rust.

    cargo build --release -p sutra-store --example figures
    pip install lmdb usearch hnswlib kuzu
    target/python/bin/python benches/python/bench.py [--concepts 100000] [--folder FOLDER] [--only PART]

All peers do the same work in one run; compare the ratios. Each figure is the best of five rounds.
Peers that are not installed are left out, and said so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import sutra_storage

REPOSITORY = Path(__file__).resolve().parents[2]
STRIDE = 7_919
SEARCHES = 300
ROUNDS = 5
BULK_ROUNDS = 5
#: So few that the search itself takes next to nothing, and what Python adds is seen.
VECTORS = 10
BATCH = 10_000
#: So many that every index has something to do.
INDEXED = 20_000
QUERIES = 500
#: More gets than that tell nothing more.
GETS_MAX = 200_000
PARTS = ("gets", "searches", "bulk", "indexes", "processes")
DIMENSION = 384


def best(act: Callable[[], object], count: int) -> float:
    """Nanoseconds of one of ``count`` things that ``act`` does."""
    taken = []
    for _ in range(ROUNDS):
        started_at = time.perf_counter_ns()
        act()
        taken.append(time.perf_counter_ns() - started_at)
    return min(taken) / count


def row(name: str, figure: str, note: str = "") -> None:
    print(f"{name:<44} {figure:>16}  {note}")


def in_process(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def private_kb() -> str:
    # Private_Clean would count pages of the mapped file that no other process has touched yet: page
    # cache, and not this process's.
    return (
        "sum(int(line.split()[1]) for line in open('/proc/self/smaps_rollup') "
        "if line.startswith('Private_Dirty'))"
    )


def gets(store: sutra_storage.Store, folder: Path, ids: Sequence[str], rust: float) -> None:
    keys = [one.encode() for one in ids]
    content = ("x" * 146).encode()

    def of_store() -> None:
        get = store.get
        for one in ids:
            get(one)

    def of_snapshot() -> None:
        get = store.snapshot().get
        for one in ids:
            get(one)

    def with_content() -> None:
        get = store.get
        for one in ids:
            get(one).content  # type: ignore[union-attr]

    ours = best(of_store, len(ids))
    row("get, Rust (Store::get)", f"{rust:.0f} ns")
    row("get, Python (store.get)", f"{ours:.0f} ns", f"+{ours - rust:.0f} ns (at most 1,000)")
    row("get, Python, one snapshot", f"{best(of_snapshot, len(ids)):.0f} ns")
    touched = best(with_content, len(ids))
    row("get and content, Python", f"{touched:.0f} ns")

    try:
        import lmdb
    except ImportError:
        row("get, lmdb", "not installed")
    else:
        with lmdb.open(str(folder / "lmdb"), map_size=1 << 32) as environment:
            with environment.begin(write=True) as transaction:
                for key in keys:
                    transaction.put(key, content)

            def of_lmdb() -> None:
                for key in keys:
                    with environment.begin() as transaction:
                        transaction.get(key)

            def of_one() -> None:
                with environment.begin() as transaction:
                    for key in keys:
                        transaction.get(key)

            row("get, lmdb, a transaction each", f"{best(of_lmdb, len(keys)):.0f} ns")
            row("get, lmdb, one transaction", f"{best(of_one, len(keys)):.0f} ns")

    connection = sqlite3.connect(folder / "sqlite")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE concepts (id TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID")
    connection.executemany("INSERT INTO concepts VALUES (?, ?)", [(i, "x" * 146) for i in ids])
    connection.commit()

    def of_sqlite() -> None:
        for one in ids:
            connection.execute("SELECT content FROM concepts WHERE id = ?", (one,)).fetchone()

    of_peer = best(of_sqlite, len(ids))
    row("get, sqlite3", f"{of_peer:.0f} ns", f"{of_peer / touched:.1f} x ours with content")
    connection.close()
    gets_of_kuzu(folder, ids[:20_000], touched)


def gets_of_kuzu(folder: Path, ids: Sequence[str], ours: float) -> None:
    try:
        import kuzu
    except ImportError:
        row("get, kuzu", "not installed")
        return
    listed = folder / "kuzu.csv"
    listed.write_text("".join(f"{one},{'x' * 146}\n" for one in ids))
    connection = kuzu.Connection(kuzu.Database(str(folder / "kuzu")))
    connection.execute("CREATE NODE TABLE Concept(id STRING PRIMARY KEY, content STRING)")
    connection.execute(f"COPY Concept FROM '{listed}'")
    statement = "MATCH (c:Concept) WHERE c.id = $id RETURN c.content"
    asked = ids[:500]

    def of_kuzu() -> None:
        for one in asked:
            answer = connection.execute(statement, {"id": one})
            assert not isinstance(answer, list) and answer.has_next()
            answer.get_next()

    of_peer = best(of_kuzu, len(asked))
    row("get, kuzu", f"{of_peer:,.0f} ns", f"{of_peer / ours:.0f} x ours with content")


def searches(store: sutra_storage.Store, rust: float) -> None:
    place = np.arange(DIMENSION)
    vectors = [
        ((n * 31 + place * 17) % 101).astype(np.float32) - 50.0 for n in range(SEARCHES)
    ]

    def objects() -> None:
        for vector in vectors:
            store.nearest(vector, 10)

    def arrays() -> None:
        for vector in vectors:
            store.nearest_arrays(vector, 10)

    row(f"nearest of {VECTORS:,} vectors, Rust", f"{rust / 1e3:.1f} µs")
    ours = best(objects, SEARCHES)
    row("nearest, Python", f"{ours / 1e3:.1f} µs", f"+{(ours - rust) / 1e3:.1f} µs (at most 5)")
    ours = best(arrays, SEARCHES)
    row("nearest_arrays, Python", f"{ours / 1e3:.1f} µs", f"+{(ours - rust) / 1e3:.1f} µs (at most 2)")


def bulk(folder: Path) -> None:
    random = np.random.default_rng(1)
    matrix = random.standard_normal((BATCH, DIMENSION), dtype=np.float32)
    contents = ["y" * 146] * BATCH
    rates: dict[str, float] = {}
    with sutra_storage.open(folder / "bulk") as store:
        taken = []
        for turn in range(BULK_ROUNDS):
            ids = [f"bulk-{turn}-{n}" for n in range(BATCH)]
            started_at = time.perf_counter()
            store.learn_batch(ids, contents, embeddings=matrix)
            taken.append(time.perf_counter() - started_at)
    rates["sutra_storage.learn_batch, durable"] = BATCH / min(taken)
    rates["the first, in a new store"] = BATCH / taken[0]
    try:
        import lmdb
    except ImportError:
        pass
    else:
        with lmdb.open(str(folder / "bulk-lmdb"), map_size=1 << 32) as environment:
            taken = []
            for turn in range(BULK_ROUNDS):
                started_at = time.perf_counter()
                with environment.begin(write=True) as transaction:
                    for n in range(BATCH):
                        key = b"bulk-%d-%d" % (turn, n)
                        transaction.put(key, contents[n].encode() + matrix[n].tobytes())
                taken.append(time.perf_counter() - started_at)
            rates["lmdb, one durable transaction"] = BATCH / min(taken)
    connection = sqlite3.connect(folder / "bulk-sqlite")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE c (id TEXT PRIMARY KEY, content TEXT, vector BLOB)")
    taken = []
    for turn in range(BULK_ROUNDS):
        started_at = time.perf_counter()
        with connection:
            connection.executemany(
                "INSERT INTO c VALUES (?, ?, ?)",
                ((f"bulk-{turn}-{n}", contents[n], matrix[n].tobytes()) for n in range(BATCH)),
            )
        taken.append(time.perf_counter() - started_at)
    rates["sqlite3, one durable transaction"] = BATCH / min(taken)
    connection.close()
    for name, rate in rates.items():
        row(f"{BATCH:,} of {DIMENSION} floats, {name}", f"{rate:,.0f}/s")


def indexes(folder: Path) -> None:
    """Nearest of one thread in an index of ``INDEXED`` vectors, each at two widths of the walk."""
    random = np.random.default_rng(2)
    # What lies in clusters, as embeddings do: else every index is as slow as the dimension makes it.
    centres = random.standard_normal((200, DIMENSION), dtype=np.float32)
    noise = random.standard_normal((INDEXED + QUERIES, DIMENSION), dtype=np.float32)
    everything = centres[random.integers(0, 200, INDEXED + QUERIES)] + 0.8 * noise
    everything /= np.linalg.norm(everything, axis=1, keepdims=True)
    vectors, queries = everything[:INDEXED], np.ascontiguousarray(everything[INDEXED:])
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]

    def measured(name: str, built: float, search: Callable[[np.ndarray], np.ndarray]) -> None:
        found = search(queries)
        hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), true.tolist()))
        together = best(lambda: search(queries), QUERIES)

        def apart() -> None:
            for query in queries:
                search(query)

        one = best(apart, QUERIES)
        row(
            name,
            f"{one / 1e3:.1f} µs",
            f"{together / 1e3:.1f} µs in a matrix, recall {hits / true.size:.3f}, built in {built:.1f} s",
        )

    with sutra_storage.open(folder / "indexed") as store:
        started_at = time.perf_counter()
        store.learn_batch([str(n) for n in range(INDEXED)], embeddings=vectors)
        while store.stats()["indexed_vectors"] < INDEXED:
            store.wait_for_update(0.05)
        built = time.perf_counter() - started_at
        for ef in (24, 64):
            search = lambda query: store.nearest_arrays(query, 10, ef=ef)[0]  # noqa: E731
            measured(f"nearest_arrays, {INDEXED:,}, ef {ef}", built, search)
    try:
        import hnswlib
    except ImportError:
        row("hnswlib", "not installed")
    else:
        graph = hnswlib.Index(space="cosine", dim=DIMENSION)
        graph.init_index(INDEXED, M=16, ef_construction=200)
        started_at = time.perf_counter()
        graph.add_items(vectors, num_threads=1)
        built = time.perf_counter() - started_at
        for ef in (24, 64):
            graph.set_ef(ef)
            measured(
                f"hnswlib, ef {ef}", built, lambda query: graph.knn_query(query, 10, num_threads=1)[0]
            )
    try:
        from usearch.index import Index
    except ImportError:
        row("usearch", "not installed")
    else:
        for ef in (24, 64):
            index = Index(
                ndim=DIMENSION, metric="cos", dtype="f32", connectivity=16, expansion_add=200,
                expansion_search=ef,
            )
            started_at = time.perf_counter()
            index.add(np.arange(INDEXED), vectors, threads=1)
            built = time.perf_counter() - started_at
            measured(
                f"usearch, ef {ef}",
                built,
                lambda query: np.asarray(index.search(query, 10, threads=1).keys),
            )


def processes(path: Path) -> None:
    opened = in_process(
        "import sys, time, sutra_storage\n"
        "taken = []\n"
        "for _ in range(20):\n"
        "    started_at = time.perf_counter()\n"
        "    store = sutra_storage.open(sys.argv[1], read_only=True)\n"
        "    taken.append(time.perf_counter() - started_at)\n"
        "    store.close()\n"
        "print(taken[0] * 1e3, min(taken) * 1e3)",
        str(path),
    )
    first, fastest = (float(one) for one in opened.split())
    row("open after import: first, best", f"{first:.2f}, {fastest:.2f} ms", "(at most 2)")
    others = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys, sutra_storage\n"
                "store = sutra_storage.open(sys.argv[1])\n"
                "store.get('concept-1')\n"
                # The first to write hosts; the eighth is to be a guest.
                "store.learn(sys.argv[2], '')\n"
                "print('ready', flush=True)\nsys.stdin.read()",
                str(path),
                f"guest-{number}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(7)
    ]
    for one in others:
        assert one.stdout is not None
        one.stdout.readline()
    grown = in_process(
        "import sys, sutra_storage, numpy\n"
        f"before = {private_kb()}\n"
        "store = sutra_storage.open(sys.argv[1])\n"
        "for n in range(10_000):\n"
        "    concept = store.get(f'concept-{n}')\n"
        "    concept.content\n"
        "store.learn('eighth', 'writes too')\n"
        f"print({private_kb()} - before)",
        str(path),
    )
    row("private memory of an eighth process", f"{int(grown) / 1024:.1f} MB", "more than importing (at most 8)")
    for one in others:
        one.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--concepts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=PARTS, action="append")
    arguments = parser.parse_args()
    count: int = arguments.concepts
    if count % STRIDE == 0:
        parser.error(f"--concepts must not be a multiple of {STRIDE}")
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        run(count, folder, arguments.only or PARTS)
    finally:
        shutil.rmtree(folder)


def run(count: int, folder: Path, parts: Sequence[str]) -> None:
    path, small = folder / "store", folder / "small"
    with sutra_storage.open(path) as store:
        content = "x" * 146
        started_at = time.perf_counter()
        for begin in range(0, count, 50_000):
            ids = [f"concept-{n}" for n in range(begin, min(begin + 50_000, count))]
            store.learn_batch(ids, [content] * len(ids))
        store.flush()
        print(f"{count:,} concepts of {len(content)} B learnt in {time.perf_counter() - started_at:.2f} s")
    random = np.random.default_rng(0)
    with sutra_storage.open(small) as store:
        store.learn_batch(
            [f"concept-{n}" for n in range(VECTORS)],
            [content] * VECTORS,
            embeddings=random.standard_normal((VECTORS, DIMENSION), dtype=np.float32),
        )
    program = REPOSITORY / "target" / "release" / "examples" / "figures"
    target = os.environ.get("CARGO_TARGET_DIR")
    if target:
        program = Path(target) / "release" / "examples" / "figures"

    def rust(store: Path, concepts: int) -> tuple[float, float]:
        command = [str(program), str(store), str(concepts), str(DIMENSION)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return float(said[0]), float(said[1])

    if "gets" in parts:
        get_ns, _ = rust(path, count)
        asked = min(count, GETS_MAX)
        with sutra_storage.open(path) as store:
            gets(store, folder, [f"concept-{n * STRIDE % count}" for n in range(asked)], get_ns)
    if "searches" in parts:
        _, nearest_ns = rust(small, VECTORS)
        with sutra_storage.open(small, read_only=True) as store:
            searches(store, nearest_ns)
    if "bulk" in parts:
        bulk(folder)
    if "indexes" in parts:
        indexes(folder)
    if "processes" in parts:
        processes(path)


if __name__ == "__main__":
    main()
