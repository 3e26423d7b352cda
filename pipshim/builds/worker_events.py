"""Pass on what a worker says of a build, as events of this command."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from pipshim.model import events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipshim.builds.build_request import BuildRequest
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


@dataclass
class WorkerEvents:
    """Passes on what a worker says of one build.

    Attributes:
        build: the build.
        observer: is told.
        has_built: whether a worker has built it for this command, and has said so to the end.
        seconds: how long that took.

    """

    build: BuildRequest
    observer: Observer
    has_built: bool = False
    seconds: float = 0.0
    _worker: str = ""
    _is_open: bool = False
    _guard: Lock = field(default_factory=Lock)

    def take(self, worker: str, lines: list[dict[str, Any]]) -> None:
        """Pass on the events of a worker, as ``--progress json`` has them."""
        with self._guard:
            for line in lines:
                event = self._event(line, worker)
                if event is not None:
                    self._pass(event, worker)

    def end(self) -> None:
        """Report that a build has ended whose worker does not say so any more."""
        with self._guard:
            if self._is_open:
                self._is_open = False
                build = self.build
                about = build.name, build.version, str(build.mode)
                self.observer(events.BuildFailed(*about, "wheel", stopped=True))

    def _event(self, line: Mapping[str, Any], worker: str) -> Any:
        kind = _RELAYED.get(str(line.get("event")))
        if kind is None or line.get("name") != self.build.name:
            return None
        known = {one.name for one in fields(kind)}
        try:
            event = kind(**{key: value for key, value in line.items() if key in known})
        except TypeError:
            return None
        if not isinstance(event, events.BuildStarted):
            return event
        if event.what != "wheel":
            return None
        return replace(event, log=None, waits_for=(), worker=worker)

    def _pass(self, event: Any, worker: str) -> None:
        if isinstance(event, events.BuildStarted):
            if self._is_open:  # on a worker that has died since
                build = self.build
                about = build.name, build.version, str(build.mode)
                self.observer(events.BuildFailed(*about, "wheel", stopped=True))
            self._is_open, self._worker = True, worker
        elif not self._is_open or worker != self._worker:
            return
        if isinstance(event, events.BuildFinished | events.BuildFailed):
            self._is_open = False
        if isinstance(event, events.BuildFinished):
            self.has_built, self.seconds = True, event.seconds
        self.observer(event)
