"""A timed record of events, for the result document and the timings page."""

from __future__ import annotations

import threading
import time
from dataclasses import field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pipshim.base.light.dataclasses import dataclass
from pipshim.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipshim.model.events import Event, What

Ending: TypeAlias = Literal["built", "cached", "remote", "failed", "stopped"]


@dataclass
class BuildSpan:
    """A build, or another question to a backend; times are seconds since the command began.

    Attributes:
        ended: None while it runs.
        phases: each phase and when it began.
        waits_for: the builds that its environment needs.
        why: why an earlier wheel was reused, or was not.
        commit: of a checkout.
        combination: the conflicting extras and groups whose versions it saw.
        cpu: the processor time of its processes, in seconds.
        memory: the peak of their memory, in bytes.
        expected: how many seconds an earlier build's backend took.
        saved: how many seconds the build of a wheel from a remote took there.

    """

    name: str
    version: str
    mode: str
    chosen_by: str
    what: What
    started: float
    ended: float | None = None
    ending: Ending | None = None
    phases: list[tuple[str, float]] = field(default_factory=list)
    waits_for: tuple[str, ...] = ()
    log: Path | None = None
    why: str | None = None
    record: Mapping[str, Any] | None = None
    commit: str = ""
    combination: str = ""
    worker: str = ""
    cpu: float | None = None
    memory: int | None = None
    expected: float | None = None
    saved: float | None = None

    def lasting(self, now: float) -> list[tuple[str, float, float]]:
        """Return each phase with its start and its end."""
        starts = [start for _, start in self.phases]
        ends = [*starts[1:], now if self.ended is None else self.ended][: len(starts)]
        return [(phase, start, end) for (phase, start), end in zip(self.phases, ends, strict=True)]


@dataclass
class DownloadSpan:
    """One download."""

    filename: str
    started: float
    ended: float | None = None
    size: int | None = None


@dataclass
class History:
    """An observer that keeps what has happened.

    Attributes:
        builds: in the order in which they began.
        downloads: by key.
        resolving: when resolving began and ended.
        preparing: when it was known what to install.
        installing: when the environment was first and last changed.
        packages: how many packages were to be installed.

    """

    clock: Callable[[], float] = time.monotonic
    builds: list[BuildSpan] = field(default_factory=list)
    downloads: dict[str, DownloadSpan] = field(default_factory=dict)
    resolving: tuple[float, float | None] | None = None
    preparing: float | None = None
    installing: tuple[float, float] | None = None
    packages: int = 0
    _running: dict[tuple[str, str], BuildSpan] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _start: float = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.clock()

    @property
    def now(self) -> float:
        return self.clock() - self._start

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            match event:
                case events.ResolveStarted():
                    self.resolving = (self.resolving[0] if self.resolving else self.now, None)
                case events.ResolveFinished() if self.resolving is not None:
                    self.resolving = (self.resolving[0], self.now)
                case events.Planned(packages=packages):
                    self.preparing = self.now if self.preparing is None else self.preparing
                    self.packages = max(self.packages, packages)
                case events.Installed() | events.Removed():
                    first = self.installing[0] if self.installing else self.now
                    self.installing = (first, self.now)
                case events.DownloadStarted(key=key, filename=filename, size=size):
                    self.downloads[key] = DownloadSpan(filename, self.now, size=size)
                case events.DownloadFinished(key=key, size=size) if key in self.downloads:
                    self.downloads[key].ended, self.downloads[key].size = self.now, size
                case _:
                    self._build(event)

    def _build(self, event: Event) -> None:
        match event:
            case events.BuildStarted():
                self._started(event)
            case events.BuildCached():
                now = self.now
                self._add(event, what="wheel", started=now, ended=now, ending=event.origin)
            case events.BuildPhase() | events.BuildRecorded():
                running = self._running.get((event.name, event.version))
                if running is not None and isinstance(event, events.BuildPhase):
                    running.phases.append((event.phase, self.now))
                elif running is not None and isinstance(event, events.BuildRecorded):
                    running.record = event.record
            case events.BuildFinished() | events.BuildFailed():
                self._ended(event)
            case _:
                return

    def _started(self, event: events.BuildStarted) -> None:
        why = f"rebuild: {event.why}" if event.why else None
        span = self._add(event, started=self.now, why=why)
        self._running[event.name, event.version] = span

    def _add(self, event: events.BuildStarted | events.BuildCached, **more: Any) -> BuildSpan:
        """Add a build, with all that its event says and a span has."""
        names = {one.name for one in fields(BuildSpan)}
        told = {name: value for name, value in vars(event).items() if name in names}
        span = BuildSpan(**{**told, **more})
        self.builds.append(span)
        return span

    def _ended(self, event: events.BuildFinished | events.BuildFailed) -> None:
        running = self._running.pop((event.name, event.version), None)
        if running is None:
            return
        running.ended = self.now
        running.ending = "built"
        running.cpu, running.memory = event.cpu, event.memory
        if isinstance(event, events.BuildFailed):
            running.ending = "stopped" if event.stopped else "failed"
        else:
            running.expected = event.expected
