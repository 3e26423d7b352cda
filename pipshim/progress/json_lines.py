"""Events as lines of JSON, for `--progress json` (docs/reference/output.md)."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TextIO

from pipshim import __version__
from pipshim.model import events
from pipshim.progress.formatting import write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipshim.model.events import Event

SCHEMA = 1
"""Raised when a reader of the lines, or of the result, could not go on as before."""

_PROGRESS_SECONDS = 0.1
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


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
