"""Questions on the terminal: one at a time, with nothing drawn over them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


drawings: list[tuple[Callable[[], object], Callable[[], object]]] = []
"""How the current drawing on the terminal is cleared, and drawn again."""

_one = threading.Lock()


@contextmanager
def asking() -> Iterator[None]:
    """Reserve the terminal for a question; wait for other threads' questions."""
    with _one:
        paused = [*drawings]
        for pause, _ in paused:
            pause()
        try:
            yield
        finally:
            for _, resume in paused:
                resume()
