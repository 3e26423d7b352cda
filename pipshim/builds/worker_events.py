"""Pass on a worker's reports of a build as events of this command; keep its log and history."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import Field, field, fields, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, get_args

from pipshim.base.cache_folders import LOGS
from pipshim.base.light.dataclasses import dataclass
from pipshim.builds.build_monitor import past_build
from pipshim.model import events
from pipshim.model.build_progress import ProgressReader, Unit

if TYPE_CHECKING:
    from pipshim.builds.build_request import BuildRequest
    from pipshim.builds.builder import Builder
    from pipshim.model.events import Observer
    from pipshim.model.past_build import Outcome

_RELAYED: dict[str, type[Any]] = {
    "build-started": events.BuildStarted,
    "build-phase": events.BuildPhase,
    "build-limited": events.BuildLimited,
    "build-output": events.BuildOutput,
    "build-progress": events.BuildProgress,
    "build-recorded": events.BuildRecorded,
    "build-finished": events.BuildFinished,
    "build-failed": events.BuildFailed,
}

_OWN = ("name", "version", "mode", "chosen_by", "worker")
"""Fields that are known here."""

_NOT_RELAYED = ("log", "waits_for")
_CHOICES = {"phase": get_args(events.Phase), "what": get_args(events.What), "unit": get_args(Unit)}
_KINDS: dict[str, Any] = {
    "str": str,
    "bool": bool,
    "int": int,
    "float": int | float,
    "int | None": int | None,
    "float | None": int | float | None,
    "Mapping[str, Any]": dict,
}


@dataclass
class WorkerEvents:
    """Passes on what a worker says of one build, and keeps it: a log here, and the history.

    Attributes:
        builder: has the history, the folder of logs, and the secrets to hide in them.
        has_built: whether a worker has built it for this command, and has said so to the end.
        seconds: how long that took.
        log: the file here with what it printed.

    """

    build: BuildRequest
    observer: Observer
    builder: Builder
    has_built: bool = field(default=False, init=False)
    seconds: float = field(default=0.0, init=False)
    log: Path | None = field(default=None, init=False)
    _worker: str | None = field(default=None, init=False)
    _is_written_there: bool = field(default=False, init=False)
    _began: float | None = field(default=None, init=False)
    _reader: ProgressReader = field(default_factory=lambda: ProgressReader(None), init=False)
    _guard: Lock = field(default_factory=Lock, init=False)

    def take(self, worker: str, lines: list[dict[str, Any]]) -> None:
        """Pass on the events of a worker, as ``--progress json`` has them."""
        with self._guard:
            for line in lines:
                event = self._event(line, worker)
                if isinstance(event, events.BuildStarted):
                    self._begin(event, line.get("log"))
                elif event is not None and worker == self._worker:
                    self._note(event)
                    self.observer(event)

    def end(self) -> None:
        """Report that a build has ended whose worker does not say so any more."""
        with self._guard:
            self._end()

    def _event(self, line: object, worker: str) -> Any:
        """Return an event of this build; None for another one, and for what is no event."""
        if not isinstance(line, dict) or line.get("name") != self.build.name:
            return None
        kind = _RELAYED.get(str(line.get("event")))
        if kind is None:
            return None
        known = {one.name: one for one in fields(kind)}
        given = {
            key: value for key, value in line.items() if key in known and key not in _NOT_RELAYED
        }
        if not all(_fits(known[key], value) for key, value in given.items()):
            return None
        own = *self.build.about, worker
        given |= {key: value for key, value in zip(_OWN, own, strict=True) if key in known}
        try:
            event = kind(**given)
        except TypeError:  # a field is missing
            return None
        is_other = isinstance(event, events.BuildStarted) and event.what != "wheel"
        return None if is_other else event

    def _begin(self, event: events.BuildStarted, there: object) -> None:
        """Begin a log, unless the worker has this cache and writes `there`."""
        self._end()  # on a worker that has died since
        self.log = Path(there) if isinstance(there, str) else None
        logs = self.builder.cache / LOGS
        self._is_written_there = (
            self.log is not None and self.log.parent == logs and self.log.is_file()
        )
        if not self._is_written_there:
            self.log = self.builder.new_log(self.build, "wheel")
        self._worker, self._began, self._reader = event.worker, None, ProgressReader(None)
        self.observer(replace(event, log=self.log))

    def _note(self, event: Any) -> None:
        """Take note of what a worker reports; what cannot be written is not kept."""
        if isinstance(event, events.BuildPhase) and event.phase == "wheel":
            self._began = time.monotonic()
        elif isinstance(event, events.BuildOutput):
            self._reader.read(event.line)
            if self.log is not None and not self._is_written_there:
                with suppress(OSError), self.log.open("a", encoding="utf-8") as file:
                    file.write(self.builder.mask.hide(event.line) + "\n")
        elif isinstance(event, events.BuildFinished):
            self.has_built, self.seconds = True, event.seconds
            self._remember("built", event)
        elif isinstance(event, events.BuildFailed):
            self._remember("stopped" if event.stopped else "failed", event)

    def _end(self) -> None:
        if self._worker is not None:
            self._remember("stopped")
            self.observer(events.BuildFailed(*self.build.about[:3], "wheel", stopped=True))

    def _remember(
        self, outcome: Outcome, event: events.BuildFinished | events.BuildFailed | None = None
    ) -> None:
        """Add a build that has ended to the history, if its backend was called."""
        worker, self._worker = self._worker, None
        if self._began is None:
            return
        self.builder.history.add(
            past_build(
                self.build,
                time.monotonic() - self._began,
                what="wheel",
                python=self.builder.target.python_name,
                outcome=outcome,
                cpu=event.cpu if event else None,
                peak=event.memory if event else None,
                processes=(event.processes if event else None) or 1,
                steps=self._reader.steps,
                log=str(self.log),
                worker=worker or "",
            )
        )


def _fits(known: Field[Any], value: object) -> bool:
    """Return whether a value that a worker has sent can be that of a field."""
    if known.name in _CHOICES:
        return value in _CHOICES[known.name]
    return isinstance(value, _KINDS[str(known.type)])
