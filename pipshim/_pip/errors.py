"""pip's errors, said as pipshim's: values that carry data, without pip's markup."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pip._internal.exceptions import (
    BadCommand,
    CommandError,
    DiagnosticPipError,
    DistributionNotFound,
    HashError,
    HashErrors,
    InstallationError,
    NetworkConnectionError,
    PipError,
)

from pipshim.errors import NetworkError, PipshimError, ResolveError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKUP = re.compile(r"\[/?(?:[a-z][a-z ]*)?\]")
_NETWORK = re.compile(
    r"connection|timed out|timeout|proxy|ssl|certificate|resolve host|unreachable|HTTP error",
    re.IGNORECASE,
)


class _Kept(logging.Handler):
    """Keeps what pip logs as critical just before it raises: the reason is only said there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


_SAID_BEFORE_RAISING = (
    "pip._internal.resolution.resolvelib.factory",
    "pip._internal.network.download",
    "pip._internal.index.collector",
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn pip's errors into pipshim's.

    Raises:
        PipshimError: for every error of pip's that is meant for a user.

    """
    kept = _Kept()
    loggers = [logging.getLogger(name) for name in _SAID_BEFORE_RAISING]
    before = [(logger, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(kept)
        logger.propagate = logger.isEnabledFor(logging.DEBUG)
    try:
        yield
    except PipError as error:
        raise translate(error, kept.lines) from error
    finally:
        for logger, propagate in before:
            logger.removeHandler(kept)
            logger.propagate = propagate


def translate(error: BaseException, logged: list[str] | None = None) -> PipshimError:
    """Say an error of pip's as one of pipshim's; ``logged`` is what pip logged before it."""
    if isinstance(error, DiagnosticPipError):
        lines = [_plain(error.message)]
        if error.context:
            lines.append(_plain(error.context))
        kind = NetworkError if _NETWORK.search(error.reference) else PipshimError
        hint = _plain(error.hint_stmt) if error.hint_stmt else None
        return kind("\n".join(lines), hint=hint)
    text = str(error)
    if isinstance(error, DistributionNotFound):
        return _not_found(text, logged or [])
    if isinstance(error, (HashErrors, HashError)):
        return PipshimError(text, hint="the file is not the one that was vouched for")
    if isinstance(error, NetworkConnectionError):
        return NetworkError(text, hint="check the index URL and the network")
    if isinstance(error, CommandError):
        return UsageError(text)
    if isinstance(error, (InstallationError, BadCommand)) and _NETWORK.search(text):
        return NetworkError(text)
    return PipshimError(text)


def _not_found(text: str, logged: list[str]) -> ResolveError:
    """Join the two halves that pip says: the versions it saw (logged), and the requirement."""
    wanted = text.removeprefix("No matching distribution found for ")
    reasons: list[str] = []
    unreachable = False
    hint = "check the name, the version and the index (--index-url)"
    for line in logged:
        match = re.match(
            r"Could not find a version that satisfies .*? \(from versions: (.*)\)$", line
        )
        if match:
            versions = match[1]
            if versions == "none":
                reasons.append("  the index has no file of it that suits this Python and platform")
            else:
                found = versions.split(", ")
                shown = ", ".join(reversed(found[-8:])) + (", …" if len(found) > 8 else "")  # noqa: PLR2004
                reasons.append(f"  versions that exist: {shown}")
                hint = "ask for one of the versions that exist"
        elif "Could not fetch URL" in line or _NETWORK.search(line):
            unreachable = True
            if f"  {line}" not in reasons:
                reasons.insert(0, f"  {line}")
        elif line.startswith("Ignored the following"):
            reasons.append(f"  {line[0].lower()}{line[1:]}")
    message = "\n".join([f"nothing found for {wanted}", *reasons])
    if unreachable:
        hint = "check the network, the index URL and the proxy"
    return ResolveError(message, hint=hint)


def _plain(text: object) -> str:
    """Drop rich's markup and pip's line decoration."""
    return _MARKUP.sub("", str(text)).strip()
