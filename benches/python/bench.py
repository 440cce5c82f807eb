"""What the Python package costs, beside LMDB's and SQLite's packages and the same store from Rust.

    cargo build --release -p sutra-store --example figures
    target/python/bin/python benches/python/bench.py [--concepts 100000] [--folder FOLDER]

All peers do the same work in one run; compare the ratios. Each figure is the best of five rounds.
Peers that are not installed (``pip install lmdb``) are left out, and said so.
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
    arguments = parser.parse_args()
    count: int = arguments.concepts
    if count % STRIDE == 0:
        parser.error(f"--concepts must not be a multiple of {STRIDE}")
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        run(count, folder)
    finally:
        shutil.rmtree(folder)


def run(count: int, folder: Path) -> None:
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

    get_ns, _ = rust(path, count)
    with sutra_storage.open(path) as store:
        gets(store, folder, [f"concept-{n * STRIDE % count}" for n in range(count)], get_ns)
    _, nearest_ns = rust(small, VECTORS)
    with sutra_storage.open(small, read_only=True) as store:
        searches(store, nearest_ns)
    bulk(folder)
    processes(path)


if __name__ == "__main__":
    main()
