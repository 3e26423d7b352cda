"""Turn pip's log lines into events, so that only observers write to the terminal."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from pip._internal.utils.logging import RichPipStreamHandler

from pipshim._pip import pip_texts
from pipshim._pip.errors import network_reason
from pipshim.model import events, fetch_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from packaging.utils import NormalizedName

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


@contextmanager
def without_extras_of(stand_ins: Collection[NormalizedName]) -> Iterator[None]:
    """Drop pip's warnings of missing extras of packages whose metadata is not known yet.

    Args:
        stand_ins: their names, looked up whenever pip warns.

    """

    def is_known(record: logging.LogRecord) -> bool:
        names = record.args if str(record.msg) == pip_texts.NO_SUCH_EXTRA.text else None
        return not isinstance(names, tuple) or canonicalize_name(str(names[0])) not in stand_ins

    logger = logging.getLogger(pip_texts.CANDIDATES)
    logger.addFilter(is_known)
    try:
        yield
    finally:
        logger.removeFilter(is_known)


def reworded(record: logging.LogRecord) -> str:
    """Return the text of a log record of pip's, reworded for people."""
    if record.name == pip_texts.CONNECTION_POOL and str(record.msg) == pip_texts.RETRYING.text:
        return _retrying(record)
    return record.getMessage()


def _retrying(record: logging.LogRecord) -> str:
    """Describe a network failure that is retried."""
    assert isinstance(record.args, tuple)
    retries, error, url = record.args
    host = record.__dict__.get("__urllib3-retry-warning", {}).get("host") or _host(error)
    left = getattr(retries, "total", None)
    left = left if isinstance(left, int) else None
    return fetch_errors.retry(str(url), host, network_reason(error) or str(error), left)


def _host(error: object) -> str | None:
    # Before pip 26.3 only some errors know it; of some the attribute ``pool`` warns when read.
    known = vars(error)
    found = getattr(known.get("conn") or known.get("pool"), "host", None)
    return found if isinstance(found, str) else None


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
    root = logging.getLogger()
    theirs = [
        one
        for one in root.handlers
        if isinstance(one, RichPipStreamHandler) and (stdout or one.console.file is sys.stderr)
    ]
    if not theirs:
        yield
        return
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
