"""Plain lines for output that is not a terminal: a log, a pipe, a CI job."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, TextIO

from pipshim.base.sizes import size
from pipshim.model import events
from pipshim.progress.control_codes import clean
from pipshim.progress.formatting import elapsed, join, painted, plural, write
from pipshim.progress.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from typing_extensions import Self

    from pipshim.model.events import Event

HEARTBEAT_SECONDS = 30.0


class Plain:
    """Writes a line for each important event, and repeats it for what takes long.

    No control codes are written except colours. Call ``close``, or use it as a context manager.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        verbosity: int = 0,
        color: bool = False,
        groups: bool = False,
        heartbeat: float | None = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Observe for a stream.

        Args:
            stream: what to write to; it may be shared.
            verbosity: the number of ``-v`` less that of ``-q``.
            groups: write a build's output below its last line, in a group that GitHub's page of the
                job shows folded; not with ``-v``, which shows it at once.
            heartbeat: after how many silent seconds to say that something still runs; None: never.

        """
        self._stream = stream
        self._color = color
        self._groups = groups and verbosity == 0
        self._clock = clock
        self._heartbeat = heartbeat if verbosity >= 0 else None
        self._state = State(verbosity=verbosity, clock=clock)
        self._told: dict[str, float] = {}
        self._change = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, event: Event, /) -> None:
        with self._change:
            running = self._count()
            log = self._log_of(event)
            for parts in self._state.take(event):
                line = painted(parts) if self._color else join(parts)
                self._write(line if log is None else _group(line, log))
                self._told[getattr(event, "name", "")] = self._clock()
            if self._heartbeat is not None and self._count() > running:
                self._start()
                self._change.notify()

    def _log_of(self, event: Event) -> Path | None:
        """Return the log of a build that this event ends."""
        if not self._groups or not isinstance(event, events.BuildFinished | events.BuildFailed):
            return None
        build = self._state.builds.get((event.name, event.version))
        return build.event.log if build is not None else None

    def close(self) -> None:
        """Stop the heartbeat; nothing is written after that."""
        with self._change:
            self._closed = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()

    def _write(self, line: str) -> None:
        if not self._closed:
            write(self._stream, f"{line}\n")

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        assert self._heartbeat is not None
        with self._change:
            while not self._closed:
                now = self._clock()
                due = []
                for name, (since, line) in dict(self._running()).items():
                    told = max(since, self._told.get(name, since))
                    if told + self._heartbeat <= now:
                        self._write(line)
                        self._told[name] = told = now
                    due.append(told + self._heartbeat)
                # With nothing running, the next start wakes this up.
                self._change.wait(max(min(due) - now, 0.001) if due else None)

    def _count(self) -> int:
        state = self._state
        running = len(state.builds) + len(state.waiting) + bool(state.downloads.running)
        return running + len(state.resolves)

    def _running(self) -> Iterator[tuple[str, tuple[float, str]]]:
        """Yield by name what is running: since when, and a line that says so."""
        state, now = self._state, self._clock()
        for build in state.builds.values():
            phase = build.phase or build.event.what
            words = [phase, elapsed(now - build.since), *build.progress_words(now)]
            line = f"still    {build.package}  {', '.join(words)}"
            if build.last_line:
                line += f": {build.last_line}"
            yield build.event.name, (build.since, line)
        if state.downloads.running:
            downloads = state.downloads
            files = plural(len(downloads.running), "file")
            took = elapsed(now - downloads.since)
            came = sum(downloads.received.values())
            far = f", {size(came)}" if came else ""
            if downloads.total:
                far = f"{far or ', 0 B'} of {size(downloads.total)}"
            yield "downloads:", (downloads.since, f"still    downloading {files}, {took}{far}")
        for resolve in state.resolves.values():
            took = elapsed(now - resolve.since)
            line = f"still    {resolve.what}, round {resolve.round}, {took}"
            yield f"{resolve.what}:", (resolve.since, line)
        for (name, _), wait in state.waiting.items():
            line = f"still    {wait.text}, {elapsed(now - wait.since)}"
            yield name or "waiting:", (wait.since, line)


def _group(line: str, log: Path) -> str:
    """Return a line with the text of a file below it, in a log group of GitHub's.

    Commands to GitHub's runner in the text are not executed.
    """
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            lines = [clean(one) for one in file]
    except OSError:
        return line
    if not any(lines):
        return line
    token = secrets.token_hex(16)
    inner = [f"::stop-commands::{token}", *lines, f"::{token}::"]
    return "\n".join([f"::group::{line}", *inner, "::endgroup::"])
