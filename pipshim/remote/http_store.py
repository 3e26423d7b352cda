"""A read-only remote on a web server that lists its folders."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from html import unescape
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urljoin, urlsplit

from pipshim._pip.errors import NETWORK_ERRORS, unanswered_reason
from pipshim.base.shared_results import SharedResults
from pipshim.base.tasks import each
from pipshim.remote.file_store import (
    MOST_NAMES,
    PATIENCE,
    Entry,
    FileMissingError,
    RemoteError,
    copy,
    late,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from threading import Event

_HEADERS = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}
_PIECE = 1 << 16
_LONGEST_PAGE = 8 << 20
_LINK = re.compile(
    r"<a\s[^<>]{0,500}?href\s{0,9}=\s{0,9}"
    r"(?:\"([^\"<>]{0,1000})\"|'([^'<>]{0,1000})'|([^\s\"'<>]{1,1000}))",
    re.IGNORECASE,
)
"""A link. Python's HTML parser takes quadratic time for some texts."""

_TOP, _FOLDERS = "v1", {"records/", "wheels/"}
"""What each remote has (`pipshim.remote.remote_cache`)."""

_MOST_LEVELS = 3
_AT_ONCE = 16


class HttpStore:
    """The files below a URL, as directory pages list them (nginx, Apache, ``http.server``).

    Args:
        session: one of pip's, which asks a server once.

    """

    is_writable = False

    def __init__(self, url: str, session: Any) -> None:
        self._url = f"{url.rstrip('/')}/"
        self._session = session
        self._top = SharedResults[list[str]](keep_errors=True)

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        try:
            listed = self._listed(folder, seconds)
        except FileMissingError:
            return []
        found = [Entry(name) for name in listed if name.startswith(prefix) and name[-1] != "/"]
        if not found:
            self._check_lists(seconds)
        return found

    def _listed(self, folder: str, seconds: float) -> list[str]:
        """Return what the page of a folder links to directly below it; folders end with ``/``."""
        url, page = within(seconds, lambda: self._read(f"{folder}/", _LONGEST_PAGE, seconds))
        if len(page) > _LONGEST_PAGE:
            raise RemoteError(f"the page that lists {folder} is too long")
        return names_in(page.decode("utf-8", "replace"), url)

    def _check_lists(self, seconds: float) -> None:
        """Check that the server lists folders, and does not answer everything with one page.

        Raises:
            RemoteError: its top folder lists none of those that a remote has.

        """
        try:
            names = self._top.get(_TOP, lambda: self._listed(_TOP, seconds))
        except RemoteError:  # there is nothing yet, or this folder may not be listed
            return
        if _FOLDERS.isdisjoint(names):
            raise self._web_page()

    def _web_page(self) -> RemoteError:
        parts = urlsplit(self._url)
        line = f"machine {parts.hostname} login USER password PASSWORD"
        hint = "check its URL" + (
            ", and the user and password in it"
            if parts.username
            else f"; if it wants a login, add this line to ~/.netrc: {line}"
        )
        return RemoteError("the server answers with a web page instead of records and wheels", hint)

    def walk(self, folder: str) -> list[Entry]:
        files: list[str] = []
        level = [""]
        for _ in range(_MOST_LEVELS):
            pages = each(lambda below: self._below(folder, below), level, at_once=_AT_ONCE)
            found = [name for page in pages for name in page]
            files += [name for name in found if name[-1] != "/"]
            level = [name for name in found if name[-1] == "/"]
        if not any(name.endswith((".json", ".whl")) for name in files):
            self._check_lists(PATIENCE)
        return [Entry(name) for name in files]

    def _below(self, folder: str, below: str) -> list[str]:
        try:
            found = self._listed(f"{folder}/{below}".rstrip("/"), PATIENCE)
        except FileMissingError:
            return []
        return [f"{below}{name}" for name in found]

    def read(self, path: str, most: int, seconds: float) -> bytes:
        return within(seconds, lambda: self._read(path, most, seconds))[1]

    def _read(self, path: str, most: int, seconds: float) -> tuple[str, bytes]:
        """Return where a file came from, after redirects, and its content."""
        until = time.monotonic() + seconds
        body = bytearray()
        with self._get(path) as response:
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > most:
                    break
                if time.monotonic() > until:
                    raise late(seconds)
            return response.url, bytes(body)

    def fetch(self, path: str, into: Path, most: int, stop: Event) -> None:
        with self._get(path) as response:
            copy(response.iter_content(_PIECE), into, most, stop)

    @contextmanager
    def _get(self, path: str) -> Iterator[Any]:
        url = urljoin(self._url, path)
        try:
            with self._session.get(
                url, headers=_HEADERS, stream=True, timeout=PATIENCE
            ) as response:
                response.raise_for_status()
                kind = response.headers.get("Content-Type", "")
                if not path.endswith("/") and kind.lower().startswith("text/html"):
                    raise self._web_page()
                yield response
        except NETWORK_ERRORS as error:
            why = unanswered_reason(error)
            raise (RemoteError(why) if why else FileMissingError("it does not exist")) from error

    def _refuse(self, *_: Any) -> NoReturn:
        raise RemoteError("a web server can only be read")

    create = upload = remove = _refuse


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
