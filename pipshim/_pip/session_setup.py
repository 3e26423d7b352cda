"""Set up pip's session: its User-Agent, its certificates and its credentials.

For the User-Agent, pip starts ``lsb_release`` and ``rustc`` before it makes a session; a command
that finds everything in caches and the lock does not wait for them. Both import modules of pip; a
fork in the middle of an import would wait for ever, so a fork waits for both.

Credentials (``pip._internal.network.auth``) are masked. Those of keyring, and of URLs in
requirements files or on index pages, are found when pip uses them; all others are known from the
start.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from pip._internal.cli import index_command
from pip._internal.network import session as pip_session
from pip._internal.network.auth import MultiDomainBasicAuth

from pipshim._pip import patches
from pipshim.base.prompts import asking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pip._internal.network.session import PipSession
    from pip._internal.vcs.versioncontrol import AuthInfo

    from pipshim.base.masking import Mask


class Agent:
    """Finds ``pip._internal.network.session.user_agent``, and reads certificates."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2)
        self._name = self._threads.submit(pip_session.user_agent)
        # pip keeps this context. If it fails, it fails again where it is wanted.
        make_context = index_command._create_truststore_ssl_context  # noqa: SLF001
        self._certificates = self._threads.submit(make_context)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self.end)

    def end(self) -> None:
        """Wait until no thread and no process is left."""
        self._threads.shutdown()

    def session(self, make: Callable[[], PipSession]) -> PipSession:
        """Make a session that has the name from its first request on."""
        wait([self._certificates])
        with patches.replaced(pip_session, user_agent=str):
            session = make()
        request = session.request

        def by_name(*args: Any, **kwargs: Any) -> Any:
            session.headers["User-Agent"] = self._name.result()
            return request(*args, **kwargs)

        patches.override(session, request=by_name)
        return session


# Credentials


def mask_credentials(session: PipSession, mask: Mask) -> None:
    """Let the mask learn a session's new credentials, and draw nothing while it asks for them."""
    auth = session.auth
    prompt, should_save = auth._prompt_for_password, auth._should_save_password_to_keyring  # noqa: SLF001

    def ask(netloc: str) -> tuple[str | None, str | None, bool]:
        before = auth.passwords.get(netloc)
        with asking():
            now = auth.passwords.get(netloc)
            if now is not None and now != before:  # another thread has asked the same just now
                return (*now, False)
            user, password, is_new = prompt(netloc)
            if user is not None and password is not None:
                auth.passwords[netloc] = user, password  # before another thread may ask
            return user, password, is_new

    def ask_to_save() -> bool:
        with asking():
            return should_save()

    patches.override(
        auth,
        passwords=_Passwords(auth.passwords, mask),
        _prompt_for_password=ask,
        _should_save_password_to_keyring=ask_to_save,
    )


def let_keyring_answer(session: PipSession) -> None:
    """Use keyring without asking the user: pip's ``--no-input`` would rule out both."""
    patches.become(session.auth, _WithKeyring)


class _WithKeyring(MultiDomainBasicAuth):
    @property
    def use_keyring(self) -> bool:
        return True


class _Passwords(dict[str, "AuthInfo"]):
    """pip's memory of the credentials of each host."""

    def __init__(self, before: Mapping[str, AuthInfo], mask: Mask) -> None:
        super().__init__(before)
        self._mask = mask

    def __setitem__(self, host: str, found: AuthInfo) -> None:
        self._mask.add_credentials(*found)
        super().__setitem__(host, found)
