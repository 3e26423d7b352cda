"""What pip calls itself towards an index, found out while other things go on.

pip asks ``lsb_release`` and ``rustc`` for it, in processes, before it makes a session. A command
that finds all it needs in caches and in the lock does not wait for them.

pip imports on its way to the name. A process that was forked amid an import would wait for its end
for ever, so a fork waits for the name.
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any

from pip._internal.network import session as pip_session

from pipshim._pip.replacing import replaced

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.network.session import PipSession


class Agent:
    """The name in the header ``User-Agent`` (``pip._internal.network.session.user_agent``)."""

    def __init__(self) -> None:
        self._found: Future[str] = Future()
        # A daemon: at the end of the command nobody waits for a name that nobody asked for.
        self._thread = Thread(target=self._find, args=(pip_session.user_agent,), daemon=True)
        self._thread.start()
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
        """Wait until neither its thread nor a process of its is left."""
        self._thread.join()

    def session(self, make: Callable[[], PipSession]) -> PipSession:
        """Make a session that goes by the name from its first request on."""
        with replaced(pip_session, "user_agent", str):
            session = make()
        request = session.request

        def by_name(*args: Any, **kwargs: Any) -> Any:
            session.headers["User-Agent"] = self.name
            return request(*args, **kwargs)

        session.request = by_name  # type: ignore[method-assign]
        return session
