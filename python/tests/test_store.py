"""Learning, finding and forgetting through one handle."""

from __future__ import annotations

import copy
import pickle
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest

import sutra_storage
from sutra_storage import Store


def test_what_was_learnt_is_read_back_at_once(store: Store) -> None:
    lsn = store.learn(
        "wolf",
        "a wild dog",
        embedding=[1.0, 0.5],
        metadata={"wild": True, "name": "été"},
        kind="animal",
        strength=0.5,
        confidence=0.25,
    )
    wolf = store["wolf"]
    assert (wolf.id, wolf.content, wolf.kind) == ("wolf", "a wild dog", "animal")
    assert wolf.metadata == {"wild": True, "name": "été"}
    assert (wolf.strength, wolf.confidence, wolf.lsn, wolf.version) == (0.5, 0.25, lsn, 1)
    assert wolf.embedding is not None and wolf.embedding.tolist() == [1.0, 0.5]
    assert "wolf" in store and store.contains("wolf") and len(store) == 1
    assert repr(wolf) == "Concept(id='wolf', content='a wild dog')"


def test_what_is_not_there_is_none_or_an_error_that_is_also_a_key_error(store: Store) -> None:
    assert store.get("nobody") is None
    assert store.get_many(["nobody"]) == [None]
    for ask in (lambda: store["nobody"], lambda: store.neighbors("nobody")):
        with pytest.raises(KeyError) as raised:
            ask()
        assert isinstance(raised.value, sutra_storage.UnknownConceptError)
        assert str(raised.value).startswith("there is no concept 'nobody'")


def test_ids_are_text_uuids_or_16_bytes(store: Store) -> None:
    key = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    store.learn(key, "by uuid")
    store.learn(bytes(range(16)), "by bytes")
    assert store[key].id == key.hex and store[key.hex].content == "by uuid"
    assert store[bytes(range(16))].id == bytes(range(16))
    for wrong in (7, None, 1.5):
        with pytest.raises(TypeError):
            store.get(wrong)  # type: ignore[arg-type]
    for unusable in ("", b"short", "x" * 1025):
        with pytest.raises(ValueError):
            store.get(unusable)


def test_positions_are_kept_by_get_many(store: Store) -> None:
    store.learn_batch(["a", "b"], ["first", "second"])
    found = store.get_many(["b", "none", "a"])
    assert [one and one.content for one in found] == ["second", None, "first"]


def test_a_batch_of_lists_and_a_matrix(store: Store) -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3) + 1
    store.learn_batch(
        [f"c{n}" for n in range(4)],
        [f"text {n}" for n in range(4)],
        embeddings=matrix,
        metadata=[{"n": n} for n in range(4)],
        strengths=[0.1, 0.2, 0.3, 0.4],
    )
    for n in range(4):
        concept = store[f"c{n}"]
        assert concept.embedding is not None
        assert np.array_equal(concept.embedding, matrix[n]) and concept.metadata == {"n": n}
    with pytest.raises(ValueError, match="rows"):
        store.learn_batch(["x"], ["y"], embeddings=matrix)
    with pytest.raises(ValueError, match="elements"):
        store.learn_batch(["x"], ["y", "z"])
    # What cannot be learnt is told by its place, and the others are learnt.
    with pytest.raises(sutra_storage.BatchError) as raised:
        store.learn_batch(["good", "bad"], ["", ""], strengths=[0.5, 7.0])
    assert [place for place, _ in raised.value.errors] == [1]
    assert "good" in store and "bad" not in store


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64, "list", "memoryview"])
def test_vectors_come_in_many_forms(store: Store, kind: object) -> None:
    values = [0.5, -1.0, 2.0]
    given: object
    if kind == "list":
        given = values
    elif kind == "memoryview":
        given = memoryview(np.array(values, dtype=np.float32).tobytes()).cast("f")
    else:
        given = np.array(values, dtype=kind)  # type: ignore[call-overload]
    store.learn("v", "", embedding=given)  # type: ignore[arg-type]
    found = store["v"].embedding
    assert found is not None and found.tolist() == values
    assert store.nearest(given, 1)[0].id == "v"


def test_a_column_of_a_matrix_is_read_as_it_is(store: Store) -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    store.learn("v", "", embedding=matrix[:, 1])
    found = store["v"].embedding
    assert found is not None and found.tolist() == [1.0, 5.0, 9.0]


def test_an_embedding_is_a_read_only_view_that_outlives_the_handle(path: Path) -> None:
    store = sutra_storage.open(path)
    store.learn("v", "", embedding=[1.0, 2.0])
    embedding = store["v"].embedding
    assert embedding is not None
    assert embedding.dtype == np.float32 and not embedding.flags.writeable
    assert not embedding.flags.owndata
    with pytest.raises(ValueError):
        embedding[0] = 5.0
    wolf = store["v"]
    store.learn("v", "", embedding=[3.0, 4.0])
    store.close()
    assert embedding.tolist() == [1.0, 2.0] and wolf.embedding is not None
    assert wolf.embedding.tolist() == [1.0, 2.0]


def test_neighbors_and_paths(store: Store) -> None:
    store.learn_batch(["a", "b", "c", "d"], ["", "", "", ""])
    store.associate("a", "b", "causal", confidence=0.5)
    store.associate_batch([("b", "c"), ("b", "d", "kin"), ("c", "d", 1, 0.25)])
    assert [(n.id, n.type, n.direction) for n in store.neighbors("b")] == [
        ("d", "kin", "out"),
        ("c", "semantic", "out"),
    ]
    assert [n.id for n in store.neighbors("b", direction="both", types="causal")] == ["a"]
    assert [n.id for n in store.neighbors("b", types=["kin"])] == ["d"]
    path = store.find_path("a", "c")
    assert path is not None and path.ids == ["a", "b", "c"] and len(path) == 2
    assert path.types == ["causal", "semantic"] and path.confidence == 0.5
    assert store.find_path("c", "a") is None
    assert store.find_path("c", "a", direction="both") is not None
    with pytest.raises(sutra_storage.UnknownConceptError):
        store.associate("a", "nobody")
    store.associate("a", "made", create_missing=True)
    assert "made" in store
    store.disassociate("a", "b")
    assert [n.id for n in store.neighbors("a")] == ["made"]


def test_text_search_history_and_changes(store: Store) -> None:
    first = store.learn("wolf", "a wild dog")
    store.learn("wolf", "a wild and hungry dog")
    store.learn("cat", "sleeps")
    assert [hit.id for hit in store.search("wild dog")] == ["wolf"]
    assert [version.content for version in store.history("wolf")] == [
        "a wild and hungry dog",
        "a wild dog",
    ]
    store.forget("wolf")
    assert store.get("wolf") is None
    assert store.history("wolf")[0].is_forgotten
    changes = store.changes(first)
    assert [(change.kind, change.id) for change in changes] == [
        ("updated", "wolf"),
        ("learnt", "cat"),
        ("forgotten", "wolf"),
    ]


def test_a_snapshot_stays_as_it_is(store: Store) -> None:
    store.learn("a", "old")
    before = store.snapshot()
    store.learn("a", "new")
    store.learn("b", "")
    assert before["a"].content == "old" and "b" not in before and len(before) == 1
    assert [concept.id for concept in before] == ["a"]
    assert [concept.id for concept in store] == ["a", "b"]


def test_a_batch_is_applied_all_or_not_at_all(store: Store) -> None:
    with store.batch() as batch:
        batch.learn("a", "one")
        batch.learn("b", "two", embedding=[1.0])
        batch.associate("a", "b", "causal")
        assert len(batch) == 3 and "a" not in store
    assert [n.id for n in store.neighbors("a")] == ["b"]
    assert store["a"].lsn == store["b"].lsn
    with pytest.raises(sutra_storage.UnknownConceptError):
        with store.batch() as batch:
            batch.learn("c", "never")
            batch.associate("c", "nobody")
    with pytest.raises(RuntimeError):
        with store.batch() as batch:
            batch.learn("d", "never")
            raise RuntimeError("given up")
    assert "c" not in store and "d" not in store


def test_conditions_and_upkeep(store: Store) -> None:
    lsn = store.learn("a", "one", strength=0.5)
    with pytest.raises(sutra_storage.ConflictError):
        store.learn("a", "two", if_absent=True)
    with pytest.raises(sutra_storage.ConflictError):
        store.learn("a", "two", if_lsn=lsn + 100)
    store.learn("a", "two", if_lsn=lsn)
    store.reinforce("a", strength=0.25)
    store.touch("a", 3)
    assert store["a"].strength == 0.75 and store["a"].content == "two"
    store.learn("short", "gone soon", expires_in=3600)
    assert store["short"].expires_at is not None
    for unusable in (float("nan"), -1.0):
        with pytest.raises(ValueError):
            store.learn("short", "", expires_in=unusable)


def test_namespaces_keep_their_concepts_apart(path: Path, store: Store) -> None:
    with sutra_storage.open(path, namespace="alice") as alice:
        alice.learn("a", "hers", embedding=[1.0, 0.0])
        store.learn("a", "everybody's", embedding=[0.0, 1.0])
        assert alice["a"].content == "hers" and store["a"].content == "everybody's"
        assert [hit.content for hit in alice.nearest([0.0, 1.0], 5)] == ["hers"]
        assert [hit.content for hit in alice.search("hers")] == ["hers"]
        assert alice["a"].namespace == "alice" and alice.namespace == "alice"


def test_a_closed_handle_says_so(path: Path) -> None:
    store = sutra_storage.open(path)
    store.close()
    store.close()
    assert store.closed
    with pytest.raises(sutra_storage.ClosedError):
        store.get("a")


def test_pickled_it_opens_the_same_path(store: Store) -> None:
    store.learn("a", "one")
    for other in (pickle.loads(pickle.dumps(store)), copy.copy(store)):
        with other:
            assert other["a"].content == "one" and other.path == store.path


def test_opening_says_what_is_wrong(tmp_path: Path, path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sutra_storage.open(path, create=False)
    with pytest.raises(FileNotFoundError):
        sutra_storage.open(path, read_only=True)
    assert not path.exists()
    for arguments in ({"mode": "sharded"}, {"mode": "odd"}, {"metric": "odd"}, {"level": "odd"}):
        with pytest.raises(sutra_storage.InvalidInputError):
            sutra_storage.open(path, **arguments)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        sutra_storage.open(path, mode="server")
    with sutra_storage.open(path, vector_dimension=3, metric="dot") as store:
        for other in ({"vector_dimension": 4}, {"vector_dimension": 3, "metric": "l2"}):
            with pytest.raises(sutra_storage.DimensionMismatchError):
                sutra_storage.open(path, **other)
        with sutra_storage.open(path, read_only=True) as reader:
            store.learn("a", "")
            assert "a" in reader
            with pytest.raises(PermissionError):
                reader.learn("b", "")


def test_the_dimension_and_metric_are_kept_though_another_handle_made_the_store(path: Path) -> None:
    with sutra_storage.open(path) as first, sutra_storage.open(path, 2, "dot") as second:
        second.learn("long", "", embedding=[10.0, 0.0])
        second.learn("short", "", embedding=[1.0, 0.0])
        assert [hit.score for hit in first.nearest([1.0, 0.0], 2)] == [10.0, 1.0]


def test_threads_share_a_handle(store: Store) -> None:
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                store.learn(f"{name}-{number}", name)
                assert store[f"{name}-{number}"].content == name
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(store) == 160


def test_figures(store: Store) -> None:
    store.learn("a", "", embedding=[1.0])
    store.associate("a", "b", create_missing=True)
    store.flush()
    stats = store.stats()
    assert (stats["concepts"], stats["edges"], stats["vectors"]) == (2, 1, 1)
    assert stats["dropped"] == stats["pending"] == 0 and stats["is_host"]
