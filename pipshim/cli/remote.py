"""The remote and the workers of a command: from its options, variables and pyproject.toml."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from pipshim._pip.configuration import configuration_folder
from pipshim.base.cache_folders import WORK
from pipshim.base.errors import UsageError
from pipshim.base.urls import without_credentials
from pipshim.builds.worker_builds import WorkerBuilds
from pipshim.model import events
from pipshim.model.claim import is_name
from pipshim.model.requests import CommonOptions
from pipshim.model.settings import BuildersAddress, BuildersTable, RemoteTable
from pipshim.remote import signatures
from pipshim.remote.address import absolute, open_store
from pipshim.remote.file_store import FileStore, RemoteError
from pipshim.remote.machine import ThisMachine
from pipshim.remote.remote_cache import RemoteCache
from pipshim.remote.signatures import SigningError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from optparse import Values

    from pipshim.base.masking import Mask
    from pipshim.model.events import Observer
    from pipshim.model.project import Project
    from pipshim.workers.engine import Engine


NAME = "PIPSHIM_BUILDER_NAME"
"""The variable with the name that others are shown who wait for a build of this machine."""

AT_ONCE = 64
"""How many builds wait for workers at once."""


class RemoteAddress(NamedTuple):
    """Where a remote is, and what may be done with it.

    Attributes:
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
        mask: learns the credentials in its URL.
        libraries: the folder with those of the Python that loads wheels.
        may_be_missing: whether the remote may be made later: by this command, or its workers.

    """
    mask.add_urls(address.url)

    def connect() -> FileStore:
        from pipshim._pip.session import session_without_cache  # noqa: PLC0415 few use a remote

        if address.trust:
            with _remote_errors():
                signatures.ed25519()
        session = partial(session_without_cache, options, mask)
        return open_store(address.url, session, may_be_missing=may_be_missing)

    name = os.environ.get(NAME, "")
    holder = name if is_name(name) else ""
    label, machine = mask.hide(address.url), ThisMachine(os.environ, [libraries])
    remote = RemoteCache(label, connect, address.pushes, observer, folder, machine, holder)
    if address.trust:
        remote.why_untrusted = partial(signatures.distrust, trusted=address.trust)
    if address.pushes:
        remote.sign = partial(_sign, cache(partial(_signing_key, address.trust, observer)))
    return remote


def _signing_key(trust: Collection[str], observer: Observer) -> str | None:
    """Read the private key; warn if those who trust keys do not take what it signs."""
    key = signatures.read_key(os.environ, configuration_folder())
    if not trust:
        return key
    hint = ""
    if key is None:
        hint = "this user has no signing key: pipshim builds keygen"
    elif (public := signatures.public_of(key)) not in trust:
        hint = f"its key is not trusted here: pipshim builds trust {public}"
    if hint:
        text = f"what is added to the remote is of no use to this project: {hint}"
        observer(events.Message("warning", text))
    return key


def _sign(read_key: Callable[[], str | None], content: bytes) -> str | None:
    """Sign what is added to a remote; return None without a key.

    Raises:
        RemoteError: the key cannot be read, or what is needed is not installed.

    """
    with _remote_errors():
        key = read_key()
        return signatures.sign(content, key) if key is not None else None


@contextmanager
def _remote_errors() -> Iterator[None]:
    """Turn errors of keys into those of the remote: what is needed is built here then."""
    try:
        yield
    except SigningError as error:
        hint = f": {error.hint}" if error.hint else ""
        raise RemoteError(f"{error}{hint}") from error


def builders_address(common: CommonOptions, table: BuildersTable) -> BuildersAddress | None:
    """Return where to build, by options, variables and pyproject.toml; None: here."""
    if common.offline or common.no_remote:
        return None
    return common.builders or table.use


def open_workers(
    address: BuildersAddress,
    table: BuildersTable,
    remote: RemoteAddress | None,
    cache: Path,
    observer: Observer,
) -> WorkerBuilds:
    """Prepare the use of workers; nothing is asked of them yet."""
    if remote is None:
        raise UsageError(
            "--builders needs a remote, through which wheels come from workers",
            hint="name one: --remote URL, or url in [tool.pipshim.remote]",
        )

    def connect() -> Engine:
        return _engine(address, table, cache, observer)

    return WorkerBuilds(connect, remote.url, table.setup.get(address.kind, ""), observer)


def _engine(
    address: BuildersAddress, table: BuildersTable, cache: Path, observer: Observer
) -> Engine:
    if address.kind == "dask":
        from pipshim.workers.dask_engine import DaskEngine  # noqa: PLC0415 only where it is used

        return DaskEngine(address.place, lambda text: observer(events.Message("warning", text)))
    from pipshim.workers.slurm_engine import SlurmEngine  # noqa: PLC0415 only where it is used

    return SlurmEngine(address.place or None, cache / WORK / f"slurm-{uuid4().hex}", table.sbatch)
