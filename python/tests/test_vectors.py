"""Searches for vectors."""

from __future__ import annotations

import time

import numpy as np
import pytest

import sutra_storage
from sutra_storage import Store


def test_nearest_of_one_vector_and_of_a_matrix(store: Store) -> None:
    assert store.nearest([1.0, 0.0], 3) == []
    store.learn("x", "ex", embedding=[1.0, 0.0], kind="letter")
    store.learn("y", "why", embedding=[0.0, 1.0], kind="letter")
    store.learn("z", "zed", embedding=[1.0, 1.0], kind="last")
    hits = store.nearest([1.0, 0.1], k=2)
    assert [hit.id for hit in hits] == ["x", "z"]
    assert hits[0].score == pytest.approx(0.995, abs=1e-3) and hits[0].content == "ex"
    lists = store.nearest(np.eye(2, dtype=np.float32), k=1)
    assert [[hit.id for hit in hits] for hits in lists] == [["x"], ["y"]]
    assert [hit.id for hit in store.nearest([1.0, 0.1], 3, filter="kind = letter")] == ["x", "y"]
    assert [hit.id for hit in store.nearest([1.0, 0.1], 3, filter={"kind": "last"})] == ["z"]
    assert [hit.id for hit in store.nearest([1.0, 0.0], 1, exclude="x")] == ["z"]
    ordinals, scores = store.nearest_arrays(np.eye(2, dtype=np.float32), k=2)
    assert ordinals.shape == scores.shape == (2, 2) and scores.dtype == np.float32
    found = store.snapshot().concept_at(int(ordinals[1, 0]))
    assert found is not None and found.id == "y"
    for wrong in ([1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(sutra_storage.DimensionMismatchError):
            store.nearest(wrong)
        with pytest.raises(ValueError):
            store.learn("w", "", embedding=wrong)


def test_a_wider_walk_finds_more_of_the_nearest(store: Store) -> None:
    k, count, dimension = 10, 4000, 48
    random = np.random.default_rng(5)
    vectors = random.standard_normal((count, dimension), dtype=np.float32)
    store.learn_batch([str(n) for n in range(count)], embeddings=vectors)
    deadline = time.monotonic() + 120
    while store.stats()["indexed_vectors"] < count:
        assert time.monotonic() < deadline, "the graph is built behind the writes"
        store.wait_for_update(0.1)
    queries = random.standard_normal((50, dimension), dtype=np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    true = np.argsort(-(queries @ unit.T), axis=1)[:, :k]

    def found(ef: int) -> int:
        answers = store.nearest(queries, k, ef=ef)
        of_arrays, _ = store.nearest_arrays(queries, k, ef=ef)
        ids = [{int(hit.id) for hit in hits} for hits in answers]
        # Ordinals are the order in which the concepts were learnt.
        assert ids == [set(row.tolist()) for row in of_arrays]
        return sum(len(ids[n] & set(true[n].tolist())) for n in range(len(queries)))

    narrow, wide = found(k), found(800)
    assert narrow < 0.9 * wide and wide >= 0.98 * k * len(queries), (narrow, wide)
    with pytest.raises(sutra_storage.InvalidInputError):
        store.nearest(queries[0], k, ef=0)
