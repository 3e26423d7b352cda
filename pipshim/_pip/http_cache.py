"""pip's cache of responses, spared what pipshim keeps by itself, and large bodies in pieces.

A metadata file whose hash is known has its place by that (`pipshim._pip.metadata`), and a wheel its
own in the store (`pipshim.store.fetcher`). In pip's cache they would lie again, in two files each
five folders deep, and writing those takes as long as fetching.

A body comes as a file mapped into memory (``pip._vendor.cachecontrol.filewrapper``), all of which
would be resident while it is written: of a wheel of torch, nearly a gigabyte.
"""

from __future__ import annotations

import mmap
import sys
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pip._internal.network.cache import SafeFileCache
from pip._vendor.cachecontrol import CacheControlAdapter
from pip._vendor.requests.adapters import HTTPAdapter

from pipshim._pip import patches

if TYPE_CHECKING:
    from pip._internal.network.session import PipSession
    from pip._vendor.requests.models import PreparedRequest, Response
    from pip._vendor.urllib3 import HTTPResponse

_PIECE = 1 << 23  # a multiple of any system's pages


class LargeBodies(SafeFileCache):
    """Keeps responses as pip does; large bodies do not stay in memory."""

    def set_body(self, key: str, body: Any) -> None:
        """Keep a body."""
        if isinstance(body, memoryview) and isinstance(body.obj, mmap.mmap):
            self.set_body_from_io(key, cast("BinaryIO", _Mapped(body.obj)))
        else:
            super().set_body(key, body)


class _Mapped:
    """A mapped file, read in pieces each of which leaves memory with the next one."""

    def __init__(self, file: mmap.mmap) -> None:
        self._file = file
        self._left = 0

    def read(self, size: int) -> bytes:
        """Read the next piece (``shutil.copyfileobj`` reads so)."""
        behind = self._file.tell() - self._left
        if behind >= _PIECE and sys.platform == "linux":
            self._file.madvise(mmap.MADV_DONTNEED, self._left, _PIECE)
            self._left += _PIECE
        return self._file.read(size)


def _unwrapped(
    adapter: CacheControlAdapter,
    urls: set[str],
    request: PreparedRequest,
    response: HTTPResponse,
    *args: Any,
    **kwargs: Any,
) -> Response:
    """Build a response; what is spared is neither kept nor written to a file on its way."""
    is_new = response.status == HTTPStatus.OK and not (args or kwargs)
    if is_new and adapter.controller.cache_url(request.url or "") in urls:
        return HTTPAdapter.build_response(adapter, request, response)
    return type(adapter).build_response(adapter, request, response, *args, **kwargs)


def spare(session: PipSession, urls: set[str]) -> None:
    """Let a session keep no responses of ``urls``, which may become more."""
    for adapter in (*session.adapters.values(), session._trusted_host_adapter):  # noqa: SLF001
        if isinstance(adapter, CacheControlAdapter) and isinstance(adapter.cache, SafeFileCache):
            own = LargeBodies(adapter.cache.directory)
            adapter.cache = adapter.controller.cache = own
            patches.override(adapter, build_response=partial(_unwrapped, adapter, urls))
