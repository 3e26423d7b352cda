"""Translate pip's errors into pipshim's, which carry data and no markup."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from http import HTTPStatus
from http.client import IncompleteRead as HTTPIncompleteRead
from http.client import RemoteDisconnected
from typing import TYPE_CHECKING

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

from pipshim._pip import offline, pip_texts
from pipshim._pip.pip_texts import CONNECTION_ERROR, OUTPUT_BEGINS, OUTPUT_ENDS
from pipshim.base.errors import NetworkError, PipshimError, UsageError
from pipshim.model import fetch_errors
from pipshim.model.fetch_errors import DAMAGED, file_at, network_hint

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKUP = re.compile(r"\[/?(?:[a-z][a-z ]*)?\]")
_NETWORK = re.compile(
    r"connection|timed out|timeout|proxy|ssl|certificate|resolve host|unreachable|HTTP error",
    re.IGNORECASE,
)


_IN_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (NameResolutionError, "the host name could not be resolved"),
    (ReadTimeoutError, "the server stopped answering"),
    (RemoteDisconnected, "the server closed the connection without an answer"),
    (ConnectionResetError, "the connection was reset"),
    (HTTPIncompleteRead, "the connection was closed in the middle of the answer"),
    (DecodeError, "the compressed response is damaged"),
)
_LINES_OF_COMMAND = 10
_OF_VCS = re.compile(r"(git|hg|svn|bzr) ")


@contextmanager
def translating_errors() -> Iterator[None]:
    """Turn pip's errors, and those of its libraries, into pipshim's.

    Raises:
        PipshimError: for every error of pip's that is meant for a user.

    """
    loggers = [logging.getLogger(name) for name in _SAID_BEFORE_RAISING]
    silence = _Silence()
    for logger in loggers:
        logger.addFilter(silence)
    try:
        yield
    except (PipError, RequestException, HTTPError) as error:
        raise translate(error) from error
    finally:
        for logger in loggers:
            logger.removeFilter(silence)


class _Silence(logging.Filter):
    """Drops what pip logs as an error just before it raises: the error boundary shows it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR


_SAID_BEFORE_RAISING = (pip_texts.FACTORY, pip_texts.DOWNLOAD, "pip.subprocessor")


def network_reason(error: object) -> str | None:
    """Describe why something could not be fetched; None: it does not exist (404)."""
    if offline.is_not_cached(error):
        return f"it is {offline.NOT_CACHED}"
    if isinstance(error, TooManyRedirects):
        return "the server redirects in a loop"
    status = status_of(error)
    if status in (404, 410):
        return None
    if status is not None:
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        return f"the server answers {status} {phrase}".rstrip()
    for one in _causes(error):
        if (words := _in_words(one)) is not None:
            return words
    text = _plain(error)
    # urllib3 and requests wrap what the system said several times.
    said = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text) or CONNECTION_ERROR.search(text)
    return said[1].strip() if said else text


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
        return f"the connection was closed after {had:,} of {had + missing:,} bytes"
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


def translate_if_pips(error: BaseException) -> PipshimError | None:
    """Translate an error of pip or its libraries; return None for any other."""
    if isinstance(error, (PipError, RequestException, HTTPError)):
        return translate(error)
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
        return _hashes(error.errors)
    if isinstance(error, HashError):
        return _hashes([error])
    if isinstance(error, (NetworkConnectionError, RequestException, HTTPError)):
        return _unfetched(error)
    if isinstance(error.__context__, NetworkConnectionError):
        return _unfetched(error.__context__)  # pip's preparer says no more than its text
    if isinstance(error, InvalidWheel):
        name = error.location.rpartition("/")[2]
        return PipshimError(f"{name} is not a valid wheel of {error.name}", hint=DAMAGED)
    if isinstance(error, CommandError):
        return UsageError(text)
    if (match := pip_texts.NO_UPLOAD_TIME.match(text)) is not None:
        of_index = pip_texts.OF_INDEX.match(match[1])
        return PipshimError(
            f"{of_index[1] if of_index else match[1]} does not say when files were uploaded",
            hint="remove exclude-newer and --uploaded-prior-to, or except this index or package: "
            "exclude-newer = false in its [[tool.pipshim.index]], or "
            "exclude-newer-package = { NAME = false }",
        )
    if isinstance(error, (InstallationError, BadCommand)) and _NETWORK.search(text):
        return NetworkError(text)
    return PipshimError(text)


def _of_command(error: InstallationSubprocessError, name: str | None) -> PipshimError:
    """Describe a failed command of git or the like, by its output."""
    _, _, output = _plain(error.context).partition(OUTPUT_BEGINS.text)
    said = [line.rstrip() for line in output.partition(OUTPUT_ENDS.text)[0].splitlines()]
    lines = [f"  | {line}" for line in said if line][-_LINES_OF_COMMAND:]
    what = f"{error.command_description} failed (exit status {error.exit_code})"
    kind = NetworkError if _NETWORK.search(output) else PipshimError
    return kind(
        "\n".join([f"{name}: {what}" if name else what, *lines]),
        hint="check the URL and the revision, and that the repository can be read without asking "
        "for a password",
    )


def _unfetched(error: BaseException) -> NetworkError:
    """Describe which file could not be fetched, and why."""
    if isinstance(error, (MissingSchema, InvalidURL)):
        return NetworkError(
            str(error).partition(pip_texts.PERHAPS.text)[0],
            hint="a URL begins with https:// or file:///; a folder beside the project is named in "
            '[tool.pipshim.sources], as in: name = { path = "../name" }',
        )
    asked = getattr(error, "request", None) or getattr(error, "response", None)
    url = getattr(asked, "url", None)
    status = status_of(error)
    why = network_reason(error)
    hint = network_hint(status, why or "")
    if why is None:
        why = f"the server answers {status}: it was not found"
        hint = "it may have been withdrawn since it was locked; lock again: pipshim lock -U"
    if not isinstance(url, str):
        return NetworkError(why, hint=hint)
    history = getattr(getattr(error, "response", None), "history", None)
    redirected_to = None
    if history:
        url, redirected_to = history[0].url, url
    if offline.is_not_cached(error):
        return NetworkError(
            f"{file_at(url)} is {offline.NOT_CACHED}\n  from {redact_auth_from_url(url)}",
            hint=offline.HINT,
        )
    return unfetched(url, why, redirected_to=redirected_to, hint=hint)


def unfetched(
    url: str,
    why: object,
    *,
    attempts: int = 1,
    redirected_to: str | None = None,
    hint: str | None = None,
) -> NetworkError:
    """Make the error for a page or file that could not be fetched; ``why`` is an error or text."""
    return fetch_errors.unfetched(
        redact_auth_from_url(url),
        why if isinstance(why, str) else network_reason(why) or "None",
        attempts=attempts,
        redirected_to=redirected_to and redact_auth_from_url(redirected_to),
        hint=hint,
    )


def _hashes(errors: list[HashError]) -> PipshimError:
    """Name the files whose hash differs from that of the index or a requirements file."""
    lines = []
    for error in errors:
        link = error.req.link if error.req is not None else None
        name = link.filename if link is not None else "a file"
        if not isinstance(error, HashMismatch):
            lines.append(f"{name}: {error}")
            continue
        lines.append(f"{name} does not have the expected hash")
        for algorithm, allowed in error.allowed.items():
            lines += [f"  expected {algorithm}:{digest}" for digest in allowed]
            lines.append(f"  got      {algorithm}:{error.gots[algorithm].hexdigest()}")
        if link is not None:
            lines.append(f"  from     {redact_auth_from_url(link.url_without_fragment)}")
    return PipshimError(
        "\n".join(lines),
        hint="it may have been tampered with, or damaged in transit: ask its "
        "publisher before you use it",
    )


def _plain(text: object) -> str:
    """Remove rich's markup and pip's line decoration."""
    return _MARKUP.sub("", str(text)).strip()
