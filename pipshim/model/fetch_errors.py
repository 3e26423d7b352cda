"""Errors of files that cannot be fetched or unpacked."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pipshim.base.errors import NetworkError, PipshimError
from pipshim.model.artifacts import name_and_version
from pipshim.model.indexes import credentials_variable

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGIN = (401, 403, 407)
_UNPACKING = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
)
DAMAGED = "the file is damaged: ask for another version, or tell its publisher"


@contextmanager
def naming_archive(filename: str) -> Iterator[None]:
    """Name the archive in errors of unpacking it; pip passes the library's error on.

    Raises:
        PipshimError: it is no archive, or is damaged.

    """
    try:
        yield
    except _UNPACKING as error:
        raise PipshimError(
            f"{filename} cannot be unpacked: it is not a valid archive: {error}", hint=DAMAGED
        ) from error


def unfetched(
    url: str,
    reason: str,
    *,
    attempts: int = 1,
    redirected_to: str | None = None,
    hint: str | None = None,
) -> NetworkError:
    """Make the error for a page or file that could not be fetched.

    Args:
        url: what was requested, without its password.
        reason: what happened.
        attempts: how often it was tried.
        redirected_to: the URL that failed, if it is another one.
        hint: what to do about it.

    """
    times = f", {attempts} times" if attempts > 1 else ""
    lines = [f"{file_at(url)} cannot be fetched: {reason}{times}", f"  from {url}"]
    if redirected_to is not None:
        lines.append(f"  redirected to {redirected_to}")
    return NetworkError("\n".join(lines), hint=hint or network_hint(None, reason))


def network_hint(status: int | None, why: str = "", index: str = "") -> str:
    """Return the hint for a page or file that could not be fetched.

    Args:
        status: of the server's answer, if there was one.
        why: what happened.
        index: the named index that it is of.

    """
    if "certificate" in why.lower():
        return (
            "name the file with the certificates to trust (--cert FILE), and with your own if the "
            "server wants one (--client-cert FILE)"
        )
    if status in _LOGIN and index:
        variable = credentials_variable(index)
        return (
            f"set {variable}_USERNAME and {variable}_PASSWORD, or give user and password in "
            "~/.netrc, or with keyring"
        )
    if status in _LOGIN:
        return "give the index's user and password: in its URL, in ~/.netrc, or with keyring"
    if status is not None and status >= 500:  # noqa: PLR2004 the server's own fault
        return "this is a server error: try again later, or use another index (--index-url)"
    return "check the network, the index URL (--index-url) and the proxy (--proxy)"


def file_at(url: str) -> str:
    """Describe a URL: an index page, or a file and its package."""
    path = unquote(urlsplit(url).path)
    name = path.rstrip("/").rpartition("/")[2]
    if path.endswith("/"):
        return f"the index page of {name}" if name else url
    package = name_and_version(name.removesuffix(".metadata"))
    return f"{package[0]} {package[1]}: {name}" if package is not None else name
