"""The interface of ``ConcurrentStorage`` and ``StorageClient``: a few plain methods over a store."""

from __future__ import annotations

import os
from typing import Any

from ._errors import InvalidInputError, UnknownConceptError
from ._native import Remote, Store

__all__ = ["ConcurrentStorage", "StorageClient"]

#: Association types by number, as their first users know them.
_TYPES = ("semantic", "causal", "temporal", "hierarchical", "compositional")


def _association_type(given: int | str) -> str:
    if isinstance(given, str):
        return given
    if 0 <= given < len(_TYPES):
        return _TYPES[given]
    raise InvalidInputError(f"association type {given}; give 0 to {len(_TYPES) - 1}, or a name")


class _Plain:
    """What both classes do with their store."""

    def __init__(self, store: Store | Remote) -> None:
        self._store = store

    def learn_concept(
        self,
        concept_id: str | bytes,
        content: str,
        embedding: Any | None = None,
        strength: float = 1.0,
        confidence: float = 1.0,
    ) -> int:
        """Learns a concept, or a new version of it; the number of its log entry."""
        return self._store.learn(
            concept_id,
            content,
            embedding=embedding,
            strength=strength,
            confidence=confidence,
        )

    def learn_association(
        self,
        source_id: str | bytes,
        target_id: str | bytes,
        assoc_type: int | str = 0,
        confidence: float = 1.0,
    ) -> int:
        """Joins two concepts; the number of the log entry."""
        kind = _association_type(assoc_type)
        return self._store.associate(source_id, target_id, kind, confidence=confidence)

    def query_concept(self, concept_id: str | bytes) -> dict[str, Any] | None:
        """The concept as a dict of ``id content strength confidence embedding metadata``, or None."""
        concept = self._store.get(concept_id)
        if concept is None:
            return None
        return {
            "id": concept_id,
            "content": concept.content,
            "strength": concept.strength,
            "confidence": concept.confidence,
            "embedding": concept.embedding,
            "metadata": concept.metadata,
            "created": concept.created_at,
            "last_modified": concept.updated_at,
            "version": concept.version,
        }

    def contains(self, concept_id: str | bytes) -> bool:
        """Whether there is such a concept."""
        return self._store.contains(concept_id)

    def get_neighbors(self, concept_id: str | bytes) -> list[str | bytes]:
        """The ids of the concepts that it is joined with, either way, each once."""
        try:
            neighbors = self._store.neighbors(concept_id, direction="both")
        except UnknownConceptError:
            return []
        return list(dict.fromkeys(neighbor.id for neighbor in neighbors))

    def find_path(
        self, start_id: str | bytes, end_id: str | bytes, max_depth: int = 6
    ) -> list[str | bytes] | None:
        """The ids along a shortest path, both ends included and either way, or None."""
        try:
            path = self._store.find_path(start_id, end_id, max_depth, direction="both")
        except UnknownConceptError:
            return None
        return None if path is None else path.ids

    def semantic_search(
        self, vector: Any, top_k: int = 10
    ) -> list[tuple[str | bytes, float]]:
        """The nearest concepts: pairs of id and score."""
        hits = self._store.nearest(vector, top_k)
        return [(hit.id, hit.score) for hit in hits]

    def stats(self) -> dict[str, int]:
        """Figures: ``concepts edges written dropped pending reconciliations`` and more."""
        return self._store.stats()

    def flush(self) -> None:
        """Makes everything durable, visible and checkpointed."""
        self._store.flush()

    def close(self) -> None:
        """Closes the store."""
        self._store.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ConcurrentStorage(_Plain):
    """A store at a path, with the plain methods; opened as ``sutra_storage.open`` does."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        reconcile_interval_ms: int = 10,
        memory_threshold: int = 50_000,
        vector_dimension: int | None = 768,
    ) -> None:
        from . import open

        super().__init__(
            open(
                path,
                vector_dimension=vector_dimension,
                reconcile_interval_ms=reconcile_interval_ms,
                memory_threshold=memory_threshold,
            )
        )


class StorageClient(_Plain):
    """The same methods against a coordinator that runs, named by its socket or its TCP address.

    With a socket, reading looks into the store beside it, and writing goes over it. With
    ``127.0.0.1:PORT`` of ``sutra serve --listen``, both go over the connection, and nothing of the
    store has to be within reach. Nothing is hosted here.
    """

    def __init__(self, address: str | os.PathLike[str], timeout: float = 30.0) -> None:
        named = os.fspath(address)
        path = os.path.abspath(named)
        if not os.path.exists(path):
            if _is_tcp(named):
                super().__init__(Remote(named, timeout))
                return
            raise InvalidInputError(
                f"{named!r} is no socket of a coordinator and no address; give the path of "
                "coordinator.sock in a store that `sutra serve` serves, or HOST:PORT"
            )
        from . import open

        store = path if os.path.isdir(path) else os.path.dirname(path)
        socket = None if os.path.isdir(path) else path
        super().__init__(open(store, mode="server", create=False, socket=socket, timeout=timeout))


def _is_tcp(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    return bool(host and colon) and "/" not in host and port.isdecimal()
