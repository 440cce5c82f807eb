"""The asyncio twin: waiting does not hold up the loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import sutra_storage
from sutra_storage import aio


async def test_what_is_awaited_is_what_the_store_gives(path: Path) -> None:
    async with await aio.open(path) as store:
        await store.learn("a", "one", embedding=[1.0, 0.0])
        await store.learn_batch(["b", "c"], ["two", "three"])
        await store.associate("a", "b")
        found = await store.get("a")
        assert found is not None and found.content == "one"
        assert [hit.id for hit in await store.nearest([1.0, 0.0], 1)] == ["a"]
        assert [n.id for n in await store.neighbors("a")] == ["b"]
        path_found = await store.find_path("a", "b")
        assert path_found is not None and path_found.ids == ["a", "b"]
        assert [one.ids for one in await store.find_paths("a", "b")] == [["a", "b"]]
        assert [one.id for one in await store.expand("a")] == ["a", "b"]
        around = await store.expand_nearest([1.0, 0.0], 1)
        assert [one.id for one in around] == ["a", "b"]
        with pytest.raises(sutra_storage.UnknownConceptError):
            await store.forget("nobody")
        assert (await store.stats())["concepts"] == 3
    assert store.sync.closed


async def test_a_waiting_task_leaves_the_loop_to_others(path: Path) -> None:
    async with await aio.open(path) as store:
        assert not await store.wait_for_update(0)
        waiting = asyncio.create_task(store.wait_for_update(30))
        turns = 0
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0.001)
            if turns == 20:
                await store.learn("a", "")
        assert await waiting and turns >= 20


async def test_many_writers_at_once(path: Path) -> None:
    async with await aio.open(path) as store:
        await asyncio.gather(*(store.learn(f"c{n}", "") for n in range(50)))
        assert len(await store.snapshot()) == 50


async def test_updates_come_as_snapshots(path: Path) -> None:
    async with await aio.open(path) as store:
        assert not await store.wait_for_update(0)

        async def first() -> sutra_storage.Snapshot:
            async for snapshot in store.updates():
                return snapshot
            raise AssertionError("updates do not end")

        waiting = asyncio.create_task(first())
        await store.learn("a", "")
        assert "a" in await asyncio.wait_for(waiting, 30)
