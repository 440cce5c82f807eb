"""Two notebooks with one store: what one learns the other sees, without asking for it again.

The second notebook is a process of its own here. In a real one, each of its cells would be run by
hand, in any order, while the first goes on.

    python examples/python/two_notebooks.py [STORE]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import sutra_storage

SECOND = """
import sys, sutra_storage
store = sutra_storage.open(sys.argv[1])
print("second notebook sees:", store["finding"].content, flush=True)
store.learn("answer", "looked into it")
store.associate("answer", "finding", "causal")
"""


def main(path: str) -> None:
    """The first notebook."""
    store = sutra_storage.open(path)
    store.learn("finding", "dogs are animals")
    before = store.snapshot()
    store.wait_for_update(0)
    second = subprocess.Popen([sys.executable, "-c", SECOND, path])
    while "answer" not in store or not store.neighbors("finding", direction="in"):
        store.wait_for_update(30)
    second.wait()
    print("first notebook sees:", [n.id for n in store.neighbors("finding", direction="in")])
    print("its snapshot of before still has", len(before), "concept, the store", len(store))
    assert (len(before), len(store), second.returncode) == (1, 2, 0)
    store.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(os.path.join(folder, "knowledge"))
