"""The store for asyncio: the same methods, awaited, with the waiting done in threads.

    from sutra_storage import aio

    async with await aio.open("knowledge") as store:
        await store.learn("wolf", "a wild dog")
        hits = await store.nearest(vector, 5)

Only what may wait or search is awaited. A snapshot is the ordinary one: its ``get`` takes about a
microsecond, and needs no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Callable, ParamSpec, TypeVar

from . import Store as _Store
from . import open as _open
from ._native import Change, Concept, Expansion, Hit, Neighbor, Path, Snapshot, Version

__all__ = ["Store", "open"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Seconds for which a thread waits for an update before it looks whether anybody still wants it.
_SLICE = 1.0


async def _in_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    return await asyncio.to_thread(call, *args, **kwargs)


async def open(*args: Any, **kwargs: Any) -> Store:
    """Opens a store; takes what ``sutra_storage.open`` takes."""
    return Store(await asyncio.to_thread(_open, *args, **kwargs))


class Store:
    """A store whose waiting does not hold up the loop. See ``sutra_storage.Store``."""

    def __init__(self, store: _Store) -> None:
        #: The store itself.
        self.sync = store

    async def learn(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.learn``."""
        return await _in_thread(self.sync.learn, *args, **kwargs)

    async def learn_batch(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.learn_batch``."""
        return await _in_thread(self.sync.learn_batch, *args, **kwargs)

    async def associate(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.associate``."""
        return await _in_thread(self.sync.associate, *args, **kwargs)

    async def associate_batch(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.associate_batch``."""
        return await _in_thread(self.sync.associate_batch, *args, **kwargs)

    async def reinforce(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.reinforce``."""
        return await _in_thread(self.sync.reinforce, *args, **kwargs)

    async def touch(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.touch``."""
        return await _in_thread(self.sync.touch, *args, **kwargs)

    async def forget(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.forget``."""
        return await _in_thread(self.sync.forget, *args, **kwargs)

    async def disassociate(self, *args: Any, **kwargs: Any) -> int:
        """See ``Store.disassociate``."""
        return await _in_thread(self.sync.disassociate, *args, **kwargs)

    async def get(self, id: Any) -> Concept | None:
        """See ``Store.get``."""
        return await _in_thread(self.sync.get, id)

    async def get_many(self, ids: Any) -> list[Concept | None]:
        """See ``Store.get_many``."""
        return await _in_thread(self.sync.get_many, ids)

    async def contains(self, id: Any) -> bool:
        """See ``Store.contains``."""
        return await _in_thread(self.sync.contains, id)

    async def neighbors(self, *args: Any, **kwargs: Any) -> list[Neighbor]:
        """See ``Store.neighbors``."""
        return await _in_thread(self.sync.neighbors, *args, **kwargs)

    async def find_path(self, *args: Any, **kwargs: Any) -> Path | None:
        """See ``Store.find_path``."""
        return await _in_thread(self.sync.find_path, *args, **kwargs)

    async def find_paths(self, *args: Any, **kwargs: Any) -> list[Path]:
        """See ``Store.find_paths``."""
        return await _in_thread(self.sync.find_paths, *args, **kwargs)

    async def expand(self, *args: Any, **kwargs: Any) -> Expansion:
        """See ``Store.expand``."""
        return await _in_thread(self.sync.expand, *args, **kwargs)

    async def expand_nearest(self, *args: Any, **kwargs: Any) -> Expansion:
        """See ``Store.expand_nearest``."""
        return await _in_thread(self.sync.expand_nearest, *args, **kwargs)

    async def nearest(self, *args: Any, **kwargs: Any) -> Any:
        """See ``Store.nearest``."""
        return await asyncio.to_thread(self.sync.nearest, *args, **kwargs)

    async def nearest_arrays(self, *args: Any, **kwargs: Any) -> Any:
        """See ``Store.nearest_arrays``."""
        return await _in_thread(self.sync.nearest_arrays, *args, **kwargs)

    async def search(self, *args: Any, **kwargs: Any) -> list[Hit]:
        """See ``Store.search``."""
        return await _in_thread(self.sync.search, *args, **kwargs)

    async def history(self, id: Any) -> list[Version]:
        """See ``Store.history``."""
        return await _in_thread(self.sync.history, id)

    async def changes(self, *args: Any, **kwargs: Any) -> list[Change]:
        """See ``Store.changes``."""
        return await _in_thread(self.sync.changes, *args, **kwargs)

    async def snapshot(self) -> Snapshot:
        """See ``Store.snapshot``."""
        return await _in_thread(self.sync.snapshot)

    async def wait_for_lsn(self, lsn: int, timeout: float = 10.0) -> Snapshot:
        """See ``Store.wait_for_lsn``."""
        return await _in_thread(self.sync.wait_for_lsn, lsn, timeout)

    async def wait_for_update(self, timeout: float | None = None) -> bool:
        """See ``Store.wait_for_update``; a cancelled wait leaves its thread within a second."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            left = _SLICE if end is None else max(0.0, min(_SLICE, end - loop.time()))
            if await _in_thread(self.sync.wait_for_update, left):
                return True
            if end is not None and loop.time() >= end:
                return False

    async def updates(self) -> AsyncIterator[Snapshot]:
        """A snapshot after each publication: ``async for snapshot in store.updates(): ...``."""
        while True:
            await self.wait_for_update()
            yield await self.snapshot()

    async def flush(self) -> int:
        """See ``Store.flush``."""
        return await _in_thread(self.sync.flush)

    async def stats(self) -> dict[str, int]:
        """See ``Store.stats``."""
        return await _in_thread(self.sync.stats)

    async def close(self) -> None:
        """See ``Store.close``."""
        await _in_thread(self.sync.close)

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
