"""Find out in threads what pip's session begins with: its User-Agent, and the certificates.

For the User-Agent, pip starts ``lsb_release`` and ``rustc`` before it makes a session; a command
that finds everything in caches and the lock does not wait for them. Both import modules of pip; a
fork in the middle of an import would wait for ever, so a fork waits for both.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

from pip._internal.cli import index_command
from pip._internal.network import session as pip_session

from pipshim._pip.patches import override, replaced

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.network.session import PipSession


class Agent:
    """Finds ``pip._internal.network.session.user_agent``, and reads certificates."""

    def __init__(self) -> None:
        self._found: Future[str] = Future()
        # A daemon: at the end of the command nobody waits for a name that nobody asked for.
        self._naming = Thread(target=self._find, args=(pip_session.user_agent,), daemon=True)
        # No daemon: OpenSSL does not bear to be used while its process ends.
        self._reading = Thread(target=_read_certificates, daemon=False)
        for thread in (self._naming, self._reading):
            thread.start()
        if sys.platform != "win32" and hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.end)

    def _find(self, user_agent: Callable[[], str]) -> None:
        try:
            self._found.set_result(user_agent())
        except Exception as error:  # noqa: BLE001 raised where it is asked for
            self._found.set_exception(error)

    @property
    def name(self) -> str:
        """The name; waits until it is known."""
        return self._found.result()

    def end(self) -> None:
        """Wait until no thread and no process is left."""
        self._naming.join()
        self._reading.join()

    def session(self, make: Callable[[], PipSession]) -> PipSession:
        """Make a session that has the name from its first request on."""
        self._reading.join()
        with replaced(pip_session, user_agent=str):
            session = make()
        request = session.request

        def by_name(*args: Any, **kwargs: Any) -> Any:
            session.headers["User-Agent"] = self.name
            return request(*args, **kwargs)

        override(session, request=by_name)
        return session


def _read_certificates() -> None:
    """Let pip create the SSL context of its session, which it caches."""
    with suppress(Exception):  # it will fail again, and say so, where it is wanted
        index_command._create_truststore_ssl_context()  # noqa: SLF001 pip has no other name for it
