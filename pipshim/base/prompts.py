"""Questions on the terminal: one at a time, with nothing drawn over them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Drawing(Protocol):
    """Draws on the terminal until it is paused."""

    def pause(self) -> None:
        """Remove what is drawn, and draw no more."""

    def resume(self) -> None:
        """Draw again."""


drawings: list[Drawing] = []
"""What draws now."""

_one = threading.Lock()


@contextmanager
def asking() -> Iterator[None]:
    """Reserve the terminal for a question; wait for other threads' questions."""
    with _one:
        paused = [*drawings]
        for one in paused:
            one.pause()
        try:
            yield
        finally:
            for one in paused:
                one.resume()
