"""Keep metadata files and wheels out of pip's HTTP cache, and write large bodies in pieces.

pipshim keeps metadata files (`pipshim._pip.metadata`) and wheels (`pipshim.store.fetcher`) itself.
A second copy in pip's cache would take as long to write as to fetch, and a body is mapped into
memory while it is written (``pip._vendor.cachecontrol.filewrapper``): a gigabyte for torch.
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
    """pip's cache, which does not keep large bodies in memory."""

    def set_body(self, key: str, body: Any) -> None:
        if isinstance(body, memoryview) and isinstance(body.obj, mmap.mmap):
            self.set_body_from_io(key, cast("BinaryIO", _Mapped(body.obj)))
        else:
            super().set_body(key, body)


class _Mapped:
    """A mapped file, read in pieces, each of which leaves memory with the next one."""

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
    """Build a response; files that pipshim keeps are not written by CacheControl."""
    is_new = response.status == HTTPStatus.OK and not (args or kwargs)
    if is_new and adapter.controller.cache_url(request.url or "") in urls:
        return HTTPAdapter.build_response(adapter, request, response)
    return type(adapter).build_response(adapter, request, response, *args, **kwargs)


def spare(session: PipSession, urls: set[str]) -> None:
    """Let a session not cache responses of ``urls``, to which more may be added."""
    for adapter in (*session.adapters.values(), session._trusted_host_adapter):  # noqa: SLF001
        if isinstance(adapter, CacheControlAdapter) and isinstance(adapter.cache, SafeFileCache):
            own = LargeBodies(adapter.cache.directory)
            adapter.cache = adapter.controller.cache = own
            patches.override(adapter, build_response=partial(_unwrapped, adapter, urls))
