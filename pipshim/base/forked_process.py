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
    """A forked process, with two pipes to talk with it.

    It reads to the end of one and writes to the other. When this process ends, its reading ends.
    """

    def __init__(self, work: Callable[[int, int], object]) -> None:
        """Start it.

        Args:
            work: called with the descriptors that it reads from and writes to. An exception ends it
                silently.

        """
        fork: Callable[[], int] = vars(os)["fork"]  # Windows has none
        theirs, self.words = os.pipe()
        self.answers, said = os.pipe()
        self._pid: int | None = fork()
        if self._pid == 0:
            os.close(self.words)
            os.close(self.answers)
            _work(work, theirs, said)
        os.close(theirs)
        os.close(said)

    def end(self) -> None:
        """End it, if it still runs."""
        if self._pid is None:
            return
        pid, self._pid = self._pid, None
        os.close(self.words)
        os.close(self.answers)
        os.kill(pid, signals.SIGKILL)
        os.waitpid(pid, 0)


def _work(work: Callable[[int, int], object], words: int, said: int) -> NoReturn:
    status = 1
    try:
        for number in signals.ENDING:
            signals.signal(number, signals.default_int_handler)
        work(words, said)
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
