"""Paths and surroundings."""

from __future__ import annotations

import pytest

import sutra_storage
from sutra_storage import Store


@pytest.fixture
def roads(store: Store) -> Store:
    """Three ways from a to d: a short one of little confidence, a long sure one, and one between."""
    store.learn_batch(list("abcde"), ["", "", "", "", ""], kinds=["town", "town", "wood", "town", "wood"])
    store.associate("a", "d", "causal", confidence=0.25, weight=9.0)
    store.associate("a", "b", confidence=1.0, weight=1.0)
    store.associate("b", "d", "temporal", confidence=0.5, weight=1.0)
    store.associate("a", "c", confidence=1.0, weight=2.0)
    store.associate("c", "e", confidence=1.0, weight=2.0)
    store.associate("e", "d", confidence=1.0, weight=2.0)
    return store


def test_the_best_paths_come_in_order_with_what_speaks_for_them(roads: Store) -> None:
    paths = roads.find_paths("a", "d", 5)
    assert ["".join(path.ids) for path in paths] == ["aced", "abd", "ad"]
    assert [path.score for path in paths] == pytest.approx([1.0, 0.5, 0.25])
    assert [path.confidence for path in paths] == [1.0, 0.5, 0.25]
    assert paths[1].types == ["semantic", "temporal"] and len(paths[1]) == 2
    assert [path.ids for path in roads.find_paths("a", "d", 1)] == [paths[0].ids]
    by_weight = roads.find_paths("a", "d", by="weight")
    assert [("".join(path.ids), path.score) for path in by_weight] == [
        ("abd", 2.0),
        ("aced", 6.0),
        ("ad", 9.0),
    ]
    shortest = roads.find_path("a", "d")
    assert shortest is not None and shortest.ids == ["a", "d"] and shortest.score == 0.25


def test_paths_are_narrowed_by_type_confidence_and_filter(roads: Store) -> None:
    def found(**narrowed: object) -> list[str]:
        paths = roads.find_paths("a", "d", 9, **narrowed)  # type: ignore[arg-type]
        return ["".join(path.ids) for path in paths]

    assert found(types="semantic") == ["aced"]
    assert found(types=["causal", "temporal"]) == ["ad"]
    assert found(min_confidence=0.4) == ["aced", "abd"]
    assert found(filter="kind = town") == ["abd", "ad"]
    assert roads.find_paths("d", "a") == []
    assert [path.ids[0] for path in roads.find_paths("d", "a", 1, direction="in")] == ["d"]
    # A shortest path takes the same.
    shortest = roads.find_path("a", "d", min_confidence=0.4)
    assert shortest is not None and shortest.ids == ["a", "b", "d"]
    shortest = roads.find_path("a", "d", types="semantic", timeout=60)
    assert shortest is not None and shortest.ids == ["a", "c", "e", "d"]


def test_what_fades_with_disuse_counts_by_its_half_life(roads: Store) -> None:
    roads.reinforce("c", strength=-0.9)
    paths = roads.find_paths("a", "d", by="strength", half_life=3600.0)
    assert "".join(paths[0].ids) == "abd" and paths[0].score < 0.5
    scores = {one.id: one.score for one in roads.expand("a", half_life=3600.0)}
    assert scores["c"] < 0.11 and scores["b"] > 0.9


def test_surroundings_are_ranked_and_joined(roads: Store) -> None:
    around = roads.expand("a", hops=1)
    assert [one.score for one in around] == [1.0, 1.0, 1.0, pytest.approx(0.25, abs=0.01)]
    assert [one.hops for one in around] == [0, 1, 1, 1]
    assert (around.concepts[0].id, around.concepts[3].id) == ("a", "d")
    last = around.concepts[-1]
    assert (last.via, last.type, last.seed, last.concept.kind) == ("a", "causal", "a", "town")
    assert (around.concepts[0].via, around.concepts[0].type) == (None, None)
    joined = [(one.source, one.target, one.type, one.confidence, one.weight) for one in around.associations]
    assert joined == [
        ("a", "d", "causal", 0.25, 9.0),
        ("a", "b", "semantic", 1.0, 1.0),
        ("b", "d", "temporal", 0.5, 1.0),
        ("a", "c", "semantic", 1.0, 2.0),
    ]
    assert not around.is_cut and around.stopped is None and len(around) == 4
    cut = roads.expand("a", hops=3, limit=2)
    assert len(cut) == 2 and cut.is_cut
    assert len(roads.expand("a", hops=3, per_hop=1)) < len(roads.expand("a", hops=3)) == 5
    assert [one.id for one in roads.expand("d", direction="in", types="temporal")] == ["d", "b"]
    assert {one.id for one in roads.expand("a", hops=3, filter="kind = town")} == {"a", "b", "d"}


def test_seeds_are_an_id_ids_or_what_each_is_worth(roads: Store) -> None:
    assert [one.id for one in roads.expand(["b", "e"], hops=0)] == ["b", "e"]
    worths = roads.expand({"b": 0.25, "e": 0.5}, hops=0)
    assert [(one.id, one.score) for one in worths] == [("e", 0.5), ("b", 0.25)]
    assert len(roads.expand([])) == 0
    with pytest.raises(sutra_storage.UnknownConceptError):
        roads.expand(["b", "nobody"])
    with pytest.raises(TypeError):
        roads.expand(7)  # type: ignore[arg-type]


def test_a_search_for_vectors_goes_on_along_associations(roads: Store) -> None:
    assert len(roads.expand_nearest([1.0, 0.0])) == 0, "no vector was learnt yet"
    roads.learn("b", embedding=[1.0, 0.0])
    roads.learn("e", embedding=[0.0, 1.0])
    around = roads.expand_nearest([1.0, 0.0], 1, hops=1, direction="out")
    assert [(one.id, one.score) for one in around] == [("b", 1.0), ("d", pytest.approx(0.5, abs=0.01))]
    around = roads.expand_nearest([1.0, 0.0], 1, hops=0, exclude="b")
    assert [one.id for one in around] == ["e"]


def test_what_takes_too_long_says_so_and_gives_what_it_has(roads: Store) -> None:
    with pytest.raises(sutra_storage.StoppedEarlyError, match="deadline") as raised:
        roads.find_paths("a", "d", timeout=0)
    assert isinstance(raised.value, TimeoutError) and list(raised.value.paths) == []
    with pytest.raises(TimeoutError):
        roads.find_path("a", "d", timeout=0)
    around = roads.expand("a", timeout=0)
    assert around.stopped is not None and "deadline" in around.stopped


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": "luck"},
        {"by": "strength"},
        {"by": "strength", "half_life": 0.0},
        {"half_life": 5.0},
        {"direction": "up"},
        {"timeout": -1.0},
        {"filter": "kind ="},
    ],
)
def test_what_cannot_be_asked_is_refused(roads: Store, wrong: dict[str, object]) -> None:
    with pytest.raises(sutra_storage.InvalidInputError):
        roads.find_paths("a", "d", **wrong)  # type: ignore[arg-type]
