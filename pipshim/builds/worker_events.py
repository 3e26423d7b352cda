"""Pass on what a worker says of a build, as events of this command."""

from __future__ import annotations

from dataclasses import Field, field, fields, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, get_args

from pipshim.base.light.dataclasses import dataclass
from pipshim.builds.worker_history import WorkerHistory
from pipshim.model import events
from pipshim.model.build_progress import Unit

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.builds.build_request import BuildRequest
    from pipshim.builds.builder import Builder
    from pipshim.model.events import Observer

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
    """Passes on what a worker says of one build.

    Attributes:
        build: the build.
        observer: is told.
        builder: has the history, and the folder of logs.
        has_built: whether a worker has built it for this command, and has said so to the end.
        seconds: how long that took.
        log: the file here with what it printed.

    """

    build: BuildRequest
    observer: Observer
    builder: Builder
    has_built: bool = False
    seconds: float = 0.0
    log: Path | None = None
    _history: WorkerHistory | None = None
    _guard: Lock = field(default_factory=Lock)

    def take(self, worker: str, lines: list[dict[str, Any]]) -> None:
        """Pass on the events of a worker, as ``--progress json`` has them."""
        with self._guard:
            for line in lines:
                event = self._event(line, worker)
                if isinstance(event, events.BuildStarted):
                    self._begin(event, line.get("log"))
                elif event is not None:
                    self._pass(event, worker)

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
        build = self.build
        own = build.name, build.version, str(build.mode), build.chosen_by, worker
        given |= {key: value for key, value in zip(_OWN, own, strict=True) if key in known}
        try:
            event = kind(**given)
        except TypeError:  # a field is missing
            return None
        is_other = isinstance(event, events.BuildStarted) and event.what != "wheel"
        return None if is_other else event

    def _begin(self, event: events.BuildStarted, log: object) -> None:
        self._end()  # on a worker that has died since
        self._history = WorkerHistory.begin(self.builder, self.build, event.worker, log)
        self.log = self._history.log
        self.observer(replace(event, log=self.log))

    def _pass(self, event: Any, worker: str) -> None:
        history = self._history
        if history is None or worker != history.worker:
            return
        history.note(event)
        if isinstance(event, events.BuildFinished | events.BuildFailed):
            self._history = None
        if isinstance(event, events.BuildFinished):
            self.has_built, self.seconds = True, event.seconds
        self.observer(event)

    def _end(self) -> None:
        if self._history is not None:
            self._history.end("stopped")
            self._history = None
            build = self.build
            about = build.name, build.version, str(build.mode)
            self.observer(events.BuildFailed(*about, "wheel", stopped=True))


def _fits(known: Field[Any], value: object) -> bool:
    """Return whether a value that a worker has sent can be that of a field."""
    if known.name in _CHOICES:
        return value in _CHOICES[known.name]
    return isinstance(value, _KINDS[str(known.type)])
