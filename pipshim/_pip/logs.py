"""pip's log records and the handlers that show them."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from pip._internal.utils.logging import RichPipStreamHandler

from pipshim._pip import pip_texts
from pipshim._pip.errors import network_reason
from pipshim.model import fetch_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

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
