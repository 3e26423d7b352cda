"""Share the machine's cores and memory among the builds of a command."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pipshim.base.cores import available_cores
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.memory import Memory, memory
from pipshim.base.tasks import paused, sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipshim.builds.jobserver import Jobserver
    from pipshim.builds.resource_usage import Usage
    from pipshim.model.past_build import MemoryNeed


_LOOK_SECONDS = 0.5
"""How often a build that waits for memory looks whether it is there."""


@dataclass(frozen=True)
class Share:
    """What a build may use.

    Attributes:
        jobs: how many processes it may start; None: as many as it wants, as it runs alone.
        available: how much memory there is, in bytes, if the jobs are fewer for lack of it.
        fifo: of the jobserver from which it may take more, if there is one.

    """

    jobs: int | None
    available: int | None = None
    fifo: Path | None = None


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

    @property
    def running(self) -> int:
        """How many builds run."""
        with self._change:
            return len(self._admitted)

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


class MachineShares:
    """Gives each running build its share.

    Args:
        jobserver: shares the cores between builds that run at the same time.

    """

    def __init__(
        self, at_once: int, jobserver: Jobserver, budget: MemoryBudget | None = None
    ) -> None:
        self._at_once = at_once
        self._jobserver = jobserver
        self._budget = budget or MemoryBudget()

    def of_hook(self) -> Share:
        """Return the share of a backend that is asked for something small."""
        return Share(self._jobs())

    @contextmanager
    def of_build(
        self,
        need: MemoryNeed | None,
        usage: Usage,
        *,
        waiting: Callable[[], object],
        is_stopped: Callable[[], bool],
    ) -> Iterator[Share]:
        """Wait until there is memory for a build, and give its share while it runs.

        Args:
            need: how much memory it needs; None if that is not known.
            usage: what it uses, once it runs.
            waiting: called once before it waits.
            is_stopped: whether nothing is to be waited for any more.

        """
        peak = need.peak if need is not None else None
        with self._budget.admitted(
            peak, usage, waiting=waiting, is_stopped=is_stopped
        ) as available:
            share = self._share(need, available, self._jobs())
            if share.jobs is None or share.available is not None:
                with self._jobserver.other():
                    yield share
            else:
                with self._jobserver.client(sharing.get()) as fifo:
                    yield replace(share, fifo=fifo)

    def _share(self, need: MemoryNeed | None, available: int | None, jobs: int | None) -> Share:
        if need is None or available is None:
            return Share(jobs)
        fitting = min(max(1, available // need.per_process), available_cores())
        # Alone it may have started more processes than there are cores.
        return Share(jobs) if jobs is not None and jobs <= fitting else Share(fitting, available)

    def _jobs(self) -> int | None:
        """Return the share of those that run at the same time now, or are about to."""
        width = min(self._at_once, max(sharing.get().count, self._budget.running))
        return max(1, available_cores() // width) if width > 1 else None
