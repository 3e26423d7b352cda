"""Pass on what a worker says of a build, as events of this command."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from threading import Lock
from typing import TYPE_CHECKING, Any, get_args

from pipshim.model import events
from pipshim.model.build_progress import Unit

if TYPE_CHECKING:
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


def _fits(known: Field[Any], value: object) -> bool:
    """Return whether a value that a worker has sent can be that of a field."""
    if known.name in _CHOICES:
        return value in _CHOICES[known.name]
    return isinstance(value, _KINDS[str(known.type)])
