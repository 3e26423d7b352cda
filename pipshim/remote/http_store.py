"""A remote on a web server that lists its folders; it is only read."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from html import unescape
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from urllib.parse import unquote, urljoin, urlsplit

from pipshim.base.tasks import each
from pipshim.remote.file_store import (
    MOST_NAMES,
    PATIENCE,
    Entry,
    FileMissingError,
    RemoteError,
    copy,
    within,
)
from pipshim.remote.http_session import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

    from pipshim.remote.http_session import Answer, RemoteSession

_LONGEST_PAGE = 8 << 20
_LINK = re.compile(
    r"<a\s[^<>]{0,500}?href\s{0,9}=\s{0,9}"
    r"(?:\"([^\"<>]{0,1000})\"|'([^'<>]{0,1000})'|([^\s\"'<>]{1,1000}))",
    re.IGNORECASE,
)
"""A link. Python's HTML parser takes quadratic time for some texts."""

_MOST_LEVELS = 3
_AT_ONCE = 16


class HttpStore:
    """The files below a URL, as directory pages list them (nginx, Apache, ``http.server``).

    Args:
        url: the folder.
        session: fetches files.

    """

    is_writable = False

    def __init__(self, url: str, session: RemoteSession) -> None:
        self._url = f"{url.rstrip('/')}/"
        self._session = session

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        try:
            listed = self._listed(folder, seconds)
        except FileMissingError:
            return []
        return [Entry(name) for name in listed if name.startswith(prefix) and name[-1] != "/"]

    def _listed(self, folder: str, seconds: float) -> list[str]:
        """Return what the page of a folder links to directly below it; folders end with ``/``."""
        page = within(seconds, lambda: self._read(f"{folder}/", _LONGEST_PAGE, seconds))
        if len(page.body) > _LONGEST_PAGE:
            raise RemoteError(f"the page that lists {folder} is too long")
        return names_in(page.body.decode("utf-8", "replace"), page.url)

    def walk(self, folder: str) -> list[Entry]:
        files: list[str] = []
        level = [""]
        for _ in range(_MOST_LEVELS):
            pages = each(lambda below: self._below(folder, below), level, at_once=_AT_ONCE)
            found = [name for page in pages for name in page]
            files += [name for name in found if name[-1] != "/"]
            level = [name for name in found if name[-1] == "/"]
        return [Entry(name) for name in files]

    def _below(self, folder: str, below: str) -> list[str]:
        try:
            found = self._listed(f"{folder}/{below}".rstrip("/"), PATIENCE)
        except FileMissingError:
            return []
        return [f"{below}{name}" for name in found]

    def read(self, path: str, most: int, seconds: float) -> bytes:
        return within(seconds, lambda: self._read(path, most, seconds)).body

    def _read(self, path: str, most: int, seconds: float) -> _Page:
        until = time.monotonic() + seconds
        body = bytearray()
        with self._get(path) as answer:
            for piece in answer.pieces:
                body += piece
                if len(body) > most or time.monotonic() > until:
                    break
            return _Page(answer.url, bytes(body))

    def fetch(self, path: str, into: Path, most: int, stop: Event) -> None:
        with self._get(path) as answer:
            copy(answer.pieces, into, most, stop)

    @contextmanager
    def _get(self, path: str) -> Iterator[Answer]:
        try:
            with self._session.get(urljoin(self._url, path), PATIENCE) as answer:
                yield answer
        except UnansweredError as error:
            kind = FileMissingError if error.is_missing else RemoteError
            raise kind(str(error)) from error

    def create(self, path: str, content: bytes, seconds: float) -> bool:  # noqa: ARG002
        _refuse()

    def upload(self, path: str, file: Path, seconds: float) -> bool:  # noqa: ARG002
        _refuse()

    def remove(self, path: str) -> None:  # noqa: ARG002
        _refuse()


def _refuse() -> NoReturn:
    raise RemoteError("a web server can only be read")


class _Page(NamedTuple):
    """A page: where it came from, and its content."""

    url: str
    body: bytes


def names_in(page: str, url: str) -> list[str]:
    """Return the names that a directory page links to, and that are directly below its URL.

    A page may be anything: the time that this takes is proportional to its length.
    """
    base = urlsplit(urljoin(url, "."))
    found: dict[str, None] = {}
    for match in islice(_LINK.finditer(page), MOST_NAMES):
        try:
            parts = urlsplit(urljoin(url, unescape(match[1] or match[2] or match[3] or "")))
        except ValueError:  # no valid URL
            continue
        is_below = parts[:2] == base[:2] and parts.path.startswith(base.path)
        name = unquote(parts.path[len(base.path) :])
        if is_below and name and "/" not in name[:-1] and not (parts.query or parts.fragment):
            found[name] = None
    return list(found)
