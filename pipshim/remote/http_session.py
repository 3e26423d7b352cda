"""A session of pip's for a remote: its certificates, proxies and credentials, but no patience."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from pipshim._pip.errors import NETWORK_ERRORS, unanswered_reason
from pipshim._pip.session import session_without_cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from optparse import Values

    from pipshim.base.masking import Mask

_PIECE = 1 << 16


class UnansweredError(Exception):
    """A server did not answer, or not with what was asked for.

    Attributes:
        is_missing: whether it answered that there is no such file.

    """

    def __init__(self, why: str | None) -> None:
        super().__init__(why or "it does not exist")
        self.is_missing = why is None


class Answer(NamedTuple):
    """An answer of a server.

    Attributes:
        url: where it came from, after redirects.
        pieces: the body.

    """

    url: str
    pieces: Iterator[bytes]


class RemoteSession:
    """Asks a server once, and does not ask the user for a password.

    Args:
        options: pip's.
        mask: learns of credentials.

    """

    def __init__(self, options: Values, mask: Mask) -> None:
        self._options = options
        self._mask = mask
        self._session: Any = None
        self._guard = Lock()

    @contextmanager
    def get(self, url: str, seconds: float) -> Iterator[Answer]:
        """Fetch a file.

        Args:
            url: where it is.
            seconds: how long to wait for each piece of the answer.

        Raises:
            UnansweredError: there is none; also while it is read.

        """
        headers = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}
        try:
            with self._open().get(url, headers=headers, stream=True, timeout=seconds) as response:
                response.raise_for_status()
                yield Answer(response.url, response.iter_content(_PIECE))
        except NETWORK_ERRORS as error:
            raise UnansweredError(unanswered_reason(error)) from error

    def _open(self) -> Any:
        with self._guard:
            if self._session is None:
                self._session = session_without_cache(self._options, self._mask)
            return self._session
