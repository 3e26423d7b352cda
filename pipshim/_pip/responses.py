"""pip's cache of responses, spared what pipshim keeps by itself, and large bodies in one piece.

A metadata file whose hash is known has its place by that (`pipshim._pip.metadata`), and a wheel its
own in the store (`pipshim._pip.download`). In pip's cache they would lie again, in two files each
five folders deep, and writing those takes as long as fetching.

A body comes as a file mapped into memory (``pip._vendor.cachecontrol.filewrapper``), all of which
would be resident while it is written: of a wheel of torch, nearly a gigabyte.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pip._internal.network.cache import SafeFileCache

if TYPE_CHECKING:
    from pip._internal.network.session import PipSession


_PIECE = 1 << 23  # a multiple of any system's pages


class Responses(SafeFileCache):
    """Keeps responses as pip does, but for those of some URLs.

    Attributes:
        spared: the URLs, without fragments.

    """

    def __init__(self, directory: str, spared: set[str]) -> None:
        super().__init__(directory)
        self.spared = spared

    def set(self, key: str, *rest: Any, **named: Any) -> None:
        """Keep a response's headers."""
        if key not in self.spared:
            super().set(key, *rest, **named)

    def set_body(self, key: str, body: Any) -> None:
        """Keep its body."""
        if key in self.spared:
            return
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
        if behind >= _PIECE and hasattr(mmap, "MADV_DONTNEED"):
            self._file.madvise(mmap.MADV_DONTNEED, self._left, _PIECE)
            self._left += _PIECE
        return self._file.read(size)


def spare(session: PipSession, urls: set[str]) -> None:
    """Let a session keep no responses of ``urls``, which may become more."""
    for adapter in (*session.adapters.values(), session._trusted_host_adapter):  # noqa: SLF001
        cache = getattr(adapter, "cache", None)
        if isinstance(cache, SafeFileCache):
            own = Responses(cache.directory, urls)
            adapter.cache = own  # type: ignore[attr-defined]
            adapter.controller.cache = own  # type: ignore[attr-defined]
