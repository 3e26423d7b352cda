"""Download with pip's downloader: report events, and repeat responses that are cut short.

pip's retries (``--retries``) end with the head of a response. Here a request whose body is cut,
reset or stalled is sent again by the same rules, and so is an index page that is cut although its
length is right. Files are streamed: pip's downloader resumes them, or they are requested again.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pip._internal.exceptions import IncompleteDownloadError, NetworkConnectionError
from pip._internal.models.link import Link
from pip._internal.network import download as pips_download
from pip._internal.network.cache import is_from_cache
from pip._internal.network.download import Downloader, _get_http_response_size
from pip._internal.network.utils import HEADERS
from pip._vendor.cachecontrol import CacheControlAdapter
from pip._vendor.requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,  # noqa: A004 of requests
    ContentDecodingError,
    InvalidSchema,
    InvalidURL,
    TooManyRedirects,
)
from pip._vendor.urllib3 import Retry
from pip._vendor.urllib3.exceptions import (
    DecodeError,
    MaxRetryError,
    ProtocolError,
    ReadTimeoutError,
)

from pipshim._pip import patches
from pipshim._pip.errors import translating_errors, unfetched
from pipshim._pip.pip_texts import CONNECTION_POOL, DOWNLOAD, INTERRUPTED, RETRYING
from pipshim.base.write_errors import name_full
from pipshim.model import events, fetch_errors, index_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.network.download import _FileDownload
    from pip._internal.network.session import PipSession
    from pip._vendor.requests.models import PreparedRequest, Response

    from pipshim.model.events import Observer

    Grow = Callable[[str, int, int | None], None]

_numbers = count(1)


class ObservedDownloader(Downloader):
    """Reports downloads, but not answers from pip's HTTP cache.

    pip's methods for one response (``_process_response``) and one chunk are wrapped, so that its
    resumes and checks stay as they are.
    """

    def __init__(
        self,
        session: PipSession,
        observer: Observer,
        archive: Callable[[Link], tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(session, "off")
        self._observer = observer
        self._archive = archive  # fetches once what several need
        self._keys = threading.local()

    def __call__(self, link: Link, location: str) -> tuple[str, str]:
        """Download a file; several threads may do so at once."""
        if self._archive is not None:
            return self._archive(link)
        self._keys.now = self._keys.download = None
        try:
            found = super().__call__(link, location)
        except IncompleteDownloadError as error:
            download: _FileDownload = self._keys.download
            had, attempts = download.bytes_received, download.reattempts + 1
            why = fetch_errors.cut_off(had, download.size or had)
            raise unfetched(link.url_without_fragment, why, attempts=attempts) from error
        if self._keys.now is not None:
            size = Path(found[0]).stat().st_size
            self._observer(events.DownloadFinished(self._keys.now, size))
        return found

    def fetch(self, url: str, folder: Path, grow: Grow | None = None) -> Path:
        """Download a file into a folder.

        Args:
            grow: is told the file, how many bytes of it are there, and how many there will be.

        """
        self._keys.grow = grow
        with translating_errors():
            return Path(self(Link(url), str(folder))[0])

    def end_of(self, url: str, count: int) -> bytes:
        """Fetch the last bytes of a file.

        Raises:
            NetworkConnectionError: the server gives no parts of files, or an error.

        """
        headers = {**HEADERS, "Range": f"bytes=-{count}", "Cache-Control": "no-cache"}
        with self._session.get(url, headers=headers, stream=True) as response:
            if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                raise NetworkConnectionError("no part of a file", response=response)
            return response.content

    def _process_response(self, download: _FileDownload, resp: Response) -> None:
        self._keys.download = download
        if self._keys.now is None and not is_from_cache(resp):
            link = download.link
            # The same file may be asked for twice, for metadata and to be installed, and in forks.
            self._keys.now = f"{os.getpid()}.{next(_numbers)} {link.url_without_fragment}"
            size = _get_http_response_size(resp)
            self._observer(events.DownloadStarted(self._keys.now, link.filename, size))
        key, write = self._keys.now, download.write_chunk
        grow: Grow | None = getattr(self._keys, "grow", None)

        def noted(data: bytes) -> None:
            write(data)
            self._observer(events.DownloadProgress(key, download.bytes_received))
            if grow is not None:
                download.output_file.flush()
                grow(download.output_file.name, download.bytes_received, download.size)

        if key is not None:
            patches.override(download, write_chunk=noted)
        try:
            super()._process_response(download, resp)
        finally:
            if key is not None:
                del download.write_chunk


# Retries

_REDIRECTS = {301, 302, 303, 307, 308}
_download_logger = logging.getLogger(DOWNLOAD)
_logger = logging.getLogger(CONNECTION_POOL)


_BROKEN = (ProtocolError, ReadTimeoutError, DecodeError)


class Attempts:
    """The remaining attempts to fetch one URL, by the session's rules."""

    def __init__(self, session: PipSession, url: str) -> None:
        retries = getattr(session.get_adapter(url), "max_retries", None)
        self._url = url
        self._retries = retries if isinstance(retries, Retry) else Retry(0)

    def wait(self, error: Exception) -> None:
        """Wait for the next attempt."""
        try:
            self._retries = self._retries.increment("GET", self._url, error=error)
        except MaxRetryError:
            raise unfetched(self._url, error, attempts=len(self._retries.history) + 1) from error
        parts = urlsplit(self._url)
        where = {"__urllib3-retry-warning": {"host": parts.hostname}}
        _logger.warning(RETRYING.text, self._retries, error, parts.path, extra=where)
        self._retries.sleep()


def retry_broken_answers(session: PipSession) -> None:
    """Let a session retry responses that break off."""
    if "send" not in vars(session):
        patches.override(session, send=partial(_send, session, session.send))


def _resumable(
    process: Callable[[Downloader, _FileDownload, Response], None],
) -> Callable[[Downloader, _FileDownload, Response], None]:
    """Let the downloader of pip 26.1 resume cut responses, as it resumes stalled ones."""

    def process_response(self: Downloader, download: _FileDownload, response: Response) -> None:
        try:
            process(self, download, response)
        except ProtocolError:
            if download.size is None:
                raise
            _download_logger.warning(INTERRUPTED.text)

    return process_response


def _repeated(
    fetch: Callable[[Downloader, Link, str], tuple[str, str]],
) -> Callable[[Downloader, Link, str], tuple[str, str]]:
    """Let pip's downloader repeat what it cannot resume: a file of unknown size."""

    def call(self: Downloader, link: Link, location: str) -> tuple[str, str]:
        url = link.url_without_fragment
        attempts: Attempts | None = None
        while True:
            try:
                return fetch(self, link, location)
            except (ProtocolError, ReadTimeoutError) as error:
                attempts = attempts or Attempts(self._session, url)
                attempts.wait(error)
            except OSError as error:
                name_full(error, [location])
                raise

    return call


if not hasattr(pips_download, "ProtocolError"):
    patches.replace(Downloader, _process_response=_resumable(Downloader._process_response))  # noqa: SLF001
patches.replace(Downloader, __call__=_repeated(Downloader.__call__))


def _send(
    session: PipSession,
    send: Callable[..., Response],
    request: PreparedRequest,
    **options: Any,
) -> Response:
    attempts: Attempts | None = None
    url = request.url or ""
    while True:
        try:
            # A copy: pip's cache adds headers by what it has.
            response = send(request.copy(), **options)
            if options.get("allow_redirects", True):
                _check_redirect(url, response)
            if request.method == "GET" and not options.get("stream"):
                _check_whole(session, response)
        except (ChunkedEncodingError, ContentDecodingError, ConnectionError) as error:
            broken = error.args[0] if error.args else None
            if isinstance(broken, _BROKEN) and request.method == "GET":
                attempts = attempts or Attempts(session, url)
                attempts.wait(broken)
                continue
            failed = _url_of(error)
            if failed in {None, url} or url.partition("?")[0].endswith("/"):
                raise  # pip goes on without a page
            raise unfetched(url, error, redirected_to=failed) from error
        except (TooManyRedirects, InvalidSchema, InvalidURL) as error:
            if isinstance(error, TooManyRedirects) or _url_of(error) not in {None, url}:
                raise unfetched(url, error) from error
            raise
        else:
            return response


def _check_redirect(url: str, response: Response) -> None:
    """Check that a redirect was followed."""
    if response.status_code in _REDIRECTS:
        target = response.headers.get("Location")
        raise unfetched(url, fetch_errors.redirect(target))


def _check_whole(session: PipSession, response: Response) -> None:
    """Check that an index page is complete; if not, remove it from pip's cache.

    Raises:
        ChunkedEncodingError: it is cut.

    """
    kind = response.headers.get("Content-Type", "").lower()
    if response.status_code == HTTPStatus.OK and index_files.is_cut(kind, response.content):
        adapter = session.get_adapter(response.url)
        if isinstance(adapter, CacheControlAdapter):
            adapter.cache.delete(adapter.controller.cache_url(response.url))
        raise ChunkedEncodingError(ProtocolError(fetch_errors.CUT_PAGE))


def _url_of(error: Exception) -> str | None:
    request = getattr(error, "request", None)
    url = getattr(request, "url", None)
    return url if isinstance(url, str) else None
