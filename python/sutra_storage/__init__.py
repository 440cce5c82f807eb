"""One live knowledge store that any number of processes share, with nothing to start before.

    import sutra_storage

    with sutra_storage.open("knowledge") as store:
        store.learn("wolf", "a wild dog that hunts in packs")
        store.learn("dog", "a domestic animal")
        store.associate("dog", "wolf", "hierarchical")
        print(store["wolf"].content, [n.id for n in store.neighbors("dog")])

Concepts have an id, content, metadata, an embedding, a strength and a confidence, and are joined by
typed associations. Reading looks into one mapped file; writes go to the one process that hosts the
store's coordinator, which is whichever opened it first, and another after it.
"""

from __future__ import annotations

import atexit
import os
import weakref
from importlib.metadata import PackageNotFoundError, version

from ._errors import (
    BatchError,
    ClosedError,
    ConflictError,
    CoordinatorStalledError,
    DamagedError,
    DimensionMismatchError,
    Error,
    InvalidInputError,
    NeedsRecoveryError,
    NoWriterError,
    NotAllowedError,
    ReadOnlyError,
    StoppedEarlyError,
    StorageFullError,
    StoreNotFoundError,
    UnansweredError,
    UnknownConceptError,
    WaitTimeoutError,
    WrittenElsewhereError,
)
from ._native import (
    Association,
    Batch,
    Change,
    Concept,
    Expanded,
    Expansion,
    Hit,
    Neighbor,
    Path,
    Snapshot,
    Version,
)
from ._native import Store as _NativeStore
from ._concurrent import ConcurrentStorage, StorageClient

try:
    __version__ = version("sutra-storage")
except PackageNotFoundError:  # used from a checkout that was not installed
    __version__ = "0"

__all__ = [
    "Association",
    "Batch",
    "BatchError",
    "Change",
    "ClosedError",
    "Concept",
    "ConcurrentStorage",
    "ConflictError",
    "CoordinatorStalledError",
    "DamagedError",
    "DimensionMismatchError",
    "Error",
    "Expanded",
    "Expansion",
    "Hit",
    "InvalidInputError",
    "NeedsRecoveryError",
    "Neighbor",
    "NoWriterError",
    "NotAllowedError",
    "Path",
    "ReadOnlyError",
    "Snapshot",
    "StoppedEarlyError",
    "StorageClient",
    "StorageFullError",
    "Store",
    "StoreNotFoundError",
    "UnansweredError",
    "UnknownConceptError",
    "Version",
    "WaitTimeoutError",
    "WrittenElsewhereError",
    "open",
]

Store = _NativeStore

#: Handles that are to be closed when the interpreter ends, so that a host leaves in good order.
_open: weakref.WeakSet[_NativeStore] = weakref.WeakSet()


def _close_all() -> None:
    for store in list(_open):
        store.close()


atexit.register(_close_all)


def open(
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
) -> Store:
    """Opens a store, and makes it if it is not there.

    path: its directory; ``SUTRA_STORAGE_PATH`` unless given.
    vector_dimension, metric: of its vectors (``cosine``, ``dot`` or ``l2``); in a store that has
        vectors, another dimension or metric is a ``DimensionMismatchError``. Without them, the first
        vector tells the dimension, and the metric is cosine.
    mode: ``auto`` writes through whichever process hosts the coordinator, this one if none does;
        ``embedded`` hosts here, and takes no writes of other processes; ``server`` needs a
        coordinator that runs (``sutra serve``). ``SUTRA_STORAGE_MODE`` unless given.
    create: make the store if there is none; else that is a ``StoreNotFoundError``.
    read_only: never write, and never host.
    namespace: where this handle learns and looks.
    socket: the coordinator's socket, if it is not in the store's directory.
    timeout: seconds that a call may wait for a coordinator that is gone, stopped or silent.
    level: what a write waits for: ``accepted`` (survives a kill), ``durable`` (survives a power cut)
        or ``visible`` (every reader sees it). The handle itself sees its writes in any case.
    reconcile_interval_ms, memory_threshold: where this process hosts, how long a write may wait to
        become visible, and how many new versions there are between checkpoints.
    """
    store = Store(
        path,
        vector_dimension,
        metric,
        mode,
        create,
        read_only,
        namespace,
        socket=socket,
        author=author,
        timeout=timeout,
        level=level,
        reconcile_interval_ms=reconcile_interval_ms,
        memory_threshold=memory_threshold,
    )
    _open.add(store)
    return store
