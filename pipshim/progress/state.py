"""The state that all observers share: what is running, what to report once."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import field
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.sizes import size
from pipshim.model import events
from pipshim.model.build_progress import Progress
from pipshim.progress.control_codes import clean
from pipshim.progress.formatting import Columns, duration, plural, time_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipshim.model.events import Event, What
    from pipshim.progress.formatting import Parts

_LOUDNESS = {"error": -99, "warning": -1, "info": 0, "debug": 1}
_MESSAGE_STYLES = {"error": "red", "warning": "yellow", "info": "", "debug": "dim"}
_THE_COMMAND = ("", "")
_FOR_MEMORY = "for memory"
_NO_END_OF_WAITING = (
    events.Message,
    events.BuildOutput,
    events.BuildProgress,
    events.DownloadProgress,
)
_SPEED_SECONDS, _SAMPLE_SECONDS = 3.0, 0.2


@dataclass
class Build:
    """A build that is running; times are those of the state's clock."""

    event: events.BuildStarted
    since: float
    phase: str = ""
    last_line: str = ""
    progress: events.BuildProgress | None = None
    progress_at: float = 0.0
    note: str = ""

    def seconds_left(self, now: float) -> float | None:
        """Estimate the remaining time; None if it is unknown, or longer than expected."""
        if self.progress is None or self.progress.seconds_left is None:
            return None
        left = self.progress.seconds_left - (now - self.progress_at)
        return left if left > 0 else None

    def fraction(self, now: float) -> float | None:
        """Estimate the fraction that is done, between 0 and 1."""
        if self.progress is None:
            return None
        left = self.seconds_left(now)
        if self.progress.fraction is not None or left is None:
            return self.progress.fraction
        took = now - self.since
        return took / (took + left)

    def progress_words(self, now: float) -> list[str]:
        """Return its progress (``12/73``), and the remaining time (``about 2 min left``)."""
        words = [self.note] if self.note else []
        if self.progress is not None and self.progress.done:
            one = self.progress
            words.append(str(Progress(one.done, one.total, one.unit, one.extension)))
        left = self.seconds_left(now)
        return [*words, time_left(left)] if left is not None else words

    @property
    def package(self) -> str:
        """Its name and version, or the commit of a checkout; its combination and its worker."""
        event = self.event
        label = _package(event.name, event.version, event.commit, event.combination)
        return f"{label} on {event.worker}" if event.worker else label


def _package(name: str, version: str, commit: str = "", combination: str = "") -> str:
    label = events.label(name, version, commit)
    return f"{label} ({combination})" if combination else label


@dataclass(frozen=True)
class Wait:
    """What is waited for, and since when on the state's clock."""

    text: str
    since: float


@dataclass
class Resolve:
    """A resolve that is running, of the project or for one target of it."""

    target: str
    since: float
    round: int = 0
    pins: dict[str, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        return f"resolving for {self.target}" if self.target else "resolving"


@dataclass
class Downloads:
    """The current downloads; sizes in bytes."""

    sizes: dict[str, int | None] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    since: float = 0.0
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def total(self) -> int | None:
        """All bytes, received ones included; None if unknown."""
        known = [one for one in self.sizes.values() if one is not None]
        return sum(known) if len(known) == len(self.sizes) else None

    def sample(self, now: float) -> None:
        """Note the progress, to compute the speed."""
        if self.samples and now - self.samples[-1][0] < _SAMPLE_SECONDS:
            return
        self.samples.append((now, sum(self.received.values())))
        while now - self.samples[0][0] > _SPEED_SECONDS:
            self.samples.popleft()

    @property
    def speed(self) -> float | None:
        """The recent bytes per second; None if it is too early to tell."""
        if len(self.samples) < 2:  # noqa: PLR2004 a slope takes two
            return None
        (first, before), (last, after) = self.samples[0], self.samples[-1]
        return (after - before) / (last - first)


@dataclass
class State:
    """Takes events, one at a time, and knows what is running.

    Attributes:
        verbosity: the number of ``-v`` less that of ``-q``.
        starts: report also when a build, or waiting for another command, starts.
        output_at: the verbosity from which on the output of builds is shown.

    """

    verbosity: int = 0
    starts: bool = True
    output_at: int = 1
    clock: Callable[[], float] = time.monotonic
    builds: dict[tuple[str, str], Build] = field(default_factory=dict)
    downloads: Downloads = field(default_factory=Downloads)
    resolves: dict[str, Resolve] = field(default_factory=dict)
    planned: events.Planned | None = None
    prepared: set[str] = field(default_factory=set)
    waiting: dict[tuple[str, str], Wait] = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)

    def take(self, event: Event) -> list[Parts]:
        """Process an event, and return the lines to show for it."""
        if not isinstance(event, _NO_END_OF_WAITING):
            self.waiting.pop(_THE_COMMAND, None)
        match event:
            case events.Message(level=level, text=text):
                return self._message(level, text)
            case events.Waiting():
                wait = Wait(clean(event.text), self.clock())
                self.waiting[event.name, event.version] = wait
                return self._at(0, wait.text) if self.starts else []
            case (
                events.ResolveStarted()
                | events.Pinned()
                | events.TargetResolved()
                | events.ResolveFinished()
            ):
                return self._resolve(event)
            case events.Planned() | events.Prepared():
                return self._plan(event)
            case events.BuildRecorded():
                return []
            case events.BuildProgress():
                build = self.builds.get((event.name, event.version))
                if build is not None:
                    build.progress, build.progress_at = event, self.clock()
                return []
            case events.DownloadStarted() | events.DownloadProgress() | events.DownloadFinished():
                return self._download(event)
            case events.Installed():
                self.planned = None
                text = f"installed {event.name} {event.version} ({event.source})"
                return self._at(1, text)
            case events.Removed(name=name, version=version):
                self.planned = None
                return self._at(1, f"removed {name} {version}")
            case _:
                return self._build(event)

    def _at(self, verbosity: int, text: str) -> list[Parts]:
        return [[(text, "dim")]] if self.verbosity >= verbosity else []

    def _message(self, level: events.Level, text: str) -> list[Parts]:
        if self.verbosity < _LOUDNESS[level]:
            return []
        prefix = f"{level}: " if level in ("error", "warning") else ""
        lines = [clean(line) for line in text.splitlines()] or [""]
        style = _MESSAGE_STYLES[level]
        return [[(prefix, style), (lines[0], "")], *([("  " + line, "")] for line in lines[1:])]

    def _resolve(
        self,
        event: events.ResolveStarted
        | events.Pinned
        | events.TargetResolved
        | events.ResolveFinished,
    ) -> list[Parts]:
        if isinstance(event, events.Pinned):
            where = f" for {event.target}" if event.target else ""
            if event.target in self.resolves:
                self.resolves[event.target].pins[event.name] = event.version
            return self._at(2, f"pinned {event.name} {event.version}{where}")
        if isinstance(event, events.ResolveStarted):
            known = self.resolves.get(event.target)
            since = known.since if known is not None else self.clock()
            resolve = Resolve(event.target, since, event.round)
            self.resolves[event.target] = resolve
            return self._at(1, f"{resolve.what}, round {event.round}")
        packages, took = plural(event.packages, "package"), duration(event.seconds)
        if isinstance(event, events.TargetResolved):
            self.resolves.pop(event.target, None)
            return self._at(1, f"resolved for {event.target}: {packages} in {took}")
        self.resolves.clear()
        return self._at(1, f"resolved {packages} in {took}")

    def _plan(self, event: events.Planned | events.Prepared) -> list[Parts]:
        if isinstance(event, events.Prepared):
            self.prepared.add(event.name)
            return self._at(2, f"{event.name} {event.version} is ready ({event.source})")
        self.planned = event
        self.prepared.clear()
        builds = f", {event.builds} of them to build" if event.builds else ""
        return self._at(1, f"{plural(event.packages, 'package')} to install{builds}")

    def _download(
        self, event: events.DownloadStarted | events.DownloadProgress | events.DownloadFinished
    ) -> list[Parts]:
        now = self.clock()
        lines: list[Parts] = []
        if isinstance(event, events.DownloadStarted):
            if not self.downloads.running:
                self.downloads = Downloads(since=now)
            self.downloads.sizes[event.key] = event.size
            self.downloads.received[event.key] = 0
            self.downloads.running.add(event.key)
            shown = f" ({size(event.size)})" if event.size is not None else ""
            lines = self._at(1, f"downloading {event.filename}{shown}")
        elif isinstance(event, events.DownloadProgress):
            self.downloads.received[event.key] = event.received
        else:
            self.downloads.running.discard(event.key)
            self.downloads.sizes[event.key] = self.downloads.received[event.key] = event.size
        self.downloads.sample(now)
        return lines

    def _build(
        self,
        event: events.BuildStarted
        | events.BuildPhase
        | events.BuildLimited
        | events.BuildOutput
        | events.BuildCached
        | events.BuildFinished
        | events.BuildFailed,
    ) -> list[Parts]:
        if isinstance(event, events.BuildOutput):
            return self._output(event)
        key = (event.name, event.version)
        match event:
            case events.BuildStarted():
                return self._started(event)
            case events.BuildCached():
                self.builds.pop(key, None)
                self.waiting.pop(key, None)
                package = _package(*key, combination=event.combination)
                return self._line(event.origin, package, event, end=f"({event.why})")
        known = self.builds.get(key)
        package = known.package if known is not None else events.label(*key)
        match event:
            case events.BuildPhase():
                return self._phase(event, known, package)
            case events.BuildLimited():
                return self._limited(event, known, package)
        self.builds.pop(key, None)
        if isinstance(event, events.BuildFinished):
            return self._line("built", package, event, event.what, duration(event.seconds))
        started = (
            known.event if known is not None else events.BuildStarted(*key, event.mode, "", "wheel")
        )
        took = duration(self.clock() - known.since if known is not None else 0)
        word = "stopped" if event.stopped else "failed"
        return self._line(word, package, started, end=f"{event.step}  {took}")

    def _started(self, event: events.BuildStarted) -> list[Parts]:
        build = Build(event, self.clock())
        self.builds[event.name, event.version] = build
        self.waiting.pop((event.name, event.version), None)
        if event.what != "requirements":
            self.columns.widen(build.package, event.chosen_by)
        lines = self._line("building", build.package, event, event.what) if self.starts else []
        return lines + (self._at(1, f"{build.package}: rebuild: {event.why}") if event.why else [])

    def _phase(self, event: events.BuildPhase, build: Build | None, package: str) -> list[Parts]:
        if build is not None:
            is_waiting = event.phase == "memory"
            build.phase = "waiting" if is_waiting else event.phase
            if is_waiting or build.note == _FOR_MEMORY:
                build.note = _FOR_MEMORY if is_waiting else ""
        return self._at(2, f"{package}: {event.phase}")

    def _limited(
        self, event: events.BuildLimited, build: Build | None, package: str
    ) -> list[Parts]:
        jobs = plural(event.jobs, "job")
        if build is not None:
            build.note = f"{jobs} for lack of memory"
        needs, there = size(event.needed), size(event.available)
        text = f"{package}: needs {needs} of memory, {there} are available: {jobs} at a time"
        return self._at(0 if self.starts else 1, text)

    def _output(self, event: events.BuildOutput) -> list[Parts]:
        line = clean(event.line)
        says_something = any(map(str.isalnum, line))  # not only a compiler's marks below a line
        for build in self.builds.values():
            if build.event.name == event.name and says_something:
                build.last_line = line.strip()
        if self.verbosity < self.output_at:
            return []
        return [[(f"{event.name} | ", "dim"), (line, "")]]

    def _line(
        self,
        word: str,
        package: str,
        build: events.BuildStarted | events.BuildCached | events.BuildFinished,
        what: What = "wheel",
        end: str = "",
    ) -> list[Parts]:
        # Asking a backend what it requires is a step towards a build, and not worth two lines.
        if self.verbosity < (1 if what == "requirements" else 0):
            return []
        return [self.columns.line(word, package, build.mode, build.chosen_by, what, end)]
