"""JSON for programs: events as lines, and the result document (docs/reference/output.md)."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TextIO

from pipshim import __version__
from pipshim.base.errors import BuildError, Failures, PipshimError
from pipshim.model import events
from pipshim.progress.formatting import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipshim.model.change import Change
    from pipshim.model.events import Event
    from pipshim.progress.event_timeline import BuildSpan, History

SCHEMA = 1
"""Raised when a reader of the lines, or of the result, could not go on as before."""

_PROGRESS_SECONDS = 0.1
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")
_ACTIONS = {"+": "add", "-": "remove", "~": "replace"}


class JsonLines:
    """Writes each event as a line with a JSON object, after a first one, ``start``.

    At most ten steps a second of a download are written.
    """

    def __init__(
        self, stream: TextIO, *, command: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._start = clock()
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()
        head = {"event": "start", "schema": SCHEMA, "pipshim": __version__, "command": command}
        write_line(stream, head)

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            now = self._clock()
            if isinstance(event, events.DownloadProgress):
                if now - self._told.get(event.key, -_PROGRESS_SECONDS) < _PROGRESS_SECONDS:
                    return
                self._told[event.key] = now
            seconds = round(now - self._start, 3)
            write_line(self._stream, {"event": name_of(event), "time": seconds, **data_of(event)})

    def result(self, document: Mapping[str, Any]) -> None:
        """Write the last line of a successful command."""
        write_line(self._stream, {"event": "result", **document})


def name_of(event: Event) -> str:
    """Return an event's name in JSON: ``build-started`` of BuildStarted."""
    return _WORD_START.sub("-", type(event).__name__).lower()


def data_of(event: Event) -> dict[str, Any]:
    """Return an event's fields as plain data."""
    found = {one.name: getattr(event, one.name) for one in fields(event)}
    return {key: round(one, 3) if isinstance(one, float) else one for key, one in found.items()}


def write_line(stream: TextIO, data: Mapping[str, Any]) -> None:
    """Write plain data as one line; paths become texts."""
    write(stream, json.dumps(data, default=str) + "\n")


def write_document(document: Any) -> None:
    """Write plain data to standard output, for programs to read."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def changes(found: Iterable[Change]) -> list[dict[str, Any]]:
    data = (change._asdict() for change in found)
    return [{"action": _ACTIONS[change.pop("kind")], **change} for change in data]


def builds(history: History, reasons: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what was built or reused.

    Args:
        reasons: by name, why a package was built again.

    """
    return [_build(one, history.now, reasons) for one in history.builds]


def _build(one: BuildSpan, now: float, reasons: Mapping[str, str]) -> dict[str, Any]:
    ended = now if one.ended is None else one.ended
    phases: dict[str, float] = {}
    for phase, start, end in one.lasting(ended):
        phases[phase] = round(phases.get(phase, 0.0) + end - start, 3)
    return {
        "name": one.name,
        "version": one.version,
        "what": one.what,
        "outcome": one.ending,
        "mode": one.mode,
        "chosen_by": one.chosen_by,
        **({"combination": one.combination} if one.combination else {}),
        **({"worker": one.worker} if one.worker else {}),
        "reason": one.why or _reason(one, reasons),
        "started": round(one.started, 3),
        "seconds": round(ended - one.started, 3),
        "phases": phases,
        "cpu": round(one.cpu, 3) if one.cpu is not None else None,
        "memory": one.memory,
        "expected": one.expected,
        **({"saved": round(one.saved, 3)} if one.saved is not None else {}),
        "waits_for": list(one.waits_for),
        "log": str(one.log) if one.log is not None else None,
        "record": one.record,
    }


def _reason(one: BuildSpan, reasons: Mapping[str, str]) -> str | None:
    if one.what == "editable":
        return "editable wheels are not kept"
    return reasons.get(one.name, "no earlier wheel fits") if one.what == "wheel" else None


def errors(error: PipshimError) -> list[dict[str, Any]]:
    """Return what went wrong; several builds may have failed."""
    return [_error(one) for one in (error.errors if isinstance(error, Failures) else (error,))]


def _error(error: PipshimError) -> dict[str, Any]:
    said: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
    }
    if isinstance(error, BuildError):
        said |= {
            "package": error.package,
            "mode": error.mode,
            "step": error.step,
            "output": list(error.output),
            "log": str(error.log) if error.log is not None else None,
        }
    return said


def document(
    command: str, status: str, history: History, *, exit_status: int, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the document.

    Args:
        command: ``lock``, ``sync`` or ``run``.
        status: ``done``, ``planned``, ``failed`` or ``interrupted``.
        details: the command's own; with ``reasons``, why packages were built.

    """
    reasons = details.get("reasons", {})
    return {
        "schema": SCHEMA,
        "command": command,
        "status": status,
        "exit_status": exit_status,
        "seconds": round(history.now, 3),
        "changed": False,
        "changes": [],
        **{key: value for key, value in details.items() if key != "reasons"},
        "builds": builds(history, reasons),
    }
