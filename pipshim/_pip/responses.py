"""pip's cache of responses, spared what pipshim keeps by itself.

A metadata file has its place by its hash (`pipshim._pip.metadata`). In pip's cache it would lie
again, in two files five folders deep, and writing those takes as long as fetching it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pip._internal.network.cache import SafeFileCache

if TYPE_CHECKING:
    from pip._internal.network.session import PipSession

_SUFFIX = ".metadata"  # PEP 658


class Responses(SafeFileCache):
    """Keeps responses as pip does, but for metadata files."""

    def set(self, key: str, *rest: Any, **named: Any) -> None:
        """Keep a response's headers."""
        if not _has_its_place(key):
            super().set(key, *rest, **named)

    def set_body(self, key: str, *rest: Any, **named: Any) -> None:
        """Keep its body."""
        if not _has_its_place(key):
            super().set_body(key, *rest, **named)


def _has_its_place(key: str) -> bool:
    return urlsplit(key).path.endswith(_SUFFIX)


def spare(session: PipSession) -> None:
    """Let a session keep no metadata files."""
    for adapter in (*session.adapters.values(), session._trusted_host_adapter):  # noqa: SLF001
        cache = getattr(adapter, "cache", None)
        if isinstance(cache, SafeFileCache):
            own = Responses(cache.directory)
            adapter.cache = own  # type: ignore[attr-defined]
            adapter.controller.cache = own  # type: ignore[attr-defined]
