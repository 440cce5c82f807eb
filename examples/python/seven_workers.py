"""Seven workers of one API server learn and search one store, and one of them is killed.

The server opens the store before it forks its workers, as gunicorn does with ``--preload``; each
worker goes on with the handle it inherited.

    python examples/python/seven_workers.py [STORE]
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile

import numpy as np

import sutra_storage

WORKERS = 7
REQUESTS = 30
DIMENSION = 16


def serve(store: sutra_storage.Store, worker: int) -> None:
    """What one worker does for its requests: learn something, then find it again."""
    random = np.random.default_rng(worker)
    for request in range(REQUESTS):
        vector = random.standard_normal(DIMENSION, dtype=np.float32)
        name = f"worker-{worker}/note-{request}"
        store.learn(name, f"note {request} of worker {worker}", embedding=vector)
        [hit] = store.nearest(vector, k=1)
        assert hit.id == name, "a worker finds what it has just learnt"


def main(path: str) -> None:
    """Serves, kills a worker, and counts."""
    store = sutra_storage.open(path, vector_dimension=DIMENSION)
    workers = []
    for worker in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            serve(store, worker)
            store.close()
            os._exit(0)
        workers.append(pid)
    os.kill(workers[3], signal.SIGKILL)
    for pid in workers:
        os.waitpid(pid, 0)
    of_worker = [0] * WORKERS
    for concept in store:
        of_worker[int(concept.id.split("/")[0].removeprefix("worker-"))] += 1
    print("notes of each worker:", of_worker)
    assert all(count == REQUESTS for worker, count in enumerate(of_worker) if worker != 3)
    store.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(os.path.join(folder, "knowledge"))
