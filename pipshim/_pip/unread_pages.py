"""Collect from pip's log which index pages it could not read, and why."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pip._internal.utils.misc import remove_auth_from_url

from pipshim._pip import pip_texts
from pipshim._pip.errors import network_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    # What pip shows is decided by the levels of its own handlers.
    logging.getLogger(pip_texts.COLLECTOR).setLevel(logging.DEBUG)
