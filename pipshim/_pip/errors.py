"""Translate pip's errors into pipshim's, which carry data and no markup."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from http.client import IncompleteRead as HTTPIncompleteRead
from http.client import RemoteDisconnected
from typing import TYPE_CHECKING, cast

from pip._internal.exceptions import (
    BadCommand,
    CommandError,
    DiagnosticPipError,
    HashError,
    HashErrors,
    HashMismatch,
    InstallationError,
    InstallationSubprocessError,
    InvalidWheel,
    NetworkConnectionError,
    PipError,
)
from pip._internal.utils.logging import subprocess_logger
from pip._internal.utils.misc import redact_auth_from_url
from pip._vendor.requests.exceptions import (
    InvalidURL,
    MissingSchema,
    RequestException,
    TooManyRedirects,
)
from pip._vendor.urllib3.exceptions import (
    DecodeError,
    HTTPError,
    IncompleteRead,
    NameResolutionError,
    ReadTimeoutError,
)

from pipshim._pip import http_adapters, pip_texts
from pipshim._pip.pip_texts import CONNECTION_ERROR, OUTPUT_BEGINS, OUTPUT_ENDS
from pipshim.base.errors import NetworkError, PipshimError, UsageError
from pipshim.model import fetch_errors
from pipshim.model.fetch_errors import WrongHash

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKUP = re.compile(r"\[/?(?:[a-z][a-z ]*)?\]")
_NETWORK = re.compile(
    r"connection|timed out|timeout|proxy|ssl|certificate|resolve host|unreachable|HTTP error",
    re.IGNORECASE,
)
_IN_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (NameResolutionError, fetch_errors.UNKNOWN_HOST),
    (ReadTimeoutError, fetch_errors.STALLED),
    (RemoteDisconnected, fetch_errors.NO_ANSWER),
    (ConnectionResetError, fetch_errors.RESET),
    (HTTPIncompleteRead, fetch_errors.CUT),
    (DecodeError, fetch_errors.NOT_DECODED),
)
_OF_VCS = re.compile(r"(git|hg|svn|bzr) ")


@contextmanager
def translating_errors() -> Iterator[None]:
    """Turn pip's errors, and those of its libraries, into pipshim's.

    Raises:
        PipshimError: for every error of pip's that is meant for a user.

    """
    loggers = [logging.getLogger(name) for name in _SAID_BEFORE_RAISING]
    for logger in loggers:
        logger.addFilter(_is_no_error)
    try:
        yield
    except NETWORK_ERRORS as error:
        raise translate(error) from error
    finally:
        for logger in loggers:
            logger.removeFilter(_is_no_error)


def _is_no_error(record: logging.LogRecord) -> bool:
    """Drop what pip logs as an error just before it raises: the error boundary shows it."""
    return record.levelno < logging.ERROR


_SAID_BEFORE_RAISING = (pip_texts.FACTORY, pip_texts.DOWNLOAD, subprocess_logger.name)

NETWORK_ERRORS = PipError, RequestException, HTTPError


def network_reason(error: object) -> str | None:
    """Describe why something could not be fetched; None: it does not exist (404)."""
    if http_adapters.is_not_cached(error):
        return fetch_errors.IS_NOT_CACHED
    if isinstance(error, TooManyRedirects):
        return fetch_errors.REDIRECT_LOOP
    status = status_of(error)
    if status in (404, 410):
        return None
    if status is not None:
        return fetch_errors.server_answer(status)
    for one in _causes(error):
        if (words := _in_words(one)) is not None:
            return words
    text = _plain(error)
    # urllib3 and requests wrap what the system said several times.
    said = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text) or CONNECTION_ERROR.search(text)
    return said[1].strip() if said else text


def unanswered_reason(error: BaseException) -> str | None:
    """Describe why a server did not answer; pip's own error says where, and its cause says why."""
    return network_reason((isinstance(error, PipError) and error.__context__) or error)


def _causes(error: object) -> Iterator[object]:
    """Yield an error and its causes, recursively."""
    waiting, known = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in known:
            continue
        known.add(id(one))
        yield one
        waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]


def _in_words(error: object) -> str | None:
    """Describe an error of the network libraries, whose texts are for programmers."""
    if isinstance(error, IncompleteRead) and isinstance(error.partial, int):
        had, missing = error.partial, error.expected or 0
        return fetch_errors.cut_off(had, had + missing)
    return next((words for kind, words in _IN_WORDS if isinstance(error, kind)), None)


def status_of(error: object) -> int | None:
    """Return the HTTP status of an error, if it has one."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if isinstance(status, int):
        return status
    for text in (pip_texts.CLIENT_ERROR, pip_texts.SERVER_ERROR, pip_texts.TOO_MANY_ERRORS):
        said = text.search(str(error))
        if said and (number := re.search(r"\b[45]\d\d$", said[1])):
            return int(number[0])
    return None


def translate(error: BaseException) -> PipshimError:
    """Translate an error of pip or its libraries."""
    for one in (error, error.__context__):
        if isinstance(one, InstallationSubprocessError) and _OF_VCS.match(one.command_description):
            return _of_command(one, getattr(error, "package_name", None))
    if isinstance(error, DiagnosticPipError):
        lines = [_plain(error.message)]
        if error.context:
            lines.append(_plain(error.context))
        kind = NetworkError if _NETWORK.search(error.reference) else PipshimError
        hint = _plain(error.hint_stmt) if error.hint_stmt else None
        return kind("\n".join(lines), hint=hint)
    text = str(error)
    if isinstance(error, HashErrors):
        return fetch_errors.wrong_hashes(map(_wrong_hash, error.errors))
    if isinstance(error, HashError):
        return fetch_errors.wrong_hashes([_wrong_hash(error)])
    if isinstance(error, (NetworkConnectionError, RequestException, HTTPError)):
        return _unfetched(error)
    if isinstance(error.__context__, NetworkConnectionError):
        return _unfetched(error.__context__)  # pip's preparer says no more than its text
    if isinstance(error, InvalidWheel):
        return fetch_errors.invalid_wheel(error.location.rpartition("/")[2], error.name)
    if isinstance(error, CommandError):
        return UsageError(text)
    if (match := pip_texts.NO_UPLOAD_TIME.match(text)) is not None:
        of_index = pip_texts.OF_INDEX.match(match[1])
        return fetch_errors.without_upload_times(of_index[1] if of_index else match[1])
    if isinstance(error, (InstallationError, BadCommand)) and _NETWORK.search(text):
        return NetworkError(text)
    return PipshimError(text)


def _of_command(error: InstallationSubprocessError, name: str | None) -> PipshimError:
    _, _, output = _plain(error.context).partition(OUTPUT_BEGINS.text)
    return fetch_errors.failed_checkout(
        name,
        error.command_description,
        error.exit_code,
        output.partition(OUTPUT_ENDS.text)[0],
        is_network=_NETWORK.search(output) is not None,
    )


def _unfetched(error: BaseException) -> NetworkError:
    """Describe which file could not be fetched, and why."""
    if isinstance(error, (MissingSchema, InvalidURL)):
        return fetch_errors.invalid_url(str(error).partition(pip_texts.PERHAPS.text)[0])
    asked = getattr(error, "request", None) or getattr(error, "response", None)
    url = getattr(asked, "url", None)
    status, why = status_of(error), network_reason(error)
    if not isinstance(url, str):
        return fetch_errors.unfetched(None, why, status=status)
    history = getattr(getattr(error, "response", None), "history", None)
    redirected_to = None
    if history:
        url, redirected_to = history[0].url, url
    if http_adapters.is_not_cached(error):
        return fetch_errors.not_cached(redact_auth_from_url(url))
    return unfetched(url, why, status=status, redirected_to=redirected_to)


def unfetched(
    url: str,
    why: object,
    *,
    status: int | None = None,
    attempts: int = 1,
    redirected_to: str | None = None,
) -> NetworkError:
    """Make the error for a page or file that could not be fetched; ``why`` is an error or text."""
    return fetch_errors.unfetched(
        redact_auth_from_url(url),
        network_reason(why) if isinstance(why, BaseException) else cast("str | None", why),
        status=status,
        attempts=attempts,
        redirected_to=redirected_to and redact_auth_from_url(redirected_to),
    )


def _wrong_hash(error: HashError) -> WrongHash:
    link = error.req.link if error.req is not None else None
    name = link.filename if link is not None else "a file"
    url = redact_auth_from_url(link.url_without_fragment) if link is not None else ""
    if not isinstance(error, HashMismatch):
        return WrongHash(name, url, problem=str(error))
    digests = {algorithm: got.hexdigest() for algorithm, got in error.gots.items()}
    return WrongHash(name, url, error.allowed, digests)


def _plain(text: object) -> str:
    """Remove rich's markup and pip's line decoration."""
    return _MARKUP.sub("", str(text)).strip()
