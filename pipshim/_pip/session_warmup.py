"""Find out in threads what pip's session begins with: its User-Agent, and the certificates.

For the User-Agent, pip starts ``lsb_release`` and ``rustc`` before it makes a session; a command
that finds everything in caches and the lock does not wait for them. Both import modules of pip; a
fork in the middle of an import would wait for ever, so a fork waits for both.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor, wait
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
        self._threads = ThreadPoolExecutor(2)
        self._name = self._threads.submit(pip_session.user_agent)
        # pip keeps this context. If it fails, it fails again where it is wanted.
        make_context = index_command._create_truststore_ssl_context  # noqa: SLF001
        self._certificates = self._threads.submit(make_context)
        if sys.platform != "win32":
            os.register_at_fork(before=self.end)

    def end(self) -> None:
        """Wait until no thread and no process is left."""
        self._threads.shutdown()

    def session(self, make: Callable[[], PipSession]) -> PipSession:
        """Make a session that has the name from its first request on."""
        wait([self._certificates])
        with replaced(pip_session, user_agent=str):
            session = make()
        request = session.request

        def by_name(*args: Any, **kwargs: Any) -> Any:
            session.headers["User-Agent"] = self._name.result()
            return request(*args, **kwargs)

        override(session, request=by_name)
        return session
