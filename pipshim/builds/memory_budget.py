"""Choose which builds can run at the same time without exhausting memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.memory import Memory, memory
from pipshim.base.tasks import paused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.builds.resource_usage import Usage

_LOOK_SECONDS = 0.5


@dataclass(eq=False)
class _Build:
    """A build that waits or was admitted.

    Attributes:
        need: how many bytes it needs.
        after: how many builds were admitted when it began to wait, or with it.

    """

    need: int
    usage: Usage
    after: int = 0

    def held(self) -> int:
        """Return how many bytes are not there for others."""
        return max(self.need, self.usage.memory)


class MemoryBudget:
    """Admits builds while the memory that they are known to need is there.

    What a running build does not use yet of what it needs counts as used. One build runs at least.
    What a build needs that says nothing is not known: only what it uses counts. A build that waits
    is overtaken by those that fit beside it.

    Args:
        available: returns the memory that there is; None if that is not known.

    """

    def __init__(self, available: Callable[[], Memory | None] = memory) -> None:
        self._available = available
        self._admitted: list[_Build] = []
        self._waiting: list[_Build] = []
        self._count = 0
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
            waiting: called once before it waits.

        """
        build = _Build(need or 0, usage)
        available = self._wait(build, waiting, is_stopped)
        try:
            yield available
        finally:
            with self._change:
                self._admitted.remove(build)
                self._change.notify_all()

    def _wait(
        self, build: _Build, waiting: Callable[[], object], is_stopped: Callable[[], bool]
    ) -> int | None:
        with self._change:
            if is_stopped() or self._admits(build):
                return self._admit(build)
            build.after = self._count
            self._waiting.append(build)
        try:
            with paused():
                waiting()
                with self._change:
                    while not (is_stopped() or self._admits(build)):
                        self._change.wait(_LOOK_SECONDS)
                    return self._admit(build)
        finally:
            with self._change:
                self._waiting.remove(build)
                self._change.notify_all()

    def _admit(self, build: _Build) -> int | None:
        """Count a build as admitted; return what is free if it needs more."""
        free = self._free()
        self._count += 1
        build.after = self._count
        self._admitted.append(build)
        return None if free is None or build.need <= free else free

    def _admits(self, build: _Build) -> bool:
        is_next = not self._waiting or self._waiting[0] is build
        if not build.need or (is_next and not self._admitted):
            return True
        free = self._free()
        return free is None or (build.need <= free and not self._delays_another(build, free))

    def _delays_another(self, build: _Build, free: int) -> bool:
        """Return whether one that has waited longer would wait for a build, too.

        It should have to wait only for those that were admitted before it.
        """
        for other in self._waiting:
            if other is build:
                return False
            earlier = [one for one in self._admitted if one.after <= other.after]
            if other.need + build.need > free + sum(map(_Build.held, earlier)):
                return True
        return False

    def _free(self) -> int | None:
        found = self._available()
        if found is None:
            return None
        promised = sum(build.held() - build.usage.memory for build in self._admitted)
        return max(found.available - promised, 0)
