"""The remote that a command uses: from its options, variables and pyproject.toml."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipshim._pip.configuration import configuration_folder
from pipshim.base.errors import UsageError
from pipshim.base.urls import without_credentials
from pipshim.model import events
from pipshim.model.claim import is_name
from pipshim.model.requests import CommonOptions
from pipshim.model.settings import RemoteTable
from pipshim.remote import signatures
from pipshim.remote.address import absolute, open_store
from pipshim.remote.file_store import RemoteError
from pipshim.remote.machine import ThisMachine
from pipshim.remote.remote_cache import RemoteCache, Rules
from pipshim.remote.signatures import SigningError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from optparse import Values

    from pipshim.base.masking import Mask
    from pipshim.model.events import Observer
    from pipshim.model.project import Project
    from pipshim.remote.file_store import FileStore
    from pipshim.remote.http_session import RemoteSession


NAME = "PIPSHIM_BUILDER_NAME"
"""The variable with the name that others are shown who wait for a build of this machine."""


class RemoteAddress(NamedTuple):
    """Where a remote is, and what may be done with it.

    Attributes:
        url: a URL, or the path of a folder.
        pushes: whether results are added.
        trust: the public keys of which one must have signed a result.

    """

    url: str
    pushes: bool
    trust: tuple[str, ...]

    def __repr__(self) -> str:
        return f"RemoteAddress({without_credentials(self.url)!r}, pushes={self.pushes})"


def remote_address(
    common: CommonOptions, configured: RemoteTable, folder: Path
) -> RemoteAddress | None:
    """Return the remote to use; None if there is none, or none is wanted.

    Args:
        common: the options and variables.
        configured: ``[tool.pipshim.remote]``.
        folder: what a path there is relative to.

    """
    if common.no_remote or common.offline:
        return None
    push = common.push or configured.push
    if common.remote:
        url = absolute(common.remote, Path.cwd())
    elif configured.url:
        url = absolute(configured.url, folder)
    else:
        return None
    return RemoteAddress(url, push == "always", configured.trust)


def named_remote(url: str | None, project: Project | None, *, pushes: bool) -> RemoteAddress:
    """Return the remote that a command is about.

    Args:
        url: the one that was named; None for the project's.
        project: the project, if there is one.
        pushes: whether results are added.

    Raises:
        UsageError: there is none.

    """
    common = CommonOptions(remote=url, push="always" if pushes else "never")
    configured = project.configuration.remote if project is not None else RemoteTable()
    folder = project.directory if project is not None else Path.cwd()
    address = remote_address(common, configured, folder)
    if address is None:
        raise UsageError(
            "there is no remote",
            hint="--remote-url URL, PIPSHIM_REMOTE_URL=URL, or url in [tool.pipshim.remote]",
        )
    return address


def open_remote(
    address: RemoteAddress,
    options: Values,
    mask: Mask,
    observer: Observer,
    folder: Callable[[], Path],
    libraries: Path,
    *,
    may_be_missing: bool,
) -> RemoteCache:
    """Prepare the use of a remote; nothing is asked of it yet.

    Args:
        address: where it is.
        options: pip's, for its session.
        mask: learns the credentials in its URL.
        observer: told of what goes wrong.
        folder: makes a folder for fetched files.
        libraries: the folder with those of the Python that loads wheels.
        may_be_missing: whether the remote may be made later: by this command, or its workers.

    """
    mask.add_urls(address.url)

    def session() -> RemoteSession:
        from pipshim.remote.http_session import RemoteSession  # noqa: PLC0415 only for http

        return RemoteSession(options, mask)

    def connect() -> FileStore:
        if address.trust:
            with _remote_errors():
                signatures.check_installed()
        return open_store(address.url, session, may_be_missing=may_be_missing)

    name = os.environ.get(NAME, "")
    holder = name if is_name(name) else ""
    rules = Rules(machine=ThisMachine(os.environ, [libraries]), holder=holder)
    if address.trust:
        rules = replace(rules, why_untrusted=partial(signatures.distrust, trusted=address.trust))
    if address.pushes:
        rules = replace(rules, sign=_Signer(address, observer).sign)
    return RemoteCache(mask.hide(address.url), connect, address.pushes, observer, folder, rules)


class _Signer:
    """Signs what is added to a remote, if the user has a key."""

    def __init__(self, address: RemoteAddress, observer: Observer) -> None:
        self._address = address
        self._observer = observer

    @cached_property
    def _key(self) -> str | None:
        """The private key; says once if those who trust keys do not take what it signs."""
        key, trust = signatures.read_key(os.environ, configuration_folder()), self._address.trust
        if not trust:
            return key
        hint = ""
        if key is None:
            hint = "this user has no signing key: pipshim builds keygen"
        elif (public := signatures.public_of(key)) not in trust:
            hint = f"its key is not trusted here: pipshim builds trust {public}"
        if hint:
            text = f"what is added to the remote is of no use to this project: {hint}"
            self._observer(events.Message("warning", text))
        return key

    def sign(self, content: bytes) -> str | None:
        """Return a signature; None without a key.

        Raises:
            RemoteError: the key cannot be read, or what is needed is not installed.

        """
        with _remote_errors():
            return signatures.sign(content, self._key) if self._key is not None else None


@contextmanager
def _remote_errors() -> Iterator[None]:
    """Turn errors of keys into those of the remote: what is needed is built here then."""
    try:
        yield
    except SigningError as error:
        hint = f": {error.hint}" if error.hint else ""
        raise RemoteError(f"{error}{hint}") from error
