"""Errors of files that cannot be fetched or unpacked."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pipshim.base import urls
from pipshim.base.errors import NetworkError, PipshimError, ResolveError
from pipshim.model.artifacts import name_and_version
from pipshim.model.package_sources import credentials_variable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_LOGIN = (401, 403, 407)
_UNPACKING = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
)
_LINES_OF_COMMAND = 10
NOT_CACHED = "not in the cache, and --offline is given"
IS_NOT_CACHED = f"it is {NOT_CACHED}"
UNKNOWN_HOST = "the host name could not be resolved"
STALLED = "the server stopped answering"
NO_ANSWER = "the server closed the connection without an answer"
RESET = "the connection was reset"
CUT = "the connection was closed in the middle of the answer"
CUT_PAGE = "the page is incomplete"
NOT_DECODED = "the compressed response is damaged"
REDIRECT_LOOP = "the server redirects in a loop"
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
    url: str | None,
    reason: str | None,
    *,
    status: int | None = None,
    attempts: int = 1,
    redirected_to: str | None = None,
) -> NetworkError:
    """Make the error for a page or file that could not be fetched.

    Args:
        url: what was requested, without its password; None if it is not known.
        reason: what happened; None: the server does not have it.
        status: of the server's answer, if there was one.
        attempts: how often it was tried.
        redirected_to: the URL that failed, if it is another one.

    """
    hint = network_hint(status, reason or "")
    if reason is None:
        reason = f"the server answers {status}: it was not found"
        hint = "it may have been withdrawn since it was locked; lock again: pipshim lock -U"
    if url is None:
        return NetworkError(reason, hint=hint)
    times = f", {attempts} times" if attempts > 1 else ""
    lines = [f"{file_at(url)} cannot be fetched: {reason}{times}", f"  from {url}"]
    if redirected_to is not None:
        lines.append(f"  redirected to {redirected_to}")
    return NetworkError("\n".join(lines), hint=hint)


def invalid_url(problem: str) -> NetworkError:
    """Make the error for a URL that cannot be requested."""
    return NetworkError(
        problem,
        hint="a URL begins with https:// or file:///; a folder beside the project is named in "
        '[tool.pipshim.sources], as in: name = { path = "../name" }',
    )


def not_cached(url: str) -> NetworkError:
    """Make the error for a file that ``--offline`` needs, and the cache lacks."""
    return NetworkError(
        f"{file_at(url)} is {NOT_CACHED}\n  from {url}",
        hint=network_hint(None, NOT_CACHED),
    )


def not_checked_out(url: str) -> NetworkError:
    """Make the error for a repository that ``--offline`` needs; checkouts are not cached."""
    return NetworkError(
        f"{url} has to be checked out, and --offline is given",
        hint="leave out --offline: checkouts are not kept in the cache",
    )


def failed_checkout(
    package: str | None, command: str, status: int | None, output: str, *, is_network: bool
) -> PipshimError:
    """Make the error for a failed command of git or the like, with the end of its output."""
    said = [f"  | {line.rstrip()}" for line in output.splitlines() if line.strip()]
    what = f"{command} failed (exit status {status})"
    kind = NetworkError if is_network else PipshimError
    return kind(
        "\n".join([f"{package}: {what}" if package else what, *said[-_LINES_OF_COMMAND:]]),
        hint="check the URL and the revision, and that the repository can be read without asking "
        "for a password",
    )


def other_wheel(asked: str, there: str) -> ResolveError:
    """Make the error for a direct reference to a wheel of another package."""
    return ResolveError(
        f"{asked} is required from a URL, which is of a wheel of {there}",
        hint=f"write {there} @ URL, or use the URL of a wheel of {asked}",
    )


def folder_not_wheel(path: str) -> PipshimError:
    """Make the error for a folder that is named like a wheel."""
    return PipshimError(f"{path} is a folder, not a wheel")


def not_a_project(place: str, *, is_folder: bool) -> PipshimError:
    """Make the error for a folder, archive or checkout that nothing can be built from."""
    return PipshimError(
        f"{place} is not a Python project: it has neither pyproject.toml nor setup.py",
        hint=None if is_folder else "if it is in a subdirectory, name it: #subdirectory=FOLDER",
    )


def invalid_wheel(filename: str, package: str) -> PipshimError:
    """Make the error for a file that is no wheel."""
    return PipshimError(f"{filename} is not a valid wheel of {package}", hint=DAMAGED)


def lacks_headers(metadata: Any) -> str | None:
    """Describe what is missing in the headers of METADATA; None if nothing is."""
    if not metadata.keys():
        return "is empty"
    missing = [name for name in ("Name", "Version") if not metadata.get(name)]
    return f"has no {' and no '.join(missing)}" if missing else None


def unreadable_metadata(package: str, filename: str, url: str, problem: object) -> PipshimError:
    """Make the error for a wheel whose METADATA is empty, is not UTF-8 or lacks a field."""
    if isinstance(problem, UnicodeDecodeError):
        problem = f"is not UTF-8: {problem}"
    return PipshimError(
        f"{package}: the METADATA of {filename} {problem or 'is invalid'}\n  from {url}",
        hint=f"choose another version of {package}, and report this one to its maintainers",
    )


def without_upload_times(index: str) -> PipshimError:
    """Make the error for an index that an upload limit cannot be applied to."""
    return PipshimError(
        f"{index} does not say when files were uploaded",
        hint="remove exclude-newer and --uploaded-prior-to, or except this index or package: "
        "exclude-newer = false in its [[tool.pipshim.index]], or "
        "exclude-newer-package = { NAME = false }",
    )


class WrongHash(NamedTuple):
    """A file whose hash differs from that of the index or a requirements file.

    Attributes:
        expected: the digests that are allowed, by algorithm.
        got: the digest of the file, by algorithm.
        problem: what else is wrong, if no digest is.

    """

    filename: str
    url: str
    expected: Mapping[str, Sequence[str]] = MappingProxyType({})
    got: Mapping[str, str] = MappingProxyType({})
    problem: str = ""


def wrong_hashes(files: Iterable[WrongHash]) -> PipshimError:
    """Make the error for files that do not have the expected hash."""
    lines = []
    for file in files:
        if file.problem:
            lines.append(f"{file.filename}: {file.problem}")
            continue
        lines.append(f"{file.filename} does not have the expected hash")
        for algorithm, digests in file.expected.items():
            lines += [f"  expected {algorithm}:{digest}" for digest in digests]
            lines.append(f"  got      {algorithm}:{file.got[algorithm]}")
        if file.url:
            lines.append(f"  from     {file.url}")
    return PipshimError(
        "\n".join(lines),
        hint="it may have been tampered with, or damaged in transit: ask its "
        "publisher before you use it",
    )


def network_hint(status: int | None, why: str = "", index: str = "") -> str:
    """Return the hint for a page or file that could not be fetched.

    Args:
        status: of the server's answer, if there was one.
        why: what happened.
        index: the named index that it is of.

    """
    if NOT_CACHED in why:
        return "run it once without --offline: downloaded files stay in the cache"
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


def server_answer(status: int) -> str:
    """Describe a server's answer that is not the page or file."""
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
    return f"the server answers {status} {phrase}".rstrip()


def redirect(target: str | None) -> str:
    """Describe a redirect that cannot be followed."""
    return f"the server redirects to {target or 'nowhere'}"


def cut_off(received: int, size: int) -> str:
    """Describe a page or file whose end is missing."""
    return f"the connection was closed after {received:,} of {size:,} bytes"


def retry(url: str, host: str | None, reason: str, left: int | None) -> str:
    """Describe a failed attempt to fetch a page or file.

    Args:
        left: how often it is tried after the next attempt, if that is known.

    """
    # An index page is a folder (PEP 503), which has the package's name.
    name = urls.file_name(url)
    again = ""
    if left is not None:
        again = f", {left} more {'try' if left == 1 else 'tries'} after that" if left else ""
        again = f"; trying again{again or ', for the last time'}"
    return f"cannot fetch {name or url}{f' from {host}' if host else ''}: {reason}{again}"


def file_at(url: str) -> str:
    """Describe a URL: an index page, or a file and its package."""
    name = urls.file_name(url)
    if urlsplit(url).path.endswith("/"):
        return f"the index page of {name}" if name else url
    package = name_and_version(name.removesuffix(".metadata"))
    return f"{package[0]} {package[1]}: {name}" if package is not None else name
