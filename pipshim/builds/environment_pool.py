"""Reuse build environments: one build at a time, and only if unmodified.

Making an environment and importing a backend takes longer than building a small project, and most
projects need the same few. No build may see what another has left: a modified environment is
removed. Bytecode does not count, as every import may write it, and is linked into the next one.
"""
# Paths are strings here: a build environment has a thousand files.
# ruff: noqa: PTH103, PTH208

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pipshim.builds.environment import BuildEnvironment
    from pipshim.builds.processes import Processes
    from pipshim.model.interpreter import Target
    from pipshim.store.unpacked_wheel import UnpackedWheel

_BYTECODE = "__pycache__"
"""Where Python keeps what it has compiled (PEP 3147)."""


@dataclass(eq=False)
class PooledEnvironment:
    """An environment for one build at a time.

    Attributes:
        trees: its packages, in the order of the request's components.
        as_made: its contents before the first build, by path: see `_contents`.

    """

    environment: BuildEnvironment
    trees: tuple[UnpackedWheel, ...]
    as_made: Mapping[str, tuple[int, int, int]]

    def was_written_to(self) -> bool:
        """Return whether anything but bytecode was added, removed or changed."""
        try:
            return _contents(str(self.environment.target.prefix)) != self.as_made
        except OSError:
            return True


class EnvironmentPool:
    """The build environments of one command that wait for their next build."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._free: dict[object, list[PooledEnvironment]] = {}
        self._used: list[PooledEnvironment] = []
        self._lock = threading.Lock()

    @contextmanager
    def lend(
        self,
        key: object,
        make: Callable[[], tuple[BuildEnvironment, tuple[UnpackedWheel, ...]]],
        spoilt: Callable[[PooledEnvironment], object],
    ) -> Iterator[PooledEnvironment]:
        """Lend an environment.

        Args:
            key: equal for environments that are made equal.
            make: makes one, if none is free.
            spoilt: called with a modified environment before it is removed.

        """
        with self._lock:
            free = self._free.setdefault(key, [])
            pooled = free.pop() if free else None
        if pooled is None:
            pooled = self._new(*make())
        try:
            yield pooled
        finally:
            if pooled.was_written_to():
                spoilt(pooled)
                with self._lock:
                    self._used = [one for one in self._used if one is not pooled]
                self._processes.forget(pooled.environment.target.python)
                shutil.rmtree(pooled.environment.target.prefix, ignore_errors=True)
            else:
                with self._lock:
                    self._free[key].append(pooled)
                    if pooled not in self._used:
                        self._used.append(pooled)

    def _new(
        self, environment: BuildEnvironment, trees: tuple[UnpackedWheel, ...]
    ) -> PooledEnvironment:
        pooled = PooledEnvironment(environment, trees, _contents(str(environment.target.prefix)))
        with self._lock:
            used = list(self._used)
        missing = set(trees)
        for other in used:
            common = missing.intersection(other.trees)
            link_bytecode(common, other.environment.target, environment.target)
            missing -= common
        return pooled


def _contents(folder: str) -> dict[str, tuple[int, int, int]]:
    """Return the node, size and modification time (ns) of every file and folder below one.

    Bytecode is left out, and so are a folder's times.
    """
    found: dict[str, tuple[int, int, int]] = {}
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name == _BYTECODE:
                    continue
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    found[entry.path] = (status.st_ino, 0, 0)
                    waiting.append(entry.path)
                else:
                    found[entry.path] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def link_bytecode(trees: Iterable[UnpackedWheel], source: Target, destination: Target) -> None:
    """Link the bytecode of these packages; what cannot be linked is compiled again.

    A ``.pyc`` is valid for the time and size of its source, which linking has kept, and Python
    replaces one, rather than write to it.

    Args:
        trees: packages that both environments have.
        source: the environment with bytecode; a build may be running in it.
        destination: where nothing runs yet.

    """
    for tree in trees:
        for scheme, folder, names, _ in tree.bundle.groups:
            if scheme not in {"purelib", "platlib"}:
                continue
            compiled = f"{getattr(source, scheme)}/{folder}{_BYTECODE}"
            with suppress(OSError):
                found = [name for name in os.listdir(compiled) if _module(name) in names]
                into = f"{getattr(destination, scheme)}/{folder}{_BYTECODE}"
                if found:
                    os.makedirs(into, exist_ok=True)
                for name in found:
                    with suppress(FileExistsError):
                        os.link(f"{compiled}/{name}", f"{into}/{name}")


def _module(name: str) -> str:
    """Return the source of bytecode: ``a.py`` of ``a.cpython-311.pyc``.

    Bytecode that is being written has a longer name.
    """
    return f"{name.partition('.')[0]}.py" if name.endswith(".pyc") else ""
