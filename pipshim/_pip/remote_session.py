"""A session of pip's for a remote: its certificates, proxies and credentials, but no patience."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from pip._internal.cli.index_command import SessionCommandMixin
from pip._internal.exceptions import PipError
from pip._vendor.requests.exceptions import RequestException
from pip._vendor.urllib3.exceptions import HTTPError

from pipshim._pip import connection_shutdown, credentials
from pipshim._pip.errors import network_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from optparse import Values

    from pip._internal.network.session import PipSession

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
        self._session: PipSession | None = None
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
        except (PipError, RequestException, HTTPError) as error:
            # pip's own error says where, and what it was made of says why.
            cause = error.__context__ if isinstance(error, PipError) else None
            raise UnansweredError(network_reason(cause or error)) from error

    def _open(self) -> PipSession:
        with self._guard:
            if self._session is None:
                options = copy(self._options)
                options.cache_dir = None
                self._session = SessionCommandMixin()._build_session(options, retries=0)  # noqa: SLF001
                self._session.auth.prompting = False
                credentials.learn(self._session, self._mask)
                connection_shutdown.install()
            return self._session
