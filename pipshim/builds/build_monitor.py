"""Watch one build: report its progress, and record what it used."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipshim.base.errors import BuildError
from pipshim.base.light.dataclasses import dataclass
from pipshim.builds.resource_usage import Usage
from pipshim.model import events
from pipshim.model.build_progress import Progress, ProgressReader, seconds_left
from pipshim.model.past_build import Outcome, PastBuild

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipshim.builds.build_history import BuildHistory
    from pipshim.builds.build_request import BuildRequest
    from pipshim.model.events import Observer, What

_REPORT_SECONDS = 0.2
"""How often progress is reported, at most."""


def past_build(build: BuildRequest, took: float, **more: Any) -> PastBuild:
    """Describe a build that has just ended, whose backend took so many seconds."""
    return PastBuild(
        name=build.name,
        version=build.commit or build.version,
        mode=str(build.mode),
        started=round(time.time() - took, 3),
        seconds=round(took, 3),
        **more,
    )


@dataclass
class BuildMonitor:
    """Watches one build.

    Attributes:
        log: the file that all output goes to.
        history: the builds of earlier commands, which this one joins.
        earlier: the build to estimate this one by.

    """

    build: BuildRequest
    what: What
    python: str
    log: Path
    observer: Observer
    history: BuildHistory
    usage: Usage = field(default_factory=Usage)
    earlier: PastBuild | None = field(init=False)
    _reader: ProgressReader = field(init=False)
    _began: float | None = field(default=None, init=False)
    _reported: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.earlier = None
        if self.is_of_wheel:
            version = self.build.commit or self.build.version
            self.earlier = self.history.last_success(self.build.name, version, self.what)
        self._reader = ProgressReader(self.earlier.steps if self.earlier is not None else None)

    @property
    def is_of_wheel(self) -> bool:
        """Whether a wheel is built, which takes time; the backend is asked for other things too."""
        return self.what in ("wheel", "editable")

    @property
    def expected_seconds(self) -> float | None:
        return self.earlier.seconds if self.earlier is not None else None

    @contextmanager
    def watching(self, why: str, is_stopped: Callable[[], bool]) -> Iterator[None]:
        """Report how the build begins and ends, and remember it.

        Args:
            why: why no earlier wheel is reused; empty if there is none.
            is_stopped: whether the command ends all builds.

        """
        build, start = self.build, time.monotonic()
        waits_for, commit, combination = build.waits_for, build.commit, build.combination
        about = *build.about, self.what
        self.observer(
            events.BuildStarted(*about, self.log, waits_for, commit, combination, why=why)
        )
        try:
            yield
        except BaseException as error:
            step = error.step if isinstance(error, BuildError) else self.what
            stopped = is_stopped() or not isinstance(error, Exception)
            usage = self.usage
            if stopped:
                usage.cpu = None  # killed processes do not tell what they used
            self._end("stopped" if stopped else "out of memory" if usage.ran_out else "failed")
            used = usage.cpu, usage.peak or None, usage.processes
            self.observer(events.BuildFailed(*build.about[:3], step, stopped, *used))
            raise
        self._end("built")
        usage, seconds = self.usage, time.monotonic() - start
        measured = usage.cpu, usage.peak or None, self.expected_seconds, usage.processes
        self.observer(events.BuildFinished(*about, seconds, *measured))

    def begin(self) -> None:
        """Take note that the backend is called now."""
        self._began = time.monotonic()
        if self.earlier is not None:
            self._report()

    def output(self, line: str) -> None:
        self.observer(events.BuildOutput(self.build.name, line))
        if self._reader.read(line):
            progress, now = self._reader.progress, time.monotonic()
            is_last = progress is not None and progress.done == progress.total
            if is_last or now - self._reported >= _REPORT_SECONDS:
                self._reported = now
                self._report()

    def _end(self, outcome: Outcome) -> None:
        if self._began is None or not self.is_of_wheel:
            return
        self.history.add(
            past_build(
                self.build,
                self._elapsed(),
                what=self.what,
                python=self.python,
                outcome=outcome,
                cpu=round(self.usage.cpu, 3) if self.usage.cpu is not None else None,
                peak=self.usage.peak or None,
                processes=self.usage.processes,
                steps=self._reader.steps,
                log=str(self.log),
            )
        )

    def _elapsed(self) -> float:
        """Return how long the backend has been at work."""
        now = time.monotonic()
        return now - (self._began or now) - self.usage.waited

    def _report(self) -> None:
        progress = self._reader.progress or Progress(0, None, "steps")
        fraction = self._reader.fraction
        left = seconds_left(self._elapsed(), fraction, self.expected_seconds)
        self.observer(
            events.BuildProgress(
                self.build.name,
                self.build.version,
                progress.done,
                progress.total,
                progress.unit,
                progress.extension,
                fraction,
                left,
            )
        )
