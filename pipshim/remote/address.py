"""Find out what kind of remote a URL or path is, and open it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipshim.remote.file_store import FileStore, RemoteError
from pipshim.remote.folder_store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable


def absolute(address: str, folder: Path) -> str:
    """Return an address as it is, but a path relative to a folder as an absolute one."""
    if "://" in address or address.startswith("file:"):
        return address
    return str(folder / Path(address).expanduser())


def open_store(
    address: str, session: Callable[[], Any], *, may_be_missing: bool = False
) -> FileStore:
    """Open the files of a remote.

    Args:
        address: a URL, or the absolute path of a folder.
        session: makes a session of pip's, for http.
        may_be_missing: whether a folder that does not exist is an empty remote.

    Raises:
        RemoteError: what is needed for such a URL is not installed, or the URL is wrong.

    """
    try:
        urlsplit(address)
    except ValueError as error:
        raise RemoteError(f"invalid URL: {error}") from error
    if address.startswith("file:"):
        address = url2pathname(urlsplit(address).path)
    if "://" not in address:
        return FolderStore(Path(address), may_be_missing=may_be_missing)
    if address.lower().startswith(("http://", "https://")):
        from pipshim.remote.http_store import HttpStore  # noqa: PLC0415 imports pip's session

        return HttpStore(address, session())
    from pipshim.remote.fsspec_store import FsspecStore  # noqa: PLC0415 imports asyncio

    return FsspecStore(address, may_be_missing=may_be_missing)
