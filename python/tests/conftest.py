"""Stores of their own for each test, and other processes beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sutra_storage


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the one who runs the tests has set must not change them."""
    for name in list(os.environ):
        if name.startswith(("SUTRA_", "STORAGE_")) or name in ("NUM_SHARDS", "VECTOR_DIMENSION"):
            monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[sutra_storage.Store]:
    with sutra_storage.open(path) as store:
        yield store


class Worker:
    """A Python process with ``store`` open, which runs what it is given line by line."""

    PROGRAM = """
import sys, sutra_storage
store = sutra_storage.open(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    try:
        print(repr(eval(line)), flush=True)
    except Exception as error:
        print("raised", type(error).__name__, error, flush=True)
"""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def run(self, code: str) -> str:
        """The ``repr`` of what an expression gives there."""
        assert self.process.stdin is not None
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        return self._line()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def worker(path: Path) -> Iterator[type[Worker]]:
    """Starts workers on the store; they are gone with the test."""
    started: list[Worker] = []

    class Started(Worker):
        def __init__(self, at: Path = path) -> None:
            super().__init__(at)
            started.append(self)

    yield Started
    for one in started:
        one.kill()
