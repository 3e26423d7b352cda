"""Lines on a stream that is no terminal: a log, a pipe, a CI job."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

from pipshim.progress.state import State
from pipshim.progress.text import elapsed, join, plural, size, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from pipshim.progress.events import Event

HEARTBEAT_SECONDS = 30.0
_LAST_LINE_WIDTH = 100


class Plain:
    """Writes a line when something worth one happens, and a heartbeat for what takes long.

    No control codes and no colours are written. ``close`` has to be called, or the instance used
    as a context manager.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        verbosity: int = 0,
        heartbeat: float | None = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Observe for a stream.

        Args:
            stream: what to write to; it may be shared.
            verbosity: the number of ``-v`` less that of ``-q``.
            heartbeat: after how many silent seconds to say that a thing still runs; None: never.
            clock: gives seconds.

        """
        self._stream = stream
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
        """Take note of an event."""
        with self._change:
            running = self._count()
            for parts in self._state.take(event):
                self._write(join(parts))
                self._told[getattr(event, "name", "")] = self._clock()
            if self._heartbeat is not None and self._count() > running:
                self._start()
                self._change.notify()

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
        return len(state.builds) + bool(state.downloads.running) + (state.resolving is not None)

    def _running(self) -> Iterator[tuple[str, tuple[float, str]]]:
        """Give by name what is running: since when, and a line that says so."""
        state, now = self._state, self._clock()
        for build in state.builds.values():
            phase = build.phase or build.what
            line = f"still    {build.package}  {phase}, {elapsed(now - build.since)}"
            if build.last_line:
                line += f": {build.last_line[:_LAST_LINE_WIDTH]}"
            yield build.name, (build.since, line)
        if state.downloads.running:
            downloads = state.downloads
            files = plural(len(downloads.running), "file")
            took = elapsed(now - downloads.since)
            came = sum(downloads.received.values())
            far = f", {size(came)}" if came else ""
            if downloads.total:
                far = f"{far or ', 0 B'} of {size(downloads.total)}"
            yield "downloads:", (downloads.since, f"still    downloading {files}, {took}{far}")
        if state.resolving is not None:
            number, since = state.resolving
            line = f"still    resolving, round {number}, {elapsed(now - since)}"
            yield "resolving:", (since, line)
