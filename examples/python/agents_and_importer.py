"""Four agents, each a process of its own, share a store with a bulk importer; their host is killed.

    python examples/python/agents_and_importer.py [STORE]
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from multiprocessing.synchronize import Event

import sutra_storage

AGENTS = 4
STEPS = 25
BULK = 5_000


def agent(path: str, name: str) -> None:
    """Remembers its steps, each joined with the one before."""
    with sutra_storage.open(path, author=name) as store:
        before = None
        for step in range(STEPS):
            thought = f"{name}/step-{step}"
            with store.batch() as batch:
                batch.learn(thought, f"what {name} did in step {step}", kind="step")
                if before is not None:
                    batch.associate(before, thought, "temporal")
            before = thought
        path_found = store.find_path(f"{name}/step-0", f"{name}/step-5")
        assert path_found is not None and len(path_found) == 5


def importer(path: str) -> None:
    """Learns many concepts at once."""
    with sutra_storage.open(path) as store:
        ids = [f"fact-{number}" for number in range(BULK)]
        store.learn_batch(ids, [f"fact number {number}" for number in range(BULK)])


def host(path: str, opened: Event) -> None:
    """Opens the store first, so that it hosts, and does nothing more until it is killed."""
    store = sutra_storage.open(path)
    store.learn("host", "was here")
    opened.set()
    store.wait_for_update(600)
    while True:
        store.wait_for_update(600)


def main(path: str) -> None:
    """Starts all, kills the host, and counts."""
    context = multiprocessing.get_context("spawn")
    opened = context.Event()
    first = context.Process(target=host, args=(path, opened))
    first.start()
    opened.wait(60)
    others = [context.Process(target=importer, args=(path,))]
    others += [context.Process(target=agent, args=(path, f"agent-{n}")) for n in range(AGENTS)]
    for process in others:
        process.start()
    first.kill()
    for process in [first, *others]:
        process.join()
    assert all(process.exitcode == 0 for process in others)
    with sutra_storage.open(path) as store:
        steps = sum(1 for _ in store.snapshot().concepts(filter="kind = step"))
        print(f"{len(store)} concepts, {steps} of them steps of agents; the host was killed")
        assert (len(store), steps) == (BULK + AGENTS * STEPS + 1, AGENTS * STEPS)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(os.path.join(folder, "knowledge"))
