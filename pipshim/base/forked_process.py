"""Fork this process for work that threads would block each other in.

A fork begins with everything that is imported here, and ends without touching this process's
buffers, threads or exit handlers.
"""

from __future__ import annotations

import os
import sys

from pipshim.base.cores import available_cores
from pipshim.base.light import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

MOST = 4
"""How many are started at most: what they do is mostly the file system's work."""


class Forked:
    """A forked process that does one piece of work, and tells what came of it."""

    def __init__(self, work: Callable[[Any], bytes], argument: object) -> None:
        """Start it; an exception in the work ends it without an answer."""
        fork: Callable[[], int] = vars(os)["fork"]  # Windows has none
        self._reading, writing = os.pipe()
        self._pid: int | None = fork()
        if self._pid == 0:
            _answer(work, argument, writing)
        os.close(writing)

    def answer(self) -> bytes:
        """Wait for its end; return what it tells, which is nothing if it was killed."""
        text = b""
        while piece := os.read(self._reading, 1 << 16):
            text += piece
        return text

    def end(self) -> None:
        """End it, if it still runs."""
        if self._pid is None:
            return
        pid, self._pid = self._pid, None
        os.close(self._reading)
        os.kill(pid, signals.SIGKILL)
        os.waitpid(pid, 0)


def _answer(work: Callable[[Any], bytes], argument: object, writing: int) -> NoReturn:
    status = 1
    try:
        for number in signals.ENDING:
            signals.signal(number, signals.default_int_handler)
        os.write(writing, work(argument))
        status = 0
    finally:
        os._exit(status)


def can_fork() -> bool:
    """Return whether this process may be forked; macOS's own libraries do not survive it."""
    return sys.platform == "linux" and hasattr(os, "fork")


def processes(wanted: int) -> int:
    """Return how many of the wanted processes to use, this one included."""
    return max(1, min(available_cores(), MOST, wanted)) if can_fork() else 1


def divided(items: Iterable[tuple[int, Any]], count: int) -> list[list[Any]]:
    """Divide items, each with its work, into `count` lists with about the same work in each."""
    shares: list[list[Any]] = [[] for _ in range(count)]
    loads = [0] * count
    for work, item in sorted(items, key=lambda one: -one[0]):
        least = loads.index(min(loads))
        shares[least].append(item)
        loads[least] += work
    return shares
