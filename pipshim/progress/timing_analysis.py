"""Analyse the timing of a history: bars, waits and the critical path. Pure."""

from __future__ import annotations

from dataclasses import field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.events import shown_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipshim.progress.event_timeline import BuildSpan, History

Span: TypeAlias = "tuple[float, float]"
Because: TypeAlias = Literal["needs", "turn", "memory", ""]
Kind: TypeAlias = Literal["builds", "downloads"]
KINDS: tuple[Kind, ...] = ("builds", "downloads")
# What starts within this time of another's end was waiting for it.
_AT_ONCE = 0.25


@dataclass(frozen=True)
class Part:
    """A piece of a bar: a phase of a build, or a download."""

    phase: str
    start: float
    end: float


@dataclass
class Bar:
    """A package over time.

    Attributes:
        mode: the build mode; ``index`` for a wheel that was only downloaded.
        ending: ``built``, ``cached``, ``remote``, ``failed``, ``downloaded``, ``running``.
        parts: what was done for it, one after the other, perhaps with pauses.
        waits_for: the packages that had to be built before.
        waited: when its environment only waited for these.
        for_memory: when it waited for memory.
        cpu: the processor time of its processes, in seconds.
        memory: the peak of their memory, in bytes.
        expected: how many seconds its backend was expected to take for the wheel.
        blocker: the package that was ready last, or had the turn or the memory before it.
        because: what the blocker is.

    """

    name: str
    version: str
    mode: str
    chosen_by: str = ""
    ending: str = ""
    why: str = ""
    parts: list[Part] = field(default_factory=list)
    waits_for: tuple[str, ...] = ()
    waited: list[Span] = field(default_factory=list)
    for_memory: list[Span] = field(default_factory=list)
    cpu: float | None = None
    memory: int | None = None
    expected: float | None = None
    blocker: Bar | None = None
    because: Because = ""
    is_critical: bool = False

    @property
    def start(self) -> float:
        return self.parts[0].start if self.parts else 0.0

    @property
    def end(self) -> float:
        return max((part.end for part in self.parts), default=0.0)

    @property
    def seconds(self) -> float:
        return sum(part.end - part.start for part in self.parts)

    @property
    def built_from(self) -> float:
        made = [part.start for part in self.parts if part.phase == "wheel"]
        return made[0] if made else self.start

    def spans(self, of: Kind = "builds") -> list[Span]:
        return [
            (part.start, part.end)
            for part in self.parts
            if (part.phase == "download") is (of == "downloads") and part.end > part.start
        ]

    def seconds_of(self, *phases: str) -> float:
        return sum(part.end - part.start for part in self.parts if part.phase in phases)


def bars(history: History) -> list[Bar]:
    """Return a bar for each package, in the order in which they began; downloads last."""
    found: dict[tuple[str, str, str], Bar] = {}
    for build in history.builds:
        key = (build.name, build.version, build.combination)
        version = shown_version(build.version, build.commit)
        if build.combination:
            version = f"{version} ({build.combination})"
        if build.worker:
            version = f"{version} on {build.worker}"
        bar = found.setdefault(key, Bar(build.name, version, build.mode))
        _add(bar, build, history.now)
    for download in history.downloads.values():
        name, version = split(download.filename)
        key = next((key for key in found if key[:2] == (name, version)), (name, version, ""))
        bar = found.setdefault(key, Bar(name, version, "index", ending="downloaded"))
        end = history.now if download.ended is None else download.ended
        bar.parts.append(Part("download", download.started, end))
    for bar in found.values():
        bar.parts.sort(key=lambda part: part.start)
    made = list(found.values())
    made.sort(key=lambda bar: (bar.mode == "index", bar.start))
    _set_apart(made)
    _block(made)
    _mark(made)
    return made


def _add(bar: Bar, build: BuildSpan, now: float) -> None:
    bar.mode, bar.chosen_by = build.mode, build.chosen_by
    bar.ending = build.ending or "running"
    bar.why = build.why or ""
    bar.waits_for = tuple(dict.fromkeys((*bar.waits_for, *build.waits_for)))
    for phase, start, end in build.lasting(now):
        if phase == "memory":
            bar.for_memory.append((start, end))
        else:
            bar.parts.append(Part(phase, start, end))
    if build.cpu is not None:
        bar.cpu = (bar.cpu or 0.0) + build.cpu
    if build.memory is not None:
        bar.memory = max(bar.memory or 0, build.memory)
    bar.expected = build.expected if build.what in ("wheel", "editable") else bar.expected


def _set_apart(made: Sequence[Bar]) -> None:
    """Remove from each environment's phase the time in which its packages were built."""
    at_work: dict[str, list[Span]] = {}
    for bar in made:
        at_work.setdefault(bar.name, []).extend(bar.spans())
    for bar in made:
        needed = _joined(span for name in bar.waits_for for span in at_work.get(name, ()))
        parts, bar.parts = bar.parts, []
        for part in parts:
            work, waited = _apart(part, needed if part.phase == "environment" else ())
            bar.parts += work
            bar.waited += waited


def _apart(part: Part, needed: Iterable[Span]) -> tuple[list[Part], list[Span]]:
    """Divide a part into its own work, and the time of these others."""
    work, waited, at = [], [], part.start
    for start, end in needed:
        first, last = max(start, at), min(end, part.end)
        if first < last:
            work += [Part(part.phase, at, first)] if at < first else []
            waited.append((first, last))
            at = last
    work += [Part(part.phase, at, part.end)] if at < part.end or not waited else []
    return work, waited


def split(filename: str) -> tuple[str, str]:
    """Parse the name and version of a wheel, an sdist, or a wheel's metadata, if possible."""
    filename = filename.removesuffix(".metadata")
    if filename.endswith(".whl"):
        name, _, rest = filename.partition("-")
        version = rest.partition("-")[0]
    else:
        for suffix in (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"):
            filename = filename.removesuffix(suffix)
        name, _, version = filename.rpartition("-")
    return (name or filename).replace("_", "-").lower(), version


def _block(made: Sequence[Bar]) -> None:
    """Set for each bar what it began after: what it needs, or what had the turn before it."""
    builds = [bar for bar in made if bar.mode != "index" and bar.seconds > 0]
    by_name: dict[str, list[Bar]] = {}
    for bar in builds:
        by_name.setdefault(bar.name, []).append(bar)
    for bar in builds:
        needed = [
            one
            for name in bar.waits_for
            for one in by_name.get(name, ())
            if one is not bar and one.end <= bar.end
        ]
        if needed and not bar.for_memory:
            bar.blocker, bar.because = max(needed, key=lambda one: one.end), "needs"
            continue
        before = [
            one for one in builds if one is not bar and 0 <= bar.built_from - one.end <= _AT_ONCE
        ]
        if before:
            bar.blocker = max(before, key=lambda one: one.end)
            bar.because = "memory" if bar.for_memory else "turn"


def _mark(made: Iterable[Bar]) -> None:
    last = max(made, key=lambda bar: bar.end, default=None)
    seen: set[int] = set()
    while last is not None and id(last) not in seen:
        seen.add(id(last))
        last.is_critical = True
        last = last.blocker


def critical(made: Iterable[Bar]) -> list[Bar]:
    """Return the critical path from its beginning."""
    path = [bar for bar in made if bar.is_critical]
    return sorted(path, key=lambda bar: bar.end)


def covered(path: Iterable[Bar]) -> float:
    """Return for how long at least one of these was running."""
    spans = [span for bar in path for kind in KINDS for span in bar.spans(kind)]
    return sum(end - start for start, end in _joined(spans))


def concurrency(made: Iterable[Bar], *, of: Kind) -> list[tuple[float, int]]:
    """Return how many were running, as steps: from each time on so many."""
    changes: list[tuple[float, int]] = []
    for bar in made:
        for start, end in _joined(bar.spans(of)):
            changes += [(start, 1), (end, -1)]
    steps, count = [(0.0, 0)], 0
    for at, change in sorted(changes):
        count += change
        if steps[-1][0] == at:
            steps[-1] = (at, count)
        else:
            steps.append((at, count))
    return steps


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Join consecutive spans: the phases of one build are one build."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1] + 1e-6:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def mean(steps: Sequence[tuple[float, int]], until: float) -> float:
    """Return the mean of steps over their time."""
    ends = [*steps, (until, 0)]
    area = sum(count * (after - at) for (at, count), (after, _) in pairwise(ends))
    busy = sum(after - at for (at, count), (after, _) in pairwise(ends) if count)
    return area / busy if busy else 0.0
