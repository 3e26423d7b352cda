"""Turn pip's log records into events, so that only observers write to the terminal."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipshim._pip import pip_texts
from pipshim._pip.logs import reworded, terminal_handlers
from pipshim.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.model.events import Level, Observer


class _Forwarding(logging.Handler):
    def __init__(self, observer: Observer, level: int) -> None:
        super().__init__(level)
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == pip_texts.DOWNLOAD and record.levelno <= logging.INFO:
            return
        level: Level = "debug"
        if record.levelno >= logging.ERROR:
            level = "error"
        elif record.levelno >= logging.WARNING:
            level = "warning"
        elif record.levelno >= logging.INFO:
            level = "info"
        self._observer(events.Message(level, reworded(record)))


class _Masking(logging.Formatter):
    def __init__(self, inner: logging.Formatter | None, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(self._inner.format(record))


def mask(hide: Callable[[str], str]) -> None:
    """Hide secrets in what pip's handlers write, to the terminal and to its log file."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_Masking(handler.formatter, hide))


@contextmanager
def forwarded(
    observer: Observer, least: int = logging.NOTSET, *, stdout: bool = True
) -> Iterator[None]:
    """Pass on to the observer what pip's handlers would have written to the terminal.

    pip's handlers and their verbosity (``pip._internal.utils.logging``) stay; records below
    ``least`` are not passed on. Without ``stdout``, what goes to standard output stays there.
    """
    theirs = terminal_handlers(stdout=stdout)
    if not theirs:
        yield
        return
    root = logging.getLogger()
    ours = _Forwarding(observer, max(least, min(one.level for one in theirs)))
    for handler in theirs:
        root.removeHandler(handler)
    root.addHandler(ours)
    try:
        yield
    finally:
        root.removeHandler(ours)
        for handler in theirs:
            root.addHandler(handler)


class _Repeats(logging.Filter):
    """Drops messages that were shown before.

    Attributes:
        again: whether what was shown before is dropped.

    """

    def __init__(self) -> None:
        super().__init__()
        self.again = False
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = f"{record.name} {record.getMessage()}"
        if self.again and text in self._shown:
            return False
        self._shown.add(text)
        return True


@contextmanager
def shown_once() -> Iterator[_Repeats]:
    """Filter the messages of all log handlers; drop repeated ones once `again` is set."""
    once = _Repeats()
    handlers = [*logging.getLogger().handlers]
    for handler in handlers:
        handler.addFilter(once)
    try:
        yield once
    finally:
        for handler in handlers:
            handler.removeFilter(once)


def quieten(verbosity: int, *, log: bool) -> None:
    """Keep standard output for the command's own, and pip's progress for ``-v``."""
    root, handlers = logging.getLogger(), terminal_handlers()
    stderr = next((one.console for one in handlers if one.console.file is sys.stderr), None)
    for handler in handlers:
        if stderr is not None:
            handler.console = stderr
        if verbosity == 0:
            handler.setLevel(max(handler.level, logging.WARNING))
    if verbosity == 0 and not log:
        root.setLevel(logging.WARNING)
