"""How the builds of a command share the machine: its cores and its memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipshim.base.cores import available_cores
from pipshim.base.tasks import sharing
from pipshim.builds.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.builds.resource_usage import Usage
    from pipshim.model.past_build import MemoryNeed


@dataclass(frozen=True)
class Share:
    """What a build may use.

    Attributes:
        jobs: how many processes it may start; None: as many as it wants, as it runs alone.
        available: how much memory there is, in bytes, if the jobs are fewer for lack of it.

    """

    jobs: int | None
    available: int | None = None


class MachineShares:
    """Gives each running build its share.

    Args:
        at_once: how many builds run at once.
        budget: knows how much memory there is.

    """

    def __init__(self, at_once: int, budget: MemoryBudget | None = None) -> None:
        self._at_once = at_once
        self._budget = budget or MemoryBudget()
        self._running = 0
        self._guard = threading.Lock()

    @contextmanager
    def of_hook(self) -> Iterator[Share]:
        """Give the share of a backend that is asked for something small."""
        yield Share(self._jobs())

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
            with self._guard:
                self._running += 1
            try:
                yield self._share(need, available)
            finally:
                with self._guard:
                    self._running -= 1

    def _share(self, need: MemoryNeed | None, available: int | None) -> Share:
        jobs = self._jobs()
        if need is None or available is None:
            return Share(jobs)
        fitting = min(max(1, available // need.per_process), available_cores())
        # Alone it may have started more processes than there are cores.
        return Share(jobs) if jobs is not None and jobs <= fitting else Share(fitting, available)

    def _jobs(self) -> int | None:
        with self._guard:
            at_once = min(self._at_once, max(sharing.get(), self._running))
        return max(1, available_cores() // at_once) if at_once > 1 else None
