"""A LangChain ``VectorStore`` over a store that other processes may share.

    from sutra_storage.langchain import SutraVectorStore

    store = SutraVectorStore(embedding=my_embeddings, path="knowledge")
    store.add_texts(["a wild dog", "a domestic animal"], [{"wild": True}, {"wild": False}])
    store.similarity_search("wolves", k=1, filter={"wild": True})

A document is a concept: its ``page_content`` the content, its ``metadata`` the metadata, its ``id`` the
id. Needs the extra ``sutra-storage[langchain]``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from . import Store, UnknownConceptError
from . import open as _open

__all__ = ["SutraVectorStore"]


class SutraVectorStore(VectorStore):
    """Documents and their vectors in a store; see ``sutra_storage.open`` for the options."""

    def __init__(
        self,
        embedding: Embeddings,
        path: str | os.PathLike[str] | None = None,
        *,
        store: Store | None = None,
        metric: str | None = None,
        **options: Any,
    ) -> None:
        """embedding: makes the vectors.
        path, metric, options: what to open, unless ``store`` is given, which stays the caller's to
        close.
        """
        self._embedding = embedding
        self._store = _open(path, metric=metric, **options) if store is None else store
        self._metric = metric or "cosine"

    @property
    def store(self) -> Store:
        """The store itself: its associations, history and changes are there for documents too."""
        return self._store

    @property
    def embeddings(self) -> Embeddings:
        """What makes the vectors."""
        return self._embedding

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> SutraVectorStore:
        """Opens a store, as the constructor does, and adds texts to it."""
        made = cls(embedding, **kwargs)
        made.add_texts(texts, metadatas, ids=ids)
        return made

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Adds texts, or replaces those of the same ids; their ids."""
        all_texts = list(texts)
        if not all_texts:
            return []
        given = ids if ids is not None else [None] * len(all_texts)
        named = [one or str(uuid.uuid4()) for one in given]
        self._store.learn_batch(
            named,
            all_texts,
            embeddings=self._embedding.embed_documents(all_texts),
            metadata=[dict(one) for one in metadatas] if metadatas else [{}] * len(all_texts),
        )
        return named

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Forgets documents; those that are not there are passed over. Without ids, all of them."""
        snapshot = self._store.snapshot()
        known = [one.id for one in snapshot] if ids is None else [i for i in ids if i in snapshot]
        try:
            with self._store.batch() as batch:
                for one in dict.fromkeys(known):
                    batch.forget(one)
        except UnknownConceptError:
            # Somebody else forgot one of them meanwhile.
            for one in known:
                try:
                    self._store.forget(one)
                except UnknownConceptError:
                    pass
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of those ids that are there."""
        return [_document(one) for one in self._store.get_many(ids) if one is not None]

    def similarity_search(
        self, query: str, k: int = 4, filter: Any | None = None, **kwargs: Any
    ) -> list[Document]:
        """The documents nearest to a text."""
        found = self.similarity_search_with_score(query, k, filter, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Any | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with their scores: larger is nearer."""
        vector = self._embedding.embed_query(query)
        return self.similarity_search_with_score_by_vector(vector, k, filter, **kwargs)

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any | None = None, **kwargs: Any
    ) -> list[Document]:
        """The documents nearest to a vector."""
        found = self.similarity_search_with_score_by_vector(embedding, k, filter, **kwargs)
        return [document for document, _ in found]

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, filter: Any | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with their scores: larger is nearer."""
        hits = self._store.nearest(embedding, k, filter=_filter(filter))
        return [(_document(hit.concept), hit.score) for hit in hits]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Any | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Documents that are near to a text and not all alike."""
        vector = self._embedding.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, filter, **kwargs
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Any | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The same for a vector."""
        hits = self._store.nearest(embedding, fetch_k, filter=_filter(filter))
        concepts = [hit.concept for hit in hits]
        vectors: list[Any] = [concept.embedding for concept in concepts]
        chosen = maximal_marginal_relevance(np.array(embedding), vectors, lambda_mult, k)
        return [_document(concepts[place]) for place in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        if self._metric == "l2":
            return lambda score: 1.0 / (1.0 - score)  # minus a distance
        # Rounding may carry the cosine of a vector with itself beyond 1.
        return lambda score: min(1.0, max(0.0, (1.0 + score) / 2.0))


def _document(concept: Any) -> Document:
    metadata = concept.metadata
    return Document(
        id=str(concept.id),
        page_content=concept.content,
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _filter(given: Any | None) -> Any | None:
    """Keys of a dict are those of the metadata; a str is a filter of the store's own."""
    if not isinstance(given, Mapping):
        return given
    return {key if "." in key else f"meta.{key}": value for key, value in given.items()}
