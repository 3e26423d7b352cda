"""pip's log lines as events, so that one thing alone writes to the terminal."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pip._internal.utils.logging import RichPipStreamHandler

from pipshim.progress import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.progress.events import Level, Observer


class _Forwarding(logging.Handler):
    def __init__(self, observer: Observer, level: int) -> None:
        super().__init__(level)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "debug"
        if record.levelno >= logging.ERROR:
            level = "error"
        elif record.levelno >= logging.WARNING:
            level = "warning"
        elif record.levelno >= logging.INFO:
            level = "info"
        self._observer(events.Message(level, record.getMessage()))


class _Masking(logging.Formatter):
    def __init__(self, inner: logging.Formatter | None, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(self._inner.format(record))


def mask(hide: Callable[[str], str]) -> None:
    """Keep secrets out of what pip's handlers write: to the terminal, and to its log file."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Masking(handler.formatter, hide))


@contextmanager
def forwarded(observer: Observer) -> Iterator[None]:
    """Give the observer what pip's handlers would have written to the terminal.

    pip sets its handlers up by verbosity (``pip._internal.utils.logging``); theirs is kept.
    """
    root = logging.getLogger()
    theirs = [one for one in root.handlers if isinstance(one, RichPipStreamHandler)]
    if not theirs:
        yield
        return
    ours = _Forwarding(observer, min(one.level for one in theirs))
    for handler in theirs:
        root.removeHandler(handler)
    root.addHandler(ours)
    try:
        yield
    finally:
        root.removeHandler(ours)
        for handler in theirs:
            root.addHandler(handler)
