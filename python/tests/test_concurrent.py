"""``ConcurrentStorage`` and ``StorageClient``, as their first users call them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import sutra_storage
from sutra_storage import ConcurrentStorage, StorageClient


Plain = ConcurrentStorage | StorageClient


@pytest.fixture(params=["opened", "socket", "tcp"])
def storage(request: pytest.FixtureRequest, path: Path) -> Iterator[Plain]:
    """The store at a path, by its coordinator's socket, and over TCP."""
    opened = ConcurrentStorage(path, reconcile_interval_ms=10, memory_threshold=1000, vector_dimension=4)
    with opened:
        opened.flush()
        if request.param == "opened":
            yield opened
            return
        with sutra_storage.open(path) as host:
            address = path / "coordinator.sock" if request.param == "socket" else host.listen()
            with StorageClient(address) as client:
                yield client


def test_the_plain_methods(storage: Plain) -> None:
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


def test_ids_come_back_as_given(storage: Plain) -> None:
    key, raw = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff").hex, bytes(range(16))
    for name in ("été", key, raw):
        storage.learn_concept(name, "")
    storage.learn_association("été", key)
    storage.learn_association(key, raw)
    assert storage.find_path("été", raw, 2) == ["été", key, raw]
    assert storage.get_neighbors(key) == [raw, "été"]


def test_over_tcp_a_client_sees_its_own_and_others_writes(path: Path) -> None:
    with sutra_storage.open(path) as host, StorageClient(host.listen()) as client:
        for number in range(20):
            client.learn_concept(str(number), f"text {number}")
            assert client.contains(str(number)) and str(number) in host
        host.learn("theirs", "of the host", metadata={"n": 1})
        found = client.query_concept("theirs")
        assert found is not None and found["metadata"] == {"n": 1} and found["embedding"] is None
        assert client.semantic_search([1.0, 0.0]) == [], "no vector was learnt yet"
        host.learn("theirs", embedding=[1.0, 0.0])
        assert [name for name, _ in client.semantic_search([1.0, 0.1], 5)] == ["theirs"]
        with pytest.raises(sutra_storage.DimensionMismatchError):
            client.semantic_search([1.0])


def test_over_tcp_a_new_host_is_found_under_the_same_client(path: Path, worker: type) -> None:
    host = worker()
    # Another process hosts, and this one listens beside it.
    assert host.run("store.learn('a', 'kept') > 0") == "True"
    with sutra_storage.open(path) as front:
        with StorageClient(front.listen()) as client:
            client.learn_concept("b", "")
            assert host.run("store.is_host") == "True"
            host.kill()
            client.learn_concept("c", "")
            assert front.is_host and client.contains("a") and client.contains("c")


@pytest.mark.parametrize("address", ["10.1.2.3:50051", "0.0.0.0:1", "example.org:80"])
def test_only_the_loopback_interface_is_reached_and_listened_on(store: sutra_storage.Store, address: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        StorageClient(address)
    with pytest.raises(ValueError, match="loopback"):
        store.listen(address)


def test_a_port_where_nobody_listens_is_told(store: sutra_storage.Store) -> None:
    address = store.listen()
    store.close()
    with pytest.raises(sutra_storage.NoWriterError, match="--listen"):
        StorageClient(address)


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
