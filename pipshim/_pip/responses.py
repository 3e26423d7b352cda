"""pip's cache of responses, spared what pipshim keeps by itself.

A metadata file whose hash is known has its place by that (`pipshim._pip.metadata`). In pip's cache
it would lie again, in two files five folders deep, and writing those takes as long as fetching it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pip._internal.network.cache import SafeFileCache

if TYPE_CHECKING:
    from pip._internal.network.session import PipSession


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

    def set_body(self, key: str, *rest: Any, **named: Any) -> None:
        """Keep its body."""
        if key not in self.spared:
            super().set_body(key, *rest, **named)


def spare(session: PipSession, urls: set[str]) -> None:
    """Let a session keep no responses of ``urls``, which may become more."""
    for adapter in (*session.adapters.values(), session._trusted_host_adapter):  # noqa: SLF001
        cache = getattr(adapter, "cache", None)
        if isinstance(cache, SafeFileCache):
            own = Responses(cache.directory, urls)
            adapter.cache = own  # type: ignore[attr-defined]
            adapter.controller.cache = own  # type: ignore[attr-defined]
