"""LangChain's own suite for vector stores, against a store that another process hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("langchain_tests", reason="the extra langchain and langchain-tests")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from sutra_storage.langchain import SutraVectorStore


class TestOfLangChain(VectorStoreIntegrationTests):
    @pytest.fixture()
    def vectorstore(self, path: Path, worker: type) -> Iterator[VectorStore]:
        other = worker()
        assert other.run("store.learn('seed', '') > 0 and store.forget('seed') > 0") == "True"
        made = SutraVectorStore(self.get_embeddings(), path)
        yield made
        assert not made.store.is_host and other.run("store.is_host") == "True"
        made.store.close()


def test_documents_are_filtered_ranked_and_seen_by_others(path: Path, worker: type) -> None:
    embedding = DeterministicFakeEmbedding(size=8)
    texts = [f"text {number}" for number in range(10)]
    made = SutraVectorStore.from_texts(
        texts, embedding, [{"n": n, "odd": bool(n % 2)} for n in range(10)], path=path
    )
    found = made.similarity_search("text 3", 1)
    assert found[0].page_content == "text 3" and found[0].metadata == {"n": 3, "odd": True}
    even = made.similarity_search("text 3", 10, filter={"odd": False})
    assert sorted(document.metadata["n"] for document in even) == [0, 2, 4, 6, 8]
    ranked = made.similarity_search_with_relevance_scores("text 3", 10)
    assert ranked[0][1] == pytest.approx(1.0) and all(0 <= score <= 1 for _, score in ranked)
    assert len(made.max_marginal_relevance_search("text 3", 4)) == 4
    assert worker().run("len(store)") == "10"
    made.add_documents([Document(id="own", page_content="mine")])
    assert made.get_by_ids(["own", "none"])[0].page_content == "mine"
    made.delete()
    assert made.similarity_search("text 3") == []
    made.store.close()
