"""``ConcurrentStorage`` and ``StorageClient``, as their first users call them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sutra_storage
from sutra_storage import ConcurrentStorage, StorageClient


def test_the_plain_methods(path: Path) -> None:
    storage = ConcurrentStorage(path, reconcile_interval_ms=10, memory_threshold=1000, vector_dimension=4)
    vector = np.array([1, 2, 3, 4], dtype=np.float32)
    first = storage.learn_concept("a", "one", vector, 0.5, 0.25)
    assert storage.learn_concept("b", "two", [4.0, 3.0, 2.0, 1.0], 1.0, 0.9) > first
    storage.learn_concept("c", "three", None, 1.0, 1.0)
    storage.learn_association("a", "b", 1, 0.8)
    storage.learn_association("b", "c", "own kind", 0.7)
    found = storage.query_concept("a")
    assert found is not None
    assert (found["id"], found["content"], found["strength"], found["confidence"]) == (
        "a",
        "one",
        0.5,
        0.25,
    )
    assert found["embedding"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert storage.query_concept("nobody") is None
    assert storage.contains("a") and not storage.contains("nobody")
    # Both ways along associations.
    assert storage.get_neighbors("b") == ["c", "a"] and storage.get_neighbors("nobody") == []
    assert storage.find_path("c", "a", 6) == ["c", "b", "a"]
    assert storage.find_path("c", "a", 1) is None and storage.find_path("a", "nobody", 3) is None
    assert [name for name, _ in storage.semantic_search(vector, 1)] == ["a"]
    storage.flush()
    stats = storage.stats()
    assert (stats["concepts"], stats["edges"], stats["dropped"], stats["pending"]) == (3, 2, 0, 0)
    assert stats["written"] == 5 and stats["reconciliations"] > 0
    with pytest.raises(ValueError):
        storage.learn_concept("d", "", np.zeros(3, dtype=np.float32), 1.0, 1.0)
    with pytest.raises(ValueError):
        storage.learn_association("a", "b", 9, 1.0)
    storage.close()


def test_a_client_of_the_socket_of_a_process_that_serves(path: Path, worker: type) -> None:
    with pytest.raises(sutra_storage.Error):
        StorageClient(path / "coordinator.sock")
    host = worker()
    assert host.run("store.learn('a', 'theirs') > 0") == "True"
    for address in (path / "coordinator.sock", str(path)):
        with StorageClient(address) as client:
            client.learn_concept("b", "ours")
            assert client.query_concept("a") is not None
            assert host.run("store['b'].content") == "'ours'"
    host.kill()
    with StorageClient(path, timeout=0.2) as client, pytest.raises(sutra_storage.NoWriterError):
        client.learn_concept("c", "nobody hosts")
