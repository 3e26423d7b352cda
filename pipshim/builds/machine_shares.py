"""How the builds of a command share the machine: its cores and its memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pipshim.base.cores import available_cores
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.tasks import sharing
from pipshim.builds.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipshim.builds.jobserver import Jobserver
    from pipshim.builds.resource_usage import Usage
    from pipshim.model.past_build import MemoryNeed


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
        self._running = 0
        self._guard = threading.Lock()

    def of_hook(self) -> Share:
        """Return the share of a backend that is asked for something small."""
        return Share(self._jobs(self._width()))

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
                share = self._share(need, available, self._jobs(self._width()))
                if share.jobs is None or share.available is not None:
                    with self._jobserver.other():
                        yield share
                else:
                    with self._jobserver.client(sharing.get()) as fifo:
                        yield replace(share, fifo=fifo)
            finally:
                with self._guard:
                    self._running -= 1

    def _share(self, need: MemoryNeed | None, available: int | None, jobs: int | None) -> Share:
        if need is None or available is None:
            return Share(jobs)
        fitting = min(max(1, available // need.per_process), available_cores())
        # Alone it may have started more processes than there are cores.
        return Share(jobs) if jobs is not None and jobs <= fitting else Share(fitting, available)

    def _width(self) -> int:
        """Return how many builds run at the same time now, or are about to."""
        with self._guard:
            return min(self._at_once, max(sharing.get().count, self._running))

    def _jobs(self, width: int) -> int | None:
        return max(1, available_cores() // width) if width > 1 else None
