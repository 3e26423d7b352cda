"""pip's downloader, which reports downloads as events and draws nothing."""

from __future__ import annotations

import os
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pip._internal.exceptions import IncompleteDownloadError
from pip._internal.models.link import Link
from pip._internal.network.cache import is_from_cache
from pip._internal.network.download import Downloader, _get_http_response_size

from pipshim._pip import patches
from pipshim._pip.errors import translating_errors, unfetched
from pipshim.model import events, fetch_errors

if TYPE_CHECKING:
    from pip._internal.network.download import _FileDownload
    from pip._internal.network.session import PipSession
    from pip._vendor.requests.models import Response

    from pipshim.base.errors import NetworkError
    from pipshim.model.events import Observer

_numbers = count(1)


class ObservedDownloader(Downloader):
    """Reports downloads, but not answers from pip's HTTP cache.

    pip's methods for one response (``_process_response``) and one chunk are wrapped, so that its
    resumes and checks stay as they are.
    """

    def __init__(self, session: PipSession, observer: Observer) -> None:
        super().__init__(session, "off")
        self._observer = observer
        self._keys = threading.local()

    def __call__(self, link: Link, location: str) -> tuple[str, str]:
        """Download a file; several threads may do so at once."""
        self._keys.now = self._keys.download = None
        try:
            found = super().__call__(link, location)
        except IncompleteDownloadError as error:
            raise self._incomplete(link, self._keys.download) from error
        if self._keys.now is not None:
            size = Path(found[0]).stat().st_size
            self._observer(events.DownloadFinished(self._keys.now, size))
        return found

    def fetch(self, url: str, folder: Path) -> Path:
        """Download a file into a folder."""
        with translating_errors():
            return Path(self(Link(url), str(folder))[0])

    @staticmethod
    def _incomplete(link: Link, download: _FileDownload) -> NetworkError:
        had, size = download.bytes_received, download.size
        url, attempts = link.url_without_fragment, download.reattempts + 1
        return unfetched(url, fetch_errors.cut_off(had, size or had), attempts=attempts)

    def _process_response(self, download: _FileDownload, resp: Response) -> None:
        self._keys.download = download
        if self._keys.now is None and not is_from_cache(resp):
            link = download.link
            # The same file may be asked for twice, for metadata and to be installed, and in forks.
            self._keys.now = f"{os.getpid()}.{next(_numbers)} {link.url_without_fragment}"
            size = _get_http_response_size(resp)
            self._observer(events.DownloadStarted(self._keys.now, link.filename, size))
        key, write = self._keys.now, download.write_chunk

        def noted(data: bytes) -> None:
            write(data)
            self._observer(events.DownloadProgress(key, download.bytes_received))

        if key is not None:
            patches.override(download, write_chunk=noted)
        try:
            super()._process_response(download, resp)
        finally:
            if key is not None:
                del download.write_chunk
