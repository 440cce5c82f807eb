"""What can go wrong, under one root; each error is also of the standard kind that fits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from ._native import Path

__all__ = [
    "BatchError",
    "ClosedError",
    "ConflictError",
    "CoordinatorStalledError",
    "DamagedError",
    "DimensionMismatchError",
    "Error",
    "InvalidInputError",
    "NeedsRecoveryError",
    "NoWriterError",
    "NotAllowedError",
    "ReadOnlyError",
    "StoppedEarlyError",
    "StorageFullError",
    "StoreNotFoundError",
    "UnansweredError",
    "UnknownConceptError",
    "WaitTimeoutError",
    "WrittenElsewhereError",
]


class Error(Exception):
    """The root of all errors of this package. The message says what can be done."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UnknownConceptError(Error, KeyError):
    """An id that the store does not have, where one is needed."""


class DimensionMismatchError(Error, ValueError):
    """A vector of another dimension, or compared otherwise, than the store's."""


class InvalidInputError(Error, ValueError):
    """An id, text, number, vector, filter or option that no store accepts."""


class ConflictError(Error):
    """``if_lsn`` or ``if_absent`` did not hold: somebody else was faster. Read again and decide anew."""


class StorageFullError(Error, OSError):
    """The disk or its quota is full, or a limit of the store is reached. Nothing was lost."""


class CoordinatorStalledError(Error, TimeoutError):
    """The process that writes the store is stopped or hangs; ``pid`` says which."""

    pid: int | None = None


class NoWriterError(Error, PermissionError):
    """Nobody writes the store at the moment, and this user may not."""


class NotAllowedError(Error, PermissionError):
    """Somebody writes the store, and takes no writes of this user."""


class ReadOnlyError(Error, PermissionError):
    """The handle, or the place where the store lies, can only be read."""


class WrittenElsewhereError(Error, BlockingIOError):
    """Another process writes the store alone, in embedded mode."""


class NeedsRecoveryError(Error, OSError):
    """The last writer did not stop cleanly, and this process could not recover the store."""


class StoreNotFoundError(Error, FileNotFoundError):
    """There is no store there."""


class DamagedError(Error, OSError):
    """A byte of the store does not say what it must; ``sutra verify`` lists the damage."""


class UnansweredError(Error, ConnectionError):
    """A write whose outcome is not known: read before writing it again."""


class WaitTimeoutError(Error, TimeoutError):
    """What was waited for did not happen in time."""


class StoppedEarlyError(Error, TimeoutError):
    """A search ended before its answer was known, by its timeout or by how much it may look at.

    ``paths`` has those that ``find_paths`` had found: they are the best ones, and there may be more.
    """

    paths: Sequence[Path] = ()


class ClosedError(Error, ValueError):
    """The store was closed."""


class BatchError(Error):
    """Some operations of a bulk write were not applied; the others were.

    ``errors`` has a pair of place and message for each; ``last_lsn`` is that of what was applied.
    """

    errors: Sequence[tuple[int, str]] = ()
    last_lsn: int = 0
