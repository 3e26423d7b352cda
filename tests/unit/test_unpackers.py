"""Wheels that are unpacked by other processes: the same trees, the same errors, nothing left."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipshim.base import forked_process
from pipshim.base.errors import InstallError
from pipshim.store import unpack_processes, unpacking
from pipshim.store.store import Store
from tests.support.dists import wheel
from tests.unit.test_store import leftovers

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.store.unpacked_wheel import Tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere none are started")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, Path]:
    return {
        name: wheel(tmp_path, name, "1.0", files={f"{name}/m{n}.py": f"{n}" for n in range(20)})
        for name in ("one", "two", "three", "four", "five", "six")
    }


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Three processes, whatever the machine has; their numbers."""
    monkeypatch.setattr(forked_process, "available_cores", lambda: 3)
    found: list[int] = []
    fork = os.fork

    def counted() -> int:
        found.append(fork())
        return found[-1]

    monkeypatch.setattr(os, "fork", counted)
    return found


def are_gone(pids: list[int]) -> bool:
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    return True


def test_several_threads_have_wheels_unpacked(
    store: Store, wheels: dict[str, Path], started: list[int], tmp_path: Path
) -> None:
    with unpack_processes.unpackers(store, len(wheels)) as add, ThreadPoolExecutor(4) as pool:
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in wheels.values()]
        known = [*hashes[:2], *(None for _ in hashes[2:])]
        trees = dict(zip(wheels, pool.map(add, wheels.values(), wheels, known), strict=True))
        assert [tree.sha256 for tree in trees.values()] == hashes
        assert len(started) == 3
    assert are_gone(started)
    here = Store(tmp_path / "other")
    for name, path in wheels.items():
        expected = here.add_file(path, name)
        assert trees[name] == store.tree(expected.sha256)
        assert trees[name].bundle.record == expected.bundle.record
    assert not leftovers(store)


def test_few_wheels_start_no_process(
    store: Store, wheels: dict[str, Path], started: list[int]
) -> None:
    with unpack_processes.unpackers(store, 3) as add:
        assert add(wheels["one"], "one").name == "one"
    assert not started


def test_an_error_is_said_as_it_is(
    store: Store, wheels: dict[str, Path], started: list[int], tmp_path: Path
) -> None:
    bad = tmp_path / "bad-1.0-py3-none-any.whl"
    bad.write_bytes(b"no wheel")
    with unpack_processes.unpackers(store, 9) as add:
        with pytest.raises(InstallError, match=r"bad-1\.0-py3-none-any\.whl is not a valid wheel"):
            add(bad, "bad")
        assert add(wheels["one"], "one").version == "1.0"
    assert are_gone(started)


def test_what_ends_all_of_them_ends_nothing_else(
    store: Store, wheels: dict[str, Path], started: list[int]
) -> None:
    with unpack_processes.unpackers(store, 9) as add:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
        assert [add(path, name).name for name, path in wheels.items()] == list(wheels)


def test_what_pip_logs_there_is_logged_here(
    store: Store,
    wheels: dict[str, Path],
    started: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own, add_file = os.getpid(), Store.add_file

    def logged(self: Store, path: Path, name: str, sha256: str | None = None) -> Tree:
        logging.getLogger("pip._internal.anything").warning("%s is odd", name)
        assert os.getpid() != own
        return add_file(self, path, name, sha256)

    monkeypatch.setattr(Store, "add_file", logged)
    with unpack_processes.unpackers(store, 9) as add:
        add(wheels["one"], "one")
        add(wheels["two"], "two")
    assert started
    assert caplog.messages == ["one is odd", "two is odd"]


def test_an_interrupt_leaves_nothing_half_unpacked(
    store: Store,
    wheels: dict[str, Path],
    started: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    there = tmp_path / "begun"

    def slow(_wheel: Path, _sha256: str, _name: str, folder: Path) -> Tree:
        (folder / "half").touch()
        there.touch()
        signal.pause()
        raise AssertionError

    monkeypatch.setattr(unpacking, "make_tree", slow)

    with unpack_processes.unpackers(store, 9) as add, ThreadPoolExecutor(1) as pool:
        done = pool.submit(add, wheels["one"], "one")
        for _ in range(1000):
            if there.exists():
                break
            time.sleep(0.01)
        assert leftovers(store)
        monkeypatch.undo()
        for pid in started:
            os.kill(pid, signal.SIGTERM)
        done.result()
    assert not leftovers(store)


def test_elsewhere_than_on_linux_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert forked_process.processes(10) == 1
