"""Several processes with one store: nothing is locked, nothing is stale, nobody hangs."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path

import pytest

import sutra_storage


def test_a_write_of_another_process_is_seen_at_once(path: Path, worker: type) -> None:
    with sutra_storage.open(path) as store:
        other = worker()
        lsn = int(other.run("store.learn('a', 'theirs')"))
        assert store.wait_for_lsn(lsn)["a"].content == "theirs"
        assert store["a"].content == "theirs"
        store.learn("b", "ours")
        assert other.run("store['b'].content") == "'ours'"
        assert store.is_host and other.run("store.is_host") == "False"


def test_a_waiter_is_woken_by_another_process(path: Path, worker: type) -> None:
    with sutra_storage.open(path) as store:
        assert not store.wait_for_update(0)
        worker().run("store.learn('a', '')")
        # Also of what happened before the call.
        assert store.wait_for_update(30)
        assert "a" in store and not store.wait_for_update(0.01)


def test_when_the_host_is_killed_the_others_go_on(path: Path, worker: type) -> None:
    host, others = worker(), [worker() for _ in range(2)]
    assert host.run("store.learn('a', 'kept') > 0") == "True"
    assert host.run("store.is_host") == "True"
    host.kill()
    for number, other in enumerate(others):
        assert other.run(f"store.learn('b{number}', '') > 0") == "True"
        assert other.run("store['a'].content") == "'kept'"
    assert sorted(other.run("store.is_host") for other in others) == ["False", "True"]


def test_a_killed_host_with_a_sleeping_child_is_followed(path: Path, worker: type) -> None:
    host, other = worker(), worker()
    assert host.run("store.learn('a', '') > 0") == "True"
    child = int(host.run("(lambda pid: pid or __import__('time').sleep(600))(__import__('os').fork())"))
    try:
        host.process.kill()
        host.process.wait()
        started_at = time.monotonic()
        assert other.run("store.learn('b', '') > 0") == "True"
        assert time.monotonic() - started_at < 10
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def _learn_in_child(store: sutra_storage.Store, name: str) -> None:
    store.learn(name, "of a child")
    assert store[name].content == "of a child"


def test_a_handle_is_of_use_in_forked_and_in_spawned_children(path: Path) -> None:
    with sutra_storage.open(path) as store:
        store.learn("parent", "")
        contexts: list[ForkContext | SpawnContext] = [ForkContext(), SpawnContext()]
        for context in contexts:
            method = context.get_start_method()
            children = [
                context.Process(target=_learn_in_child, args=(store, f"{method}-{number}"))
                for number in range(3)
            ]
            for child in children:
                child.start()
            for child in children:
                child.join(60)
                assert child.exitcode == 0
        assert len(store) == 7
        store.learn("after", "")


def test_a_stopped_host_is_named_and_reading_goes_on(path: Path, worker: type) -> None:
    host = worker()
    host.run("store.learn('a', 'kept')")
    with sutra_storage.open(path, timeout=0.3) as store:
        os.kill(host.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError) as raised:
                store.learn("b", "")
            assert isinstance(raised.value, sutra_storage.CoordinatorStalledError)
            assert raised.value.pid == host.process.pid
            assert store["a"].content == "kept"
        finally:
            os.kill(host.process.pid, signal.SIGCONT)
        store.learn("c", "")


def test_embedded_mode_keeps_other_writers_out(path: Path, worker: type) -> None:
    with sutra_storage.open(path, mode="embedded") as store:
        store.learn("a", "ours")
        other = worker()
        assert other.run("store['a'].content") == "'ours'"
        assert other.run("store.learn('b', '')").startswith("raised WrittenElsewhereError")
    assert int(other.run("store.learn('b', '')")) > 0


def test_the_environment_names_the_store_and_the_mode(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_PATH", str(path))
    monkeypatch.setenv("SUTRA_VECTOR_DIMENSION", "2")
    with sutra_storage.open() as store:
        with pytest.raises(sutra_storage.DimensionMismatchError):
            store.learn("a", "", embedding=[1.0])
    monkeypatch.setenv("STORAGE_MODE", "server")
    with sutra_storage.open() as store, pytest.raises(sutra_storage.NoWriterError):
        store.learn("a", "")
    monkeypatch.setenv("STORAGE_MODE", "sharded")
    with pytest.raises(ValueError, match="later version"):
        sutra_storage.open()
