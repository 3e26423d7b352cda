"""Questions on the terminal: nothing is drawn over them, and there is one at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Drawing(Protocol):
    """What draws on the terminal until it is told not to."""

    def pause(self) -> None:
        """Take away what is drawn, and draw no more."""

    def resume(self) -> None:
        """Draw again."""


drawings: list[Drawing] = []
"""What draws now."""

_one = threading.Lock()


@contextmanager
def asking() -> Iterator[None]:
    """Have the terminal for a question; wait for another thread's to be answered."""
    with _one:
        paused = [*drawings]
        for one in paused:
            one.pause()
        try:
            yield
        finally:
            for one in paused:
                one.resume()
