"""Choose which builds can run at the same time without exhausting memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipshim.base.memory import memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.base.memory import Memory
    from pipshim.builds.resource_usage import Usage

_LOOK_SECONDS = 0.5


class MemoryBudget:
    """Admits builds while the memory that they are known to need is there.

    What a running build does not use yet of what it needs counts as used. One build runs at least.
    What a build needs that says nothing is not known: only what it uses counts.

    Args:
        available: returns the memory that there is; None if that is not known.

    """

    def __init__(self, available: Callable[[], Memory | None] = memory) -> None:
        self._available = available
        self._admitted: dict[int, tuple[int, Usage]] = {}
        self._change = threading.Condition()

    @contextmanager
    def admitted(
        self,
        need: int | None,
        usage: Usage,
        *,
        waiting: Callable[[], object],
        is_stopped: Callable[[], bool],
    ) -> Iterator[int | None]:
        """Wait until a build fits; yield how many bytes there are if it does not fit even alone.

        Args:
            need: how many bytes it needs; None if that is not known.
            usage: what it uses, once it runs.
            waiting: called once before it waits.
            is_stopped: whether nothing is to be waited for any more.

        """
        available = self._wait(need or 0, usage, waiting, is_stopped)
        try:
            yield available
        finally:
            with self._change:
                del self._admitted[id(usage)]
                self._change.notify_all()

    def _wait(
        self,
        need: int,
        usage: Usage,
        waiting: Callable[[], object],
        is_stopped: Callable[[], bool],
    ) -> int | None:
        has_waited = False
        while True:
            with self._change:
                free = self._free()
                fits = free is None or need <= free
                if fits or not self._admitted or is_stopped():
                    self._admitted[id(usage)] = need, usage
                    return None if fits else free
                if has_waited:
                    self._change.wait(_LOOK_SECONDS)
            if not has_waited:
                has_waited = True
                waiting()

    def _free(self) -> int | None:
        found = self._available()
        if found is None:
            return None
        promised = sum(max(need - usage.memory, 0) for need, usage in self._admitted.values())
        return max(found.available - promised, 0)
