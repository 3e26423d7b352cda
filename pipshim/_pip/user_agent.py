"""What pip's session begins with, found out while other things go on.

That is what pip calls itself towards an index, which it asks ``lsb_release`` and ``rustc`` for, in
processes, before it makes a session; a command that finds all it needs in caches and in the lock
does not wait for them. And it is the certificates that pip trusts: reading them leaves the
interpreter to others.

pip imports on its way to both. A process that was forked amid an import would wait for its end for
ever, so a fork waits for them.
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
    """The name in the header ``User-Agent`` (``pip._internal.network.session.user_agent``).

    Certificates are read meanwhile, since whoever asks for the name is going to make a session.
    """

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
        """Wait until neither a thread nor a process of its is left."""
        self._naming.join()
        self._reading.join()

    def session(self, make: Callable[[], PipSession]) -> PipSession:
        """Make a session that goes by the name from its first request on."""
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
    """Have pip make the context of its session's connections, which it remembers."""
    with suppress(Exception):  # it will fail again, and say so, where it is wanted
        index_command._create_truststore_ssl_context()  # noqa: SLF001 pip has no other name for it
