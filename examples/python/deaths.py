"""What ends or stops in the midst of things, and what the others notice of it: a short wait at most.

    python examples/python/deaths.py [STORE]

A worker is killed while it writes; the host of the coordinator is killed while others write; a host
that had forked a sleeping child is killed; a host is stopped, as by Ctrl-Z, and goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import sutra_storage

SPAWN = multiprocessing.get_context("spawn")


def writer(path: str, name: str, answers: Connection) -> None:
    """Learns a pair of notes in each batch, and tells how many batches were acknowledged."""
    with sutra_storage.open(path) as store:
        for number in range(1_000_000):
            with store.batch() as batch:
                batch.learn(f"{name}/{number}/left", "a")
                batch.learn(f"{name}/{number}/right", "b")
                batch.associate(f"{name}/{number}/left", f"{name}/{number}/right")
            answers.send(number + 1)


def parent_of_a_sleeper(path: str, answers: Connection) -> None:
    """Hosts the store, and forks a child that does nothing for long, as a job runner does."""
    store = sutra_storage.open(path)
    store.learn("sleeper", "has a parent that hosts")
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    answers.send(child)
    time.sleep(600)


def start(path: str, name: str) -> tuple[BaseProcess, Connection]:
    heard, said = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=writer, args=(path, name, said), daemon=True)
    process.start()
    return process, heard


def acknowledged(heard: Connection, at_least: int = 0) -> int:
    """The last that a writer said."""
    number = 0
    while heard.poll(0) or number < at_least:
        try:
            number = heard.recv()
        except EOFError:
            break
    return number


def check(store: sutra_storage.Store, name: str, at_least: int) -> int:
    """Everything acknowledged is there, and no half of a batch."""
    notes = [str(concept.id) for concept in store if str(concept.id).startswith(f"{name}/")]
    assert len(notes) >= 2 * at_least and len(notes) % 2 == 0, (len(notes), at_least)
    assert all(len(store.neighbors(note)) == 1 for note in notes if note.endswith("left"))
    return len(notes) // 2


def main(path: str) -> None:
    """One scene after the other, in one store."""
    host, of_host = start(path, "host")
    acknowledged(of_host, 3)
    with sutra_storage.open(path, timeout=20) as store:
        worker, of_worker = start(path, "worker")
        acknowledged(of_worker, 20)
        worker.kill()
        worker.join()
        kept = check(store, "worker", acknowledged(of_worker))
        print(f"a worker was killed in mid-write: {kept} of its batches are there, each whole")

        other, of_other = start(path, "other")
        acknowledged(of_other, 3)
        assert not store.is_host
        host.kill()
        host.join()
        began = time.monotonic()
        store.learn("after", "the host was killed")
        waited = time.monotonic() - began
        before = acknowledged(of_other)
        acknowledged(of_other, before + 3)
        check(store, "host", acknowledged(of_host))
        print(f"the host was killed: the next write took {waited * 1e3:.1f} ms, the other goes on")
        other.kill()
        other.join()
        check(store, "other", acknowledged(of_other))

    heard, said = SPAWN.Pipe(duplex=False)
    sleepy = SPAWN.Process(target=parent_of_a_sleeper, args=(path, said), daemon=True)
    sleepy.start()
    child = heard.recv()
    with sutra_storage.open(path, timeout=20) as store:
        sleepy.kill()
        sleepy.join()
        began = time.monotonic()
        store.learn("after the sleeper's parent", "its child still sleeps")
        waited = time.monotonic() - began
        os.kill(child, 0)
        os.kill(child, signal.SIGKILL)
        print(f"a host with a sleeping child was killed: the next write took {waited * 1e3:.1f} ms")

    stopped, of_stopped = start(path, "stopped")
    acknowledged(of_stopped, 3)
    with sutra_storage.open(path, timeout=0.5) as store:
        assert stopped.pid is not None
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            store.learn("meanwhile", "")
            raise AssertionError("a stopped host answers nothing")
        except sutra_storage.CoordinatorStalledError as error:
            assert error.pid == stopped.pid
            print(f"a stopped host is named, with its pid: {str(error)[:60]} ...")
        assert store["after"].content == "the host was killed", "reading needs nobody"
        os.kill(stopped.pid, signal.SIGCONT)
        store.learn("later", "it goes on where it was")
    stopped.kill()
    stopped.join()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(os.path.join(folder, "knowledge"))
