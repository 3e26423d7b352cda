"""The live display: a region at the bottom of the terminal, drawn by rich."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.live import Live as RichLive
from rich.segment import ControlType
from rich.text import Text

from pipshim.base import prompts
from pipshim.base.interruption import at_abandon, write
from pipshim.model.events import BuildOutput
from pipshim.progress.formatting import join
from pipshim.progress.live_region import rows
from pipshim.progress.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from pipshim.model.events import Event
    from pipshim.progress.formatting import Parts

_FASTEST_SECONDS = 1 / 8
# Elapsed times are shown in whole seconds.
_IDLE_SECONDS = 1.0
_ABANDON_SECONDS = 0.3
"""How long a drawing is waited for that may be stuck."""


class Live:
    """Draws what is running, at most eight times a second, in a thread of its own.

    Shorter work is not drawn. Use it as a context manager: at the end, also after an exception, the
    region is cleared and the cursor shown.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        verbosity: int = 0,
        no_color: bool = False,
        clock: Callable[[], float] = time.monotonic,
        console: Console | None = None,
    ) -> None:
        """Observe for a terminal.

        Args:
            verbosity: the number of ``-v``: with one, the output of builds scrolls above, and the
                last line of each is shown beside it.
            console: used instead of a new one for the stream.

        """
        self._console = console or Console(
            file=stream, no_color=no_color or None, highlight=False, markup=False, emoji=False
        )
        self._clock = clock
        self._state = State(verbosity=verbosity, starts=False, clock=clock)
        self._state.columns.room = lambda: self._console.width
        self._lines: list[Parts] = []
        self._change = threading.Condition()
        self._changed = False
        self._closed = threading.Event()
        self._region: RichLive | None = None
        self._drawn: list[int] = []
        self._thread: threading.Thread | None = None
        self._drawing = threading.Lock()
        self._paused = False

    def __enter__(self) -> Self:
        prompts.drawings.append((self.pause, self.resume))
        at_abandon.append(self._abandon)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, event: Event, /) -> None:
        with self._change:
            lines = self._state.take(event)
            self._lines += lines
            # A compiler may print a thousand lines a second, and nobody would see a difference.
            if isinstance(event, BuildOutput) and not lines and self._state.verbosity < 1:
                return
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._draw, name="live", daemon=True)
                self._thread.start()
            if not self._changed:
                self._changed = True
                self._change.notify()

    def pause(self) -> None:
        """Clear the region, and leave the terminal alone until `resume`."""
        with self._drawing:
            self._paused = True
            self._stop()

    def resume(self) -> None:
        with self._change:
            self._paused = False
            self._changed = True
            self._change.notify()

    def close(self) -> None:
        """Clear the region, write the remaining lines, and release the terminal."""
        try:
            with self._change:
                self._closed.set()
                self._change.notify()
            if self._thread is not None:
                self._thread.join()
        finally:
            try:
                with self._drawing:
                    self._stop()
                    self._print(self._take_lines())
            except (OSError, ValueError):
                self._lines.clear()  # the terminal is gone
            if (self.pause, self.resume) in prompts.drawings:
                prompts.drawings.remove((self.pause, self.resume))
                at_abandon.remove(self._abandon)

    def _abandon(self) -> None:
        """Clear the region and draw no more, because the process ends now."""
        self._paused = True
        is_drawing = not self._drawing.acquire(timeout=_ABANDON_SECONDS)
        if not is_drawing:  # it is kept, so that nothing follows
            self._stop()
        elif self._region is not None:
            write(self._console.file.fileno(), b"\x1b[?25h\n")

    def _draw(self) -> None:
        try:
            # What comes together is drawn together.
            while not self._closed.wait(_FASTEST_SECONDS):
                with self._change:
                    self._change.wait_for(self._is_due, _IDLE_SECONDS if self._is_busy() else None)
                    self._changed = False
                with self._drawing:
                    if not (self._closed.is_set() or self._paused):
                        self._refresh()
        except (OSError, ValueError):
            return  # the terminal is gone

    def _is_due(self) -> bool:
        return self._changed or self._closed.is_set()

    def _is_busy(self) -> bool:
        state = self._state
        return bool(
            state.builds
            or state.downloads.running
            or state.waiting
            or state.planned
            or state.resolves
        )

    def _refresh(self) -> None:
        width, height = self._console.size
        with self._change:
            found = rows(self._state, width=width, height=height, now=self._clock())
            lines = self._take_lines()
        if not found:
            self._stop()
            self._print(lines)
        elif self._region is not None:
            self._unwrap(width)
            # Lines that are printed draw the region again, as it was refreshed last.
            self._region.update(_text(found), refresh=True)
            self._print(lines)
        else:
            self._print(lines)
            # Standard output is the command's own: it may be a file, and is never redirected.
            self._region = RichLive(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                vertical_overflow="crop",
            )
            self._region.start()
            self._region.update(_text(found), refresh=True)
        self._drawn = [cell_len(join(row)) for row in found]

    def _unwrap(self, width: int) -> None:
        """Move up by the rows into which a narrower terminal has wrapped the region.

        rich moves up by the rows it has drawn. Terminals that cut rows instead of wrapping them
        lose the last lines above the region.
        """
        more = sum(max(drawn - 1, 0) // width for drawn in self._drawn)
        if more:
            up = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *(up * more)))

    def _stop(self) -> None:
        region, self._region = self._region, None
        if region is not None:
            region.stop()

    def _take_lines(self) -> list[Parts]:
        lines, self._lines = self._lines, []
        return lines

    def _print(self, lines: list[Parts]) -> None:
        if lines:
            # The terminal wraps what is long, so that it is copied in one piece.
            self._console.print(_text(lines), soft_wrap=True)


def _text(lines: list[Parts]) -> Text:
    return Text("\n").join(Text.assemble(*parts) for parts in lines)
