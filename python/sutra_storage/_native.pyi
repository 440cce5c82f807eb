"""Types of the native part; ``sutra_storage`` exports all of them."""

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, TypeAlias, final, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

Id: TypeAlias = str | bytes | uuid.UUID
Vector: TypeAlias = npt.NDArray[Any] | Buffer | Sequence[float]
Matrix: TypeAlias = npt.NDArray[Any] | Buffer | Sequence[Vector]
Direction: TypeAlias = Literal["out", "in", "both"]
Filter: TypeAlias = str | Mapping[str, str | float | bool | Sequence[str | float | bool]]
Metadata: TypeAlias = str | Mapping[str, Any]
AssociationTuple: TypeAlias = (
    tuple[Id, Id] | tuple[Id, Id, str | int] | tuple[Id, Id, str | int, float]
)

@final
class Concept:
    @property
    def id(self) -> Any: ...
    @property
    def content(self) -> str: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def embedding(self) -> npt.NDArray[np.float32] | None: ...
    @property
    def strength(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def kind(self) -> str | None: ...
    @property
    def author(self) -> str | None: ...
    @property
    def namespace(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def updated_at(self) -> float: ...
    @property
    def expires_at(self) -> float | None: ...
    @property
    def lsn(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def ordinal(self) -> int: ...

@final
class Hit:
    @property
    def id(self) -> Any: ...
    @property
    def content(self) -> str: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def score(self) -> float: ...
    @property
    def concept(self) -> Concept: ...

@final
class Neighbor:
    @property
    def id(self) -> Any: ...
    @property
    def content(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def weight(self) -> float: ...
    @property
    def direction(self) -> Literal["out", "in"]: ...
    @property
    def concept(self) -> Concept: ...

@final
class Path:
    @property
    def ids(self) -> list[Any]: ...
    @property
    def concepts(self) -> list[Concept]: ...
    @property
    def types(self) -> list[str]: ...
    @property
    def confidence(self) -> float: ...
    @property
    def score(self) -> float: ...
    def __len__(self) -> int: ...

@final
class Association:
    @property
    def source(self) -> Any: ...
    @property
    def target(self) -> Any: ...
    @property
    def type(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def weight(self) -> float: ...

@final
class Expanded:
    @property
    def id(self) -> Any: ...
    @property
    def content(self) -> str: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def concept(self) -> Concept: ...
    @property
    def score(self) -> float: ...
    @property
    def hops(self) -> int: ...
    @property
    def seed(self) -> Any: ...
    @property
    def via(self) -> Any: ...
    @property
    def type(self) -> str | None: ...

@final
class Expansion:
    @property
    def concepts(self) -> list[Expanded]: ...
    @property
    def associations(self) -> list[Association]: ...
    @property
    def is_cut(self) -> bool: ...
    @property
    def stopped(self) -> str | None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Expanded]: ...

@final
class Version:
    @property
    def version(self) -> int: ...
    @property
    def lsn(self) -> int: ...
    @property
    def updated_at(self) -> float: ...
    @property
    def content(self) -> str | None: ...
    @property
    def strength(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def author(self) -> str | None: ...
    @property
    def is_forgotten(self) -> bool: ...

@final
class Change:
    @property
    def lsn(self) -> int: ...
    @property
    def kind(
        self,
    ) -> Literal[
        "learnt", "updated", "forgotten", "associated", "association_updated", "disassociated"
    ]: ...
    @property
    def id(self) -> Any: ...
    @property
    def target(self) -> Any: ...
    @property
    def type(self) -> str | None: ...

class Readable:
    def get(self, id: Id) -> Concept | None: ...
    def get_many(self, ids: Iterable[Id]) -> list[Concept | None]: ...
    def contains(self, id: Id) -> bool: ...
    def neighbors(
        self,
        id: Id,
        *,
        direction: Direction = "out",
        types: str | Sequence[str] | None = None,
        limit: int | None = None,
        min_confidence: float = 0.0,
        filter: Filter | None = None,
    ) -> list[Neighbor]: ...
    def find_path(
        self,
        start: Id,
        end: Id,
        max_depth: int = 6,
        *,
        direction: Direction = "out",
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        filter: Filter | None = None,
        timeout: float | None = None,
    ) -> Path | None: ...
    def find_paths(
        self,
        start: Id,
        end: Id,
        k: int = 3,
        *,
        by: Literal["confidence", "weight", "strength"] = "confidence",
        half_life: float | None = None,
        direction: Direction = "out",
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        filter: Filter | None = None,
        timeout: float | None = None,
    ) -> list[Path]: ...
    def expand(
        self,
        seeds: Id | Sequence[Id] | Mapping[Id, float],
        *,
        hops: int = 2,
        limit: int = 100,
        per_hop: int | None = None,
        half_life: float | None = None,
        direction: Direction = "both",
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        filter: Filter | None = None,
        timeout: float | None = None,
    ) -> Expansion: ...
    def expand_nearest(
        self,
        vector: Vector,
        k: int = 10,
        *,
        ef: int | None = None,
        exclude: Id | None = None,
        space: str | None = None,
        hops: int = 2,
        limit: int = 100,
        per_hop: int | None = None,
        half_life: float | None = None,
        direction: Direction = "both",
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        filter: Filter | None = None,
        timeout: float | None = None,
    ) -> Expansion: ...
    @overload
    def nearest(
        self,
        vector: Sequence[float],
        k: int = 10,
        *,
        ef: int | None = None,
        filter: Filter | None = None,
        exclude: Id | None = None,
        space: str | None = None,
    ) -> list[Hit]: ...
    @overload
    def nearest(
        self,
        vector: Any,
        k: int = 10,
        *,
        ef: int | None = None,
        filter: Filter | None = None,
        exclude: Id | None = None,
        space: str | None = None,
    ) -> Any: ...
    def nearest_arrays(
        self,
        vector: Vector | Matrix,
        k: int = 10,
        *,
        ef: int | None = None,
        filter: Filter | None = None,
        exclude: Id | None = None,
        space: str | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]: ...
    def search(self, text: str, limit: int = 10, *, filter: Filter | None = None) -> list[Hit]: ...
    def history(self, id: Id) -> list[Version]: ...
    def changes(self, since_lsn: int = 0, *, limit: int = 1_000_000) -> list[Change]: ...
    def concepts(self, *, filter: Filter | None = None) -> Iterator[Concept]: ...
    def stats(self) -> dict[str, int]: ...
    def __contains__(self, id: Id) -> bool: ...
    def __getitem__(self, id: Id) -> Concept: ...
    def __iter__(self) -> Iterator[Concept]: ...
    def __len__(self) -> int: ...

@final
class Snapshot(Readable):
    @property
    def lsn(self) -> int: ...
    def concept_at(self, ordinal: int) -> Concept | None: ...

@final
class RemoteConcept:
    @property
    def id(self) -> Any: ...
    @property
    def content(self) -> str: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def embedding(self) -> npt.NDArray[np.float32] | None: ...
    @property
    def strength(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def created_at(self) -> float: ...
    @property
    def updated_at(self) -> float: ...
    @property
    def lsn(self) -> int: ...
    @property
    def version(self) -> int: ...

@final
class RemoteNeighbor:
    @property
    def id(self) -> Any: ...
    @property
    def type(self) -> str: ...
    @property
    def confidence(self) -> float: ...

@final
class RemotePath:
    @property
    def ids(self) -> list[Any]: ...
    @property
    def types(self) -> list[str]: ...
    @property
    def confidence(self) -> float: ...

@final
class RemoteHit:
    @property
    def id(self) -> Any: ...
    @property
    def score(self) -> float: ...

@final
class Remote:
    def __new__(cls, address: str, timeout: float = 30.0) -> Self: ...
    def learn(
        self,
        id: Id,
        content: str | None = None,
        *,
        embedding: Vector | None = None,
        strength: float | None = None,
        confidence: float | None = None,
    ) -> int: ...
    def associate(
        self,
        source: Id,
        target: Id,
        type: str | int = "semantic",
        *,
        confidence: float | None = None,
    ) -> int: ...
    def get(self, id: Id) -> RemoteConcept | None: ...
    def contains(self, id: Id) -> bool: ...
    def neighbors(
        self, id: Id, *, direction: Direction = "out", limit: int = 10_000
    ) -> list[RemoteNeighbor]: ...
    def find_path(
        self, start: Id, end: Id, max_depth: int = 6, *, direction: Direction = "out"
    ) -> RemotePath | None: ...
    def nearest(
        self, vector: Any, k: int = 10, *, ef: int | None = None, filter: str | None = None
    ) -> list[RemoteHit]: ...
    def search(
        self, text: str, limit: int = 10, *, filter: str | None = None
    ) -> list[RemoteHit]: ...
    def stats(self) -> dict[str, int]: ...
    def flush(self) -> int: ...
    def close(self) -> None: ...

@final
class Batch:
    def learn(
        self,
        id: Id | None = None,
        content: str | None = None,
        *,
        embedding: Vector | None = None,
        metadata: Metadata | None = None,
        kind: str | None = None,
        strength: float | None = None,
        confidence: float | None = None,
        expires_in: float | None = None,
        if_lsn: int | None = None,
        if_absent: bool = False,
    ) -> None: ...
    def associate(
        self,
        source: Id,
        target: Id,
        type: str | int = "semantic",
        *,
        confidence: float | None = None,
        weight: float | None = None,
        properties: Metadata | None = None,
        valid_for: float | None = None,
        create_missing: bool = False,
    ) -> None: ...
    def reinforce(
        self, id: Id, *, strength: float | None = None, confidence: float | None = None
    ) -> None: ...
    def forget(self, id: Id, *, if_lsn: int | None = None) -> None: ...
    def disassociate(self, source: Id, target: Id, type: str | int | None = None) -> None: ...
    def write(self) -> int: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, value: object, traceback: object) -> bool: ...

@final
class Store(Readable):
    def __new__(
        cls,
        path: str | os.PathLike[str] | None = None,
        vector_dimension: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
        create: bool = True,
        read_only: bool = False,
        namespace: str | None = None,
        *,
        socket: str | os.PathLike[str] | None = None,
        author: str | None = None,
        timeout: float = 30.0,
        level: str = "durable",
        reconcile_interval_ms: int | None = None,
        memory_threshold: int | None = None,
    ) -> Self: ...
    @property
    def path(self) -> Any: ...
    @property
    def namespace(self) -> str: ...
    @property
    def is_host(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def learn(
        self,
        id: Id | None = None,
        content: str | None = None,
        *,
        embedding: Vector | None = None,
        metadata: Metadata | None = None,
        kind: str | None = None,
        strength: float | None = None,
        confidence: float | None = None,
        expires_in: float | None = None,
        if_lsn: int | None = None,
        if_absent: bool = False,
    ) -> int: ...
    def learn_batch(
        self,
        ids: Sequence[Id] | None = None,
        contents: Sequence[str | None] | None = None,
        *,
        embeddings: Matrix | None = None,
        metadata: Sequence[Metadata | None] | None = None,
        kinds: Sequence[str | None] | None = None,
        strengths: Sequence[float] | None = None,
        confidences: Sequence[float] | None = None,
    ) -> int: ...
    def associate(
        self,
        source: Id,
        target: Id,
        type: str | int = "semantic",
        *,
        confidence: float | None = None,
        weight: float | None = None,
        properties: Metadata | None = None,
        valid_for: float | None = None,
        create_missing: bool = False,
    ) -> int: ...
    def associate_batch(
        self, associations: Iterable[AssociationTuple], *, create_missing: bool = False
    ) -> int: ...
    def batch(self) -> Batch: ...
    def reinforce(
        self,
        id: Id,
        *,
        strength: float | None = None,
        confidence: float | None = None,
        if_lsn: int | None = None,
    ) -> int: ...
    def touch(self, id: Id, count: int = 1) -> int: ...
    def forget(self, id: Id, *, if_lsn: int | None = None) -> int: ...
    def disassociate(self, source: Id, target: Id, type: str | int | None = None) -> int: ...
    def flush(self) -> int: ...
    def snapshot(self) -> Snapshot: ...
    def wait_for_update(self, timeout: float | None = None) -> bool: ...
    def wait_for_lsn(self, lsn: int, timeout: float = 10.0) -> Snapshot: ...
    def listen(self, address: str = "127.0.0.1:0") -> str: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, value: object, traceback: object) -> None: ...
