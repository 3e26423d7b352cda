"""What is measured: each workload, and how a tool is brought to where it begins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import measure, mirror

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Sample
    from benchmarks.tools import Commands, Place, Tool


@dataclass(frozen=True)
class Workload:
    """One thing that all tools are asked to do.

    Attributes:
        name: what --only calls it.
        title: what tables call it.
        action: the tool's command.
        requirements: the project's dependencies.
        files: the folder of the mirror that is served.
        whole: index pages are those of the registry, with all files there ever were.
        latency: seconds that each answer of the index waits.
        bandwidth: how many million bytes a second the index sends; 0 for no limit.
        cold: every cache is empty, and there is neither lock (for a lock) nor environment.
        new: there is no environment; caches are warm.
        bytecode: modules are compiled too.
        change: a requirement that changes between an untimed lock and the timed one.
        memory: peak memory is what counts.
        limits: what the machine could do at best: methods of `limits.Limits`.

    """

    name: str
    title: str
    action: str
    requirements: Sequence[str]
    files: str = mirror.REAL
    whole: bool = False
    latency: float = 0
    bandwidth: float = 0
    cold: bool = False
    new: bool = False
    bytecode: bool = False
    change: tuple[str, str] | None = None
    memory: bool = False
    limits: Sequence[str] = ()

    def timed(self, tool: Tool, place: Place) -> Commands | None:
        """Tell the commands that are measured, or None if the tool has none."""
        if self.action == "sync":
            return tool.sync(place, bytecode=self.bytecode)
        commands: Commands | None = getattr(tool, self.action)(place)
        return commands

    def set_up(self, tool: Tool, place: Place) -> bool:
        """Bring a tool there once; False if it cannot do this at all."""
        place.clear(place.root)
        tool.write(place, self.requirements)
        if self.timed(tool, place) is None:
            return False
        if self.action != "lock":
            self._do(tool, place, tool.lock(place))
            self._do(tool, place, tool.before_sync(place))
            self._do(tool, place, tool.sync(place, bytecode=self.bytecode))
        if not self.cold and not self.new:
            self._do(tool, place, self.timed(tool, place))
        return True

    def reset(self, tool: Tool, place: Place) -> None:
        """Bring a tool there again before each run."""
        if self.cold:
            place.clear(place.cache)
        if self.cold or self.new:
            place.clear(place.venv)
        if self.action == "lock":
            (place.project / tool.lock_name).unlink(missing_ok=True)
        if self.change is not None:
            tool.write(place, self.requirements)
            self._do(tool, place, tool.lock(place))
            before, after = self.change
            changed = [after if one == before else one for one in self.requirements]
            tool.write(place, changed)
        if self.action == "sync":
            self._do(tool, place, tool.before_sync(place))
        if self.cold or self.new:
            # What was written so far is not this run's business.
            os.sync()

    def measure(self, tool: Tool, place: Place) -> Sample:
        """Run once, and give what it took."""
        commands = self.timed(tool, place)
        return self._do(tool, place, commands, watch_memory=self.memory)

    @staticmethod
    def _do(
        tool: Tool, place: Place, commands: Commands | None, *, watch_memory: bool = False
    ) -> Sample:
        return measure.run(
            commands or (),
            cwd=place.project,
            env=tool.environ(place),
            log=place.root / "log",
            watch_memory=watch_memory,
        )


P41, P46 = mirror.PROJECT_41, mirror.PROJECT_46
START = ("start", "bare_start")

WORKLOADS = (
    Workload("noop-run", "no-op run", "run", P41, limits=START),
    Workload("noop-sync", "no-op sync", "sync", P41, limits=START),
    Workload("noop-check", "no-op lock --check", "check", P41, limits=START),
    Workload("sync-warm", "41 wheels, warm cache", "sync", P41, new=True, limits=("link",)),
    Workload(
        "sync-compile", "41 wheels, warm cache, bytecode", "sync", P41, new=True, bytecode=True
    ),
    Workload("sync-cold", "41 wheels, cold cache", "sync", P41, cold=True, limits=("unpack",)),
    Workload("sdists-cold", "20 sdists, cold", "sync", mirror.SDISTS, cold=True, limits=("build",)),
    Workload("sdists-warm", "20 sdists, warm", "sync", mirror.SDISTS, new=True),
    Workload("sdists-lock", "lock of 20 sdists, cold", "lock", mirror.SDISTS, cold=True),
    Workload("lock-cold", "lock of 46, cold", "lock", P46, cold=True),
    Workload("lock-warm", "lock of 46, warm cache", "lock", P46),
    Workload("lock-latency", "lock of 46, cold, 20 ms", "lock", P46, cold=True, latency=0.02),
    Workload("lock-whole", "lock of 46, cold, whole pages", "lock", P46, cold=True, whole=True),
    Workload(
        "lock-change", "lock of 46, one change", "lock", P46, cold=True, change=mirror.CHANGED
    ),
    *(
        Workload(
            f"growth-{action}-{size}",
            f"{action} of {size} generated, {'cold' if action == 'lock' else 'warm'}",
            action,
            mirror.roots(size),
            files=f"generated-{size}",
            cold=action == "lock",
            new=action == "sync",
        )
        for action in ("sync", "lock")
        for size in mirror.SIZES
    ),
    *(
        Workload(
            f"growth-change-{size}",
            f"lock of {size} generated, one change",
            "lock",
            mirror.roots(size),
            files=f"generated-{size}",
            cold=True,
            change=mirror.CHANGED_ROOT,
        )
        for size in mirror.SIZES
    ),
    *(
        Workload(
            f"large-{bandwidth}",
            f"sync of a wheel like torch's, cold, {bandwidth or 'unlimited'} MB/s",
            "sync",
            ("large",),
            "large",
            bandwidth=bandwidth,
            cold=True,
        )
        for bandwidth in (25, 50, 100, 0)
    ),
    Workload(
        "memory-sync",
        "sync of a 900 MB wheel, cold",
        "sync",
        ("big",),
        "big",
        cold=True,
        memory=True,
    ),
    Workload(
        "memory-lock",
        f"lock of {mirror.SIZES[-1]} generated, cold",
        "lock",
        mirror.roots(mirror.SIZES[-1]),
        f"generated-{mirror.SIZES[-1]}",
        cold=True,
        memory=True,
    ),
)
