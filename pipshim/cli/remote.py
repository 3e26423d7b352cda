"""The remote that a command uses: from its options, variables and pyproject.toml."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipshim.remote.address import absolute, open_store
from pipshim.remote.remote_cache import RemoteCache

if TYPE_CHECKING:
    from collections.abc import Callable
    from optparse import Values

    from pipshim._pip.remote_session import RemoteSession
    from pipshim.base.masking import Mask
    from pipshim.model.events import Observer
    from pipshim.model.requests import CommonOptions
    from pipshim.model.settings import RemoteTable


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


def open_remote(
    address: RemoteAddress,
    options: Values,
    mask: Mask,
    observer: Observer,
    folder: Callable[[], Path],
) -> RemoteCache:
    """Prepare the use of a remote; nothing is asked of it yet.

    Args:
        address: where it is.
        options: pip's, for its session.
        mask: learns the credentials in its URL.
        observer: told of what goes wrong.
        folder: makes a folder for fetched files.

    """
    mask.add_urls(address.url)

    def session() -> RemoteSession:
        from pipshim._pip.remote_session import RemoteSession  # noqa: PLC0415 only for http

        return RemoteSession(options, mask)

    return RemoteCache(
        mask.hide(address.url),
        partial(open_store, address.url, session, may_be_missing=address.pushes),
        address.pushes,
        observer,
        folder,
    )
