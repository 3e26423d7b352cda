"""Processes that unpack wheels into the store, so that several do so while others are fetched.

Unpacking makes files, one after the other. In threads of one interpreter each would wait for the
others after every file.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from pipshim.base.errors import PipshimError
from pipshim.base.forked_process import Forked, processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipshim.store.store import Store
    from pipshim.store.unpacked_wheel import Tree

_WORTH_IT = 4
"""How many wheels make up for starting processes."""


class Unpack(Protocol):
    """Unpacks a wheel, as `Store.add_file` does."""

    def __call__(self, path: Path, name: str, sha256: str | None = None, /) -> Tree:
        """Return its tree."""


@contextmanager
def unpackers(store: Store, wheels: int) -> Iterator[Unpack]:
    """Give what does as `Store.add_file`, in one of several processes, for several threads.

    Elsewhere than on Linux, and for few wheels, it is that.

    Args:
        store: where the trees go.
        wheels: how many may come.

    """
    count = processes(wheels) if wheels >= _WORTH_IT else 1
    if count == 1:
        yield store.add_file
        return
    from pipshim._pip import wheel_unpacking  # noqa: PLC0415
    from pipshim.store import unpacking  # noqa: F401, PLC0415 before the fork, for all

    wheel_unpacking.be_ready()
    idle: SimpleQueue[_Unpacker] = SimpleQueue()
    with ExitStack() as until_end:
        for _ in range(count):
            one = _Unpacker(store)
            until_end.callback(one.end)
            idle.put(one)

        def unpack(path: Path, name: str, sha256: str | None = None) -> Tree:
            one = idle.get()
            try:
                tree = one.unpack(path, name, sha256)
            finally:
                idle.put(one)
            # What went wrong there goes wrong here too, and is said as it is.
            return store.add_file(path, name, sha256) if tree is None else tree

        yield unpack


class _Unpacker:
    """A process that unpacks one wheel after the other."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with warnings.catch_warnings():
            # Python 3.12 warns of locks that other threads may hold. Here it is the one that
            # draws the progress, if there is one: nothing of it is used by the new process.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process = Forked(self._work)

    def unpack(self, path: Path, name: str, sha256: str | None) -> Tree | None:
        """Unpack a wheel; None if that failed."""
        try:
            _write(self._process.words, [str(path), name, sha256])
            answer = _read(self._process.answers)
        except OSError:
            return None
        if answer is None:
            return None
        found, said = answer
        for logger, level, text in said:
            logging.getLogger(logger).log(level, "%s", text)
        return self._store.tree(found)

    def end(self) -> None:
        """End it; what it is unpacking goes."""
        self._process.end(signal.SIGTERM)

    def _work(self, words: int, said: int) -> None:
        """Unpack what comes, in the process."""
        records = _Records()
        for name in [None, *logging.root.manager.loggerDict]:
            logger = logging.getLogger(name)
            logger.handlers = [records] if name is None else []
            logger.propagate = True
        while (job := _read(words)) is not None:
            path, name, sha256 = job
            try:
                tree = self._store.add_file(Path(path), name, sha256)
            except (PipshimError, OSError):
                _write(said, None)
            else:
                _write(said, [tree.sha256, records.taken()])


class _Records(logging.Handler):
    """Keeps what is logged for the process that can show it."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self._found.append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[str, int, str]]:
        """Give what was kept since the last time."""
        found, self._found = self._found, []
        return found


def _write(descriptor: int, value: Any) -> None:
    data = f"{json.dumps(value)}\n".encode("ascii")
    while data:
        data = data[os.write(descriptor, data) :]


def _read(descriptor: int) -> Any:
    """Read what `_write` wrote; None at the end."""
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return None
        data += piece
    return json.loads(data)
