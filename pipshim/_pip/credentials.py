"""The credentials that pip would use, so that they can be masked (``pip._internal.network.auth``).

Those of keyring, and of URLs that stand in requirements files or on index pages, show when pip uses
them; all others are known from the start.
"""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pip._internal.network.auth import MultiDomainBasicAuth

from pipshim._pip import patches
from pipshim.base.masking import Mask
from pipshim.base.prompts import asking

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from optparse import Values

    from pip._internal.configuration import Configuration
    from pip._internal.network.session import PipSession
    from pip._internal.vcs.versioncontrol import AuthInfo

_NETRC_FILES = (".netrc", "_netrc")


def known(
    options: Values,
    arguments: Iterable[str],
    configuration: Configuration,
    environ: Mapping[str, str],
) -> Mask:
    """Gather what is known when the command line has been read.

    Args:
        options: what pip's parser stored.
        arguments: what the command line has beside options.
        configuration: pip's variables and files, loaded; what is overridden there counts too, as a
            build may read the file itself.
        environ: for the proxies' variables, those of other tools' indexes, and NETRC.

    """
    mask = Mask()
    for text in (*_texts(vars(options)), *arguments, *_texts(dict(configuration.items()))):
        mask.add_urls(text)
    proxies = [value for name, value in environ.items() if name.upper().endswith("_PROXY")]
    for proxy in (options.proxy or "", *proxies):
        mask.add_urls(proxy if "://" in proxy else f"://{proxy}")
    for name, value in environ.items():
        if name.startswith(("PIP_", "UV_")):
            mask.add_urls(value)
    for user, password in _of_netrc(environ):
        mask.add_credentials(user, password)
    return mask


def learn(session: PipSession, mask: Mask) -> None:
    """Let the mask learn what a session finds out later, and have nothing drawn when it asks."""
    auth = session.auth
    prompt, should_save = auth._prompt_for_password, auth._should_save_password_to_keyring  # noqa: SLF001

    def ask(netloc: str) -> tuple[str | None, str | None, bool]:
        before = auth.passwords.get(netloc)
        with asking():
            now = auth.passwords.get(netloc)
            # Another thread may have asked the same just now.
            return prompt(netloc) if now is None or now == before else (*now, False)

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
    """Ask keyring, though the user is not asked: pip's ``--no-input`` would rule out both."""
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


def _texts(value: Any) -> Iterator[str]:
    """Give the texts with URLs in them, however deep in lists and tables."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from _texts(one)


def _of_netrc(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Read the file that requests would read; one that it could not read has no secrets for it."""
    named = environ.get("NETRC")
    files = [Path(named)] if named else [Path.home() / name for name in _NETRC_FILES]
    for file in files:
        try:
            hosts = netrc.netrc(os.path.expanduser(file)).hosts  # noqa: PTH111 as requests does
        except (OSError, UnicodeError, netrc.NetrcParseError):
            continue
        for login, _, password in hosts.values():
            yield login, password or ""
