"""Where a store may lie and who may open it: a long path, a copy made while it is written, a reader
without the right to write, another user, a read-only mount.

    python examples/python/places.py [STORE]

The last three need root to be set up; without it they are left out, and said so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import sutra_storage

#: A user that nobody is.
OTHER = 60_003


def a_long_path(folder: Path) -> None:
    """Longer than the address of a socket may be."""
    path = folder / ("a" * 120) / ("b" * 120) / "store"
    path.parent.mkdir(parents=True)
    with sutra_storage.open(path) as store:
        store.learn("far", "below")
        with sutra_storage.open(path) as guest:
            guest.learn("farther", "below")
        assert len(store) == 2
    print(f"a path of {len(str(path))} bytes is no trouble")


def a_copy_while_it_is_written(store: sutra_storage.Store, copy: Path) -> None:
    """``cp -r`` of a live store gives a store of its own, as of some moment."""
    is_over = threading.Event()
    learnt = 0

    def write() -> None:
        nonlocal learnt
        while not is_over.is_set():
            store.learn(f"live-{learnt}", "text", embedding=[float(learnt), 1.0])
            learnt += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while learnt < 50:
            store.wait_for_update(1)
        before = learnt
        subprocess.run(["cp", "-r", str(store.path), str(copy)], check=True)
    finally:
        is_over.set()
        thread.join()
    with sutra_storage.open(copy) as copied:
        of_copy = sum(str(one.id).startswith("live-") for one in copied)
        assert before <= of_copy <= learnt, (before, of_copy, learnt)
        # Nothing is missing in between.
        assert all(f"live-{number}" in copied for number in range(of_copy))
        copied.learn("own", "of the copy alone")
    assert "own" not in store
    print(f"a copy made during writes has the first {of_copy} of {learnt}, and goes its own way")


def as_another_user(path: Path) -> None:
    """Reads, and is told who may write."""
    os.chmod(path, 0o755)
    os.chmod(path / "storage.dat", 0o644)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(OTHER)
            os.setuid(OTHER)
            # With rights to read alone, a handle for writing is opened all the same.
            with sutra_storage.open(path, timeout=5) as store:
                assert store["first"].content == "of the owner"
                try:
                    store.learn("second", "of somebody else")
                except sutra_storage.NotAllowedError as error:
                    print(f"another user reads, and is told: {str(error)[-66:]}", flush=True)
                    status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, "the other user was treated otherwise"


def a_read_only_mount(path: Path, place: Path) -> None:
    """Reads, and says why it cannot be written."""
    place.mkdir()
    if subprocess.run(["mount", "--bind", path, place], capture_output=True).returncode != 0:
        print("nothing can be mounted here: the read-only mount is left out")
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        with sutra_storage.open(place) as store:
            assert store["first"].content == "of the owner"
            try:
                store.learn("second", "nowhere to go")
                raise AssertionError("a read-only mount was written")
            except sutra_storage.ReadOnlyError as error:
                print(f"a read-only mount is read, and says: {str(error)[-58:]}")
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def main(path: Path) -> None:
    """All of them."""
    folder = path.parent / f"{path.name}-places"
    folder.mkdir(mode=0o755)
    try:
        a_long_path(folder)
        with sutra_storage.open(path) as store:
            store.learn("first", "of the owner")
            a_copy_while_it_is_written(store, folder / "copy")
        if os.geteuid() != 0:
            print("another user and a read-only mount need root: left out")
            return
        shared = folder / "shared"
        with sutra_storage.open(shared) as store:
            store.learn("first", "of the owner")
            store.flush()
            for above in [folder, *folder.parents]:
                if os.stat(above).st_mode & 0o005 != 0o005:
                    print(f"{above} is closed to other users: another user is left out")
                    break
            else:
                as_another_user(shared)
        a_read_only_mount(shared, folder / "mounted")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary) / "knowledge")
