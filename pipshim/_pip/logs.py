"""Filter and reword pip's log records, and collect the unreadable pages that they name."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from pip._internal.utils.logging import RichPipStreamHandler
from pip._internal.utils.misc import remove_auth_from_url

from pipshim._pip import pip_texts
from pipshim._pip.errors import network_reason
from pipshim.model import fetch_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from packaging.utils import NormalizedName


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


def terminal_handlers(*, stdout: bool = True) -> list[RichPipStreamHandler]:
    """Return pip's handlers that write to the terminal; without `stdout`, those of errors."""
    return [
        one
        for one in logging.getLogger().handlers
        if isinstance(one, RichPipStreamHandler) and (stdout or one.console.file is sys.stderr)
    ]


# Pages that cannot be read

_here = threading.local()


class _Pages(logging.Handler):
    """Keeps the messages about pages that are passed over, for the thread that listens."""

    def emit(self, record: logging.LogRecord) -> None:
        pages: dict[str, str | None] | None = getattr(_here, "pages", None)
        if pages is None:
            return
        arguments = record.args if isinstance(record.args, tuple) else ()
        if record.msg == pip_texts.NOT_FETCHED.text:
            page, reason = arguments
            pages[remove_auth_from_url(str(page))] = network_reason(reason)
        elif record.levelno >= logging.WARNING:
            pages[record.getMessage()] = ""


_handler = _Pages(logging.DEBUG)


@contextmanager
def passed_over() -> Iterator[dict[str, str | None]]:
    """Collect the pages that this thread's pip passes over, each with the reason.

    The reason is None if the index has no such package. An outer collector gets them too.
    """
    outer = getattr(_here, "pages", None)
    _listen()
    pages: dict[str, str | None] = {}
    _here.pages = pages
    try:
        yield pages
    finally:
        _here.pages = outer
        repeat(pages)


def repeat(pages: Mapping[str, str | None]) -> None:
    """Report pages that were passed over in another thread to this thread's collectors."""
    collected = getattr(_here, "pages", None)
    if collected is not None:
        collected.update(pages)


def _listen() -> None:
    for name in (pip_texts.COLLECTOR, pip_texts.SOURCES, pip_texts.SESSION):
        logger = logging.getLogger(name)
        if _handler not in logger.handlers:
            logger.addHandler(_handler)
    # What pip shows depends on the levels of its own handlers, not on this one.
    collector = logging.getLogger(pip_texts.COLLECTOR)
    if collector.level != logging.DEBUG:  # setting it makes all loggers forget what they log
        collector.setLevel(logging.DEBUG)
